#include "harness/replica/border_sizes.h"

#include <array>
#include <string>
#include <utility>

#include "harness/replica/space.h"

namespace chaosgate::replica {

namespace fs = std::filesystem;

namespace {

constexpr std::array<std::int64_t, 3> kBorders = {512, 4096, 32768};
constexpr std::int64_t kNear = 8;          // bytes beside a border
constexpr std::int64_t kCostGuessed = 96;  // at most, of a batch whose cost is not known

}  // namespace

BorderSizes::BorderSizes(const engines::EngineConfig& config, fs::path directory, const Rng& rng)
    : config_(config), directory_(std::move(directory)), rng_(rng) {
  look();
}

// Which file grew most, and by how much.
void BorderSizes::look() {
  grown_ = 0;
  // What cannot be listed has not grown.
  (void)for_each_file(config_, directory_, [&](const std::string& path, const struct stat& status) {
    const auto size = static_cast<std::int64_t>(status.st_size);
    const auto [known, is_new] = sizes_.try_emplace(path, size);
    const std::int64_t grown = size - (is_new ? size : std::exchange(known->second, size));
    if (grown > grown_) {
      grown_ = grown;
      log_end_ = size;
    }
  });
}

std::int64_t BorderSizes::cost(std::int64_t count) const {
  return last_.bytes + of_mutation_ * (count - last_.count);
}

void BorderSizes::pad(engines::KeyspaceId keyspace, std::string_view key, engines::WriteBatch* batch) {
  const std::int64_t border = kBorders.at(rng_.weighted({4, 4, 1}));
  const bool by_end = rng_.chance(1, 2);
  const std::int64_t beside =
      rng_.chance(1, 2) ? 0 : static_cast<std::int64_t>(rng_.below(2 * kNear + 1)) - kNear;
  const auto guess = static_cast<std::int64_t>(rng_.below(kCostGuessed));
  const auto count = static_cast<std::int64_t>(batch->count()) + 1;
  std::int64_t bytes =
      static_cast<std::int64_t>(batch->payload_bytes() + key.size()) + (known_ ? cost(count) : guess);
  if (known_ && by_end) {
    bytes += log_end_;
  }
  const std::int64_t over = (bytes - beside) % border;
  batch->put(keyspace, key, std::string(static_cast<std::size_t>(over > 0 ? border - over : -over), 'p'));
}

void BorderSizes::wrote(const engines::WriteBatch& batch) {
  look();
  const auto payload = static_cast<std::int64_t>(batch.payload_bytes());
  known_ = grown_ >= payload && grown_ > 0;
  if (!known_) {
    return;
  }
  const Cost now{static_cast<std::int64_t>(batch.count()), grown_ - payload};
  if (last_.count != 0 && now.count != last_.count) {
    of_mutation_ = (now.bytes - last_.bytes) / (now.count - last_.count);
  }
  last_ = now;
}

}  // namespace chaosgate::replica
