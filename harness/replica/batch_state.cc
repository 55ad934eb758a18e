#include "harness/replica/batch_state.h"

#include <algorithm>

#include "harness/base/check.h"

namespace chaosgate::replica {

bool BatchState::get(workloads::Keyspace keyspace, std::string_view key, std::string* value) {
  const Overlay& overlay = overlays_.at(id(keyspace));
  if (const auto found = overlay.keys.find(key); found != overlay.keys.end()) {
    if (found->second) {
      *value = *found->second;
    }
    return found->second.has_value();
  }
  const bool erased =
      std::any_of(overlay.erased_ranges.begin(), overlay.erased_ranges.end(),
                  [&](const auto& range) { return key >= range.first && key < range.second; });
  if (erased) {
    return false;
  }
  const Status status = engine_.get(id(keyspace), key, value);
  if (!status.ok() && !status.is_not_found() && status_.ok()) {
    status_ = status;
  }
  return status.ok();
}

void BatchState::scan(workloads::Keyspace keyspace, std::string_view begin, std::string_view end,
                      const std::function<bool(std::string_view, std::string_view)>& visit) {
  CHECK(batch_.empty(), "a scan over a batch that was not written");
  const auto iterator = engine_.iterator(id(keyspace));
  for (iterator->seek(begin); iterator->valid() && iterator->key() < end; iterator->next()) {
    if (!visit(iterator->key(), iterator->value())) {
      return;
    }
  }
  if (!iterator->status().ok() && status_.ok()) {
    status_ = iterator->status();
  }
}

void BatchState::put(workloads::Keyspace keyspace, std::string_view key, std::string_view value) {
  batch_.put(id(keyspace), key, value);
  overlays_.at(id(keyspace)).keys.insert_or_assign(std::string(key), std::string(value));
}

void BatchState::erase(workloads::Keyspace keyspace, std::string_view key) {
  batch_.erase(id(keyspace), key);
  overlays_.at(id(keyspace)).keys.insert_or_assign(std::string(key), std::nullopt);
}

void BatchState::erase_range(workloads::Keyspace keyspace, std::string_view begin, std::string_view end) {
  batch_.erase_range(id(keyspace), begin, end);
  Overlay& overlay = overlays_.at(id(keyspace));
  for (auto at = overlay.keys.lower_bound(begin); at != overlay.keys.end() && at->first < end; ++at) {
    at->second.reset();
  }
  overlay.erased_ranges.emplace_back(begin, end);
}

void BatchState::clear() {
  batch_.clear();
  for (Overlay& overlay : overlays_) {
    overlay.keys.clear();
    overlay.erased_ranges.clear();
  }
}

}  // namespace chaosgate::replica
