// The order of an installation, and why it is enough.
//
//   prepare  1  engine.installing is built, opened, read and closed
//            2  its files and directories are fsynced, from the bottom up
//            3  SNAPSHOT is put into it, durably: from now on it is whole wherever its name leads
//            4  fsync of D: its name is durable
//   commit   5  rename engine -> engine.replaced
//            6  fsync of D
//            7  rename engine.installing -> engine
//            8  fsync of D
//            9  log is removed and made anew, which ends with an fsync of D
//           10  the durable index is persisted
//           11  SNAPSHOT is removed from engine; fsync of engine
//           12  engine.replaced is removed; fsync of D
//
// Recovery looks at three things: is there an engine, does it hold SNAPSHOT, and is engine.installing whole.
//   engine without SNAPSHOT     the old state, or (after 11) the new one: it is complete; the rest is removed
//   engine with SNAPSHOT        the new one is in place: 8 to 12 are done, again where they had been done
//   no engine, installing whole the new one is put into place, then 8 to 12
//   no engine, only replaced    the old one is put back
// A kill leaves what the calls before it did. A power cut may lose what was not yet synced, and where
// directory operations are not ordered and a rename is not atomic, either half of a rename without the other:
//   before 6  the name engine.installing is durable and its content whole. Lost may be the name engine,
//             engine.replaced not having appeared: then installing is there. While engine is there it is the
//             old one, with the log and the durable index untouched.
//   before 8  engine.replaced is durable and whole. Lost may be both names of the new engine: then the old
//   one is
//             put back, and its log is still there, because 9 comes after 8. This is why 6 must come before
//             7: without it both engines could lose their names at once.
//   before 11 engine is durable and holds SNAPSHOT, so whatever became of the log and the durable index is
//   done
//             again. No entry was written to the new log meanwhile. This is why 11 comes after 9 and 10 are
//             durable, and why recovery, after a kill between 7 and 8, begins with 8.
//   later     engine, log and durable index are durable; what reappears of the rest is removed again.
// A durable index that is persisted at 10 vouches for data that 2 made durable.
//
// Recovery does not rename the only whole copy of an engine, for a power cut could lose both halves of that:
// it renames a copy (engine.placing), which it makes durable first, and removes the original when the name is
// durable.
#include "harness/replica/installation.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "engines/directory.h"
#include "engines/marker.h"
#include "engines/registry.h"
#include "harness/base/coding.h"
#include "harness/base/file.h"
#include "harness/base/hash.h"
#include "harness/replica/sidecar.h"

namespace chaosgate::replica {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kEngine = "engine";
constexpr std::string_view kInstalling = "engine.installing";
constexpr std::string_view kReplaced = "engine.replaced";
constexpr std::string_view kPlacing = "engine.placing";
// All that an installation may leave beside the engine; creation has a name of its own while it builds.
constexpr std::array<std::string_view, 4> kLeftovers = {kInstalling, "engine.installing.creating", kReplaced,
                                                        kPlacing};

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

Status move_to(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  return error ? Status::io_error("rename " + from.string() + " to " + to.string(), error.value()) : Status();
}

Status write_record(const fs::path& engine, const StateIndex& state) {
  std::string bytes(kInstallationMagic);
  put_u64(&bytes, state.index);
  put_u64(&bytes, state.term);
  put_u64(&bytes, hash64(bytes));
  return replace_file_durably(engine / kInstallationFile, bytes);
}

// not_found when there is none.
Status read_record(const fs::path& engine, StateIndex* state) {
  const fs::path path = engine / kInstallationFile;
  std::string bytes;
  RETURN_IF_ERROR(read_file(path, &bytes));
  Reader reader(bytes);
  std::string_view magic;
  std::uint64_t checksum = 0;
  if (!reader.raw(kInstallationMagic.size(), &magic) || magic != kInstallationMagic ||
      !reader.u64(&state->index) || !reader.u64(&state->term) || !reader.u64(&checksum) || !reader.empty() ||
      checksum != hash64(std::string_view(bytes).substr(0, bytes.size() - sizeof checksum))) {
    return Status::corruption(path.string() + " is not the record of an installation");
  }
  return {};
}

Status remove_record(const fs::path& engine) {
  const fs::path path = engine / kInstallationFile;
  if (::unlink(path.c_str()) != 0) {
    return Status::io_error("unlink " + path.string(), errno);
  }
  return sync_directory(engine);
}

}  // namespace

// fsync of D.
Status Installation::sync_names() {
  return options_.faults.no_directory_sync ? Status() : sync_directory(options_.directory);
}

bool Installation::has_leftovers() const {
  for (const std::string_view name : kLeftovers) {
    if (is_there(place(name))) {
      return true;
    }
  }
  return false;
}

Status Installation::remove_leftovers() {
  if (!has_leftovers()) {
    return {};
  }
  for (const std::string_view name : kLeftovers) {
    RETURN_IF_ERROR(engines::remove_tree(place(name)));
  }
  return sync_names();
}

Status Installation::prepare(const snapshot::ReceivedSnapshot& received, std::uint64_t applied,
                             const ReadIndex& read_index, StateIndex* state) {
  RETURN_IF_ERROR(remove_leftovers());
  if (options_.faults.marker_before_data && !received.legacy()) {
    RETURN_IF_ERROR(persist_index({received.header().index, received.header().term}));
  }
  const Status built = build(received, applied, read_index, state);
  if (!built.ok()) {
    (void)remove_leftovers();  // what happened first is what counts
    return built;
  }
  return options_.faults.log_truncated_early ? reset_log(*state) : Status();
}

