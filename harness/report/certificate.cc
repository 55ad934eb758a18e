#include "harness/report/certificate.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/json.h"
#include "harness/report/facts.h"
#include "harness/report/html_page.h"

namespace chaosgate::report {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kCertificateSchemaVersion = 1;

std::uint64_t faults_found(const Certificate& certificate) {
  return static_cast<std::uint64_t>(std::count_if(certificate.self_test.begin(), certificate.self_test.end(),
                                                  [](const FaultResult& result) { return result.found; }));
}

std::string self_test_text(const Certificate& certificate) {
  return certificate.self_test.empty() ? "not run: that this build finds the planted faults was not shown"
                                       : fmt::format("{} of {} planted faults found",
                                                     faults_found(certificate), certificate.self_test.size());
}

std::string tried_text(const CertificateLevel& level) {
  std::string text;
  for (const auto& [what, count] : level.tried) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", thousands(count), what);
  }
  return text.empty() ? "-" : text;
}

std::string exception_text(const CertificateException& exception) {
  return fmt::format("{}{}{}: {}{}", exception.promised ? "" : "not promised: ", exception.invariant,
                     exception.count > 1 ? fmt::format(" ({} times)", thousands(exception.count)) : "",
                     printable_line(exception.explanation),
                     exception.profile.empty() ? "" : "; weakest profile " + exception.profile);
}

Json to_json(const CertificateException& exception) {
  return {{"invariant", exception.invariant},
          {"explanation", valid_utf8(exception.explanation)},
          {"weakest_profile", exception.profile.empty() ? Json() : Json(exception.profile)},
          {"count", exception.count},
          {"promised_not_to_happen", exception.promised},
          {"bundle", exception.bundle.empty() ? Json() : Json(exception.bundle)},
          {"command", exception.command.empty() ? Json() : Json(exception.command)}};
}

Json to_json(const CertificateLevel& level) {
  Json tried = Json::object();
  for (const auto& [what, count] : level.tried) {
    tried[what] = count;
  }
  Json exceptions = Json::array();
  for (const CertificateException& exception : level.exceptions) {
    exceptions.push_back(to_json(exception));
  }
  return {{"level", level.name},
          {"meaning", level.meaning},
          {"verdict", level.verdict},
          {"tried", tried},
          {"coverage", level.coverage},
          {"upper_bound_95", level.upper_bound > 0 ? Json(level.upper_bound) : Json()},
          {"exceptions", exceptions},
          {"doubts", level.doubts},
          {"not_tested", level.not_tested}};
}

std::string mood(const std::string& verdict) {
  return verdict == "pass" ? "good" : verdict == "fail" ? "bad" : "doubt";
}

}  // namespace

std::string Certificate::level_reached() const {
  std::string reached = "none";
  for (const CertificateLevel& level : levels) {
    if (level.verdict != "pass") {
      break;
    }
    reached = level.name;
  }
  return reached;
}

ExitStatus Certificate::exit_status() const {
  const auto any = [&](std::string_view verdict) {
    return std::any_of(levels.begin(), levels.end(),
                       [&](const CertificateLevel& level) { return level.verdict == verdict; });
  };
  if (any("fail")) {
    return ExitStatus::violation;
  }
  if (!harness_fault.empty()) {
    return ExitStatus::internal;
  }
  return any("inconclusive") || any("not run") || faults_found(*this) < self_test.size()
             ? ExitStatus::inconclusive
             : ExitStatus::pass;
}

