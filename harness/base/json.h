// parse_json() reads JSON that comes from outside: files, bundles, other processes.
//
// A text may be nested as deep as it is long, and what later walks or prints the value does so by recursion;
// so what is nested deeper than anything that chaosgate writes is refused before a value is made of it.
//
// A whole number is read from a whole number that its type can hold; from anything else it throws. The
// library alone takes 1.5 for 1, -1 for 2^64 - 1, and true for 1. So this header is the way to it.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace nlohmann {

template <typename Number>
struct adl_serializer<Number, std::enable_if_t<std::is_integral_v<Number> && !std::is_same_v<Number, bool> &&
                                               !std::is_same_v<Number, char>>> {
  template <typename Json>
  static void to_json(Json& json, Number number) {
    ::nlohmann::to_json(json, number);
  }
  template <typename Json>
  static void from_json(const Json& json, Number& number) {
    if (const auto* whole = json.template get_ptr<const typename Json::number_unsigned_t*>();
        whole != nullptr && std::in_range<Number>(*whole)) {
      number = static_cast<Number>(*whole);
    } else if (const auto* negative = json.template get_ptr<const typename Json::number_integer_t*>();
               whole == nullptr && negative != nullptr && std::in_range<Number>(*negative)) {
      number = static_cast<Number>(*negative);
    } else {
      throw Json::type_error::create(302, "expected a whole number that fits", &json);
    }
  }
};

}  // namespace nlohmann

namespace chaosgate {

inline constexpr std::size_t kJsonDepthMax = 64;

// Throws nlohmann::json::exception, whose text says what is wrong and where, for what is not JSON or nested
// deeper than kJsonDepthMax.
nlohmann::json parse_json(std::string_view text);

// What an exception of reading JSON says, without "[json.exception.parse_error.101]" before it: the reader
// needs no class name. Any other message as it is. One line, printable.
std::string json_complaint(std::string_view message);

}  // namespace chaosgate
