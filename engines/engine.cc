#include "engines/engine.h"

#include <fmt/format.h>

namespace chaosgate::engines {

std::string_view to_string(Durability durability) {
  switch (durability) {
    case Durability::nothing:
      return "nothing";
    case Durability::process_crash:
      return "process-crash";
    case Durability::power_cut:
      return "power-cut";
  }
  return "unknown";
}

std::string_view to_string(Maintenance maintenance) {
  return maintenance == Maintenance::scheduled ? "scheduled" : "free-running";
}

std::string_view to_string(Tuning tuning) { return tuning == Tuning::lean ? "lean" : "stock"; }

namespace {

Status check_keyspace(KeyspaceId keyspace, std::size_t keyspace_count) {
  if (keyspace >= keyspace_count) {
    return Status::invalid_argument(
        fmt::format("keyspace {} is out of range: the engine has {}", keyspace, keyspace_count));
  }
  return {};
}

}  // namespace

Status check_key(KeyspaceId keyspace, std::string_view key, std::size_t keyspace_count) {
  RETURN_IF_ERROR(check_keyspace(keyspace, keyspace_count));
  if (key.empty()) {
    return Status::invalid_argument("a key must not be empty");
  }
  if (key.size() > kKeyBytesMax) {
    return Status::invalid_argument(
        fmt::format("a key of {} bytes is longer than {}", key.size(), kKeyBytesMax));
  }
  return {};
}

Status check_mutation(const WriteBatch::Mutation& mutation, std::size_t keyspace_count) {
  // The bounds of a range need not be keys.
  return mutation.kind == WriteBatch::Kind::erase_range
             ? check_keyspace(mutation.keyspace, keyspace_count)
             : check_key(mutation.keyspace, mutation.key, keyspace_count);
}

}  // namespace chaosgate::engines
