#include "oracle/model.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

#include "harness/base/check.h"
#include "harness/base/coding.h"
#include "harness/base/hash.h"

namespace chaosgate::oracle {

using workloads::Keyspace;

namespace {

std::uint64_t pair_hash(std::string_view key, std::string_view value) { return hash64(value, hash64(key)); }

}  // namespace

void Digest::OfKeyspace::add(std::string_view key, std::string_view value) {
  ++keys;
  sum += pair_hash(key, value);
}

void Digest::OfKeyspace::remove(std::string_view key, std::string_view value) {
  --keys;
  sum -= pair_hash(key, value);
}

// Applies mutations to the maps and writes down what was there before.
class Model::Recorder : public workloads::MutableState {
 public:
  Recorder(Model& model, std::vector<Undo>& undo) : model_(model), undo_(undo) {}

  bool get(Keyspace keyspace, std::string_view key, std::string* value) override {
    const Map& map = model_.map(keyspace);
    const auto found = map.find(key);
    if (found == map.end()) {
      return false;
    }
    *value = found->second;
    return true;
  }

  void scan(Keyspace keyspace, std::string_view begin, std::string_view end,
            const std::function<bool(std::string_view, std::string_view)>& visit) override {
    const Map& map = model_.map(keyspace);
    for (auto at = map.lower_bound(begin); at != map.end() && at->first < end; ++at) {
      if (!visit(at->first, at->second)) {
        return;
      }
    }
  }

  void put(Keyspace keyspace, std::string_view key, std::string_view value) override {
    Map& map = model_.map(keyspace);
    const auto found = map.lower_bound(key);
    Digest::OfKeyspace& digest = model_.digest_.keyspaces[static_cast<std::size_t>(keyspace)];
    digest.add(key, value);
    if (found != map.end() && found->first == key) {
      digest.remove(key, found->second);
      undo_.push_back({keyspace, true, found->first, std::exchange(found->second, std::string(value))});
    } else {
      undo_.push_back({keyspace, false, std::string(key), {}});
      map.emplace_hint(found, key, value);
    }
  }

  void erase(Keyspace keyspace, std::string_view key) override {
    Map& map = model_.map(keyspace);
    if (const auto found = map.find(key); found != map.end()) {
      take(keyspace, map, found);
    }
  }

  void erase_range(Keyspace keyspace, std::string_view begin, std::string_view end) override {
    Map& map = model_.map(keyspace);
    for (auto at = map.lower_bound(begin); at != map.end() && at->first < end;) {
      const auto next = std::next(at);
      take(keyspace, map, at);
      at = next;
    }
  }

 private:
  void take(Keyspace keyspace, Map& map, Map::iterator at) {
    model_.digest_.keyspaces[static_cast<std::size_t>(keyspace)].remove(at->first, at->second);
    auto node = map.extract(at);
    undo_.push_back({keyspace, true, std::move(node.key()), std::move(node.mapped())});
  }

  Model& model_;
  std::vector<Undo>& undo_;
};

const Digest& Model::digest_at(std::uint64_t index) const {
  CHECK(floor_ <= index && index <= this->index(), "digest at {}: the model is at {} and reaches {}", index,
        this->index(), floor_);
  return index == this->index() ? digest_ : journal_[index - floor_].before;
}

void Model::advance(std::uint64_t index, const workloads::Transaction& transaction) {
  CHECK(index == this->index() + 1, "advance to {} from {}", index, this->index());
  journal_.push_back({digest_, {}});
  Recorder recorder(*this, journal_.back().undo);
  workloads::apply(transaction, recorder);
}

void Model::rewind(std::uint64_t index) {
  CHECK(floor_ <= index && index <= this->index(), "rewind to {}: the model is at {} and reaches {}", index,
        this->index(), floor_);
  while (this->index() > index) {
    std::vector<Undo>& undo = journal_.back().undo;
    for (auto step = undo.rbegin(); step != undo.rend(); ++step) {
      if (step->present) {
        map(step->keyspace).insert_or_assign(std::move(step->key), std::move(step->value));
      } else {
        map(step->keyspace).erase(step->key);
      }
    }
    digest_ = journal_.back().before;
    journal_.pop_back();
  }
}

void Model::forget(std::uint64_t index) {
  while (floor_ < index && !journal_.empty()) {
    journal_.pop_front();
    ++floor_;
  }
}

void Model::visit_written(std::uint64_t index,
                          const std::function<void(Keyspace, std::string_view)>& visit) const {
  CHECK(floor_ < index && index <= this->index());
  for (const Undo& undo : journal_[index - floor_ - 1].undo) {
    visit(undo.keyspace, undo.key);
  }
}

// model := index:u64 (count:u64 (key:bytes value:bytes)[count])[kKeyspaceCount]     keys strictly ascending
void Model::save(std::string* out) const {
  put_u64(out, index());
  for (const Map& map : maps_) {
    put_u64(out, map.size());
    for (const auto& [key, value] : map) {
      put_bytes(out, key);
      put_bytes(out, value);
    }
  }
}

Status Model::load(std::string_view bytes) {
  Reader reader(bytes);
  Model loaded;
  const auto damaged = [](std::string_view what) {
    return Status::corruption(fmt::format("saved model: {}", what));
  };
  if (!reader.u64(&loaded.floor_)) {
    return damaged("no index");
  }
  for (Map& map : loaded.maps_) {
    std::uint64_t count = 0;
    if (!reader.u64(&count)) {
      return damaged("a keyspace is missing");
    }
    for (; count > 0; --count) {
      std::string_view key;
      std::string_view value;
      if (!reader.bytes(&key) || !reader.bytes(&value)) {
        return damaged("the bytes end inside a keyspace");
      }
      if (!map.empty() && key <= map.rbegin()->first) {
        return damaged("keys do not ascend");
      }
      map.emplace_hint(map.end(), key, value);
      loaded.digest_.keyspaces[static_cast<std::size_t>(&map - loaded.maps_.data())].add(key, value);
    }
  }
  if (!reader.empty()) {
    return damaged("bytes behind the last keyspace");
  }
  *this = std::move(loaded);
  return {};
}

}  // namespace chaosgate::oracle
