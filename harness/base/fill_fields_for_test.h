// fill_fields(value) sets every field of a plain struct, and of the structs in it, to something that is not
// its default, so that a test of a round trip sees each field that does not come back. For tests only.
#pragma once

#include <algorithm>
#include <boost/pfr/core.hpp>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace chaosgate {

template <typename T>
void fill_fields(T* value, std::uint64_t* next);

template <typename T>
void fill_field(T* field, std::uint64_t* next) {
  const std::uint64_t number = ++*next;
  if constexpr (std::is_same_v<T, bool>) {
    *field = !*field;
  } else if constexpr (std::is_enum_v<T>) {
    *field = static_cast<T>(static_cast<std::uint64_t>(*field) == 1 ? 0 : 1);
  } else if constexpr (std::is_arithmetic_v<T>) {
    *field = static_cast<T>(1'000'000 + number);
  } else if constexpr (std::is_same_v<T, std::string>) {
    *field = "text " + std::to_string(number);
  } else {
    fill_fields(field, next);
  }
}

template <typename T>
void fill_field(std::vector<T>* field, std::uint64_t* next) {
  fill_field(&field->emplace_back(), next);
}

template <typename T>
void fill_fields(T* value, std::uint64_t* next) {
  boost::pfr::for_each_field(*value, [&](auto& field) { fill_field(&field, next); });
}

template <typename T>
T with_all_fields_set() {
  T value;
  std::uint64_t next = 0;
  fill_fields(&value, &next);
  return value;
}

// Field by field, and the same in structs and lists of structs in it.
template <typename T>
bool same_fields(const T& left, const T& right) {
  if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T> || std::is_same_v<T, std::string>) {
    return left == right;
  } else if constexpr (requires { left.begin(); }) {
    return left.size() == right.size() &&
           std::equal(left.begin(), left.end(), right.begin(),
                      [](const auto& a, const auto& b) { return same_fields(a, b); });
  } else {
    bool same = true;
    boost::pfr::for_each_field(left, [&](const auto& field, auto index) {
      same = same && same_fields(field, boost::pfr::get<decltype(index)::value>(right));
    });
    return same;
  }
}

}  // namespace chaosgate
