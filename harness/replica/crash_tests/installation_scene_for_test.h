// A scene for tests: a receiver installs a sender's snapshot in a child, which is killed at a storage call or
// whose disk loses power; another child recovers what is left, and what that finds is compared with the old
// state and the new one.
//
// Each engine is opened in a child of its own, and the parent never opens one: engines have threads, and a
// process that has threads must not be forked. Include it before "harness/base/test.h". Failures throw.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engines/directory.h"
#include "engines/marker.h"
#include "engines/registry.h"
#include "harness/base/check.h"
#include "harness/base/hash.h"
#include "harness/disk/explore.h"
#include "harness/disk/image.h"
#include "harness/disk/order.h"
#include "harness/disk/profile.h"
#include "harness/replica/rig_for_test.h"
#include "harness/snapshot/key_value_stream.h"
#include "harness/tap/tapped_process_for_test.h"

namespace chaosgate::replica {

namespace fs = std::filesystem;

inline constexpr std::uint64_t kOldEntries = 12;  // of the receiver, behind those of the preload
inline constexpr std::uint64_t kNewEntries = 60;  // of the sender
inline constexpr int kChildFailed = 99;

// The body of a child: what it throws is its failure.
inline int guarded(const std::function<int()>& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    fmt::print(stderr, "child: {}\n", error.what());
    std::fflush(stderr);
    return kChildFailed;
  }
}

