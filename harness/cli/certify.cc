// chaosgate certify: what an engine survives, level by level, as a document that can be filed.
#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/certify.h"
#include "harness/cli/command.h"
#include "harness/cli/settings.h"
#include "harness/report/certificate.h"

namespace chaosgate::cli {
namespace {

namespace fs = std::filesystem;

using report::ExitStatus;

struct CertifyArguments {
  explicit CertifyArguments(CLI::App& app)
      : settings(app,
                 {"engine", "kills", "seed", "images", "profile", "lanes", "protocol", "dir", "worker",
                  "hang-ms", "failures-max", "selftest", "fault"},
                 {{"engine", ""}, {"selftest", "true"}}) {}

  Settings settings;
  std::string level = "soak";
  std::string io_kills = "250";
  std::string io_images = "600";
  std::string damages = "400";
  std::string soak_kills = "500";
  std::string out;
  bool json = false;
  bool quiet = false;
};

// A number of a level that is not tried would do nothing.
void check_levels(const CertifyArguments& options, const CLI::App& app) {
  const std::vector<std::string>& levels = campaign::certificate_levels();
  const auto place = [&](const std::string& level) {
    return std::find(levels.begin(), levels.end(), level) - levels.begin();
  };
  const std::string why = "does nothing with --level " + options.level;
  for (const auto& [level, flag] : {std::pair{"io", "--io-kills"}, std::pair{"io", "--io-images"},
                                    std::pair{"damage", "--damages"}, std::pair{"soak", "--soak-kills"}}) {
    if (place(options.level) < place(level)) {
      refuse_flags(app, {flag}, why);
    }
  }
  for (const auto& [level, key] :
       {std::pair{"kill", "kills"}, std::pair{"power", "images"}, std::pair{"io", "profile"}}) {
    if (place(options.level) < place(level)) {
      options.settings.refuse({key}, why);
    }
  }
}

// Without --out: that place is taken now.
std::string again(const CertifyArguments& options, const CLI::App& app) {
  CommandLine command = options.settings.again();
  for (const auto& [flag, value] :
       {std::pair{"--level", &options.level}, std::pair{"--io-kills", &options.io_kills},
        std::pair{"--io-images", &options.io_images}, std::pair{"--damages", &options.damages},
        std::pair{"--soak-kills", &options.soak_kills}}) {
    if (app.count(flag) > 0) {
      command.option(flag, *value);
    }
  }
  return command.text();
}

// Of the certificate: "lmdb", or "lmdb with half-batch".
std::string name_of(const campaign::CampaignConfig& config) {
  const std::string& engine = config.engines.front();
  const std::size_t colon = engine.rfind(':');
  const std::string name =
      colon == std::string::npos ? fs::path(engine).stem().string() : engine.substr(colon + 1);
  return config.key.fault.empty() ? name : name + " with " + config.key.fault;
}

ExitStatus certify(CertifyArguments& options, const CLI::App& app, const Globals& globals) {
  campaign::CertifyOptions certify;
  certify.config = options.settings.resolve();
  if (options.settings.source("engine") == "default" || certify.config.engines.size() != 1) {
    throw UsageError("a certificate is of one engine: name it with --engine");
  }
  check_levels(options, app);
  certify.config.worker = find_worker(certify.config.worker);
  certify.self_test = certify.config.self_test || options.settings.source("selftest") == "default";
  certify.level = options.level;
  certify.io_kills = parse_number("--io-kills", options.io_kills, 1, 1'000'000);
  certify.io_images = parse_number("--io-images", options.io_images, 1, 1'000'000);
  certify.damages = parse_number("--damages", options.damages, 1, 1'000'000);
  certify.soak_kills = parse_number("--soak-kills", options.soak_kills, 1, 10'000'000);
  certify.directory = options.out.empty() ? fs::path("results/certificates") / name_of(certify.config)
                                          : fs::path(options.out);
  report::Progress progress(!options.quiet);
  campaign::CampaignOutput output;
  output.progress = &progress;
  output.log = [&](const std::string& line) {
    progress.clear();
    log_line(line);
  };
  report::Certificate certificate = campaign::certify(certify, *globals.stop, output);
  progress.clear();
  certificate.command = again(options, app);
  const std::string json = report::render_certificate_json(certificate);
  bool written = true;
  try {
    replace_file(certify.directory / "certificate.html", report::render_certificate_html(certificate));
    replace_file(certify.directory / "certificate.json", json);
    log_line("certificate in " + certify.directory.string());
  } catch (const EnvironmentError& error) {
    log_line(std::string("the certificate could not be written: ") + error.what());
    written = false;
  }
  written = print_result(options.json ? json : report::render_certificate_text(certificate)) && written;
  const ExitStatus status = certificate.exit_status();
  return after_writing(globals.stop->requested() && status != ExitStatus::violation
                           ? static_cast<ExitStatus>(128 + globals.stop->signal())
                           : status,
                       written);
}

}  // namespace

Command make_certify_command(CLI::App& parent, Globals& globals) {
  CLI::App* app = parent.add_subcommand(
      "certify", "try an engine level by level, and write what it survives as a certificate");
  auto options = std::make_shared<CertifyArguments>(*app);
  std::string levels;
  for (const std::string& level : campaign::certificate_levels()) {
    levels += (levels.empty() ? "" : ", ") + level;
  }
  app->add_option("--level", options->level, "the last level to try, of " + levels + " (default soak)")
      ->type_name("LEVEL");
  app->add_option("--io-kills", options->io_kills, "kills of level io (default 250)")->type_name("N");
  app->add_option("--io-images", options->io_images,
                  "disk images of level io, after power cuts and I/O errors (default 600)")
      ->type_name("N");
  app->add_option("--damages", options->damages, "damaged files of level damage (default 400)")
      ->type_name("N");
  app->add_option("--soak-kills", options->soak_kills, "kills of level soak (default 500)")->type_name("N");
  app->add_option("--out", options->out,
                  "directory for the certificate; default: results/certificates/ENGINE")
      ->type_name("DIR");
  app->add_flag("--json", options->json, "print the certificate as JSON");
  app->add_flag("--quiet", options->quiet, "no progress on stderr");
  app->footer(
      "Examples:\n"
      "  chaosgate certify --engine lmdb\n"
      "  chaosgate certify --engine build/release/plugins/sqlite.so:sqlite-wal-full --level power --images "
      "5000\n\n"
      "Exit status: 0 every level passed, 1 one failed, 2 usage, 3 one is inconclusive, 130 or 143 "
      "interrupted, 70 the harness failed.");
  return {app, [options, app, &globals] { return certify(*options, *app, globals); }};
}

}  // namespace chaosgate::cli
