#include "harness/campaign/power_case.h"

#include <fmt/format.h>
#include <limits.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "harness/base/error.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/tap_setup.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using disk::History;
using disk::ImageSpec;
using disk::MicroOp;
using disk::OpId;
using disk::OpKind;

namespace {

// What is there after the first `records` calls.
std::vector<tap::BaseEntry> entries_after(const History& history, std::size_t records) {
  struct Node {
    bool directory = false;
    std::uint64_t size = 0;
  };
  std::map<tap::InodeId, Node> nodes;
  std::map<std::pair<tap::InodeId, std::string>, tap::InodeId> names;
  std::map<std::string, tap::InodeId> by_path;
  for (const tap::BaseEntry& entry : history.trace().base) {
    by_path[entry.path] = entry.inode;
    nodes[entry.inode] = {entry.directory, entry.size};
  }
  for (const tap::BaseEntry& entry : history.trace().base) {
    if (!entry.path.empty()) {
      const fs::path path = entry.path;
      names[{by_path.at(path.parent_path().string()), path.filename().string()}] = entry.inode;
    }
  }
  for (OpId id = 0; id < history.ops_before(records); ++id) {
    const MicroOp& op = history.ops()[id];
    if (op.kind == OpKind::bind) {
      names[{op.dir, std::string(op.name)}] = op.inode;
      const tap::StorageCall call = history.record_of(id).call;
      nodes[op.inode].directory = nodes[op.inode].directory || call == tap::StorageCall::mkdir;
    } else if (op.kind == OpKind::unbind) {
      names.erase({op.dir, std::string(op.name)});
    } else if (op.kind == OpKind::size) {
      nodes[op.inode].size = op.new_size;
    }
  }
  std::vector<tap::BaseEntry> entries = {{tap::kRootInode, true, 0, ""}};
  for (std::size_t i = 0; i < entries.size(); ++i) {  // grows: breadth first
    const tap::BaseEntry parent = entries[i];
    if (entries.size() > disk::kNamesMax || parent.path.size() > PATH_MAX) {
      throw UsageError("the trace puts a directory into itself");
    }
    for (auto at = names.lower_bound({parent.inode, ""});
         parent.directory && at != names.end() && at->first.first == parent.inode; ++at) {
      const Node& node = nodes[at->second];
      entries.push_back({at->second, node.directory, node.directory ? 0 : node.size,
                         parent.path.empty() ? at->first.second : parent.path + "/" + at->first.second});
    }
  }
  return entries;
}

}  // namespace

oracle::CrashIndexes crash_indexes_at(const wire::EngineDescription& engine,
                                      const oracle::CrashIndexes& begin, const History& history,
                                      std::uint64_t cut) {
  oracle::CrashIndexes crash = begin;
  const auto raise = [&](const tap::TraceIndexes& seen) {
    crash.appended = std::max(crash.appended, seen.appended);
    crash.synced = std::max(crash.synced, seen.synced);
    crash.applied = std::max(crash.applied, seen.applied);
    crash.flushed = std::max(crash.flushed, kept_by_power_cut(engine, seen.applied, seen.flushed));
  };
  for (std::size_t i = 0; i < cut; ++i) {  // each worker counts from 0
    raise(history.records()[i].indexes);
    crash.after_error = crash.after_error || history.records()[i].injected;
  }
  raise(history.indexes_at(cut));
  return crash;
}

ImageSpec without_cut(const History& history) { return {.cut = history.records().size()}; }

bool loses_nothing(const ImageSpec& spec) { return spec.dropped.empty() && spec.torn.empty(); }

std::string cause_without_cut(const std::string& invariant, const std::string& explanation) {
  // "the backward scan is wrong: at index ...", "get(object, 0x61) returned ...".
  std::string what = explanation.substr(0, explanation.find_first_of(":(;,"));
  what.erase(what.find_last_not_of(' ') + 1);
  return fmt::format("nothing was lost, and without a power cut it is wrong as well ({}: {})", invariant,
                     what);
}

tap::Trace modelled(tap::Trace trace) {
  std::erase_if(trace.records, [](const tap::TraceRecord& record) {
    return record.informational &&
           (record.call == tap::StorageCall::write || record.call == tap::StorageCall::truncate ||
            record.call == tap::StorageCall::allocate || record.call == tap::StorageCall::range_sync);
  });
  return trace;
}

disk::ImagerOptions imager_options(const wire::EngineDescription& engine, const fs::path& store) {
  disk::ImagerOptions options;
  options.store = store;
  options.never_modified = [&engine](const std::string& path) { return is_immutable(engine, path); };
  return options;
}

const disk::Order& Orders::named(const std::string& name) {
  return named_.try_emplace(name, history_, disk::named_profile(name)).first->second;
}

std::string Orders::weakest(const ImageSpec& spec) {
  for (const std::string& name : disk::profile_names()) {
    if (named(name).check(spec).ok()) {
      return name;
    }
  }
  return disk::to_string(profile_);
}

void Orders::weaken(ImageSpec* spec, const std::function<bool(const ImageSpec&)>& fails) {
  for (const std::string& name : disk::profile_names()) {
    const disk::Order& order = named(name);
    if (order.check(*spec).ok()) {
      return;
    }
    ImageSpec closed = *spec;
    order.close_by_dropping(&closed);
    if (order.check(closed).ok() && explored_.check(closed).ok() && fails(closed)) {
      *spec = std::move(closed);
      return;
    }
  }
}

PowerCase without_settled_calls(const PowerCase& power, const History& history, disk::Imager& imager,
                                const wire::EngineDescription& engine, const fs::path& base) {
  std::size_t first = power.spec.cut == 0 ? 0 : power.spec.cut - 1;
  for (const OpId op : power.spec.dropped) {
    first = std::min<std::size_t>(first, history.ops()[op].record);
  }
  for (const disk::Tear& tear : power.spec.torn) {
    first = std::min<std::size_t>(first, history.ops()[tear.op].record);
  }
  imager.materialize({.cut = first}, base);
  PowerCase smaller;
  smaller.base = base;
  smaller.profile = power.profile;
  smaller.indexes = crash_indexes_at(engine, power.indexes, history, first);
  smaller.trace.base = entries_after(history, first);
  smaller.trace.records.assign(history.records().begin() + static_cast<std::ptrdiff_t>(first),
                               history.records().begin() + static_cast<std::ptrdiff_t>(power.spec.cut));
  smaller.trace.last = history.indexes_at(power.spec.cut);
  const OpId shift = history.ops_before(first);
  smaller.spec = power.spec;
  smaller.spec.cut -= first;
  for (OpId& op : smaller.spec.dropped) {
    op -= shift;
  }
  for (disk::Tear& tear : smaller.spec.torn) {
    tear.op -= shift;
  }
  return smaller;
}

}  // namespace chaosgate::campaign
