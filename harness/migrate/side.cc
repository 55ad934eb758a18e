#include "harness/migrate/side.h"

#include <fmt/format.h>

#include <algorithm>

#include "engines/directory.h"
#include "engines/marker.h"
#include "harness/base/coding.h"
#include "harness/base/error.h"
#include "harness/migrate/places.h"
#include "harness/migrate/source.h"

namespace chaosgate::migrate {

namespace fs = std::filesystem;

using wire::MigrationOutcome;
using wire::MigrationReport;

namespace {

Status look(const wire::MigrationOrder& order, const std::vector<std::string>& default_keyspaces,
            MigrationReport* report) {
  fs::path store;
  RETURN_IF_ERROR(find_store(order.source, &store));
  engines::Marker marker;
  RETURN_IF_ERROR(engines::read_marker(store, &marker));
  report->source = store;
  report->family = marker.family;
  report->keyspaces = !order.keyspaces.empty()    ? order.keyspaces
                      : !marker.keyspaces.empty() ? marker.keyspaces
                                                  : default_keyspaces;
  RETURN_IF_ERROR(engines::directory_bytes(store, &report->source_bytes));
  report->target = find_target(order.target);
  const Places places(report->target);
  report->scratch = places.scratch;
  return check_places(store, places);
}

}  // namespace

MigrationReport inspect(const wire::MigrationOrder& order,
                        const std::vector<std::string>& default_keyspaces) {
  MigrationReport report;
  const Status status = look(order, default_keyspaces, &report);
  report.outcome = status.ok() ? MigrationOutcome::done : MigrationOutcome::refused;
  report.message = status.message();
  return report;
}

const engines::EngineConfig& careful_config(const std::vector<engines::EngineConfig>& configs,
                                            const engines::EngineConfig& config) {
  const auto careful = std::find_if(configs.begin(), configs.end(), [&](const auto& other) {
    return other.family == config.family && other.contract.opens_after_power_cut;
  });
  return config.contract.opens_after_power_cut || careful == configs.end() ? config : *careful;
}

const std::vector<ImportFaultInfo>& import_faults() {
  static const std::vector<ImportFaultInfo> all = {
      {"resume-skips-a-range",
       "a migration is resumed behind what was written instead of behind what was durable",
       {.record_written = true},
       "lmdb",
       "rocksdb",
       ""},
      {"resume-skips-unverified",
       "the same, and the finished target is not verified",
       {.record_written = true, .unverified = true},
       "lmdb",
       "rocksdb",
       ""},
      {"resume-begins-anew",
       "a migration that was killed begins anew, as if what it had moved could not be opened",
       {.thrown_away = true},
       "lmdb",
       "rocksdb",
       ""},
      {"finish-without-sync",
       "a migration's target gets its name before its content is durable",
       {.unsynced = true},
       "lmdb",
       "lmdb-nosync",
       "btrfs"},
  };
  return all;
}

ImportFaults find_import_faults(const std::string& name) {
  if (name.empty()) {
    return {};
  }
  std::string known;
  for (const ImportFaultInfo& fault : import_faults()) {
    if (fault.name == name) {
      return fault.faults;
    }
    known += (known.empty() ? "" : ", ") + fault.name;
  }
  throw UsageError(fmt::format("unknown fault '{}' of a migration; known: {}", name, known));
}

void encode(const Start& start, std::string* bytes) {
  put_u8(bytes, start.wanted ? 1 : 0);
  put_u32(bytes, start.keyspace);
  put_bytes(bytes, start.after);
}

bool decode(std::string_view bytes, Start* start) {
  Reader reader(bytes);
  std::uint8_t wanted = 0;
  std::string_view after;
  if (!reader.u8(&wanted) || !reader.u32(&start->keyspace) || !reader.bytes(&after) || !reader.empty()) {
    return false;
  }
  start->wanted = wanted != 0;
  start->after = after;
  return true;
}

}  // namespace chaosgate::migrate
