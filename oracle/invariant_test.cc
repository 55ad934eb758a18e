#include "oracle/invariant.h"

#include <set>

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::oracle;

TEST_CASE("every invariant has a name of its own that parses back") {
  std::set<std::string_view> names;
  for (std::size_t number = 0; number < kInvariantCount; ++number) {
    const auto invariant = static_cast<Invariant>(number);
    CHECK(names.insert(to_string(invariant)).second);
    CHECK(parse_invariant(to_string(invariant)) == invariant);
  }
  CHECK(to_string(Invariant::read_consistent) == "read.consistent");
  CHECK_FALSE(parse_invariant("log.lost"));
}

TEST_CASE("a violation reads well for people") {
  Violation violation{Invariant::state_prefix, "at index 9 the state differs in 3 of 20 keys", {}, 3};
  violation.differences.push_back({workloads::Keyspace::object, "k1", "value", std::nullopt});
  violation.differences.push_back(
      {workloads::Keyspace::counter, std::string("\0\x01", 2), std::nullopt, std::string(100, 'x')});
  CHECK(describe(violation) ==
        "state.prefix: at index 9 the state differs in 3 of 20 keys\n"
        "  object/\"k1\"\n"
        "    expected \"value\" (5 B, hash 87d57e269b9df0f0)\n"
        "    found    absent\n"
        "  counter/0x0001\n"
        "    expected absent\n"
        "    found    \"xxxxxxxxxxxxxxxxxxxxxxxx\"... (100 B, hash c90984ffdf50ce42)\n"
        "  and 1 more");
}
