// JSON_FIELDS(Type, field, ...) gives a plain struct its JSON form: an object with one member for each field.
//
// The list has to be complete. A field that is missing in it would arrive at its default and nobody would
// notice, so the compiler counts: a struct with more or fewer fields than names in the list does not build.
// A name that is listed twice does not build either.
//
//   struct Range { std::uint64_t begin = 0, end = 0; };
//   JSON_FIELDS(Range, begin, end)
//
// Reading requires every member; JSON_FIELDS_WITH_DEFAULTS is for what earlier builds wrote: a member that is
// missing means the field's default. JSON_FIELDS_DECLARED is for a source file whose header declares
// to_json() and from_json(): the others' functions are inline. All throw nlohmann::json::exception for a
// value of the wrong type. REQUIRES: Type is an aggregate without base classes (Boost.PFR), in the namespace
// of the macro's use.
#pragma once

#include <algorithm>
#include <boost/pfr/tuple_size.hpp>
#include <cstddef>
#include <string_view>

#include "harness/base/json.h"

namespace chaosgate {

// Names in a list that is separated by commas.
constexpr std::size_t count_names(std::string_view list) {
  std::size_t count = 1;
  for (const char c : list) {
    count += c == ',' ? 1 : 0;
  }
  return count;
}

// Whether some name stands in the list twice.
constexpr bool repeats_a_name(std::string_view list) {
  const auto next = [](std::string_view* rest) {
    const std::size_t end = std::min(rest->find(','), rest->size());
    std::string_view name = rest->substr(0, end);
    rest->remove_prefix(std::min(end + 1, rest->size()));
    while (!name.empty() && name.front() == ' ') {
      name.remove_prefix(1);
    }
    return name;
  };
  while (!list.empty()) {
    const std::string_view name = next(&list);
    for (std::string_view rest = list; !rest.empty();) {
      if (next(&rest) == name) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace chaosgate

#define CHECK_FIELDS(Type, ...)                                                             \
  static_assert(::chaosgate::count_names(#__VA_ARGS__) == ::boost::pfr::tuple_size_v<Type>, \
                "the list of fields of " #Type " is not complete");                         \
  static_assert(!::chaosgate::repeats_a_name(#__VA_ARGS__), "a field of " #Type " is listed twice")

#define JSON_FIELDS(Type, ...)                          \
  NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Type, __VA_ARGS__) \
  CHECK_FIELDS(Type, __VA_ARGS__);

#define JSON_FIELDS_DECLARED(Type, ...)                                                              \
  void to_json(nlohmann::json& nlohmann_json_j, const Type& nlohmann_json_t) {                       \
    NLOHMANN_JSON_EXPAND(NLOHMANN_JSON_PASTE(NLOHMANN_JSON_TO, __VA_ARGS__))                         \
  }                                                                                                  \
  void from_json(const nlohmann::json& nlohmann_json_j, Type& nlohmann_json_t){NLOHMANN_JSON_EXPAND( \
      NLOHMANN_JSON_PASTE(NLOHMANN_JSON_FROM, __VA_ARGS__))} CHECK_FIELDS(Type, __VA_ARGS__);

#define JSON_FIELDS_WITH_DEFAULTS(Type, ...)                         \
  NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Type, __VA_ARGS__) \
  CHECK_FIELDS(Type, __VA_ARGS__);