// What an engine holds, in one line.
inline std::string describe(Replica& replica) {
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

inline void must(bool holds) {
  if (!holds) {
    throw EnvironmentError("a step of the scene failed");
  }
}

inline void save(const fs::path& path, const std::string& text) { replace_file(path, text); }

inline std::string text_of(const fs::path& path) {
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

inline std::string to_text(int status) {
  static const std::vector<std::string> names = {"old state",   "new state", "refused",     "neither state",
                                                 "index ahead", "leftovers", "not writable"};
  const std::size_t at = static_cast<std::size_t>(status - 10);
  return at < names.size() ? names[at] : fmt::format("exit status {}", status);
}

// A sender and a receiver of a snapshot, and what happens when the receiver installs it.
class Scene {
 public:
  Scene(std::string from, std::string to, wire::Protocol protocol, std::string fault = "")
      : temporary_(fs::temp_directory_path(), "chaosgate-installation-"),
        from_(std::move(from)),
        to_(std::move(to)),
        protocol_(protocol),
        fault_(std::move(fault)) {
    fs::create_directory(path("sender"));
    fs::create_directory(path("receiver"));
    must(run(temporary_.path(), {}, [this] { return prepare(); }).status() == 0);
  }

  fs::path path(const std::string& name) const { return temporary_.path() / name; }

  // Runs `body` in a child whose storage calls in `directory` are seen. Syncs are not carried out: nothing
  // here depends on the disk, and most of the time would go there.
  tap::TappedRun run(const fs::path& directory, const std::vector<tap::StorageFault>& faults,
                     const std::function<int()>& body) const {
    tap::TapOptions options;
    options.directory = directory;
    options.sync_disk = false;
    options.keep_payloads = true;
    // Both engines: the child that prepares the scene opens the sender's too.
    for (const std::string& engine : {to_, from_}) {
      const engines::EngineConfig& config = *engines::find_engine_config(engine);
      for (const engines::FileClass& file_class : config.file_classes) {
        options.rules.push_back({file_class.name, "*engine*/" + file_class.pattern, file_class.bytes_end,
                                 file_class.informational});
      }
      for (const std::string& file : config.contract.volatile_files) {
        options.volatile_files.push_back("*/" + file);
      }
    }
    tap::TappedRun done = tap::run_tapped(options, faults, [&] { return guarded(body); });
    must(done.end.refusal == "");
    return done;
  }

  // The directory `base` ("receiver": as it was before) under a name of its own.
  fs::path fresh(const std::string& base) const {
    const fs::path directory = path("run");
    fs::remove_all(directory);
    copy_tree(path(base), directory);
    return directory;
  }

  // The life of the child under fire. It ends with the installation: nothing is closed.
  int install(const fs::path& directory) const {
    auto* const rig = new Rig(to_, protocol_, directory);
    rig->order.term = 1;
    rig->order.fault = fault_;
    rig->recover();
    // What the engine and the log did until now is their own affair; see installation_window().
    expect_ok(engines::sync_tree(directory));
    const auto receiver = rig->replica->make_receiver();
    expect_ok(receiver->feed(text_of(path("snapshot"))));
    snapshot::ReceivedSnapshot received;
    expect_ok(receiver->finish(&received));
    expect_ok(rig->replica->install_snapshot(received));
    return 0;
  }

  // The life of a child that ends what an installation began, and no more.
  int recover_installation(const fs::path& directory) const {
    Rig rig(to_, protocol_, directory);
    rig.order.term = 3;
    rig.order.fault = fault_;
    expect_ok(rig.open());
    return 0;
  }

  // Recovers what is in `directory`, in a child, and says what is there: a Verdict, or a status that is none.
  int judge(const fs::path& directory) const {
    return run(directory, {}, [&] { return static_cast<int>(recover(directory)); }).status();
  }

 private:
  int prepare() const {
    Rig sender(from_, wire::Protocol::in_batch, path("sender"));
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
    if (found != text_of(path("old")) && found != text_of(path("new"))) {
      return Verdict::other_state;
    }
    for (const auto& entry : fs::directory_iterator(directory)) {
      if (entry.path().filename().string().starts_with("engine.")) {
        return Verdict::leftovers;
      }
    }
    return writable(rig) ? (found == text_of(path("new")) ? Verdict::new_state : Verdict::old_state)
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
  const wire::Protocol protocol_;
  const std::string fault_;
};

// The bytes of the tree, without files that no recovery reads or that differ from run to run for nothing:
// locks and messages to people.
inline std::uint64_t hash_of(const fs::path& directory) {
  std::set<std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    const std::string name = entry.path().lexically_relative(directory).string();
    const std::string leaf = entry.path().filename().string();
    if (leaf != "lock.mdb" && leaf != "LOG" && !leaf.starts_with("LOG.old") && entry.is_regular_file()) {
      lines.insert(fmt::format("{} {:016x}", name, hash64(text_of(entry.path()))));
    } else {
      lines.insert(name);
    }
  }
  return hash64(fmt::format("{}", fmt::join(lines, "\n")));
}

struct Tally {
  std::set<std::uint64_t> judged;  // hashes of directories
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

// A child's life on a directory of the scene.
struct Life {
  std::string base = "receiver";  // what it finds
  bool recovers = false;          // it recovers that; otherwise it installs the snapshot
  int operator()(const Scene& scene, const fs::path& directory) const {
    return recovers ? scene.recover_installation(directory) : scene.install(directory);
  }
};

// The numbers of the storage calls to die at. Most of a life is hundreds of calls inside the engine's own
// files, which lead to nothing until the engine is put into place: of these one in kEngineCallsPart is taken,
// and of all others each one.
inline constexpr std::uint64_t kEngineCallsPart = 8;

inline std::vector<std::uint64_t> calls_to_die_at(const Scene& scene, const Life& life, bool only_writes) {
  const fs::path directory = scene.fresh(life.base);
  const tap::TappedRun run = scene.run(directory, {}, [&] { return life(scene, directory); });
  must(run.status() == 0);
  std::vector<std::uint64_t> numbers;
  std::uint64_t number = 0;
  std::uint64_t inside = 0;
  for (const tap::TraceRecord& record : run.trace.records) {
    if (record.informational || (only_writes && record.call != tap::StorageCall::write)) {
      continue;
    }
    ++number;
    const fs::path path = record.path;
    const bool is_ours = path.filename() == engines::kMarkerFile || path.stem() == kInstallationFile;
    const bool is_inside = path.has_parent_path() && path.string().starts_with("engine") && !is_ours;
    if (!is_inside || inside++ % kEngineCallsPart == 0) {
      numbers.push_back(number);
    }
  }
  numbers.push_back(number + 1);  // it is not killed
  return numbers;
}

// Kills the child at these calls, until look(directory, killed, where) is false or the child was not killed.
template <typename Look>
void kill_at_each(const Scene& scene, const Life& life, const std::string& action, const std::string& site,
                  const Look& look) {
  for (const std::uint64_t n : calls_to_die_at(scene, life, site == "any.write")) {
    const fs::path directory = scene.fresh(life.base);
    const std::string fault = fmt::format("{}@{}#{}", action, site, n);
    const tap::TappedRun run =
        scene.run(directory, {tap::fault(fault)}, [&] { return life(scene, directory); });
    must(run.killed() || run.status() == 0);
    const std::string where =
        run.killed() ? fault + ": " + tap::describe(run.end.killed_call.value()) : "no kill";
    if (!look(directory, run.killed(), where) || !run.killed()) {
      return;
    }
  }
}

// Judges what each of these kills leaves, and the end.
inline Tally kill_everywhere(const Scene& scene, const std::string& action, const std::string& site,
                             const Life& life = {}, std::size_t failures_max = 1) {
  Tally tally;
  kill_at_each(scene, life, action, site,
               [&](const fs::path& directory, bool killed, const std::string& where) {
                 // A sync, for one, changes nothing that a kill would leave.
                 if (tally.judged.insert(hash_of(directory)).second || !killed) {
                   tally.add(scene.judge(directory), !killed && !life.recovers, where);
                 }
                 return tally.failures.size() < failures_max;
               });
  return tally;
}

// Keeps, as `name`, what the first kill of the installation leaves of which `wanted` holds.
template <typename Wanted>
void keep_state(const Scene& scene, const std::string& name, const Wanted& wanted) {
  bool kept = false;
  kill_at_each(scene, {}, "kill-before", "any.any", [&](const fs::path& directory, bool, const std::string&) {
    kept = wanted(directory);
    if (kept) {
      copy_tree(directory, scene.path(name));
    }
    return !kept;
  });
  must(kept);
}

// Leaves, of the trace of a child that installed, what it did until the installation was complete, and
// returns how much of that was done when everything before it had been synced. An engine that starts may not
// survive a power cut under every profile, which is nothing that an installation could change.
inline std::uint64_t installation_window(tap::Trace* trace) {
  std::vector<tap::TraceRecord>& records = trace->records;
  const auto is_root_sync = [](const tap::TraceRecord& record) {
    return record.call == tap::StorageCall::sync && record.inode == tap::kRootInode;
  };
  const auto begin = std::find_if(records.begin(), records.end(), is_root_sync) + 1;
  const auto last = std::find_if(records.rbegin(), records.rend(), is_root_sync).base();
  must(begin < last);
  records.erase(last, records.end());
  return static_cast<std::uint64_t>(begin - records.begin());
}

// Judges disk images that a power cut in the child's life may leave.
inline Tally cut_power(const Scene& scene, const std::string& profile, std::size_t images_max,
                       const Life& life = {}, std::size_t failures_max = 1) {
  const fs::path directory = scene.fresh(life.base);
  tap::TappedRun run = scene.run(directory, {}, [&] { return life(scene, directory); });
  must(run.status() == 0);
  const std::uint64_t begin = life.recovers ? 0 : installation_window(&run.trace);
  std::unique_ptr<const disk::History> history;
  expect_ok(disk::History::create(std::move(run.trace), &history));
  const disk::Order order(*history, disk::named_profile(profile));
  disk::Imager imager(*history, scene.path(life.base));
  disk::Explorer explorer(order, &imager, Rng(7));
  Tally tally;
  // There may be fewer that differ.
  for (std::size_t tries = 0;
       tries < 4 * images_max && tally.judged.size() < images_max && tally.failures.size() < failures_max;
       ++tries) {
    const std::optional<disk::Candidate> candidate = explorer.next();
    if (!candidate) {
      break;
    }
    if (candidate->spec.cut < begin || !tally.judged.insert(candidate->hash).second) {
      continue;
    }
    const fs::path image = scene.path("image");
    fs::remove_all(image);
    fs::create_directory(image);
    imager.materialize(candidate->spec, image);
    const bool installed = !life.recovers && candidate->spec.cut == history->records().size();
    tally.add(scene.judge(image), installed,
              candidate->description + ": " + disk::to_string(candidate->spec));
  }
  return tally;
}

}  // namespace chaosgate::replica
