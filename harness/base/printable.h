// Text from outside (names, messages and plans of bundles, engines and files) made safe to print.
//
// A terminal obeys control characters, so an input could move its cursor, recolour it or forge lines.
#pragma once

#include <string>
#include <string_view>

namespace chaosgate {

// Keeps UTF-8 and writes every other byte as \xNN.
std::string valid_utf8(std::string_view bytes);
// Also writes control characters as \xNN, except tab and newline, marks that turn the direction of writing,
// and what XML 1.0 forbids: engines' messages and keys hold any bytes, and no report may let them act on a
// terminal or break a file.
std::string printable(std::string_view bytes);
// The same on one line: newlines and tabs become blanks, blanks at the end go.
std::string printable_line(std::string_view bytes);

}  // namespace chaosgate
