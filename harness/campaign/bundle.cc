#include "harness/campaign/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "harness/base/beneath.h"
#include "harness/base/crash_point.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/base/printable.h"
#include "harness/campaign/digest.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/versions.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

using nlohmann::json;

constexpr std::string_view kImagePrefix = "image/";
constexpr std::string_view kBasePrefix = "base/";
constexpr const char* kTrace = "trace";
constexpr std::string_view kEmptyDirectory = "/.";  // ends the name of a member that is one

using Members = std::vector<std::pair<std::string, std::string>>;  // name, content

json indexes_json(const oracle::CrashIndexes& indexes) {
  return {{"appended", indexes.appended},
          {"synced", indexes.synced},
          {"applied", indexes.applied},
          {"flushed", indexes.flushed},
          {"after_error", indexes.after_error}};
}

oracle::CrashIndexes indexes_of(const json& indexes) {
  return {indexes.at("appended"), indexes.at("synced"), indexes.at("applied"), indexes.at("flushed"),
          indexes.at("after_error")};
}

json differences_json(const oracle::Violation& violation) {
  return {{"invariant", oracle::to_string(violation.invariant)},
          {"explanation", violation.explanation},
          {"difference_count", violation.difference_count},
          {"detail", oracle::describe(violation)}};
}

// Every file below `directory`, and a member "<directory>/." for each empty directory.
void add_tree(const fs::path& directory, std::string_view prefix, Members* members) {
  if (directory.empty() || !fs::exists(directory)) {
    return;
  }
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    const std::string name = std::string(prefix) + entry.path().lexically_relative(directory).string();
    if (entry.is_regular_file()) {
      std::string content;
      if (const Status status = read_file(entry.path(), &content); !status.ok()) {
        throw EnvironmentError(status.message());
      }
      members->emplace_back(name, std::move(content));
    } else if (entry.is_directory() && fs::is_empty(entry.path())) {
      members->emplace_back(name + std::string(kEmptyDirectory), "");
    }
  }
}

// A bundle is looked at on other machines too: what lies below the current directory is named from there.
wire::WorkerOrder portable(wire::WorkerOrder order) {
  order.directory.clear();
  if (!order.plugin.empty()) {
    const fs::path relative = fs::path(order.plugin).lexically_relative(fs::current_path());
    if (!relative.empty() && *relative.begin() != "..") {
      order.plugin = relative.string();
    }
  }
  return order;
}

// "" when there is none, or it cannot be read any more.
std::string sha256_of_file(const fs::path& file) {
  std::string bytes;
  return !file.empty() && read_file(file, &bytes).ok() ? sha256(bytes) : "";
}

// The text of bundle.json. Its own checksum is over the rest of it, as parsed: blanks do not count.
std::string header(const Bundle& bundle, const Members& members, const PowerCase* power) {
  json hashes = json::object();
  for (const auto& [name, content] : members) {
    hashes[name] = sha256(content);
  }
  json violations = json::array();
  for (const oracle::Violation& violation : bundle.recovery.violations) {
    violations.push_back(differences_json(violation));
  }
  json head = {{"format_version", kBundleFormatVersion},
               {"chaosgate", bundle.version},
               {"engine_version", bundle.engine_version},
               {"key", bundle.key},
               {"protocol", wire::to_string(bundle.protocol)},
               {"lane", bundle.lane},
               {"cycle", bundle.cycle},
               {"plan_checksum", bundle.plan_checksum},
               {"plan", crash::to_string(bundle.plan)},
               {"commit_survives_kill", bundle.commit_survives_kill},
               {"order", portable(bundle.recovery.order)},
               {"plugin_sha256", sha256_of_file(bundle.recovery.order.plugin)},
               {"crash", indexes_json(bundle.recovery.crash)},
               {"violations", violations},
               {"members", hashes}};
  if (power != nullptr) {
    head["power_cut"] = {{"image", disk::to_string(power->spec)},
                         {"profile", disk::to_string(power->profile)},
                         {"indexes", indexes_json(power->indexes)}};
  }
  // Bytes that are not UTF-8 (keys, engines' messages) must not differ between writing and reading.
  head = json::parse(head.dump(-1, ' ', false, json::error_handler_t::replace));
  head["sha256"] = sha256(head.dump());
  return head.dump(1);
}

