// The description of a disk image: what was parsed prints as a text that parses to the same, and only what
// fits a history is used.
#include "harness/disk/image_spec.h"

#include "harness/base/check.h"
#include "harness/fuzz/fuzz.h"

namespace chaosgate::fuzz {
namespace {

std::vector<std::string> seeds() {
  return {"cut=0", "cut=4 dropped=1-2 torn=3:0-512", "cut=4 fill=garbage",
          "cut=19 dropped=3-7,9 torn=12:0-512,1024-1536;14:7-8 fill=garbage"};
}

// Four writes of a page each, to a file that there was.
const disk::History& history() {
  static const std::unique_ptr<const disk::History> kHistory = [] {
    tap::Trace trace;
    trace.base = {{tap::kRootInode, true, 0, ""}, {2, false, 16'384, "data"}};
    for (std::uint64_t i = 0; i < 4; ++i) {
      tap::TraceRecord record;
      record.begin = 2 * i + 1;
      record.end = 2 * i + 2;
      record.call = tap::StorageCall::write;
      record.inode = 2;
      record.dir = tap::kRootInode;
      record.name = "data";
      record.offset = i * 4096;
      record.payload = std::string(4096, 'x');
      record.length = record.requested = record.payload.size();
      record.size_before = record.size_after = 16'384;
      trace.records.push_back(record);
    }
    std::unique_ptr<const disk::History> made;
    const Status status = disk::History::create(trace, &made);
    CHECK(status.ok(), "{}", status.message());
    return made;
  }();
  return *kHistory;
}

// Of a spec that fits, each operation is in the image, in part, or not at all.
void look_at_image(const disk::ImageSpec& spec) {
  const disk::SpecIndex index(history(), spec);
  for (disk::OpId op = 0; op < index.end(); ++op) {
    const disk::Tear* tear = index.tear_of(op);
    CHECK((tear != nullptr) == (index.state(op) == disk::SpecIndex::State::torn));
    CHECK(index.in_image(op) != spec.drops(op));
    std::uint64_t bytes = 0;
    for (const auto& ranges :
         {kept_bytes(history().ops()[op], tear), missing_bytes(history().ops()[op], tear)}) {
      for (const disk::ByteRange& range : ranges) {
        bytes += range.end - range.begin;
      }
    }
    CHECK(bytes == (tear == nullptr ? 8192 : 4096), "{} bytes of operation {}", bytes, op);
  }
}

Reach run(std::string_view bytes) {
  disk::ImageSpec spec;
  if (!disk::parse_spec(bytes, &spec).ok()) {
    CHECK(spec == disk::ImageSpec(), "'{}' was refused and left something", bytes);
    return bytes.starts_with("cut=") ? Reach::verified : Reach::refused;
  }
  const std::string printed = to_string(spec);
  disk::ImageSpec again;
  const Status status = disk::parse_spec(printed, &again);
  CHECK(status.ok() && again == spec, "'{}' was parsed and printed as '{}'", bytes, printed);
  if (fits(history(), spec).ok()) {
    look_at_image(spec);
  }
  return Reach::accepted;
}

}  // namespace

// A short text may drop as many operations as any trace has; kOpsMax in image_spec.cc.
Target target() { return {"image_spec", seeds, nullptr, run, 64 << 20}; }

}  // namespace chaosgate::fuzz
