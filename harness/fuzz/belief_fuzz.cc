// The oracle's belief as a bundle keeps it: what was loaded is saved and loaded again as the same, and
// whether a recovery can follow it is answered.
#include <cstring>

#include "harness/base/check.h"
#include "harness/base/coding.h"
#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/sealed.h"
#include "oracle/oracle.h"

namespace chaosgate::fuzz {
namespace {

using oracle::Oracle;

constexpr std::size_t kBeginBytes = 16;  // magic, version, generator
constexpr std::size_t kHeadBytes = 24;   // and length
constexpr std::size_t kSumBytes = 8;
constexpr std::uint64_t kBehindMax = 16;  // entries: making them again is what takes the time

const workloads::Generator& generator() {
  static const workloads::Generator kGenerator("small", 1);
  return kGenerator;
}

std::string saved(const Oracle& oracle) {
  std::string bytes;
  oracle.save(&bytes);
  return bytes;
}

std::vector<std::string> seeds() {
  Oracle fresh(generator());
  Oracle begun(generator());
  begun.begin_term(3);
  begun.learn(20, 2);
  begun.begin_term(7);
  begun.cut_suffix(18);
  begun.begin_term(9);
  return {saved(fresh), saved(begun)};
}

// Where the index stands that the model is to reach; 0 when the fields are not there.
std::size_t index_at(const std::string& bytes) {
  Reader reader(std::string_view(bytes).substr(kHeadBytes, bytes.size() - kHeadBytes - kSumBytes));
  const std::size_t all = reader.rest().size();
  std::string_view skipped;
  const auto skip = [&](std::uint64_t fields) { return reader.raw(8 * fields, &skipped); };
  const auto skip_list = [&](std::uint64_t item_bytes) {
    std::uint64_t count = 0;
    return reader.u64(&count) && count <= reader.rest().size() / item_bytes &&
           reader.raw(count * item_bytes, &skipped);
  };
  return skip(1) && skip_list(8) && skip(2) && skip(1) && skip_list(16) && skip_list(25)
             ? kHeadBytes + all - reader.rest().size()
             : 0;
}

void store(std::string* bytes, std::size_t at, std::uint64_t value) {
  std::memcpy(bytes->data() + at, &value, sizeof value);
}

// The frame; and a model that is not far behind the index that it is to reach.
void repair(Rng& rng, std::string* bytes) {
  static const std::string kBegin = seeds().front().substr(0, kBeginBytes);
  if (bytes->size() < kHeadBytes + kSumBytes) {
    return;
  }
  store(bytes, kBeginBytes, bytes->size() - kHeadBytes - kSumBytes);
  const std::size_t at = index_at(*bytes);
  if (at != 0 && bytes->size() - at >= 24 + kSumBytes) {
    store(bytes, at + 8, bytes->size() - at - 16 - kSumBytes);
    const auto model = load_fixed<std::uint64_t>(bytes->data() + at + 16);
    store(bytes, at, model + rng.below(kBehindMax));
  }
  seal(kBegin, bytes);
}

Reach run(std::string_view bytes) {
  static const std::string kBegin = seeds().front().substr(0, kBeginBytes);
  std::unique_ptr<Oracle> loaded;
  if (!Oracle::load(bytes, generator(), &loaded).ok()) {
    CHECK(loaded == nullptr);
    return is_sealed(bytes, kBegin) ? Reach::verified : Reach::refused;
  }
  const std::string again = saved(*loaded);
  std::unique_ptr<Oracle> second;
  const Status status = Oracle::load(again, generator(), &second);
  CHECK(status.ok(), "{}", status.message());
  CHECK(saved(*second) == again && second->last_index() == loaded->last_index() &&
        second->live_keys() == loaded->live_keys());
  const std::uint64_t last = loaded->last_index();
  const bool can = loaded->can_recover(10, {last, last}, 0).ok();
  CHECK(can == second->can_recover(10, {last, last}, 0).ok());
  return Reach::accepted;
}

}  // namespace

// Entries that are made again are not the input's bytes.
Target target() { return {"belief", seeds, repair, run, 16 << 20}; }

}  // namespace chaosgate::fuzz