std::string render_certificate_json(const Certificate& certificate) {
  Json contract = Json::object();
  for (const auto& [what, value] : certificate.contract) {
    contract[what] = value;
  }
  Json levels = Json::array();
  Json seconds = Json::object();
  for (const CertificateLevel& level : certificate.levels) {
    levels.push_back(to_json(level));
    seconds[level.name] = level.seconds;
  }
  Json missed = Json::array();
  for (const FaultResult& result : certificate.self_test) {
    if (!result.found) {
      missed.push_back(result.fault);
    }
  }
  const Json json = {
      {"schema_version", kCertificateSchemaVersion},
      {"chaosgate", certificate.version},
      {"engine",
       {{"configuration", certificate.engine},
        {"family", certificate.family},
        {"summary", certificate.summary},
        {"version", certificate.engine_version},
        {"build", certificate.build},
        {"configuration_sha256", certificate.configuration}}},
      {"contract", contract},
      {"level_reached", certificate.level_reached()},
      {"exit_status", static_cast<int>(certificate.exit_status())},
      {"seed", seed_text(certificate.seed)},
      {"profile", certificate.profile},
      {"planted_fault", certificate.fault.empty() ? Json() : Json(certificate.fault)},
      {"levels", levels},
      {"self_test",
       {{"planted_faults", certificate.self_test.size()},
        {"found", faults_found(certificate)},
        {"missed", missed}}},
      {"command", certificate.command},
      {"harness_fault",
       certificate.harness_fault.empty() ? Json() : Json(valid_utf8(certificate.harness_fault))},
      {"times",
       {{"started", certificate.started}, {"seconds", certificate.seconds}, {"seconds_by_level", seconds}}}};
  return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

std::string render_certificate_html(const Certificate& certificate) {
  const std::string reached = certificate.level_reached();
  const ExitStatus status = certificate.exit_status();
  std::string out = page_head(fmt::format("certificate of {}", certificate.engine));
  out += fmt::format(
      "<h1>chaosgate certificate</h1>\n<div class=\"banner {}\"><strong>{} {}</strong><span>level reached: "
      "{}.</span></div>\n",
      status == ExitStatus::pass        ? "good"
      : status == ExitStatus::violation ? "bad"
                                        : "doubt",
      html(certificate.engine), html(certificate.engine_version), html(reached));
  Table about({"", ""});
  about.row({"engine",
             html(fmt::format("{} ({}): {}", certificate.engine, certificate.family, certificate.summary))});
  about.row({"version", html(certificate.engine_version)});
  about.row({"build", html(certificate.build)});
  about.row({"configuration SHA-256", html(certificate.configuration)});
  for (const auto& [what, value] : certificate.contract) {
    about.row({html(what), html(value)});
  }
  about.row({"power-cut profile", html(certificate.profile)});
  if (!certificate.fault.empty()) {
    about.row({"planted fault", html(certificate.fault) + ": this is no certificate of the engine"});
  }
  about.row({"seed", html(seed_text(certificate.seed))});
  about.row({"harness", html(fmt::format("chaosgate {}; self-test: {}", certificate.version,
                                         self_test_text(certificate)))});
  about.row({"when", html(fmt::format("{}, {}", certificate.started, duration(certificate.seconds)))});
  if (!certificate.harness_fault.empty()) {
    about.row({"ended early", html(certificate.harness_fault)});
  }
  out += "<h2>What was certified</h2>\n" + about.take();
  Table levels({"level", "verdict", "tried", "#95 % bound", "coverage"});
  for (const CertificateLevel& level : certificate.levels) {
    levels.row({fmt::format("{}<br><span class=\"quiet\">{}</span>", html(level.name), html(level.meaning)),
                fmt::format("<b class=\"{}\">{}</b>", mood(level.verdict), html(level.verdict)),
                html(tried_text(level)), level.upper_bound > 0 ? percentage(level.upper_bound) : "-",
                html(joined(level.coverage, "; "))});
  }
  out +=
      "<h2>Levels</h2>\n" + levels.take() +
      "<p class=\"quiet\">95 % bound: with nothing found in n tries, one fails with a probability of at most "
      "3/n.</p>\n";
  for (const CertificateLevel& level : certificate.levels) {
    if (!level.exceptions.empty()) {
      out += fmt::format("<h2>Exceptions: {}</h2>\n", html(level.name));
    }
    for (const CertificateException& exception : level.exceptions) {
      out += fmt::format("<div class=\"violation\"><p>{}</p>", html(exception_text(exception)));
      if (!exception.command.empty()) {
        out += fmt::format("<pre class=\"command\">{}</pre>", html(exception.command));
      }
      out += "</div>\n";
    }
    if (!level.doubts.empty()) {
      out += fmt::format("<h2>Doubts: {}</h2>\n{}", html(level.name), html_list(level.doubts));
    }
  }
  std::vector<std::string> not_tested;
  for (const CertificateLevel& level : certificate.levels) {
    for (const std::string& line : level.not_tested) {
      not_tested.push_back(fmt::format("{}: {}", level.name, line));
    }
  }
  if (!not_tested.empty()) {
    out += "<h2>Not tested</h2>\n" + html_list(not_tested);
  }
  out += fmt::format("<h2>Again</h2>\n<pre class=\"command\">{}</pre>\n", html(certificate.command));
  return out + page_end("certificate.html", "certificate.json holds the same", certificate.version);
}

std::string render_certificate_text(const Certificate& certificate) {
  std::string out =
      fmt::format("{} {}: level {}\n  {}, {}\n  configuration {}\n  self-test {}\n\n", certificate.engine,
                  certificate.engine_version, certificate.level_reached(), certificate.summary,
                  certificate.build, certificate.configuration.substr(0, 16), self_test_text(certificate));
  if (!certificate.fault.empty()) {
    out +=
        fmt::format("with the planted fault {}: this is no certificate of the engine\n\n", certificate.fault);
  }
  if (!certificate.harness_fault.empty()) {
    out += fmt::format("ended early: {}\n\n", printable_line(certificate.harness_fault));
  }
  out += fmt::format("{:<12} {:<13} {:>10}  {}\n", "level", "verdict", "95 % bound", "tried");
  for (const CertificateLevel& level : certificate.levels) {
    out += fmt::format("{:<12} {:<13} {:>10}  {}\n", level.name, level.verdict,
                       level.upper_bound > 0 ? percentage(level.upper_bound) : "-", tried_text(level));
    for (const std::string& line : level.coverage) {
      out += fmt::format("{:<12} {}\n", "", line);
    }
  }
  for (const CertificateLevel& level : certificate.levels) {
    for (const CertificateException& exception : level.exceptions) {
      out += fmt::format("\n{}: {}\n", level.name, exception_text(exception));
      if (!exception.command.empty()) {
        out += fmt::format("  {}\n", exception.command);
      }
    }
    for (const std::string& doubt : level.doubts) {
      out += fmt::format("\n{}: inconclusive: {}\n", level.name, printable_line(doubt));
    }
  }
  return out;
}

}  // namespace chaosgate::report
