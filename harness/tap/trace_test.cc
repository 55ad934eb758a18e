#include "harness/tap/trace.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::tap;

namespace {

Trace sample() {
  Trace trace;
  trace.base = {{1, true, 0, ""}, {5, true, 0, "a"}, {2, false, 77, "a/b"}};
  TraceRecord record;
  record.begin = 3;
  record.end = UINT64_MAX;
  record.thread = 1;
  record.process = 2;
  record.call = StorageCall::rename;
  record.system_call = "renameat2";
  record.error = 5;
  record.injected = true;
  record.is_directory = true;
  record.write_through = true;
  record.informational = true;
  record.direct = true;
  record.inode = 9;
  record.dir = 1;
  record.name = std::string("n\0x", 3);
  record.from_dir = 4;
  record.from_name = "from";
  record.replaced = 2;
  record.path = "p";
  record.file_class = "manifest";
  record.phase = "flush";
  record.offset = 11;
  record.length = 12;
  record.requested = 13;
  record.size_before = 14;
  record.size_after = 15;
  record.mode = 16;
  record.payload_hash = 17;
  record.payload = "payload";
  record.indexes = {1, 2, 3, 4, 5};
  trace.records = {record, TraceRecord{}};
  trace.last = {6, 7, 8, 9, 10};
  return trace;
}

}  // namespace

TEST_CASE("a trace is read back as it was saved") {
  std::string bytes;
  save_trace(sample(), &bytes);
  Trace loaded;
  REQUIRE(load_trace(bytes, &loaded).ok());
  CHECK(loaded == sample());
}

TEST_CASE("a damaged trace, another version and other files are refused, each with its reason") {
  std::string bytes;
  save_trace(sample(), &bytes);
  Trace loaded;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    CHECK_FALSE(load_trace(damaged, &loaded).ok());
    CHECK_FALSE(load_trace(std::string_view(bytes).substr(0, i), &loaded).ok());
  }
  CHECK(loaded.records.empty());
  CHECK(load_trace("something else", &loaded).message().find("not a trace") != std::string::npos);
  bytes[4] = 99;
  const Status version = load_trace(bytes, &loaded);
  CHECK(version.code() == StatusCode::not_supported);
  CHECK(version.message().find("version 99") != std::string::npos);
}

TEST_CASE("a trace with a name that no directory can hold is refused where it is read") {
  const auto refused = [](const Trace& trace) {
    std::string bytes;
    save_trace(trace, &bytes);
    Trace loaded;
    return load_trace(bytes, &loaded).code() == StatusCode::corruption && loaded.records.empty();
  };
  const std::vector<std::string> names = {
      "", ".", "..", "../../x", "/etc/x", "a/b", std::string("a\0b", 3), std::string(256, 'x')};
  for (const std::string& name : names) {
    CAPTURE(name);
    for (const StorageCall call : {StorageCall::create, StorageCall::rename, StorageCall::link,
                                   StorageCall::unlink, StorageCall::mkdir, StorageCall::rmdir}) {
      Trace trace = sample();
      TraceRecord& record = trace.records[0];
      record.call = call;
      record.error = 0;
      record.name = name;
      CHECK(refused(trace));
      record.name = "good";
      CHECK_FALSE(refused(trace));
      record.from_name = name;
      CHECK(refused(trace) == (call == StorageCall::rename));
    }
  }
  using Base = std::vector<BaseEntry>;
  const std::vector<Base> bases = {
      {{2, true, 0, ""}},                                            // the root has its own number
      {{1, false, 5, ""}},                                           // and is a directory
      {{1, true, 0, ""}, {1, true, 0, "a"}},                         // nothing else has that
      {{1, true, 0, ""}, {2, false, 5, "/etc/x"}},                   //
      {{1, true, 0, ""}, {2, false, 5, "../x"}},                     //
      {{1, true, 0, ""}, {2, false, 5, "a/b"}},                      // below nothing
      {{1, true, 0, ""}, {2, false, 5, "a"}, {3, false, 5, "a/b"}},  // below a file
      {{1, true, 0, ""}, {2, false, 5, "a"}, {3, false, 5, "a"}},    // twice
      {{1, true, 0, ""}, {2, true, 0, "a"}, {3, false, 5, "a/../../x"}},
  };
  for (const Base& base : bases) {
    CAPTURE(base.back().path);
    Trace trace = sample();
    trace.base = base;
    CHECK(refused(trace));
  }
}

