// Installations under fire: a child installs a snapshot and is killed before, after or inside each of its
// storage calls, or its disk loses power; what a recovery then finds is compared with the old state and the
// new one.
//
// Each engine is opened in a child of its own, and the parent never opens one: engines have threads, and a
// process that has threads must not be forked.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "engines/registry.h"
#include "harness/disk/explore.h"
#include "harness/disk/image.h"
#include "harness/disk/order.h"
#include "harness/disk/profile.h"
#include "harness/replica/rig_for_test.h"
#include "harness/snapshot/key_value_stream.h"
#include "harness/tap/filter.h"
#include "harness/tap/tapped_process_for_test.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::replica;
using wire::Protocol;

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kOldEntries = 12;  // of the receiver, behind those of the preload
constexpr std::uint64_t kNewEntries = 60;  // of the sender
constexpr int kChildFailed = 99;

// Runs `body` in a child and returns its exit status; -1 when a signal ended it.
int in_child(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    int status = kChildFailed;
    try {
      status = body();
    } catch (const std::exception& error) {
      fmt::print(stderr, "child: {}\n", error.what());
    }
    std::fflush(stderr);
    ::_exit(status);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// What an engine holds, in one line.
std::string describe(Replica& replica) {
  std::string text = fmt::format("applied {}", replica.applied().index);
  for (std::size_t id = 0; id < kMetaKeyspace; ++id) {
    snapshot::KeyspaceTotals totals;
    const auto it = replica.engine().iterator(static_cast<engines::KeyspaceId>(id));
    for (it->seek_to_first(); it->valid(); it->next()) {
      totals.add(it->key(), it->value());
    }
    expect_ok(it->status());
    text += fmt::format(", {} keys ({:016x})", totals.count, totals.hash);
  }
  return text;
}

void save(const fs::path& path, const std::string& text) { replace_file(path, text); }

std::string load(const fs::path& path) {
  std::string text;
  expect_ok(read_file(path, &text));
  return text;
}

// How a recovery ended, as the exit status of the child that tried it.
enum class Verdict : int {
  old_state = 10,
  new_state,
  refused,
  other_state,
  index_ahead,
  leftovers,
  not_writable
};

std::string to_text(int status) {
  static const std::vector<std::string> names = {"old state",   "new state", "refused",     "neither state",
                                                 "index ahead", "leftovers", "not writable"};
  const std::size_t at = static_cast<std::size_t>(status - 10);
  return at < names.size() ? names[at] : fmt::format("exit status {}", status);
}

// A sender and a receiver of a snapshot, and what happens when the receiver installs it.
class Scene {
 public:
  Scene(std::string from, std::string to, Protocol protocol, std::string fault = "")
      : temporary_(fs::temp_directory_path(), "chaosgate-installation-"),
        from_(std::move(from)),
        to_(std::move(to)),
        protocol_(protocol),
        fault_(std::move(fault)) {
    fs::create_directory(path("sender"));
    fs::create_directory(path("receiver"));
    REQUIRE(in_child([this] { return prepare(); }) == 0);
  }

  fs::path path(const std::string& name) const { return temporary_.path() / name; }

  tap::TapOptions tap_options(const fs::path& directory) const {
    tap::TapOptions options;
    options.directory = directory;
    options.sync_disk = false;
    const engines::EngineConfig& config = *engines::find_engine_config(to_);
    for (const engines::FileClass& file_class : config.file_classes) {
      options.rules.push_back(
          {file_class.name, "engine*/" + file_class.pattern, file_class.bytes_end, file_class.informational});
    }
    for (const std::string& file : config.contract.volatile_files) {
      options.volatile_files.push_back("engine*/" + file);
    }
    return options;
  }

  // The receiver's directory as it was, under a name of its own.
  fs::path fresh_receiver() const {
    const fs::path directory = path("run");
    fs::remove_all(directory);
    copy_tree(path("receiver"), directory);
    return directory;
  }

  // The life of the child under fire. It ends with the installation: nothing is closed.
  int install(const fs::path& directory) const {
    auto* const rig = new Rig(to_, protocol_, directory);
    rig->order.term = 1;
    rig->order.fault = fault_;
    rig->recover();
    const auto receiver = rig->replica->make_receiver();
    expect_ok(receiver->feed(load(path("snapshot"))));
    snapshot::ReceivedSnapshot received;
    expect_ok(receiver->finish(&received));
    expect_ok(rig->replica->install_snapshot(received));
    return 0;
  }

  // Recovers what is in `directory`, in a child, and says what is there.
  int judge(const fs::path& directory) const {
    return in_child([&] { return static_cast<int>(recover(directory)); });
  }

 private:
  int prepare() const {
    Rig sender(from_, Protocol::in_batch, path("sender"));
    sender.create();
    sender.recover();
    sender.write_entries(kNewEntries);
    std::unique_ptr<snapshot::SnapshotSource> source;
    expect_ok(sender.replica->make_snapshot(engines::find_engine_config(to_)->family, &source));
    std::string bytes;
    expect_ok(source->read(source->header().total_bytes, &bytes));
    save(path("snapshot"), bytes);
    save(path("new"), describe(*sender.replica));

    Rig receiver(to_, protocol_, path("receiver"));
    receiver.create();
    receiver.recover();
    receiver.write_entries(kOldEntries);
    save(path("old"), describe(*receiver.replica));
    return 0;
  }

  Verdict recover(const fs::path& directory) const {
    Rig rig(to_, protocol_, directory);
    rig.order.term = 5;
    rig.order.fault = fault_;
    Status status = rig.open();
    if (status.ok() && rig.replica->durable_index() > rig.replica->witness()) {
      return Verdict::index_ahead;
    }
    if (status.ok()) {
      status = rig.replica->replay();
    }
    if (!status.ok()) {
      return Verdict::refused;
    }
    const std::string found = describe(*rig.replica);
    if (found != load(path("old")) && found != load(path("new"))) {
      return Verdict::other_state;
    }
    for (const auto& entry : fs::directory_iterator(directory)) {
      if (entry.path().filename().string().starts_with("engine.")) {
        return Verdict::leftovers;
      }
    }
    return writable(rig) ? (found == load(path("new")) ? Verdict::new_state : Verdict::old_state)
                         : Verdict::not_writable;
  }

  // Takes an entry and has it in the next life.
  static bool writable(Rig& rig) {
    rig.write_entries(1);
    expect_ok(rig.replica->flush());
    const std::string written = describe(*rig.replica);
    rig.recover();
    return describe(*rig.replica) == written;
  }

  TempDir temporary_;
  const std::string from_;
  const std::string to_;
  const Protocol protocol_;
  const std::string fault_;
};

struct Tally {
  std::size_t old_state = 0;
  std::size_t new_state = 0;
  std::vector<std::string> failures;

  void add(int status, bool must_be_new, const std::string& where) {
    const bool is_new = status == static_cast<int>(Verdict::new_state);
    old_state += status == static_cast<int>(Verdict::old_state);
    new_state += is_new;
    if ((status != static_cast<int>(Verdict::old_state) || must_be_new) && !is_new) {
      failures.push_back(to_text(status) + (must_be_new ? " although it was installed, " : ", ") + where);
    }
  }
};

// Kills the installation at the n-th call of the kind, for every n (or each `stride`-th), and judges each.
Tally kill_everywhere(const Scene& scene, const std::string& action, const std::string& site,
                      std::size_t failures_max = 1) {
  Tally tally;
  for (std::uint64_t n = 1; tally.failures.size() < failures_max; ++n) {
    const fs::path directory = scene.fresh_receiver();
    const std::string fault = fmt::format("{}@{}#{}", action, site, n);
    const tap::TappedRun run = tap::run_tapped(scene.tap_options(directory), {tap::fault(fault)},
                                               [&] { return scene.install(directory); });
    REQUIRE(run.end.refusal == "");
    if (!run.killed()) {
      REQUIRE(run.status() == 0);
      tally.add(scene.judge(directory), true, "no kill");
      return tally;
    }
    const std::string where = run.end.killed_call ? tap::describe(*run.end.killed_call) : "";
    tally.add(scene.judge(directory), false, fault + ": " + where);
  }
  return tally;
}

// A trace of the installation, and disk images that a power cut in it may leave.
Tally cut_power(const Scene& scene, const std::string& profile, std::size_t images_max,
                std::size_t failures_max = 1) {
  const fs::path directory = scene.fresh_receiver();
  tap::TapOptions options = scene.tap_options(directory);
  options.keep_payloads = true;
  tap::TappedRun run = tap::run_tapped(options, {}, [&] { return scene.install(directory); });
  REQUIRE(run.end.refusal == "");
  REQUIRE(run.status() == 0);
  std::unique_ptr<const disk::History> history;
  expect_ok(disk::History::create(std::move(run.trace), &history));
  const disk::Order order(*history, disk::named_profile(profile));
  disk::Imager imager(*history, scene.path("receiver"));
  disk::Explorer explorer(order, &imager, Rng(7));
  Tally tally;
  for (std::size_t n = 0; n < images_max && tally.failures.size() < failures_max; ++n) {
    const std::optional<disk::Candidate> candidate = explorer.next();
    if (!candidate) {
      break;
    }
    const fs::path image = scene.path("image");
    fs::remove_all(image);
    fs::create_directory(image);
    imager.materialize(candidate->spec, image);
    const bool installed = candidate->spec.cut == history->records().size();
    tally.add(scene.judge(image), installed,
              candidate->description + ": " + disk::to_string(candidate->spec));
  }
  return tally;
}

void check_survived(const Tally& tally) {
  CAPTURE(tally.old_state, tally.new_state, tally.failures);
  CHECK(tally.failures.empty());
  CHECK(tally.old_state > 0);
  CHECK(tally.new_state > 0);
}

void check_found(const Tally& tally) {
  CAPTURE(tally.old_state, tally.new_state);
  CHECK_FALSE(tally.failures.empty());
}

// Sender and receiver: files between engines of a family, keys and values between others.
struct Pair {
  const char* from;
  const char* to;
};
Pair any_pair() {
  return GENERATE(Pair{"lmdb", "lmdb"}, Pair{"rocksdb", "lmdb"}, Pair{"rocksdb", "rocksdb"},
                  Pair{"lmdb", "rocksdb-wal"});
}

}  // namespace

TEST_CASE("an installation that is killed before any storage call leaves the old state or the new one") {
  const Pair pair = any_pair();
  CAPTURE(pair.from, pair.to);
  const Scene scene(pair.from, pair.to, Protocol::sidecar);
  check_survived(kill_everywhere(scene, "kill-before", "any.any"));
}
