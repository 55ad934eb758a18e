// A bundle: it is read whole, and written and read again as the same, or refused, and then nothing was
// unpacked. No worker runs.
//
// Inputs are archives without compression, which the reader takes, too: what a few damaged bytes of zstd ask
// for is libzstd's affair (128 MiB for its window), so such inputs are left out.
#include "harness/campaign/bundle.h"

#include <algorithm>

#include "harness/campaign/raw_bundle_for_test.h"

#include "harness/base/error.h"
#include "harness/base/hash.h"
#include "harness/disk/trace_builder.h"
#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/json_mutant.h"
#include "harness/fuzz/members.h"
#include "harness/fuzz/scratch_file.h"

namespace chaosgate::fuzz {
namespace {

namespace fs = std::filesystem;
using campaign::Bundle;
using nlohmann::json;

constexpr std::string_view kZstd = "\x28\xb5\x2f\xfd";
constexpr const char* kHead = "bundle.json";

// A directory of the scratch directory, empty.
fs::path empty_directory(const char* name) {
  const fs::path directory = scratch_directory() / name;
  fs::remove_all(directory);
  fs::create_directory(directory);
  return directory;
}

std::string belief() {
  oracle::Oracle oracle(workloads::Generator("small", 7));
  oracle.begin_term(3);
  std::string bytes;
  oracle.save(&bytes);
  return bytes;
}

Bundle made() {
  Bundle bundle;
  bundle.version = "0.2";
  bundle.engine_version = "0.9";
  bundle.key.seed = 7;
  bundle.key.workload = "small";
  bundle.lane = 1;
  bundle.cycle = 4;
  bundle.plan = crash::plan_cycle({}, wire::Protocol::in_batch, 7, 1, 4);
  bundle.recovery.order.engine = "lmdb";
  bundle.recovery.order.workload = "small";
  bundle.recovery.order.seed = 7;
  bundle.recovery.order.term = 5;
  bundle.recovery.order.segment_bytes = bundle.key.segment_bytes;
  bundle.recovery.crash = {9, 8, 7, 6};
  bundle.recovery.violations = {{oracle::Invariant::state_prefix, "a key is missing", {}, 3}};
  bundle.recovery.belief = belief();
  bundle.event.engine = "lmdb";
  return bundle;
}

// What write_bundle() writes, its archive without compression, and without what an order has by default.
std::string archive_of(const fs::path& file) {
  campaign::RawBundle raw(file);
  const json defaults = wire::WorkerOrder();
  json& order = raw.head.at("order");
  for (const auto& [name, value] : defaults.items()) {
    if (order.at(name) == value) {
      order.erase(name);
    }
  }
  TarMembers members = {{kHead, raw.head.dump()}};
  members.insert(members.end(), raw.members.begin(), raw.members.end());
  return tar_of(members);
}

std::string close(Rng& rng, std::string_view inside);
bool open(std::string_view bytes, std::string* inside);

// With checksums that fit.
std::string sealed(const std::string& archive) {
  std::string inside;
  CHECK(open(archive, &inside));
  Rng rng(1);
  return close(rng, inside);
}

std::vector<std::string> seeds() {
  const fs::path file = scratch_directory() / "seed.tar.zst";
  const fs::path image = empty_directory("seed-image");
  fs::create_directories(image / "log");
  fs::create_directories(image / "engine/empty");
  replace_file(image / "engine/data.mdb", "some pages");
  replace_file(image / "durable-index", "123");
  const Bundle bundle = made();
  campaign::write_bundle(bundle, {}, {}, file);
  std::vector<std::string> archives = {archive_of(file)};
  campaign::write_bundle(bundle, image, {}, file);
  archives.push_back(archive_of(file));

  const fs::path base = empty_directory("seed-base");
  replace_file(base / "data", "abc");
  disk::TraceBuilder calls;
  calls.base_file("data", "abc").append("data", "def").fsync("data").create("new");
  campaign::PowerCase power{calls.trace, base, {3, 2, 1, 1}, {}, disk::named_profile("xfs")};
  power.spec.cut = 2;
  power.spec.dropped = {0, 1};
  campaign::write_bundle(bundle, image, {}, file, &power);
  archives.push_back(archive_of(file));
  fs::remove_all(image);
  fs::remove_all(base);
  fs::remove(file);
  for (std::string& archive : archives) {
    archive = sealed(archive);
  }
  return archives;
}

// The checksums in the first member are made anew, and are much.
void drop_checksums(std::string* head) {
  for (const auto& [begin, end] : {std::pair{R"("sha256":")", "\","}, std::pair{R"("members":{)", "},"}}) {
    const std::size_t from = head->find(begin);
    const std::size_t to = from == std::string::npos ? from : head->find(end, from);
    if (to != std::string::npos) {
      head->erase(from, to + std::string_view(end).size() - from);
    }
  }
}

bool open(std::string_view bytes, std::string* inside) {
  TarMembers members;
  if (!read_tar(bytes, &members)) {
    return false;
  }
  drop_checksums(&members.front().second);
  *inside = text_of(members);
  return true;
}

// One of a trace and of a belief ends with the hash of the rest.
void seal_member(std::string* content) {
  if (content->size() >= sizeof(std::uint64_t)) {
    content->resize(content->size() - sizeof(std::uint64_t));
    put_u64(content, hash64(*content));
  }
}

// The first member's checksums of all others, and its own, when it is JSON that is not nested too deep.
std::string close(Rng& rng, std::string_view inside) {
  TarMembers members = members_of(inside);
  json hashes = json::object();
  for (auto& [name, content] : members) {
    name = name.substr(0, std::min(name.find('\0'), kTarName));
    if ((name == "trace" || name == "belief") && !rng.chance(1, 16)) {
      seal_member(&content);
    }
    if (name != kHead) {
      hashes[name.ends_with('/') ? name + "." : name] = campaign::sha256(name.ends_with('/') ? "" : content);
    }
  }
  if (!members.empty() && members.front().first == kHead) {
    try {
      json head = parse_json(members.front().second);
      if (head.is_object()) {
        head["members"] = hashes;
        head.erase("sha256");
        const std::string rest = head.dump();
        members.front().second = fmt::format(R"({{"sha256":"{}",{})", campaign::sha256(rest), rest.substr(1));
      }
    } catch (const json::exception&) {  // no JSON, or a name that is not UTF-8
    }
  }
  return tar_of(members);
}

// A value of the first member, or bytes of another.
std::string mutate_members(Rng& rng, std::string inside, std::string_view other) {
  TarMembers members = members_of(inside);
  if (members.empty()) {
    return std::string(other);
  }
  const std::size_t i = rng.chance(1, 2) ? 0 : static_cast<std::size_t>(rng.below(members.size()));
  std::string& content = members[i].second;
  content = members[i].first.ends_with(".json") || members[i].first.ends_with(".jsonl")
                ? mutate_json_lines(rng, content, "")
                : mutate(rng, content, "");
  return text_of(members);
}

// Names and contents below a directory; of directories, only the empty ones.
TarMembers tree(const fs::path& directory) {
  TarMembers found;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    const std::string name = entry.path().lexically_relative(directory).string();
    if (entry.is_regular_file()) {
      CHECK(read_file(entry.path(), &found.emplace_back(name, "").second).ok());
    } else if (fs::is_empty(entry.path())) {
      found.emplace_back(name + "/", "");
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

json numbers(const oracle::CrashIndexes& crash) {
  return {crash.appended, crash.synced, crash.applied, crash.flushed, crash.after_error};
}

// All that a bundle says, but its version and its plan's checksum, which are the writer's.
json said(const Bundle& bundle) {
  json text = {{"engine_version", bundle.engine_version},
               {"key", bundle.key},
               {"protocol", bundle.protocol},
               {"lane", bundle.lane},
               {"cycle", bundle.cycle},
               {"survives", bundle.commit_survives_kill},
               {"plan", crash::to_string(bundle.plan)},
               {"order", bundle.recovery.order},
               {"crash", numbers(bundle.recovery.crash)},
               {"event", bundle.event}};
  for (const oracle::Violation& violation : bundle.recovery.violations) {
    text["violations"].push_back(
        {oracle::to_string(violation.invariant), violation.explanation, violation.difference_count});
  }
  if (bundle.power) {
    text["power"] = {disk::to_string(bundle.power->spec), disk::to_string(bundle.power->profile),
                     numbers(bundle.power->indexes)};
  }
  return text;
}

// The directories that a bundle is unpacked into. They are emptied when it goes.
struct Place {
  Place(const char* image_name, const char* base_name)
      : image(empty_directory(image_name)), base(empty_directory(base_name)) {}

  fs::path image;
  fs::path base;
};

// Writes it and reads it again.
void check_again(const Bundle& bundle, const Place& place) {
  static const Place kSecond("again-image", "again-base");
  const fs::path file = scratch_directory() / "again.tar.zst";
  campaign::write_bundle(bundle, place.image, {}, file, bundle.power ? &*bundle.power : nullptr);
  const Bundle again = campaign::read_bundle(file, kSecond.image, kSecond.base);
  CHECK(said(again) == said(bundle), "{}\n{}", said(again).dump(), said(bundle).dump());
  CHECK(again.recovery.belief == bundle.recovery.belief);
  CHECK(again.power.has_value() == bundle.power.has_value());
  CHECK(!bundle.power || again.power->trace == bundle.power->trace);
  CHECK(tree(kSecond.image) == tree(place.image) && tree(kSecond.base) == tree(place.base));
  for (const fs::path& directory : {kSecond.image, kSecond.base}) {
    for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
      fs::remove_all(entry.path());
    }
  }
}

// How far a bundle came that was refused with this.
Reach reach_of(std::string_view text) {
  for (const char* early :
       {"is not a bundle", "another SHA-256", "unexpected member", "is missing", "parse_error", "at member",
        "members, a bundle has not", "not a file with a name"}) {
    if (text.find(early) != std::string_view::npos) {
      return Reach::refused;
    }
  }
  return Reach::verified;
}

Reach run(std::string_view bytes) {
  static const Place kPlace("image", "base");
  if (bytes.starts_with(kZstd)) {
    return Reach::refused;
  }
  write_scratch("bundle", bytes);
  try {
    const Bundle bundle = campaign::read_bundle(scratch_directory() / "bundle", kPlace.image, kPlace.base);
    if (hash64(bytes) % 8 == 0) {  // it takes long
      check_again(bundle, kPlace);
    }
  } catch (const UsageError& error) {
    CHECK(fs::is_empty(kPlace.image) && fs::is_empty(kPlace.base), "{} left something", error.what());
    CHECK(std::string_view(error.what()).find('\n') == std::string_view::npos, "{}", error.what());
    return reach_of(error.what());
  }
  for (const fs::path& directory : {kPlace.image, kPlace.base}) {
    for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
      fs::remove_all(entry.path());
    }
  }
  return Reach::accepted;
}

}  // namespace

Target target() {
  Target target{"bundle", seeds, nullptr, run, 16 << 20, 512};  // libarchive's and libzstd's buffers
  target.open = open;
  target.close = close;
  target.mutate = mutate_members;
  target.bytes_max = 16384;
  return target;
}

}  // namespace chaosgate::fuzz
