// What the HTML pages have in common: one file each, without scripts, fonts or pictures from anywhere, so
// that it can be archived with the build and opened years later. Its policy forbids the browser to load
// anything.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace chaosgate::report {

// Any bytes as text of a page.
std::string html(const std::string& bytes);

// Up to and including <body>. `title` is text.
std::string page_head(const std::string& title);
// The foot: "<file> of chaosgate <version>; <remark>."
std::string page_end(std::string_view file, const std::string& remark, const std::string& version);

// A table from cells that are HTML already. A column whose heading starts with '#' holds numbers.
class Table {
 public:
  explicit Table(const std::vector<std::string>& headings, std::string_view kind = "");

  // As many cells as headings; the first is the row's heading.
  void row(const std::vector<std::string>& cells);
  std::string take();

 private:
  std::string text_;
  std::vector<bool> numbers_;
};

// The lines, which are text, as a list.
std::string html_list(const std::vector<std::string>& lines);

}  // namespace chaosgate::report
