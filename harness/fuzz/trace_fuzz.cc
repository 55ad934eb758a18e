// A trace's file: what was read is written and read again as the same.
#include "harness/base/check.h"
#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/trace_bytes.h"

namespace chaosgate::fuzz {
namespace {

std::vector<std::string> seeds() {
  tap::Trace trace;
  trace.base = {
      {tap::kRootInode, true, 0, ""}, {3, true, 0, "engine"}, {2, false, 4096, "engine/MANIFEST-000005"}};
  for (std::uint32_t i = 0; i < 4; ++i) {
    tap::TraceRecord record;
    record.begin = 2 * i + 1;
    record.end = i == 3 ? UINT64_MAX : 2 * i + 2;
    record.call = static_cast<tap::StorageCall>(i);
    record.system_call = "pwrite64";
    record.inode = record.call == tap::StorageCall::create ? 9 : 2;
    record.dir = tap::kRootInode;
    record.name = record.from_name = "MANIFEST-000005";
    record.file_class = "manifest";
    record.phase = "flush";
    record.offset = 128;
    record.payload = std::string(i * 9, 'x');
    record.length = record.requested = record.payload.size();
    record.indexes = {9, 8, 7, 6, 1};
    trace.records.push_back(record);
  }
  trace.last = {10, 9, 8, 7, 1};
  return {saved({}), saved(trace)};
}

Reach run(std::string_view bytes) {
  tap::Trace trace;
  if (!tap::load_trace(bytes, &trace).ok()) {
    CHECK(trace == tap::Trace(), "a trace that was refused left something");
    return reach_of_refused_trace(bytes);
  }
  tap::Trace again;
  const Status status = tap::load_trace(saved(trace), &again);
  CHECK(status.ok() && again == trace, "{}", status.message());
  CHECK(tap::signature(again) == tap::signature(trace));
  for (const tap::TraceRecord& record : trace.records) {
    CHECK(!tap::describe(record).empty());
  }
  return Reach::accepted;
}

}  // namespace

Target target() { return {"trace", seeds, repair_trace, run}; }

}  // namespace chaosgate::fuzz