Status Installation::build(const snapshot::ReceivedSnapshot& received, std::uint64_t applied,
                           const ReadIndex& read_index, StateIndex* state) {
  const fs::path installing = place(kInstalling);
  RETURN_IF_ERROR(received.unpack(config_, options_.engine, installing));
  RETURN_IF_ERROR(check_built(received, applied, read_index, state));
  RETURN_IF_ERROR(engines::sync_tree(installing));
  RETURN_IF_ERROR(write_record(installing, *state));
  return sync_names();
}

// Opens what was built: does it hold what the snapshot announces?
Status Installation::check_built(const snapshot::ReceivedSnapshot& received, std::uint64_t applied,
                                 const ReadIndex& read_index, StateIndex* state) {
  std::unique_ptr<engines::Engine> engine;
  RETURN_IF_ERROR(engines::open_engine(config_, place(kInstalling), options_.engine, &engine));
  std::uint64_t found = 0;
  RETURN_IF_ERROR(read_index(*engine, &found));
  if (received.legacy()) {
    RETURN_IF_ERROR(engine->check_integrity());  // no checksum vouches for it
    *state = {found, 0};
  } else {
    *state = {received.header().index, received.header().term};
  }
  if (found != state->index && !options_.faults.unflushed_state) {
    return Status::corruption(fmt::format(
        "the snapshot announces the state at entry {}, it holds that at entry {}", state->index, found));
  }
  if (state->index <= applied) {
    return Status::invalid_argument(fmt::format(
        "the snapshot is stale: it ends at entry {}, entry {} is applied here", state->index, applied));
  }
  return {};
}

Status Installation::commit(const StateIndex& state) {
  RETURN_IF_ERROR(move_to(place(kEngine), place(kReplaced)));
  RETURN_IF_ERROR(sync_names());
  RETURN_IF_ERROR(move_to(place(kInstalling), place(kEngine)));
  return roll_forward(state);
}

Status Installation::roll_forward(const StateIndex& state) {
  RETURN_IF_ERROR(sync_names());
  RETURN_IF_ERROR(reset_log(state));
  RETURN_IF_ERROR(persist_index(state));
  RETURN_IF_ERROR(remove_record(place(kEngine)));
  return remove_leftovers();
}

Status Installation::reset_log(const StateIndex& state) {
  RETURN_IF_ERROR(engines::remove_tree(place("log")));
  log::LogOptions options = options_.log;
  options.start_after = state.index;
  options.start_after_term = state.term;
  options.known_synced = 0;  // what was synced is in the snapshot, or was never committed
  std::unique_ptr<log::Log> created;
  return log::create_log(place("log"), options, steps_, &created);
}

Status Installation::persist_index(const StateIndex& state) {
  return options_.sidecar ? Sidecar(place(kSidecarFile)).persist(state.index, steps_) : Status();
}

Status Installation::recover() {
  return is_there(place(kEngine)) ? recover_beside_engine() : recover_without_engine();
}

Status Installation::recover_beside_engine() {
  StateIndex state;
  const Status record = read_record(place(kEngine), &state);
  if (!record.is_not_found()) {
    return record.ok() ? roll_forward(state) : record;
  }
  if (!has_leftovers()) {
    return {};
  }
  // They may be all that is left of a whole engine.
  engines::Marker marker;
  if (const Status marked = engines::read_marker(place(kEngine), &marker); !marked.ok()) {
    return Status::corruption(
        fmt::format("{} is not a whole engine ({}), and there are remains of an installation",
                    place(kEngine).string(), marked.message()));
  }
  return remove_leftovers();
}

Status Installation::recover_without_engine() {
  if (!has_leftovers()) {
    return {};  // not an installation's doing
  }
  if (options_.faults.absent_is_fresh) {
    RETURN_IF_ERROR(remove_leftovers());
    std::unique_ptr<engines::Engine> created;
    return engines::create_engine(config_, place(kEngine), options_.engine, &created);
  }
  StateIndex state;
  const Status record = read_record(place(kInstalling), &state);
  if (record.ok()) {
    RETURN_IF_ERROR(copy_into_place(kInstalling));
    return roll_forward(state);
  }
  engines::Marker marker;
  if (record.is_not_found() && !is_there(place(kInstalling)) &&
      engines::read_marker(place(kReplaced), &marker).ok()) {
    RETURN_IF_ERROR(copy_into_place(kReplaced));
    return remove_leftovers();
  }
  return Status::corruption(
      fmt::format("{} is not there, and of an installation there is neither a whole {} nor a {}",
                  place(kEngine).string(), kInstalling, kReplaced));
}

Status Installation::copy_into_place(std::string_view from) {
  const fs::path placing = place(kPlacing);
  RETURN_IF_ERROR(engines::remove_tree(placing));
  RETURN_IF_ERROR(engines::copy_directory(place(from), placing));
  RETURN_IF_ERROR(engines::sync_tree(placing));
  RETURN_IF_ERROR(sync_names());
  RETURN_IF_ERROR(move_to(placing, place(kEngine)));
  return sync_names();
}

}  // namespace chaosgate::replica