struct FreeArchive {
  void operator()(archive* a) const {
    if (write) {
      archive_write_free(a);
    } else {
      archive_read_free(a);
    }
  }
  bool write = false;
};
using Archive = std::unique_ptr<archive, FreeArchive>;

void add_member(archive* to, const std::string& name, std::string_view content) {
  const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(),
                                                                       archive_entry_free);
  const bool directory = name.ends_with(kEmptyDirectory);
  archive_entry_set_pathname(entry.get(), directory ? name.substr(0, name.size() - 1).c_str() : name.c_str());
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
  archive_entry_set_filetype(entry.get(), directory ? AE_IFDIR : AE_IFREG);
  archive_entry_set_perm(entry.get(), directory ? 0755 : 0644);
  if (archive_write_header(to, entry.get()) != ARCHIVE_OK ||
      archive_write_data(to, content.data(), content.size()) != static_cast<la_ssize_t>(content.size())) {
    throw EnvironmentError(fmt::format("write bundle member {}: {}", name, archive_error_string(to)));
  }
}

// How much is read of the members of this bundle together.
std::uint64_t bytes_read_of(const fs::path& path) {
  return std::max(kBundleBytesMax, kBundleRatioMax * fs::file_size(path));
}

std::string limit_text() {
  return fmt::format("a bundle unpacks to at most {} MiB, or {} times its own size", kBundleBytesMax >> 20,
                     kBundleRatioMax);
}

// Reads the members of one bundle, none of them further than a bundle may hold.
class MemberReader {
 public:
  explicit MemberReader(const fs::path& path)
      : path_(path), bytes_left_(bytes_read_of(path)), from_(archive_read_new(), FreeArchive{false}) {
    archive_read_support_filter_zstd(from_.get());
    archive_read_support_format_tar(from_.get());
    if (archive_read_open_filename(from_.get(), path.c_str(), 64 << 10) != ARCHIVE_OK) {
      throw UsageError(fmt::format("{} is not a bundle: {}", path.string(), reason("unknown")));
    }
  }

  Members read() {
    Members members;
    for (;;) {
      archive_entry* entry = nullptr;
      const int result = archive_read_next_header(from_.get(), &entry);
      if (result == ARCHIVE_EOF) {
        return members;
      }
      if (result != ARCHIVE_OK) {
        throw UsageError(
            fmt::format("{} is not a bundle, or is damaged: {}", path_.string(), reason("unknown")));
      }
      if (members.size() == kBundleMembersMax) {
        throw UsageError(
            fmt::format("{} has more than {} members, a bundle has not", path_.string(), kBundleMembersMax));
      }
      const char* name = archive_entry_pathname(entry);
      if (name != nullptr && archive_entry_filetype(entry) == AE_IFDIR && archive_entry_size(entry) == 0) {
        members.emplace_back(fs::path(std::string(name) + "/").lexically_normal().string() + ".", "");
        continue;
      }
      if (name == nullptr || archive_entry_filetype(entry) != AE_IFREG) {
        throw UsageError(fmt::format("{} is damaged: a member is not a file with a name", path_.string()));
      }
      members.emplace_back(name, content(name, archive_entry_size(entry)));
    }
  }

 private:
  std::string reason(const char* otherwise) const {
    const char* text = archive_error_string(from_.get());
    return printable_line(text != nullptr ? text : otherwise);
  }

  std::string content(const std::string& name, la_int64_t announced) {
    const bool parsed = name == "bundle.json" || name == "events.jsonl";
    const std::uint64_t most = parsed ? std::min(kBundleTextBytesMax, bytes_left_) : bytes_left_;
    if (announced < 0 || static_cast<std::uint64_t>(announced) > most) {
      throw UsageError(fmt::format("{}: member {} has {} bytes, and at most {} are read of it; {}",
                                   path_.string(), printable_line(name), announced, most, limit_text()));
    }
    // Read piece by piece: the announced size may be damaged, too.
    std::string bytes;
    std::string piece(std::clamp<std::uint64_t>(static_cast<std::uint64_t>(announced), 1, 1 << 20), '\0');
    la_ssize_t size = 0;
    while (bytes.size() <= most && (size = archive_read_data(from_.get(), piece.data(), piece.size())) > 0) {
      bytes.append(piece, 0, static_cast<std::size_t>(size));
    }
    if (size < 0 || bytes.size() != static_cast<std::uint64_t>(announced)) {
      throw UsageError(fmt::format("{} is truncated or damaged at member {}: {}", path_.string(),
                                   printable_line(name), reason("short member")));
    }
    bytes_left_ -= bytes.size();
    return bytes;
  }