TEST_CASE("a trace that makes what is there, or has one file in two ways, is refused") {
  Trace trace;
  trace.base = {{kRootInode, true, 0, ""}, {2, false, 5, "a"}, {2, false, 5, "b"}};  // two names of one file
  TraceRecord record;
  record.call = StorageCall::create;
  record.inode = 3;
  record.name = "c";
  trace.records = {record};
  CHECK(check_trace(trace).ok());
  trace.records.push_back(record);
  CHECK_FALSE(check_trace(trace).ok());
  trace.records = {record};
  trace.records[0].inode = 2;
  CHECK_FALSE(check_trace(trace).ok());
  trace.records.clear();
  trace.base[2].size = 6;
  CHECK_FALSE(check_trace(trace).ok());
}

TEST_CASE("a trace of files larger than what its writes can fill is refused, and the limit is named") {
  const auto judged = [](const auto& change) {
    Trace trace = sample();
    TraceRecord& record = trace.records[1];
    record.inode = 2;
    change(record);
    return check_trace(trace).message();
  };
  CHECK(judged([](TraceRecord& record) { record.size_after = kBytesWithoutContentMax; }).empty());
  for (const StorageCall call : {StorageCall::write, StorageCall::truncate, StorageCall::allocate}) {
    const std::string holes = judged([&](TraceRecord& record) {
      record.call = call;
      record.size_after = kBytesWithoutContentMax + 100'000;
    });
    CHECK(holes.find(std::to_string(kBytesWithoutContentMax)) != std::string::npos);
    const std::string far = judged([&](TraceRecord& record) {
      record.call = call;
      record.offset = UINT64_MAX - 5;
    });
    CHECK(far.find("a file has at most") != std::string::npos);
  }
  CHECK_FALSE(judged([](TraceRecord& record) {
                record.offset = kBytesWithoutContentMax + 100'000;
                record.payload = "x";
              }).empty());
}

TEST_CASE("a signature forgets names, times, threads, content and files for people, and nothing else") {
  Trace first = sample();
  first.records[0].informational = false;
  const std::uint64_t original = signature(first);
  Trace same = first;
  same.records[0].payload_hash = 5;
  same.records.push_back(sample().records[0]);
  same.records[0].begin = 100;
  same.records[0].thread = 7;
  same.records[0].path = "other";
  CHECK(signature(same) == original);
  Trace moved = first;
  moved.records[0].offset += 1;
  CHECK(signature(moved) != original);
  Trace shorter = first;
  shorter.records.pop_back();
  CHECK(signature(shorter) != original);
}

TEST_CASE("what the first thread did is the same in any order, whatever other threads did") {
  Trace first = sample();
  first.records[0].informational = false;
  first.records[0].thread = 0;
  first.records.push_back(first.records[0]);
  first.records[1].offset += 1;
  const std::uint64_t original = calls_of_first_thread(first);
  Trace same = first;
  std::swap(same.records[0], same.records[1]);
  same.records.push_back(first.records[0]);
  same.records.back().thread = 1;
  CHECK(calls_of_first_thread(same) == original);
  same.records.back().thread = 0;
  CHECK(calls_of_first_thread(same) != original);
}

TEST_CASE("every storage call has a name that parses back") {
  for (std::size_t i = 0; i < kStorageCallCount; ++i) {
    const auto call = static_cast<StorageCall>(i);
    CHECK(parse_storage_call(to_string(call)) == call);
  }
  CHECK_FALSE(parse_storage_call("chmod"));
}
