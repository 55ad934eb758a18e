#include "harness/base/json.h"

#include <climits>
#include <cstdint>
#include <string>
#include <vector>

#include "harness/base/test.h"

using namespace chaosgate;

namespace {

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

TEST_CASE("JSON that is nested deeper than anything we write is refused before a value is made of it") {
  CHECK(parse_json(nested(kJsonDepthMax)).is_array());
  CHECK_THROWS_AS(parse_json(nested(kJsonDepthMax + 1)), nlohmann::json::exception);
  CHECK_THROWS_WITH(parse_json("{\"a\":" + nested(75'000) + "}"),
                    Catch::Contains("nested deeper than 64 levels at byte 69"));
  CHECK_THROWS_AS(parse_json(std::string(1'000'000, '{')), nlohmann::json::exception);
}

TEST_CASE("brackets in strings nest nothing, and quotes and backslashes in strings end nothing") {
  const std::string brackets(500, '[');
  CHECK(parse_json("\"" + brackets + "\"") == brackets);
  CHECK(parse_json(R"({"a\"[[": ["\\", "]"]})").at("a\"[[").size() == 2);
  CHECK_THROWS_AS(parse_json("\"\\"), nlohmann::json::exception);
  CHECK_THROWS_AS(parse_json("\\\"" + brackets), nlohmann::json::exception);
}

TEST_CASE("a whole number is read from a whole number that fits, and from nothing else") {
  const auto get = [](const char* text, auto number) { return parse_json(text).get<decltype(number)>(); };
  CHECK(get("0", std::uint64_t{}) == 0);
  CHECK(get("18446744073709551615", std::uint64_t{}) == UINT64_MAX);
  CHECK(get("4294967295", std::uint32_t{}) == UINT32_MAX);
  CHECK(get("-2147483648", int{}) == INT_MIN);
  for (const char* text : {"-1", "1.0", "1.5", "1e300", "18446744073709551616", "true", "\"1\"", "null"}) {
    INFO(text);
    CHECK_THROWS_AS(get(text, std::uint64_t{}), nlohmann::json::type_error);
  }
  CHECK_THROWS_AS(get("4294967296", std::uint32_t{}), nlohmann::json::type_error);
  CHECK_THROWS_AS(get("2147483648", int{}), nlohmann::json::type_error);
  CHECK_THROWS_AS(get("[1, 2.5]", std::vector<std::uint64_t>{}), nlohmann::json::type_error);
  CHECK(get("[1, 2]", std::vector<std::uint64_t>{}) == std::vector<std::uint64_t>{1, 2});
  CHECK(get("3", double{}) == 3);
  CHECK(get("true", bool{}));
  CHECK(nlohmann::json(UINT64_MAX).dump() == "18446744073709551615");
}