  const fs::path& path_;
  std::uint64_t bytes_left_;
  const Archive from_;
};

// What an order may say in a bundle. What belongs to other tasks of a worker, or to the machine where it was
// made, is not taken from it.
wire::WorkerOrder checked_order(const fs::path& path, const wire::WorkerOrder& read, const PlanKey& key) {
  wire::WorkerOrder order = read;
  const wire::WorkerOrder none;
  order.directory.clear();
  order.plugin.clear();
  order.tap = false;
  order.follow = false;
  order.recovery_crash.clear();
  order.floor_cycles = none.floor_cycles;
  order.floor_entries = none.floor_entries;
  order.engine_bench = none.engine_bench;
  order.conformance_check.clear();
  order.migration = none.migration;
  const wire::Schedule& s = order.schedule;
  const bool schedule = s.sync_group_max > 0 && s.apply_group_max > 0 && s.flush_one_in > 0 &&
                        s.truncate_one_in > 0 && s.compact_one_in > 0 && s.checkpoint_one_in > 0 &&
                        s.entries_max > 0 && (s.forced == wire::Chore::none || s.forced_every > 0);
  const bool segment = order.segment_bytes >= kSegmentBytesMin && order.segment_bytes <= kSegmentBytesMax;
  constexpr std::uint32_t kReadsMax = 100'000;
  // What there are of these, validate_key() knows.
  const bool as_key = order.workload == key.workload && order.seed == key.seed && order.fault == key.fault;
  if (!schedule || !segment || !as_key || order.term == 0 || order.reads > kReadsMax ||
      (!order.load_crash.empty() && !parse_crash_point(order.load_crash))) {
    throw UsageError(
        fmt::format("{}: the order in bundle.json is none that a worker got under its key", path.string()));
  }
  return order;
}

// The base must be what the trace says it began with.
void check_base(const fs::path& path, const tap::Trace& trace, const Members& members) {
  std::map<std::string_view, std::size_t> sizes;
  for (const auto& [name, content] : members) {
    sizes.emplace(name, content.size());
  }
  for (const tap::BaseEntry& entry : trace.base) {
    if (entry.directory) {
      continue;
    }
    const auto found = sizes.find(std::string(kBasePrefix) + entry.path);
    if (found == sizes.end()) {
      throw UsageError(fmt::format("{}: the trace began with {}, which the bundle does not have",
                                   path.string(), printable_line(entry.path)));
    }
    if (found->second != entry.size) {
      throw UsageError(fmt::format("{}: {}{} has {} bytes, but the trace began with {}", path.string(),
                                   kBasePrefix, printable_line(entry.path), found->second, entry.size));
    }
  }
}

// Names are hostile: see Beneath.
void unpack(const Members& members, std::string_view prefix, const fs::path& directory) {
  const Beneath to(directory);
  for (const auto& [name, content] : members) {
    if (name.starts_with(prefix)) {
      const std::string below = name.substr(prefix.size());
      throw_if_refused(to.make_parents(below));
      if (!below.ends_with(kEmptyDirectory)) {
        throw_if_refused(to.write_new(below, content));
      }
    }
  }
}

void remove_content(const fs::path& directory) {
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    std::error_code ignored;
    fs::remove_all(entry.path(), ignored);
  }
}

UsageError damaged(const fs::path& path, std::string_view member, const json::exception& error) {
  return UsageError(
      fmt::format("{}: {} is damaged: {}", path.string(), member, json_complaint(error.what())));
}

report::CycleEvent parse_event(const fs::path& path, const std::string& name, const std::string& content) {
  try {
    return parse_json(content).get<report::CycleEvent>();
  } catch (const json::exception& error) {
    throw damaged(path, name, error);
  }
}

