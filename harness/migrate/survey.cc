#include "harness/migrate/survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace chaosgate::migrate {
namespace {

constexpr std::uint64_t kSeenEvery = 1024;  // keys

Status survey_keyspace(engines::Iterator& it, const std::function<void()>& one_more,
                       KeyspaceSurvey* keyspace) {
  for (it.seek_to_first(); it.valid(); it.next()) {
    const std::string_view key = it.key();
    if (keyspace->totals.count == 0) {
      keyspace->first = key;
    } else if (key <= keyspace->last) {
      return Status::corruption("keys of keyspace " + keyspace->name + " are out of order");
    }
    keyspace->last = key;
    keyspace->totals.add(key, it.value());
    keyspace->bytes += key.size() + it.value().size();
    one_more();
  }
  return it.status();
}

Status read_applied_index(engines::Snapshot& snapshot, const std::vector<std::string>& keyspaces,
                          const AppliedIndexPlace& place, Survey* survey) {
  const auto found = std::find(keyspaces.begin(), keyspaces.end(), place.keyspace);
  if (found == keyspaces.end()) {
    return {};
  }
  std::string value;
  const Status status =
      snapshot.get(static_cast<engines::KeyspaceId>(found - keyspaces.begin()), place.key, &value);
  if (!status.ok()) {
    return status.is_not_found() ? Status() : status;
  }
  if (value.size() != sizeof survey->applied_index) {
    return Status::corruption(fmt::format("the applied index has {} bytes instead of 8", value.size()));
  }
  survey->has_applied_index = true;
  survey->applied_index = load_fixed<std::uint64_t>(value.data());
  return {};
}

}  // namespace

std::uint64_t Survey::keys() const {
  std::uint64_t sum = 0;
  for (const KeyspaceSurvey& keyspace : keyspaces) {
    sum += keyspace.totals.count;
  }
  return sum;
}

std::uint64_t Survey::bytes() const {
  std::uint64_t sum = 0;
  for (const KeyspaceSurvey& keyspace : keyspaces) {
    sum += keyspace.bytes;
  }
  return sum;
}

Status take_survey(engines::Snapshot& snapshot, const std::vector<std::string>& keyspaces,
                   const AppliedIndexPlace& place, const std::function<void(std::uint64_t)>& seen,
                   Survey* survey) {
  *survey = {};
  std::uint64_t keys = 0;
  const auto one_more = [&] {
    if (++keys % kSeenEvery == 0) {
      seen(keys);
    }
  };
  for (std::size_t id = 0; id < keyspaces.size(); ++id) {
    KeyspaceSurvey& keyspace = survey->keyspaces.emplace_back();
    keyspace.name = keyspaces[id];
    const std::unique_ptr<engines::Iterator> it = snapshot.iterator(static_cast<engines::KeyspaceId>(id));
    RETURN_IF_ERROR(survey_keyspace(*it, one_more, &keyspace));
  }
  seen(keys);
  return read_applied_index(snapshot, keyspaces, place, survey);
}

void encode(const Survey& survey, std::string* bytes) {
  put_u32(bytes, static_cast<std::uint32_t>(survey.keyspaces.size()));
  for (const KeyspaceSurvey& keyspace : survey.keyspaces) {
    put_bytes(bytes, keyspace.name);
    put_u64(bytes, keyspace.totals.count);
    put_u64(bytes, keyspace.bytes);
    put_u64(bytes, keyspace.totals.hash);
    put_bytes(bytes, keyspace.first);
    put_bytes(bytes, keyspace.last);
  }
  put_u8(bytes, survey.has_applied_index ? 1 : 0);
  put_u64(bytes, survey.applied_index);
}

bool decode(Reader* reader, Survey* survey) {
  *survey = {};
  std::uint32_t count = 0;
  if (!reader->u32(&count)) {
    return false;
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    KeyspaceSurvey keyspace;
    std::string_view name;
    std::string_view first;
    std::string_view last;
    if (!reader->bytes(&name) || !reader->u64(&keyspace.totals.count) || !reader->u64(&keyspace.bytes) ||
        !reader->u64(&keyspace.totals.hash) || !reader->bytes(&first) || !reader->bytes(&last)) {
      return false;
    }
    keyspace.name = name;
    keyspace.first = first;
    keyspace.last = last;
    survey->keyspaces.push_back(std::move(keyspace));
  }
  std::uint8_t has_index = 0;
  if (!reader->u8(&has_index) || has_index > 1 || !reader->u64(&survey->applied_index)) {
    return false;
  }
  survey->has_applied_index = has_index == 1;
  return true;
}

std::string difference(const Survey& expected, const Survey& found) {
  const auto index = [](const Survey& survey) {
    return survey.has_applied_index ? std::to_string(survey.applied_index) : std::string("none");
  };
  for (std::size_t i = 0; i < std::max(expected.keyspaces.size(), found.keyspaces.size()); ++i) {
    if (i >= found.keyspaces.size() || i >= expected.keyspaces.size() ||
        expected.keyspaces[i].name != found.keyspaces[i].name) {
      return fmt::format("{} keyspaces instead of {}, or others", found.keyspaces.size(),
                         expected.keyspaces.size());
    }
    const KeyspaceSurvey& a = expected.keyspaces[i];
    const KeyspaceSurvey& b = found.keyspaces[i];
    if (a.totals.count != b.totals.count) {
      return fmt::format("keyspace {} has {} keys instead of {}", a.name, b.totals.count, a.totals.count);
    }
    if (a != b) {
      return fmt::format("keyspace {} has other keys or values (hash {:016x} instead of {:016x})", a.name,
                         b.totals.hash, a.totals.hash);
    }
  }
  return index(expected) == index(found)
             ? ""
             : fmt::format("the applied index is {} instead of {}", index(found), index(expected));
}

void fill_report(const Survey& survey, wire::MigrationReport* report) {
  report->found.clear();
  for (const KeyspaceSurvey& keyspace : survey.keyspaces) {
    report->found.push_back(
        {keyspace.name, keyspace.totals.count, keyspace.bytes, fmt::format("{:016x}", keyspace.totals.hash)});
  }
  report->has_applied_index = survey.has_applied_index;
  report->applied_index = survey.applied_index;
}

}  // namespace chaosgate::migrate
