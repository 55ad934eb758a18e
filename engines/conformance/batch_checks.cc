// Batches, keys, values, ranges.
#include <algorithm>

#include "engines/conformance/store.h"
#include "harness/base/rng.h"

namespace chaosgate::engines {
namespace {

void new_store_is_empty(const ConformanceSubject& subject) {
  Store store(subject);
  expect_state(*store, State(3));
  EXPECT(!get(*store, kFirst, "a"));
  expect(store->check_integrity(), "check_integrity");
}

void batch_reaches_its_keyspaces(const ConformanceSubject& subject) {
  Store store(subject);
  WriteBatch batch;
  batch.put(kFirst, "k", "1");
  batch.put(kThird, "k", "3");
  store.write(batch);
  expect_state(*store, {{{"k", "1"}}, {}, {{"k", "3"}}});
  EXPECT(get(*store, kFirst, "k") == "1");
  EXPECT(!get(*store, kSecond, "k"));
}

void empty_batch(const ConformanceSubject& subject) {
  Store store(subject);
  put(*store, kFirst, "k", "1");
  store.write(WriteBatch());
  expect_state(*store, {{{"k", "1"}}, {}, {}});
}

void later_operation_wins(const ConformanceSubject& subject) {
  Store store(subject);
  WriteBatch batch;
  batch.put(kFirst, "twice", "1");
  batch.put(kFirst, "twice", "2");
  batch.put(kFirst, "gone", "1");
  batch.erase(kFirst, "gone");
  batch.erase(kFirst, "back");
  batch.put(kFirst, "back", "1");
  batch.erase(kFirst, "never-there");
  store.write(batch);
  expect_same("after the batch", show(read_keyspace(*store, kFirst)), "back=1 twice=2");
}

void range_edges(const ConformanceSubject& subject) {
  Store store(subject);
  const auto erase = [&](std::string_view begin, std::string_view end, std::string_view expected) {
    WriteBatch batch;
    for (const char* key : {"a", "b", "ba", "c", "d"}) {
      batch.put(kFirst, key, key);
      batch.put(kSecond, key, key);
    }
    store.write(batch);
    batch.clear();
    batch.erase_range(kFirst, begin, end);
    store.write(batch);
    EXPECT(read_keyspace(*store, kSecond).size() == 5);
    expect_same(fmt::format("after deleting [{}, {})", printable(begin), printable(end)),
                show(read_keyspace(*store, kFirst)), expected);
  };
  erase("b", "c", "a=a c=c d=d");
  erase("b", "b", "a=a b=b ba=ba c=c d=d");
  erase("aa", "az", "a=a b=b ba=ba c=c d=d");
  erase("", "", "a=a b=b ba=ba c=c d=d");
  erase("", "b", "b=b ba=ba c=c d=d");
  erase("bb", "z", "a=a b=b ba=ba");
  erase("e", "z", "a=a b=b ba=ba c=c d=d");
  erase("d", std::string("d\0", 2), "a=a b=b ba=ba c=c");
  erase("b", std::string(kKeyBytesMax + 1, 'b'), "a=a c=c d=d");  // bounds are no keys
}

void range_in_a_batch(const ConformanceSubject& subject) {
  Store store(subject);
  put(*store, kFirst, "b", "old");
  WriteBatch batch;
  batch.put(kFirst, "a", "1");
  batch.put(kFirst, "c", "1");
  batch.put(kFirst, "e", "1");
  batch.erase_range(kFirst, "a", "e");
  batch.put(kFirst, "c", "2");
  store.write(batch);
  expect_same("after the batch", show(read_keyspace(*store, kFirst)), "c=2 e=1");
  store.reopen_keeping_all();
  expect_same("reopened", show(read_keyspace(*store, kFirst)), "c=2 e=1");
}

void every_byte_value(const ConformanceSubject& subject) {
  Store store(subject);
  State expected(3);
  WriteBatch batch;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    batch.put(kFirst, one, one);
    batch.put(kFirst, one + one, std::string(3, static_cast<char>(255 - byte)));
    batch.put(kFirst, "x" + one + "y", std::string(1, '\0') + one);
  }
  store.write(batch, &expected);
  expect_state(*store, expected);
  store.reopen_keeping_all();
  expect_state(*store, expected);

