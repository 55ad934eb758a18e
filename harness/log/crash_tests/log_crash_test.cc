// Kills a process at every step of a scripted load and looks at what the next process finds.
//
// The child runs the load with a StepSink that kills it at its n-th step, for every n until a child comes
// through. What it did, and what it was told, it writes down on a shared page that survives it. A kill keeps
// the page cache: these tests say nothing about a power cut; the gate's disk images do.

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <set>

#include "harness/log/log_test_util.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::log;

namespace {

constexpr std::uint64_t kIndexes = 200;

// The child's diary. Each note is made before the log is called, and corrected after it answered.
struct Diary {
  std::array<std::uint64_t, kIndexes> term_at{};  // of the entry that may be there; 0 for none
  std::uint64_t synced = 0;
  std::uint64_t prefix_upto = 0;  // highest index that was ever allowed to go
  std::uint64_t suffix_from = 0;  // of the suffix truncation under way; 0 for none
  std::uint64_t last_step = 0;    // the step it died at
  bool reached_end = false;
};

class SharedDiary {
 public:
  SharedDiary() {
    void* page = ::mmap(nullptr, sizeof(Diary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
      throw_errno("mmap");
    }
    diary_ = new (page) Diary();
  }
  SharedDiary(const SharedDiary&) = delete;
  SharedDiary& operator=(const SharedDiary&) = delete;
  ~SharedDiary() { ::munmap(diary_, sizeof(Diary)); }
  Diary* operator->() { return diary_; }
  Diary& operator*() { return *diary_; }

 private:
  Diary* diary_;
};

// Kills this process at its n-th step; a write that is a step is carried out up to `permille` of its bytes.
// No SIGKILL cuts at any byte, but the log must read whatever tail it finds.
class KillAt final : public StepSink {
 public:
  KillAt(std::uint64_t n, std::uint64_t permille, Diary* diary) : n_(n), permille_(permille), diary_(diary) {}

  void at(Step step) override {
    if (++count_ == n_) {
      diary_->last_step = static_cast<std::uint64_t>(step);
      die();
    }
  }
  void begin(Step) override {}
  void end(Step) override {}
  std::size_t bytes_before_crash(Step step, std::uint64_t, std::size_t size) override {
    if (++count_ != n_) {
      return size;
    }
    diary_->last_step = static_cast<std::uint64_t>(step);
    return size * permille_ / 1000;
  }
  void die() override {
    ::kill(::getpid(), SIGKILL);
    for (;;) {
      ::pause();
    }
  }

 private:
  const std::uint64_t n_;
  const std::uint64_t permille_;
  Diary* const diary_;
  std::uint64_t count_ = 0;
};

// Runs `work` in a child. True when it was killed, false when it came through; anything else throws.
template <typename Work>
bool killed(const Work& work) {
  const pid_t child = ::fork();
  if (child < 0) {
    throw_errno("fork");
  }
  if (child == 0) {
    int status = 1;
    try {
      work();
      status = 0;
    } catch (const std::exception& error) {
      (void)!::write(2, error.what(), std::strlen(error.what()));
    }
    ::_exit(status);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
    return true;
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw EnvironmentError("the child died by itself");
  }
  return false;
}

LogOptions crash_options() {
  LogOptions options;
  options.segment_bytes = 500;
  options.buffer_bytes_max = 400;
  return options;
}

void must(const Status& status) {
  if (!status.ok()) {
    throw EnvironmentError(status.to_string());
  }
}

// The load, note by note.
class Writer {
 public:
  Writer(Log& log, Diary& diary) : log_(log), diary_(diary) {}

  void append(std::uint64_t term, int count) {
    for (int i = 0; i < count; ++i) {
      const std::uint64_t index = log_.last_index() + 1;
      diary_.term_at.at(index) = term;
      must(log_.append(term, EntryType::transaction, payload_of(term, index)));
    }
  }
  void sync() {
    must(log_.sync());
    diary_.synced = log_.synced_index();
  }
  void truncate_prefix(std::uint64_t upto) {
    diary_.prefix_upto = std::max(diary_.prefix_upto, upto);
    must(log_.truncate_prefix(upto));
  }
  void truncate_suffix(std::uint64_t from) {
    diary_.suffix_from = from;
    must(log_.truncate_suffix(from));
    std::fill(diary_.term_at.begin() + static_cast<std::ptrdiff_t>(from), diary_.term_at.end(), 0);
    diary_.synced = std::min(diary_.synced, from - 1);
    diary_.suffix_from = 0;
  }

