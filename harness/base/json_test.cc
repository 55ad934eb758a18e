#include "harness/base/json.h"

#include <string>

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
