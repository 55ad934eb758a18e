#include <unistd.h>

#include <csignal>
#include <memory>
#include <optional>

#include "engines/registry.h"
#include "harness/migrate/places.h"
#include "harness/migrate/side.h"
#include "harness/migrate/source.h"

namespace chaosgate::migrate {

namespace fs = std::filesystem;

using wire::MigrationOutcome;
using wire::MigrationReport;
using wire::MigrationStage;

namespace {

class Exporter {
 public:
  Exporter(const Side& side, Pipe& pipe) : side_(side), pipe_(pipe) {}

  Status run(MigrationReport* report) {
    report->outcome = MigrationOutcome::refused;  // what fails up to here does so for good
    RETURN_IF_ERROR(open());
    Survey survey;
    begin(MigrationStage::surveying);
    const auto seen = [this](std::uint64_t keys) { side_.recorder.stage_keys = keys; };
    RETURN_IF_ERROR(take_survey(*snapshot_, side_.order.keyspaces, side_.applied_index, seen, &survey));
    RETURN_IF_ERROR(hold_.check_unchanged());
    fill_report(survey, report);
    report->outcome = MigrationOutcome::failed;
    std::string message;
    encode(survey, &message);
    RETURN_IF_ERROR(pipe_.send_message(message));
    RETURN_IF_ERROR(pipe_.receive_message(&message));
    Start start;
    if (!decode(message, &start) || start.keyspace > side_.order.keyspaces.size()) {
      return Status::corruption("the importer's answer makes no sense");
    }
    if (start.wanted) {
      RETURN_IF_ERROR(stream(start));
    }
    report->outcome = MigrationOutcome::done;
    return {};
  }

 private:
  void begin(MigrationStage stage) {
    side_.recorder.stage_keys = 0;
    side_.recorder.stage = stage;
  }

  Status open() {
    fs::path place = side_.order.source;
    RETURN_IF_ERROR(hold_.take(side_.config, place));
    engines::EngineOptions options;
    options.keyspaces = side_.order.keyspaces;
    options.tuning = engines::Tuning::lean;
    options.read_only = side_.config.opens_read_only;
    if (!options.read_only) {
      begin(MigrationStage::copying);
      const Places places(side_.order.target);
      RETURN_IF_ERROR(copy_.make(side_.config, place, places.scratch));
      RETURN_IF_ERROR(hold_.check_unchanged());
      place = places.scratch;
    }
    RETURN_IF_ERROR(engines::open_engine(side_.config, place, options, &engine_));
    snapshot_ = engine_->snapshot();
    return {};
  }

  // A piece of the stream, or the ordered death before it.
  Status send(std::string_view bytes) {
    if (side_.order.die_after_pieces != 0 && pieces_++ == side_.order.die_after_pieces) {
      side_.recorder.crash_ordered = 1;
      ::kill(::getpid(), SIGKILL);
      ::pause();
    }
    return pipe_.send(bytes);
  }

  Status stream(const Start& start) {
    const auto sink = [this](std::string_view bytes) { return send(bytes); };
    const std::uint64_t chunk = side_.order.chunk_bytes;
    snapshot::KeyValueWriter writer(side_.order.keyspaces.size(), sink,
                                    chunk != 0 ? chunk : snapshot::kKeyValueChunkBytes);
    for (std::uint32_t id = start.keyspace; id < side_.order.keyspaces.size(); ++id) {
      const auto keyspace = static_cast<engines::KeyspaceId>(id);
      const std::unique_ptr<engines::Iterator> it = snapshot_->iterator(keyspace);
      const std::string_view after = id == start.keyspace ? std::string_view(start.after) : "";
      if (after.empty()) {
        it->seek_to_first();
      } else {
        it->seek(after);
        if (it->valid() && it->key() == after) {
          it->next();
        }
      }
      for (; it->valid(); it->next()) {
        RETURN_IF_ERROR(writer.add(keyspace, it->key(), it->value()));
      }
      RETURN_IF_ERROR(it->status());
    }
    // Before the end of the stream: without that, the importer takes nothing for complete.
    RETURN_IF_ERROR(hold_.check_unchanged());
    return writer.finish();
  }

  const Side& side_;
  Pipe& pipe_;
  SourceHold hold_;
  SourceCopy copy_;
  std::unique_ptr<engines::Engine> engine_;  // in the source or its copy
  std::unique_ptr<engines::Snapshot> snapshot_;
  std::uint64_t pieces_ = 0;
};

}  // namespace

MigrationReport run_exporter(const Side& side, Pipe& pipe) {
  MigrationReport report;
  if (const Status status = Exporter(side, pipe).run(&report); !status.ok()) {
    report.message = status.message();
    report.peer_gone = pipe.peer_gone();
  }
  return report;
}

}  // namespace chaosgate::migrate