Bundle parse(const fs::path& path, Members& members) {
  if (members.empty() || members.front().first != "bundle.json") {
    throw UsageError(fmt::format("{} is not a bundle: its first member is not bundle.json", path.string()));
  }
  try {
    json head = parse_json(members.front().second);
    const int version = head.at("format_version");
    if (version != kBundleFormatVersion) {
      throw UsageError(fmt::format("{} has bundle format version {}, this build reads version {}",
                                   path.string(), version, kBundleFormatVersion));
    }
    const std::string sum = head.at("sha256");
    head.erase("sha256");
    if (sum != sha256(head.dump())) {
      throw UsageError(
          fmt::format("{} is damaged: bundle.json has another SHA-256 than it says", path.string()));
    }
    std::map<std::string, std::string> expected = head.at("members");
    Bundle bundle;
    for (std::size_t i = 1; i < members.size(); ++i) {
      auto& [name, content] = members[i];
      const auto hash = expected.find(name);
      if (hash == expected.end()) {
        throw UsageError(
            fmt::format("{} is damaged: unexpected member {}", path.string(), printable_line(name)));
      }
      if (hash->second != sha256(content)) {
        throw UsageError(fmt::format("{} is damaged: member {} has another SHA-256 than bundle.json says",
                                     path.string(), printable_line(name)));
      }
      expected.erase(hash);
      if (name == "belief") {
        bundle.recovery.belief = std::move(content);
      } else if (name == "events.jsonl") {
        bundle.event = parse_event(path, name, content);
      } else if (name == kTrace) {
        bundle.power.emplace();
        if (const Status status = tap::load_trace(content, &bundle.power->trace); !status.ok()) {
          throw UsageError(fmt::format("{}: the trace cannot be read: {}", path.string(), status.message()));
        }
      }
    }
    if (!expected.empty()) {
      throw UsageError(fmt::format("{} is truncated: member {} is missing", path.string(),
                                   printable_line(expected.begin()->first)));
    }
    bundle.version = head.at("chaosgate");
    bundle.engine_version = head.at("engine_version");
    head.at("key").get_to(bundle.key);
    const std::optional<wire::Protocol> protocol =
        wire::parse_protocol(head.at("protocol").get<std::string>());
    if (!protocol) {
      throw UsageError(fmt::format("{} names an unknown protocol", path.string()));
    }
    bundle.protocol = *protocol;
    bundle.lane = head.at("lane");
    bundle.cycle = head.at("cycle");
    bundle.plan_checksum = head.at("plan_checksum");
    bundle.commit_survives_kill = head.at("commit_survives_kill");
    const auto order = head.at("order").get<wire::WorkerOrder>();
    bundle.plugin = fs::path(order.plugin).filename().string();
    bundle.plugin_sha256 = head.value("plugin_sha256", "");
    bundle.recovery.order = checked_order(path, order, bundle.key);
    bundle.recovery.crash = indexes_of(head.at("crash"));
    if (const Status status = crash::parse_plan(head.at("plan").get<std::string>(), &bundle.plan);
        !status.ok()) {
      throw UsageError(fmt::format("{}: the plan cannot be read: {}", path.string(), status.message()));
    }
    for (const json& violation : head.at("violations")) {
      const auto invariant = oracle::parse_invariant(violation.at("invariant").get<std::string>());
      if (!invariant) {
        throw UsageError(fmt::format("{} names an unknown invariant", path.string()));
      }
      bundle.recovery.violations.push_back(
          {*invariant, violation.at("explanation"), {}, violation.at("difference_count")});
    }
    if (bundle.power) {
      const json& power = head.at("power_cut");
      bundle.power->indexes = indexes_of(power.at("indexes"));
      Status status = disk::parse_spec(power.at("image").get<std::string>(), &bundle.power->spec);
      if (status.ok()) {
        status = disk::parse_profile(power.at("profile").get<std::string>(), &bundle.power->profile);
      }
      if (!status.ok()) {
        throw UsageError(
            fmt::format("{}: the power cut cannot be read: {}", path.string(), status.message()));
      }
    }
    return bundle;
  } catch (const json::exception& error) {
    throw damaged(path, "bundle.json", error);
  }
}

}  // namespace

Bundle make_bundle(const LaneTarget& target, const wire::EngineDescription& engine,
                   const crash::CyclePlan& plan, const RecoveryCase& recovery,
                   const report::CycleEvent& event) {
  Bundle bundle;
  bundle.version = chaosgate_version();
  bundle.engine_version = engine.version;
  bundle.key = target.key;
  bundle.protocol = target.protocol;
  bundle.lane = event.lane;
  bundle.cycle = event.cycle;
  bundle.commit_survives_kill = engine.commit_survives_kill;
  bundle.plan = plan;
  bundle.recovery = recovery;
  bundle.event = event;
  return bundle;
}

