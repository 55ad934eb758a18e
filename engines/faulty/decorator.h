// What planted faults are made of: what a fault is told when it opens, and how it opens its engine. A fault
// is a ForwardingEngine that overrides the calls it breaks. Internal to engines/faulty.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engines/engine.h"
#include "engines/forwarding_engine.h"

namespace chaosgate::engines {

// Where and how a fault opens its engine.
struct FaultContext {
  const EngineConfig& config;
  std::filesystem::path directory;
  EngineOptions options;
  bool create = false;
  KeyspaceId witness_keyspace = 0;
  std::string witness_key;
  // Runs where two steps should have been one: a moment for a kill to fall into.
  std::function<void()> gap;

  bool is_witness(const WriteBatch::Mutation& mutation) const {
    return mutation.kind == WriteBatch::Kind::put && mutation.keyspace == witness_keyspace &&
           mutation.key == witness_key;
  }
};

// The correct engine, as the registry opens it.
Status open_inner(const FaultContext& context, std::unique_ptr<Engine>* engine);

// The fault of this name over `context`. invalid_argument when there is none.
Status open_fault(std::string_view name, const FaultContext& context, std::unique_ptr<Engine>* engine);

// Opens the correct engine and puts a Fault(context, engine) around it, which is opened too when it has files
// of its own.
template <typename Fault>
Status open_wrapped(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  std::unique_ptr<Engine> inner;
  RETURN_IF_ERROR(open_inner(context, &inner));
  auto fault = std::make_unique<Fault>(context, std::move(inner));
  if constexpr (requires { fault->open(); }) {
    RETURN_IF_ERROR(fault->open());
  }
  *engine = std::move(fault);
  return {};
}

// Appends a mutation of one batch to another.
void append(const WriteBatch::Mutation& mutation, WriteBatch* batch);

using OpenFault = Status (*)(const FaultContext& context, std::unique_ptr<Engine>* engine);

// write_faults.cc
Status open_index_outside_batch(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_index_before_batch(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_half_batch(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_index_one_high(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_index_one_low(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_lost_batch(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_empty_value_is_absent(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_delete_range_off_by_one(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_check_loses_commit(const FaultContext& context, std::unique_ptr<Engine>* engine);
// flush_faults.cc
Status open_flush_not_atomic(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_flush_lies(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_close_flushes(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_defrag_loses_index(const FaultContext& context, std::unique_ptr<Engine>* engine);
// error_faults.cc
Status open_wrong_error(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_buffered_batch_dropped(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_torn_page(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_manifest_sync_failed(const FaultContext& context, std::unique_ptr<Engine>* engine);
// read_faults.cc
Status open_backward_skips(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_snapshot_not_isolated(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_stale_read(const FaultContext& context, std::unique_ptr<Engine>* engine);
// open_faults.cc
Status open_empty_is_fresh(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_writes_refused_after_crash(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_reopen_drifts(const FaultContext& context, std::unique_ptr<Engine>* engine);
// store_faults.cc
Status open_torn_record_skipped(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_page_record_dropped(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_short_table_accepted(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_table_sync_ignored(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_files_leaked(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_torn_length_trusted(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_torn_record_filled(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_border_record_dropped(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_failed_flush_acked(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_name_sync_ignored(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_table_sync_forgotten(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_name_sync_forgotten(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_tombstones_moved_late(const FaultContext& context, std::unique_ptr<Engine>* engine);
Status open_memtable_dropped_early(const FaultContext& context, std::unique_ptr<Engine>* engine);

}  // namespace chaosgate::engines
