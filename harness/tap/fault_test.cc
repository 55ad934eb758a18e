#include "harness/tap/fault.h"

#include <cerrno>

#include "harness/base/test.h"
#include "harness/tap/decider.h"

using namespace chaosgate;
using namespace chaosgate::tap;

namespace {

StorageFault parsed(std::string_view text) {
  StorageFault fault;
  INFO(text);
  REQUIRE(parse_fault(text, &fault).ok());
  return fault;
}

TraceRecord write_record(std::uint64_t offset, std::uint64_t size, std::uint64_t size_before = 0) {
  TraceRecord record;
  record.call = StorageCall::write;
  record.file_class = "sst";
  record.phase = "flush";
  record.offset = offset;
  record.requested = size;
  record.size_before = size_before;
  return record;
}

}  // namespace

TEST_CASE("a fault's printed form parses back to the same fault") {
  for (const char* text :
       {"kill-before@manifest.datasync#3", "kill-inside~2p@data.write#5", "kill-inside~3p@any.write#1",
        "kill-after@any.any#117", "error~EIO@sst.write/flush#1x*", "error~ENOSPC@any.any#2x7",
        "short~250@segment.write#4", "lost-sync@segment.datasync#2", "lost-sync@any.any#1", "full~65536",
        "full~65536x3", "kill-before@dir.sync/log-cut#1"}) {
    CHECK(to_string(parsed(text)) == text);
  }
  CHECK(parsed("kill-before@manifest.datasync#3") ==
        StorageFault{FaultAction::kill_before, {"manifest", StorageCall::datasync, "", 3, 1}});
}

TEST_CASE("what is not a fault is refused with the part that is wrong") {
  const auto message = [](std::string_view text) {
    StorageFault fault;
    fault.pages = 99;
    const Status status = parse_fault(text, &fault);
    CHECK(status.code() == StatusCode::invalid_argument);
    CHECK(fault.pages == 99);  // left alone
    return status.message();
  };
  CHECK(message("").find("unknown fault ''") != std::string::npos);
  CHECK(message("explode@any.any#1").find("unknown fault 'explode'") != std::string::npos);
  CHECK(message("error~EWRONG@any.any#1").find("errno 'EWRONG'") != std::string::npos);
  CHECK(message("kill-before@any.chmod#1").find("storage call 'chmod'") != std::string::npos);
  CHECK(message("kill-before@any.any#0").find("occurrence '0'") != std::string::npos);
  CHECK(message("kill-before@any.any#-1").find("occurrence '-1'") != std::string::npos);
  CHECK(message("kill-before@any.any#1x0").find("times") != std::string::npos);
  CHECK(message("kill-before@any.any").find("CLASS.CALL#OCCURRENCE") != std::string::npos);
  CHECK(message("kill-before@#1").find("CLASS.CALL#OCCURRENCE") != std::string::npos);
  CHECK(message("kill-before~1@any.any#1").find("no argument") != std::string::npos);
  CHECK(message("kill-inside~2@any.write#1").find("pages") != std::string::npos);
  CHECK(message("kill-inside~0p@any.write#1").find("pages") != std::string::npos);
  CHECK(message("kill-inside~1s@any.write#1") ==
        "kill-inside '1s', expected a number of pages (2p): a SIGKILL leaves whole pages of a write; sectors "
        "(3s) tear only when the power fails");
  CHECK(message("error~EINTR@any.write#1") ==
        "errno of call write: 'EINTR', expected one that it can return: EIO, ENOSPC, EDQUOT, EROFS, ENOMEM, "
        "EFBIG");
  CHECK(message("error~EINTR@any.rename#1x*").find("errno of call rename") == 0);
  CHECK(message("error~EAGAIN@any.any#1").find("errno of call any") == 0);
  CHECK(message("kill-inside~1p@any.sync#1").find("expected write") != std::string::npos);
  CHECK(message("lost-sync@any.write#1").find("expected sync or datasync") != std::string::npos);
  CHECK(message("short~1000@any.write#1").find("thousandths") != std::string::npos);
  CHECK(message("full~q").find("bytes") != std::string::npos);
  CHECK(message("full~1@any.any#1").find("no call site") != std::string::npos);
  CHECK(message("kill-before").find("a call site") != std::string::npos);
}

