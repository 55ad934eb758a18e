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

ImportFaults find_import_faults(const std::string& name) {
  ImportFaults faults;
  if (name.empty()) {
    return faults;
  }
  faults.record_written = name == "resume-skips-a-range" || name == "resume-skips-unverified";
  faults.unverified = name == "resume-skips-unverified";
  faults.unsynced = name == "finish-without-sync";
  if (!faults.record_written && !faults.unsynced) {
    throw UsageError(fmt::format("unknown fault '{}' of a migration; known: {}", name,
                                 fmt::join(import_fault_names(), ", ")));
  }
  return faults;
}

const std::vector<std::string>& import_fault_names() {
  static const std::vector<std::string> names = {"resume-skips-a-range", "resume-skips-unverified",
                                                 "finish-without-sync"};
  return names;
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
