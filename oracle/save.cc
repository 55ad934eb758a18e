// Oracle::save() and load(). The format (little-endian):
//
//   oracle := magic:u32 version:u32 generator:u64 length:u64 body[length] checksum:u64
//   body   := newest_term:u64 open:u64 (term:u64)[open] acknowledged:u64 log_first:u64
//             history (history.cc)
//             lost:u64 (term:u64 first:u64 last:u64 discarded:u8)[lost]
//             index:u64 model:bytes-with-u64-length (model.cc; at the model's floor, index says where it was)
//
// checksum = hash64 of everything before it; generator = a hash of a few entries, so that belief about one
// seed and profile is not taken for that about another. Entries are not saved: the generator makes them
// again.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/base/coding.h"
#include "harness/base/hash.h"
#include "oracle/oracle_state.h"

namespace chaosgate::oracle {
namespace {

constexpr std::uint32_t kMagic = 0x6c726f63;  // "corl"
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kEntriesBehindMax = 1'000'000;  // a hundred loads

std::uint64_t fingerprint(const workloads::Generator& generator) {
  std::uint64_t hash = hash64(generator.payload(1, 1));
  for (std::uint64_t i = 1; i <= 8; ++i) {
    hash = hash64(generator.payload(1, generator.preload_entries() + i), hash);
  }
  return hash;
}

Status damaged(std::string_view what) { return Status::corruption(fmt::format("saved oracle: {}", what)); }

bool take_lost(Reader* reader, std::deque<LostTail>* lost) {
  std::uint64_t count = 0;
  if (!reader->u64(&count) || count > kLostTailsKept) {
    return false;
  }
  for (; count > 0; --count) {
    LostTail tail{};
    std::uint8_t discarded = 0;
    if (!reader->u64(&tail.term) || !reader->u64(&tail.first) || !reader->u64(&tail.last) ||
        !reader->u8(&discarded)) {
      return false;
    }
    tail.discarded = discarded != 0;
    lost->push_back(tail);
  }
  return true;
}

bool take_terms(Reader* reader, std::vector<std::uint64_t>* terms) {
  std::uint64_t count = 0;
  if (!reader->u64(&count) || count > reader->rest().size() / sizeof(std::uint64_t)) {
    return false;
  }
  terms->resize(count);
  for (std::uint64_t& term : *terms) {
    if (!reader->u64(&term)) {
      return false;
    }
  }
  return true;
}

}  // namespace

void Oracle::State::save_belief(std::string* out) const {
  put_u64(out, newest_term);
  put_u64(out, open_terms.size());
  for (const std::uint64_t term : open_terms) {
    put_u64(out, term);
  }
  put_u64(out, acknowledged);
  put_u64(out, log_first);
  history.save(out);
  put_u64(out, lost.size());
  for (const LostTail& tail : lost) {
    put_u64(out, tail.term);
    put_u64(out, tail.first);
    put_u64(out, tail.last);
    put_u8(out, tail.discarded ? 1 : 0);
  }
}

void Oracle::mark() {
  state_->marked.clear();
  state_->save_belief(&state_->marked);
  state_->marked_last = state_->history.last();
}

void Oracle::save(std::string* out) const {
  const State& state = *state_;
  std::string body = state.marked;
  if (body.empty()) {
    state.save_belief(&body);
  }
  // The model may have moved since the mark, but its floor is an index that the marked history has.
  put_u64(&body, state.marked.empty() ? state.model.index() : state.model.floor());
  Model at_floor = state.model;
  at_floor.rewind(at_floor.floor());
  std::string model;
  at_floor.save(&model);
  put_u64(&body, model.size());
  body += model;

  const std::size_t start = out->size();
  put_u32(out, kMagic);
  put_u32(out, kVersion);
  put_u64(out, fingerprint(state.history.generator()));
  put_u64(out, body.size());
  *out += body;
  put_u64(out, hash64(std::string_view(*out).substr(start)));
}

Status Oracle::load(std::string_view bytes, const workloads::Generator& generator,
                    std::unique_ptr<Oracle>* oracle) {
  Reader reader(bytes);
  std::uint32_t magic = 0;
  std::uint32_t version = 0;
  std::uint64_t generator_hash = 0;
  std::uint64_t length = 0;
  std::string_view body;
  std::uint64_t checksum = 0;
  if (!reader.u32(&magic) || magic != kMagic) {
    return damaged("does not begin like one");
  }
  if (!reader.u32(&version) || version == 0) {
    return damaged("has no version");
  }
  if (version > kVersion) {
    return Status::not_supported(
        fmt::format("saved oracle: version {} is newer than the supported {}", version, kVersion));
  }
  if (!reader.u64(&generator_hash) || !reader.u64(&length) || !reader.raw(length, &body) ||
      !reader.u64(&checksum) || !reader.empty()) {
    return damaged(fmt::format("{} bytes are not its whole length", bytes.size()));
  }
  if (checksum != hash64(bytes.substr(0, bytes.size() - sizeof checksum))) {
    return damaged("the checksum does not match");
  }
  if (generator_hash != fingerprint(generator)) {
    return Status::invalid_argument("saved oracle: it is about another profile, seed or generator version");
  }

  auto state = std::make_unique<State>(generator);
  Reader fields(body);
  std::uint64_t index = 0;
  std::uint64_t model_bytes = 0;
  std::string_view model;
  if (!fields.u64(&state->newest_term) || !take_terms(&fields, &state->open_terms) ||
      !fields.u64(&state->acknowledged) || !fields.u64(&state->log_first) || !state->history.load(&fields) ||
      !take_lost(&fields, &state->lost) || !fields.u64(&index) || !fields.u64(&model_bytes) ||
      !fields.raw(model_bytes, &model) || !fields.empty()) {
    return damaged("its fields do not fit together");
  }
  RETURN_IF_ERROR(state->model.load(model));
  if (state->model.index() > index || index > state->history.last() ||
      state->acknowledged > state->history.last() || state->log_first == 0) {
    return damaged("its indexes contradict each other");
  }
  if (index - state->model.index() > kEntriesBehindMax) {
    return damaged(fmt::format("its model is {} entries behind, at most {} are made again",
                               index - state->model.index(), kEntriesBehindMax));
  }
  state->reach(index);
  oracle->reset(new Oracle(std::move(state)));
  return {};
}

Status Oracle::can_recover(std::uint64_t term, const CrashIndexes& crash, std::uint64_t cut_from) const {
  const State& state = *state_;
  if (term <= state.newest_term) {
    return Status::invalid_argument(
        fmt::format("its worker has term {}, but term {} had begun before it", term, state.newest_term));
  }
  if (cut_from != 0 && cut_from <= std::max(state.acknowledged, crash.synced)) {
    return Status::invalid_argument(
        fmt::format("its order discards entries from {} on, but {} was acknowledged", cut_from,
                    std::max(state.acknowledged, crash.synced)));
  }
  if (std::max(crash.appended, crash.synced) > state.history.last() + kEntriesBehindMax) {
    return Status::invalid_argument(
        fmt::format("it says that {} entries were appended, its belief ends at {}", crash.appended,
                    state.history.last()));
  }
  return {};
}

}  // namespace chaosgate::oracle