 private:
  Log& log_;
  Diary& diary_;
};

void run_load(Log& log, Diary& diary) {
  Writer writer(log, diary);
  for (int group = 0; group < 8; ++group) {
    writer.append(1, 1 + group % 4);  // 18 entries, several segments
    writer.sync();
  }
  writer.truncate_prefix(6);
  writer.append(1, 9);  // more than the buffer holds
  writer.truncate_suffix(log.last_index());
  writer.truncate_suffix(20);
  writer.append(2, 3);
  writer.sync();
  writer.append(2, 2);
  writer.truncate_suffix(11);  // several segments, synced ones
  writer.append(3, 2);
  writer.sync();
  for (int i = 0; i < 12; ++i) {
    writer.append(3, 1);
    writer.sync();
  }
  writer.truncate_prefix(log.last_index());
  writer.truncate_suffix(log.first_index());
  writer.append(4, 7);
  writer.sync();
  writer.append(4, 7);
  diary.reached_end = true;
}

void check_recovered(Log& log, const Diary& diary) {
  const std::uint64_t acknowledged =
      diary.suffix_from > 0 ? std::min(diary.synced, diary.suffix_from - 1) : diary.synced;
  REQUIRE(log.last_index() >= acknowledged);
  REQUIRE(log.synced_index() == log.last_index());
  REQUIRE(log.first_index() <= diary.prefix_upto + 1);
  std::uint64_t index = log.first_index();
  for (const OwnedEntry& entry : read_all(log)) {
    REQUIRE(entry.index == index);
    REQUIRE(diary.term_at.at(index) != 0);  // neither invented nor cut off
    REQUIRE(entry == entry_of(diary.term_at.at(index), index));
    ++index;
  }
  REQUIRE(index == log.last_index() + 1);
}

// What recovery leaves must carry on: write more, and find all of it again.
void check_writable(LogDirectory& directory, Log& log) {
  auto expected = read_all(log);
  const std::uint64_t term = log.last_term() + 1;
  for (int i = 0; i < 5; ++i) {
    expected.push_back(entry_of(term, log.last_index() + 1));
    append_synced(log, term, 1);
  }
  std::unique_ptr<Log> again;
  must(open_log(directory.path(), crash_options(), no_steps(), &again));
  REQUIRE(read_all(*again) == expected);
  REQUIRE(again->recovery().torn_bytes == 0);
}

}  // namespace

TEST_CASE("a kill at any step of any operation loses nothing that was acknowledged") {
  const std::uint64_t permille = GENERATE(0, 300, 999);
  std::set<std::uint64_t> steps;
  std::uint64_t torn = 0;
  std::uint64_t kills = 0;
  for (std::uint64_t n = 1;; ++n) {
    INFO("step " << n << ", " << permille << "/1000 of its bytes");
    REQUIRE(n < 2000);
    LogDirectory directory;
    SharedDiary diary;
    const bool dead = killed([&] {
      KillAt steps_of_child(n, permille, &*diary);
      run_load(*directory.create(crash_options(), steps_of_child), *diary);
    });
    if (!dead) {
      REQUIRE(diary->reached_end);
      break;
    }
    ++kills;
    steps.insert(diary->last_step);
    LogOptions options = crash_options();
    options.known_synced =
        diary->suffix_from > 0 ? std::min(diary->synced, diary->suffix_from - 1) : diary->synced;
    // Recovery is killed too, where it cuts the torn tail off, and then runs.
    SharedDiary recovery;
    killed([&] {
      KillAt first_step(1, 0, &*recovery);
      std::unique_ptr<Log> log;
      must(directory.open(&log, options, first_step));
    });
    std::unique_ptr<Log> log;
    const Status status = directory.open(&log, options);
    INFO(status.to_string());
    REQUIRE(status.ok());
    torn += log->recovery().torn_bytes > 0;
    check_recovered(*log, *diary);
    check_writable(directory, *log);
  }
  CHECK(kills > 150);
  CHECK((permille == 0 || torn > 10));
  std::set<std::uint64_t> expected;
  for (const Step step : {Step::before_log_append, Step::inside_log_append, Step::after_log_append,
                          Step::before_log_sync, Step::after_log_sync, Step::during_log_cut,
                          Step::during_prefix_truncation, Step::during_suffix_truncation}) {
    expected.insert(static_cast<std::uint64_t>(step));
  }
  CHECK(steps == expected);
}

TEST_CASE("steps come once per append and per sync, and once per group of bytes") {
  class Counter final : public StepSink {
   public:
    void at(Step step) override { ++counts[static_cast<std::size_t>(step)]; }
    void begin(Step) override {}
    void end(Step) override {}
    std::size_t bytes_before_crash(Step step, std::uint64_t, std::size_t size) override {
      at(step);
      bytes += size;
      return size;
    }
    void die() override { std::abort(); }
    std::uint64_t operator[](Step step) const { return counts[static_cast<std::size_t>(step)]; }

    std::array<std::uint64_t, kStepCount> counts{};
    std::uint64_t bytes = 0;
  };
  LogDirectory directory;
  Counter counter;
  auto log = directory.create({}, counter);
  append_entries(*log, 1, 10);
  CHECK(counter[Step::inside_log_append] == 0);
  sync(*log);
  sync(*log);  // nothing to do, no step
  CHECK(counter[Step::before_log_append] == 10);
  CHECK(counter[Step::after_log_append] == 10);
  CHECK(counter[Step::inside_log_append] == 1);
  CHECK(counter[Step::before_log_sync] == 1);
  CHECK(counter[Step::after_log_sync] == 1);
  CHECK(counter[Step::during_log_cut] == 0);
  CHECK(counter.bytes == fs::file_size(directory.last_segment()) - kSegmentHeaderBytes);
}
