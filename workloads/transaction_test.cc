#include "workloads/transaction.h"

#include "harness/base/coding.h"
#include "harness/base/rng.h"
#include "workloads/generator.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::workloads;

namespace {

Transaction one_of_each() {
  using enum OperationKind;
  Transaction all;
  all.push_back({.kind = put, .key = "k1", .value = std::string(32, 'v')});
  all.push_back({.kind = put, .key = std::string("\0\xff", 2)});
  all.push_back({.kind = erase, .key = "gone"});
  all.push_back({.kind = erase_range, .key = "a", .end = "b"});
  all.push_back({.kind = increment, .keyspace = Keyspace::counter, .key = "\x0a", .number = 3});
  all.push_back({.kind = append, .keyspace = Keyspace::counter, .key = "n", .value = "xyz"});
  all.push_back({.kind = compare_and_set, .key = "lock", .value = "new", .expected = "old!"});
  all.push_back({.kind = mvcc_put, .keyspace = Keyspace::revision, .key = "user", .value = "data"});
  all.push_back({.kind = mvcc_compact, .keyspace = Keyspace::revision, .number = 7});
  return all;
}

std::string encoded(const Transaction& transaction) {
  std::string bytes;
  encode(transaction, &bytes);
  return bytes;
}

}  // namespace

TEST_CASE("every kind of operation survives encoding") {
  const Transaction before = one_of_each();
  Transaction after = {{.kind = OperationKind::compare_and_set, .key = "old content", .expected = "e"}};
  REQUIRE(decode(encoded(before), &after).ok());
  CHECK(after == before);
  std::reverse(after.begin(), after.end());  // decoding into used operations leaves nothing of them behind
  REQUIRE(decode(encoded(before), &after).ok());
  CHECK(after == before);
}

TEST_CASE("the empty transaction, and only that, is no bytes and makes a no-op entry") {
  CHECK(encoded({}).empty());
  Transaction transaction = one_of_each();
  REQUIRE(decode("", &transaction).ok());
  CHECK(transaction.empty());
  CHECK(entry_type("") == 0);
  CHECK(entry_type(encoded(one_of_each())) == 1);
}

TEST_CASE("the encoding of a known transaction is pinned") {
  using namespace std::string_view_literals;
  const Transaction transaction = {
      {.kind = OperationKind::put, .key = "k", .value = "vw"},
      {.kind = OperationKind::mvcc_compact, .keyspace = Keyspace::revision, .number = 5}};
  CHECK(encoded(transaction) == "\x01\x02\0\x01\0\x01\0\0\0k\x02\0\0\0vw\x08\x02\x05\0\0\0\0\0\0\0"sv);
}

TEST_CASE("every truncation of an encoded transaction is refused, and so is a byte too many") {
  const std::string whole = encoded(one_of_each());
  Transaction transaction;
  for (std::size_t size = 1; size < whole.size(); ++size) {
    REQUIRE(decode(std::string_view(whole).substr(0, size), &transaction).code() == StatusCode::corruption);
  }
  CHECK(decode(whole + '\0', &transaction).code() == StatusCode::corruption);
}

TEST_CASE("what no proposer writes is refused with a reason") {
  Transaction transaction;
  const auto refuses = [&](std::string bytes, std::string_view reason) {
    const Status status = decode(bytes, &transaction);
    CAPTURE(status.to_string());
    CHECK(status.code() == StatusCode::corruption);
    CHECK(status.message().find(reason) != std::string::npos);
  };
  const std::string put = encoded({{.kind = OperationKind::put, .key = "key", .value = "value"}});
  const auto changed = [&](std::size_t at, char byte) {
    std::string bytes = put;
    bytes[at] = byte;
    return bytes;
  };
  refuses(changed(0, 9), "version 9");
  refuses(changed(1, 0), "0 operations");
  refuses(changed(2, '\x7f'), "do not fit");
  refuses(changed(3, 99), "unknown operation kind");
  refuses(changed(3, 0), "unknown operation kind");
  refuses(changed(4, 3), "unknown keyspace");
  refuses(changed(3, 7), "outside keyspace revision");
  std::string no_key = encoded({{.kind = OperationKind::erase, .key = "abc"}});
  no_key[5] = 0;
  refuses(no_key, "size that is not allowed");
  const std::string longest = encoded({{.kind = OperationKind::erase, .key = std::string(500, 'x')}});
  CHECK(decode(longest, &transaction).ok());
  std::string longer = longest;
  longer[5] = static_cast<char>(501 & 0xff);
  refuses(longer + 'x', "size that is not allowed");
}

TEST_CASE("random and damaged bytes never crash the decoder") {
  Rng rng(11);
  Transaction transaction;
  const std::string whole = encoded(one_of_each());
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = whole;
    for (std::uint64_t flips = rng.between(1, 4); flips > 0; --flips) {
      bytes[rng.below(bytes.size())] = static_cast<char>(rng.next());
    }
    if (decode(bytes, &transaction).ok()) {
      CHECK(encoded(transaction) == bytes);  // what is accepted is canonical
    }
    bytes.clear();
    rng.append_bytes(&bytes, rng.below(64));
    if (!bytes.empty() && rng.chance(3, 4)) {
      bytes[0] = 1;
    }
    (void)decode(bytes, &transaction).ok();
  }
}

TEST_CASE("transactions and bytes read well for people") {
  CHECK(describe({}) == "no-op");
  CHECK(describe(one_of_each()) ==
        "put object/\"k1\" 32 B; put object/0x00ff 0 B; erase object/\"gone\"; "
        "erase_range object/\"a\" to \"b\"; increment counter/0x0a +3; append counter/\"n\" 3 B; "
        "compare_and_set object/\"lock\" if 4 B 3 B; mvcc_put revision/\"user\" 4 B; mvcc_compact revision "
        "keep 7");
  CHECK(printable("") == "\"\"");
  CHECK(printable(std::string(60, 'a')) == "\"" + std::string(48, 'a') + "\"...(60 B)");
}