void choose_plugin(const std::vector<std::string>& engines, Bundle* bundle) {
  const std::string given = engines.size() == 1 ? plugin_path(engines.front()) : "";
  if (!engines.empty() && (bundle->plugin.empty() || given.empty())) {
    throw UsageError(
        "--engine does not go with a bundle, which says it, but to name where the plugin is, PATH.so");
  }
  std::string& plugin = bundle->recovery.order.plugin;
  plugin = given;
  if (bundle->plugin.empty() || !given.empty()) {
    return;
  }
  const fs::path installed = installed_plugin(bundle->plugin);
  if (installed.empty() || bundle->plugin_sha256.empty() ||
      sha256_of_file(installed) != bundle->plugin_sha256) {
    throw UsageError(
        fmt::format("the bundle is of an engine in the plugin {}, and a plugin is a program: {}; name the "
                    "one to load with "
                    "--engine PATH.so",
                    printable_line(bundle->plugin),
                    installed.empty() ? "this build installed none of that name"
                                      : "the one that this build installed is another"));
  }
  plugin = installed.string();
}

void write_bundle(const Bundle& bundle, const fs::path& image, const fs::path& output, const fs::path& path,
                  const PowerCase* power) {
  Members members;
  std::string explanation = fmt::format("{} {} cycle {} of lane {}\n{}\n\n", bundle.recovery.order.engine,
                                        bundle.engine_version, bundle.cycle, bundle.lane, bundle.event.plan);
  for (const report::ViolationEvent& violation : bundle.event.violations) {
    explanation += violation.detail + "\n";
  }
  members.emplace_back("explanation.txt", std::move(explanation));
  members.emplace_back("events.jsonl",
                       json(bundle.event).dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  std::string printed;
  if (!output.empty()) {
    const Status status = read_file(output, &printed);
    if (!status.ok()) {
      printed = "not available: " + status.to_string();
    }
  }
  members.emplace_back("worker.output", std::move(printed));
  members.emplace_back("belief", bundle.recovery.belief);
  add_tree(image, kImagePrefix, &members);
  if (power != nullptr) {
    std::string trace;
    tap::save_trace(power->trace, &trace);
    members.emplace_back(kTrace, std::move(trace));
    add_tree(power->base, kBasePrefix, &members);
  }
  if (std::error_code none; fs::is_other(path, none)) {
    throw UsageError(fmt::format("{} is a device or a pipe: a bundle is a file", path.string()));
  }
  fs::path temporary = path;
  temporary += ".tmp";
  {
    const Archive to(archive_write_new(), FreeArchive{true});
    archive_write_add_filter_zstd(to.get());
    archive_write_set_format_pax_restricted(to.get());
    if (archive_write_open_filename(to.get(), temporary.c_str()) != ARCHIVE_OK) {
      throw EnvironmentError(
          fmt::format("create {}: {}", temporary.string(), archive_error_string(to.get())));
    }
    add_member(to.get(), "bundle.json", header(bundle, members, power));
    for (const auto& [name, content] : members) {
      add_member(to.get(), name, content);
    }
    if (archive_write_close(to.get()) != ARCHIVE_OK) {
      throw EnvironmentError(fmt::format("write {}: {}", temporary.string(), archive_error_string(to.get())));
    }
  }
  std::uint64_t bytes = 0;
  for (const auto& [name, content] : members) {
    bytes += content.size();
  }
  if (bytes > bytes_read_of(temporary)) {
    fs::remove(temporary);
    throw EnvironmentError(
        fmt::format("{} is not kept: it has {} bytes; {}", path.string(), bytes, limit_text()));
  }
  fs::rename(temporary, path);
}

Bundle read_bundle(const fs::path& path, const fs::path& directory, const fs::path& base) {
  const fs::path file = fs::is_directory(path) ? path / "bundle.tar.zst" : path;
  if (!fs::is_regular_file(file)) {
    throw UsageError(fmt::format("there is no bundle {}", file.string()));
  }
  Members members = MemberReader(file).read();
  Bundle bundle = parse(file, members);
  if (bundle.power && !base.empty()) {
    check_base(file, bundle.power->trace, members);
  }
  try {
    unpack(members, kImagePrefix, directory);
    if (!base.empty()) {
      unpack(members, kBasePrefix, base);
    }
  } catch (const std::runtime_error&) {
    remove_content(directory);
    if (!base.empty()) {
      remove_content(base);
    }
    throw;
  }
  if (bundle.power) {
    bundle.power->base = base;
  }
  return bundle;
}

}  // namespace chaosgate::campaign