TEST_CASE("occurrences count only the calls that match class, call and phase") {
  Decider decider({parsed("kill-before@sst.write/flush#2")});
  TraceRecord other = write_record(0, 10);
  other.file_class = "wal";
  TraceRecord elsewhere = write_record(0, 10);
  elsewhere.phase = "compaction";
  TraceRecord sync = write_record(0, 10);
  sync.call = StorageCall::sync;
  CHECK(decider.decide(write_record(0, 10)).act == Decision::Act::carry_out);
  CHECK(decider.decide(other).act == Decision::Act::carry_out);
  CHECK(decider.decide(elsewhere).act == Decision::Act::carry_out);
  CHECK(decider.decide(sync).act == Decision::Act::carry_out);
  CHECK(decider.decide(write_record(0, 10)).act == Decision::Act::kill_before);
}

TEST_CASE("a kill inside a write ends at a border and only counts writes that reach beyond it") {
  Decider pages({parsed("kill-inside~1p@any.write#1")});
  CHECK(pages.decide(write_record(0, 4096)).act == Decision::Act::carry_out);    // ends at the border
  CHECK(pages.decide(write_record(100, 3000)).act == Decision::Act::carry_out);  // does not reach it
  const Decision torn = pages.decide(write_record(100, 5000));
  CHECK(torn.act == Decision::Act::kill_after);
  CHECK(torn.bytes == 3996);
  Decider further({parsed("kill-inside~3p@any.write#1")});
  CHECK(further.decide(write_record(512, 20000)).bytes == 3 * kPageBytes - 512);
  TraceRecord direct = write_record(0, 8192);  // goes past the page cache in one piece
  direct.direct = true;
  CHECK(Decider({parsed("kill-inside~1p@any.write#1")}).decide(direct).act == Decision::Act::carry_out);
}

TEST_CASE("errors happen as often as ordered, and a kill wins over them") {
  Decider decider({parsed("error~EIO@any.write#2x2"), parsed("kill-after@any.write#3")});
  CHECK(decider.decide(write_record(0, 10)).act == Decision::Act::carry_out);
  const Decision error = decider.decide(write_record(0, 10));
  CHECK(error.act == Decision::Act::fail);
  CHECK(error.error == EIO);
  CHECK(decider.decide(write_record(0, 10)).act == Decision::Act::kill_after);
  CHECK(decider.decide(write_record(0, 10)).act == Decision::Act::carry_out);
}

TEST_CASE("a full disk takes what fits, refuses the rest, and has room again after so many refusals") {
  Decider decider({parsed("full~8200x2")});  // two blocks
  const auto write = [&](std::uint64_t offset, std::uint64_t size) {
    TraceRecord record = write_record(offset, size, offset);
    const Decision decision = decider.decide(record);
    if (decision.act != Decision::Act::fail) {
      record.size_after = offset + (decision.act == Decision::Act::cut_short ? decision.bytes : size);
      decider.happened(record);
    }
    return decision;
  };
  CHECK(write(0, 60).act == Decision::Act::carry_out);
  CHECK(write(60, 60).act == Decision::Act::carry_out);  // within the block that it has
  const Decision cut = write(120, 20000);
  CHECK(cut.act == Decision::Act::cut_short);
  CHECK(cut.bytes == 8192 - 120);
  CHECK(write(8192, 20).error == ENOSPC);
  // Overwriting needs no room.
  CHECK(decider.decide(write_record(10, 20, 8192)).act == Decision::Act::carry_out);
  CHECK(write(8192, 20).error == ENOSPC);
  CHECK(write(8192, 20).act == Decision::Act::carry_out);
}

TEST_CASE("what is removed gives room back") {
  Decider decider({parsed("full~4096")});
  TraceRecord written = write_record(0, 4096, 0);
  CHECK(decider.decide(written).act == Decision::Act::carry_out);
  written.size_after = 4096;
  decider.happened(written);
  CHECK(decider.decide(write_record(4096, 1, 4096)).error == ENOSPC);
  TraceRecord removed;
  removed.call = StorageCall::unlink;
  removed.size_before = 4096;
  CHECK(decider.decide(removed).act == Decision::Act::carry_out);
  decider.happened(removed);
  CHECK(decider.decide(write_record(4096, 1, 4096)).act == Decision::Act::carry_out);
}
