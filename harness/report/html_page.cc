#include "harness/report/html_page.h"

#include <fmt/format.h>

#include "harness/report/facts.h"

namespace chaosgate::report {
namespace {

constexpr std::string_view kStyle = R"css(
:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #1d2126; --quiet: #667079; --line: #e3e0da;
  --good: #1d7a46; --good-bg: #e6f4ec; --bad: #b3261e; --bad-bg: #fbe9e7; --doubt: #8a5a00; --doubt-bg: #fff3d9;
  --bar: #b9cbe0; --code: #f3f1ec;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --card: #1b1f23; --ink: #e4e7ea; --quiet: #96a0a9; --line: #2e343a;
    --good: #6fd39a; --good-bg: #16311f; --bad: #ff8a80; --bad-bg: #3b1a18; --doubt: #f2c063; --doubt-bg: #38290b;
    --bar: #35506e; --code: #111417;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 70rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.05rem; font-weight: 600; margin: 0 0 1rem; color: var(--quiet); letter-spacing: .02em; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .75rem; }
h3 { font-size: 1rem; margin: 1.75rem 0 .5rem; }
h3 .quiet { font-weight: 400; }
p { margin: .4rem 0; }
.quiet { color: var(--quiet); }
.banner { border-radius: 10px; padding: 1.1rem 1.4rem; border-left: 6px solid; }
.banner strong { font-size: 1.5rem; display: block; line-height: 1.25; }
.banner strong::first-letter { text-transform: uppercase; }
.good { color: var(--good); } .bad { color: var(--bad); } .doubt { color: var(--doubt); }
.banner.good { background: var(--good-bg); } .banner.bad { background: var(--bad-bg); }
.banner.doubt { background: var(--doubt-bg); }
.banner span { display: block; color: var(--ink); }
.banner span::first-letter { text-transform: uppercase; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .7rem; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
thead th { border-top: 0; font-weight: 600; font-size: .82rem; line-height: 1.3; color: var(--quiet); vertical-align: bottom; }
td.n, th.n { text-align: right; }
td.n, tbody th { white-space: nowrap; }
tbody th { font-weight: 600; }
tbody th .quiet { font-weight: 400; }
td.zero { background: var(--doubt-bg); color: var(--doubt); font-weight: 700; }
.step td, .step th { padding-top: .2rem; padding-bottom: .2rem; }
.step tbody th { font-weight: 400; font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .85rem; }
.step td.bar { width: 45%; vertical-align: middle; }
.bar i { display: block; height: .7rem; border-radius: 2px; background: var(--bar); }
pre { background: var(--code); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; margin: .6rem 0;
  overflow-x: auto; font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; }
pre.command { user-select: all; }
.violation { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--bad);
  border-radius: 8px; padding: .8rem 1.2rem; margin: .8rem 0; }
.violation h3 { margin-top: 0; }
ul { margin: .4rem 0; padding-left: 1.3rem; }
footer { margin-top: 3rem; font-size: .85rem; color: var(--quiet); }
)css";

}  // namespace

std::string html(const std::string& bytes) {
  std::string out;
  for (const char c : printable(bytes)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string page_head(const std::string& title) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>chaosgate: {}</title>\n<style>{}</style>\n</head>\n<body>\n",
      html(title), kStyle);
}

std::string page_end(std::string_view file, const std::string& remark, const std::string& version) {
  return fmt::format("<footer>{} of chaosgate {}; {}.</footer>\n</body>\n</html>\n", file, html(version),
                     html(remark));
}

Table::Table(const std::vector<std::string>& headings, std::string_view kind) {
  text_ = fmt::format("<div class=\"scroll\"><table class=\"{}\"><thead><tr>", kind);
  for (const std::string& heading : headings) {
    const bool number = heading.starts_with('#');
    numbers_.push_back(number);
    text_ += fmt::format("<th{}>{}</th>", number ? " class=\"n\"" : "", html(heading.substr(number ? 1 : 0)));
  }
  text_ += "</tr></thead><tbody>\n";
}

void Table::row(const std::vector<std::string>& cells) {
  text_ += "<tr>";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].starts_with("<td")) {
      text_ += cells[i];
    } else if (i == 0) {
      text_ += fmt::format("<th scope=\"row\">{}</th>", cells[i]);
    } else {
      text_ += fmt::format("<td{}>{}</td>", numbers_[i] ? " class=\"n\"" : "", cells[i]);
    }
  }
  text_ += "</tr>\n";
}

std::string Table::take() { return text_ + "</tbody></table></div>\n"; }

std::string html_list(const std::vector<std::string>& lines) {
  std::string out = "<ul>\n";
  for (const std::string& line : lines) {
    out += "<li>" + html(line) + "</li>\n";
  }
  return out + "</ul>\n";
}

}  // namespace chaosgate::report