  const std::unique_ptr<Iterator> it = store->iterator(kFirst);
  std::vector<std::string> keys;
  for (it->seek_to_first(); it->valid(); it->next()) {
    keys.emplace_back(it->key());
  }
  EXPECT(keys.size() == expected[kFirst].size());
  EXPECT(std::is_sorted(keys.begin(), keys.end()));  // std::string compares bytes as unsigned
}

void empty_value(const ConformanceSubject& subject) {
  Store store(subject);
  put(*store, kFirst, "empty", "");
  EXPECT(get(*store, kFirst, "empty") == "");
  EXPECT(!get(*store, kFirst, "absent"));
  store.reopen_keeping_all();
  expect_same("reopened", show(read_keyspace(*store, kFirst)), "empty=");
}

void large_values(const ConformanceSubject& subject, Maintenance maintenance) {
  Store store(subject, test_options(maintenance));
  Rng rng(11);
  State expected(3);
  for (const std::size_t size : {4095U, 4096U, 65536U, 1U << 20, (1U << 20) + 1, 3U << 20}) {
    WriteBatch batch;
    std::string key(kKeyBytesMax - 2, 'k');
    rng.append_bytes(&key, 2);
    std::string value;
    rng.append_bytes(&value, size);
    batch.put(kSecond, key, value);
    store.write(batch, &expected);
  }
  expect_state(*store, expected);
  store.reopen_keeping_all();
  expect_state(*store, expected);
  expect(store->check_integrity(), "check_integrity");
}

void unusable_keys(const ConformanceSubject& subject) {
  Store store(subject);
  const auto refused = [&](const WriteBatch& batch) {
    return store->write(batch).code() == StatusCode::invalid_argument;
  };
  for (const std::string& bad : {std::string(), std::string(kKeyBytesMax + 1, 'k')}) {
    WriteBatch batch;
    batch.put(kFirst, "good", "1");
    batch.put(kFirst, bad, "1");
    EXPECT(refused(batch));
    batch.clear();
    batch.put(kFirst, "good", "1");
    batch.erase(kFirst, bad);
    EXPECT(refused(batch));
    std::string value;
    EXPECT(store->get(kFirst, bad, &value).code() == StatusCode::invalid_argument);
  }
  WriteBatch batch;
  batch.put(kFirst, "good", "1");
  batch.put(3, "no such keyspace", "1");
  EXPECT(refused(batch));
  expect_state(*store, State(3));
}

}  // namespace

std::vector<ConformanceCheck> batch_checks() {
  return {
      {"a new store is empty", new_store_is_empty},
      {"a batch reaches all keyspaces it names and no other", batch_reaches_its_keyspaces},
      {"an empty batch is accepted and changes nothing", empty_batch},
      {"a later operation of a batch wins over an earlier one", later_operation_wins},
      {"a range is removed from its begin up to, and without, its end", range_edges},
      {"a range in a batch covers the puts before it and not the ones after it", range_in_a_batch},
      {"every byte value is allowed in keys and values, and keys are in memcmp order", every_byte_value},
      {"an empty value is there and is not an absent one", empty_value},
      {"values of a mebibyte and more and the longest keys are kept, scheduled",
       [](const ConformanceSubject& subject) { large_values(subject, Maintenance::scheduled); }},
      {"values of a mebibyte and more and the longest keys are kept, free-running",
       [](const ConformanceSubject& subject) { large_values(subject, Maintenance::free_running); }},
      {"a key that is empty or too long is refused, and nothing of its batch is applied", unusable_keys},
  };
}

}  // namespace chaosgate::engines
