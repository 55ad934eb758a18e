// Mutants of JSON that are JSON: other values in the places of values, members and items that go or come
// twice. Bytes that are changed at random are seldom JSON, and nothing behind the parser is reached.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"
#include "harness/fuzz/fuzz.h"

namespace chaosgate::fuzz {

inline constexpr std::size_t kMutantDepthMax = 32;

// A value in a document and what holds it; null for the document itself.
struct JsonPlace {
  nlohmann::json* holder = nullptr;
  nlohmann::json* value = nullptr;
};

inline void list_places(nlohmann::json* holder, nlohmann::json* value, std::size_t depth,
                        std::vector<JsonPlace>* places) {
  places->push_back({holder, value});
  if (depth < kMutantDepthMax && value->is_structured()) {
    for (nlohmann::json& each : *value) {
      list_places(value, &each, depth + 1, places);
    }
  }
}

inline nlohmann::json other_value(Rng& rng, const nlohmann::json& value) {
  switch (rng.below(8)) {
    case 0:
      return nullptr;
    case 1:
      return rng.chance(1, 2);
    case 2:
      return -static_cast<std::int64_t>(rng.below(5));
    case 3:
      return static_cast<double>(rng.next()) * (rng.chance(1, 2) ? 1e-9 : 1e280);
    case 4:
      return std::uint64_t{1} << rng.below(64);
    case 5:
      return ~rng.below(5);
    case 6:
      return nlohmann::json::array({value});
    default:
      return mutate(rng, value.is_string() ? value.get<std::string>() : "0x1", "-1,2#/.x");
  }
}

inline void mutate_place(Rng& rng, const JsonPlace& place, const nlohmann::json& from) {
  nlohmann::json* const holder = place.holder;
  switch (holder == nullptr ? 0 : rng.below(6)) {
    case 0:
    case 1:
      *place.value = other_value(rng, *place.value);
      return;
    case 2:
      if (place.value->is_string()) {
        *place.value = mutate(rng, place.value->get<std::string>(), "=");
      }
      return;
    case 3:
      *place.value = from;
      return;
    case 4: {
      const auto at = std::find_if(holder->begin(), holder->end(),
                                   [&](const nlohmann::json& each) { return &each == place.value; });
      if (at != holder->end()) {
        holder->erase(at);
      }
      return;
    }
    default:
      if (holder->is_array()) {
        const nlohmann::json copy = *place.value;
        holder->push_back(copy);
      }
      return;
  }
}

// Changes one value of a document. What is no JSON comes back as it is.
inline std::string mutate_json(Rng& rng, std::string_view text) {
  nlohmann::json document = nlohmann::json::parse(text, nullptr, false);
  if (document.is_discarded()) {
    return std::string(text);
  }
  std::vector<JsonPlace> places;
  list_places(nullptr, &document, 0, &places);
  const nlohmann::json from = *places[rng.below(places.size())].value;
  mutate_place(rng, places[rng.below(places.size())], from);
  return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Changes a value of one line, now and then of two; or puts a line of `other` behind it.
inline std::string mutate_json_lines(Rng& rng, std::string bytes, std::string_view other) {
  const auto line_of = [&](std::string_view text) {
    const std::size_t at = std::min<std::size_t>(rng.below(text.size() + 1), text.size());
    const std::size_t before = text.substr(0, at).rfind('\n');
    const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
    return text.substr(begin, std::min(text.find('\n', begin), text.size()) - begin);
  };
  do {
    const std::string_view line = line_of(bytes);
    const std::size_t begin = static_cast<std::size_t>(line.data() - bytes.data());
    std::string changed = mutate_json(rng, line);
    if (rng.chance(1, 8)) {
      changed += "\n" + std::string(line_of(other));
    }
    bytes.replace(begin, line.size(), changed);
  } while (rng.chance(1, 3));
  return bytes;
}

}  // namespace chaosgate::fuzz
