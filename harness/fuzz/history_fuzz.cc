// The history of a trace that was read, and what a power cut in it leaves: the trace is refused, or each
// image of it has a hash.
#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/hash.h"
#include "harness/disk/image.h"
#include "harness/disk/order.h"
#include "harness/disk/trace_builder.h"
#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/scratch_file.h"
#include "harness/fuzz/trace_bytes.h"

namespace chaosgate::fuzz {
namespace {

std::vector<std::string> seeds() {
  disk::TraceBuilder files;
  files.create("data").write("data", 0, std::string(300, 'x')).fsync("data");
  files.create("new").append("new", "abc").rename("new", "data").truncate("data", 1).fsync("");
  disk::TraceBuilder directories;
  directories.mkdir("sub").create("sub/a").append("sub/a", "1").unlink("sub/a").sync_all();
  disk::TraceBuilder holes;
  holes.create("data").write("data", 5000, "y").allocate("data", 3, 0, 4096, 5001).fdatasync("data");
  return {saved(files.trace), saved(directories.trace), saved(holes.trace)};
}

// Everything before each cut is there, and then nothing of it.
void look_at_images(const disk::History& history) {
  disk::Imager imager(history, scratch_directory());
  for (std::size_t cut = 0; cut <= history.records().size(); ++cut) {
    disk::ImageSpec spec;
    spec.cut = cut;
    CHECK(fits(history, spec).ok());
    const std::uint64_t whole = imager.hash(spec);
    CHECK(imager.hash(spec) == whole);
    for (disk::OpId op = 0; op < history.ops_before(cut); ++op) {
      spec.dropped.push_back(op);
    }
    CHECK(fits(history, spec).ok());
    imager.hash(spec);
  }
}

Reach run(std::string_view bytes) {
  tap::Trace trace;
  if (!tap::load_trace(bytes, &trace).ok()) {
    return reach_of_refused_trace(bytes);
  }
  trace.base.clear();  // there is no directory that it began with
  std::unique_ptr<const disk::History> history;
  if (!disk::History::create(std::move(trace), &history).ok()) {
    CHECK(history == nullptr);
    return Reach::verified;
  }
  for (disk::OpId op = 0; op < history->ops().size(); ++op) {
    CHECK(!describe(*history, op).empty());
  }
  try {
    look_at_images(*history);
  } catch (const UsageError&) {
    return Reach::verified;
  }
  return Reach::accepted;
}

}  // namespace

// A file may have kBytesWithoutContentMax bytes that the trace does not hold, and each page of it is known.
Target target() { return {"history", seeds, repair_trace, run, 256 << 20}; }

}  // namespace chaosgate::fuzz
