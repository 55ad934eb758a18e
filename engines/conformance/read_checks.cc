// Iterators and snapshots.
#include "engines/conformance/store.h"

namespace chaosgate::engines {
namespace {

void seek_edges(const ConformanceSubject& subject) {
  Store store(subject);
  std::unique_ptr<Iterator> it = store->iterator(kFirst);
  const auto seek = [&](const std::string& target, std::string_view expected) {
    it->seek(target);
    expect_same("seek " + printable(target), key_or_end(*it), expected);
    expect(it->status(), "seek");
  };
  const auto seek_for_prev = [&](const std::string& target, std::string_view expected) {
    it->seek_for_prev(target);
    expect_same("seek_for_prev " + printable(target), key_or_end(*it), expected);
    expect(it->status(), "seek_for_prev");
  };
  it->seek_to_first();
  expect_same("seek_to_first in an empty keyspace", key_or_end(*it), "end");
  it->seek_to_last();
  expect_same("seek_to_last in an empty keyspace", key_or_end(*it), "end");
  seek("a", "end");
  seek_for_prev("a", "end");

  for (const char* key : {"b", "d", "f"}) {
    put(*store, kFirst, key, key);
    put(*store, kSecond, std::string("x") + key, key);  // neighbours that must not show
  }
  it = store->iterator(kFirst);
  EXPECT(!it->valid());
  const std::string huge(2 * kKeyBytesMax, 'd');
  seek("", "b");
  seek("a", "b");
  seek("b", "b");
  seek("c", "d");
  seek(huge, "f");
  seek("f", "f");
  seek("g", "end");
  seek_for_prev("", "end");
  seek_for_prev("a", "end");
  seek_for_prev("b", "b");
  seek_for_prev("c", "b");
  seek_for_prev("d", "d");
  seek_for_prev(huge, "d");
  seek_for_prev("g", "f");
  seek("b", "b");
}

void directions(const ConformanceSubject& subject) {
  Store store(subject);
  for (const char* key : {"a", "b", "c"}) {
    put(*store, kFirst, key, std::string("value of ") + key);
  }
  const std::unique_ptr<Iterator> it = store->iterator(kFirst);
  const auto stands_at = [&](std::string_view expected) {
    expect_same("the iterator", key_or_end(*it), expected);
    expect(it->status(), "the move");
    if (it->valid()) {
      expect_same("its value", it->value(), "value of " + std::string(expected));
    }
  };
  it->seek_to_first();
  it->next();
  stands_at("b");
  it->prev();
  stands_at("a");
  it->next();
  it->next();
  stands_at("c");
  it->prev();
  stands_at("b");
  it->next();
  it->next();
  stands_at("end");
  it->seek_to_last();
  stands_at("c");
  it->seek_to_first();
  it->prev();
  stands_at("end");
}

void iterator_is_isolated(const ConformanceSubject& subject) {
  Store store(subject);
  put(*store, kFirst, "a", "1");
  put(*store, kFirst, "c", "1");
  const std::unique_ptr<Iterator> it = store->iterator(kFirst);
  const std::unique_ptr<Iterator> halfway = store->iterator(kFirst);
  halfway->seek_to_first();
  put(*store, kFirst, "a", "2");
  put(*store, kFirst, "b", "2");
  expect_same("the key it stands at", halfway->key(), "a");
  expect_same("the value it stands at", halfway->value(), "1");
  expect(store->flush(), "flush");
  halfway->next();
  expect_same("the next key", key_or_end(*halfway), "c");
  expect_same("forward", show(read_forward(*it)), "a=1 c=1");
  expect_same("backward", show(read_backward(*it)), "a=1 c=1");
  expect_same("a new iterator", show(read_keyspace(*store, kFirst)), "a=2 b=2 c=1");
}

void snapshot_is_isolated(const ConformanceSubject& subject) {
  Store store(subject);
  WriteBatch batch;
  batch.put(kFirst, "a", "1");
  batch.put(kFirst, "b", "1");
  batch.put(kSecond, "a", "1");
  store.write(batch);
  std::unique_ptr<Snapshot> snapshot = store->snapshot();
  batch.clear();
  batch.put(kFirst, "a", "2");
  batch.erase_range(kFirst, "b", "c");
  batch.put(kThird, "a", "2");
  store.write(batch);
  expect(store->flush(), "flush");

  std::string value;
  expect(snapshot->get(kFirst, "a", &value), "get of the snapshot");
  expect_same("the value in the snapshot", value, "1");
  EXPECT(snapshot->get(kThird, "a", &value).is_not_found());
  EXPECT(snapshot->get(kFirst, "", &value).code() == StatusCode::invalid_argument);
  expect_same("forward", show(read_forward(*snapshot->iterator(kFirst))), "a=1 b=1");
  expect_same("backward", show(read_backward(*snapshot->iterator(kFirst))), "a=1 b=1");
  EXPECT(read_forward(*snapshot->iterator(kThird)).empty());
  expect_same("the live state", show(read_keyspace(*store, kFirst)), "a=2");

  const std::unique_ptr<Iterator> outlives = snapshot->iterator(kFirst);
  snapshot.reset();
  expect_same("an iterator that outlives its snapshot", show(read_forward(*outlives)), "a=1 b=1");
}

}  // namespace

std::vector<ConformanceCheck> read_checks() {
  return {
      {"seek and seek_for_prev find their neighbour at every edge", seek_edges},
      {"an iterator ends after either edge and can change direction between them", directions},
      {"an iterator shows the state at its creation", iterator_is_isolated},
      {"later writes do not change a snapshot, in any keyspace", snapshot_is_isolated},
  };
}

}  // namespace chaosgate::engines
