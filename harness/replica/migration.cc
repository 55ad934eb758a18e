#include "harness/replica/migration.h"

#include <cstring>
#include <exception>
#include <vector>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/migrate/side.h"
#include "harness/replica/offer.h"
#include "harness/replica/replica.h"

namespace chaosgate::replica {
namespace {

using wire::MigrationReport;
using wire::MigrationRole;

MigrationReport run_side(const wire::WorkerOrder& order, const Shared& shared) {
  if (order.migration.role == MigrationRole::inspector) {
    return migrate::inspect(order.migration, replica_keyspaces());
  }
  migrate::Pipe pipe{UniqueFd(shared.stream_fd)};
  const std::vector<engines::EngineConfig>& configs = load_engines(order.plugin);
  const engines::EngineConfig& config = find_engine(configs, order.engine);
  const migrate::Side side = {.order = order.migration,
                              .config = config,
                              .filler = migrate::careful_config(configs, config),
                              .tuning = order.stock_tuning ? engines::Tuning::stock : engines::Tuning::lean,
                              .applied_index = {std::string(kMetaKeyspaceName), std::string(kWitnessKey)},
                              .recorder = *shared.recorder};
  return order.migration.role == MigrationRole::exporter
             ? migrate::run_exporter(side, pipe)
             : migrate::run_importer(side, migrate::find_import_faults(order.fault), pipe);
}

}  // namespace

int run_migration(const wire::WorkerOrder& order, const Shared& shared) {
  MigrationReport report;
  try {
    report = run_side(order, shared);
  } catch (const UsageError& error) {
    report.outcome = wire::MigrationOutcome::refused;
    report.message = error.what();
  } catch (const std::exception& error) {
    report.outcome = wire::MigrationOutcome::failed;
    report.message = error.what();
  }
  const std::string text =
      nlohmann::json(report).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  CHECK(text.size() <= wire::kObservationCapacity);
  std::memcpy(shared.observations, text.data(), text.size());
  shared.recorder->observation_bytes = text.size();
  shared.recorder->phase = wire::Phase::closed;
  return 0;
}

}  // namespace chaosgate::replica
