// Faults of reading: backward iteration, snapshots and gets that do not show the state they should.

#include <map>

#include "engines/faulty/decorator.h"

namespace chaosgate::engines {
namespace {

constexpr std::uint64_t kSkipPeriod = 5;       // of the backward steps of one iterator
constexpr std::uint64_t kStaleReadPeriod = 4;  // of the gets that have an older value to offer
constexpr std::size_t kOldValuesMax = 4096;    // then all are forgotten, to bound memory

class SkippingIterator final : public Iterator {
 public:
  explicit SkippingIterator(std::unique_ptr<Iterator> inner) : inner_(std::move(inner)) {}

  bool valid() const override { return inner_->valid(); }
  void seek_to_first() override { inner_->seek_to_first(); }
  void seek_to_last() override { inner_->seek_to_last(); }
  void seek(std::string_view target) override { inner_->seek(target); }
  void seek_for_prev(std::string_view target) override { inner_->seek_for_prev(target); }
  void next() override { inner_->next(); }
  void prev() override {
    inner_->prev();
    if (++steps_ % kSkipPeriod == 0 && inner_->valid()) {
      inner_->prev();
    }
  }
  std::string_view key() const override { return inner_->key(); }
  std::string_view value() const override { return inner_->value(); }
  Status status() const override { return inner_->status(); }

 private:
  std::unique_ptr<Iterator> inner_;
  std::uint64_t steps_ = 0;
};

class SkippingSnapshot final : public Snapshot {
 public:
  explicit SkippingSnapshot(std::unique_ptr<Snapshot> inner) : inner_(std::move(inner)) {}

  Status get(KeyspaceId keyspace, std::string_view key, std::string* value) override {
    return inner_->get(keyspace, key, value);
  }
  std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) override {
    return std::make_unique<SkippingIterator>(inner_->iterator(keyspace));
  }

 private:
  std::unique_ptr<Snapshot> inner_;
};

class BackwardSkips final : public ForwardingEngine {
 public:
  BackwardSkips(const FaultContext&, std::unique_ptr<Engine> inner) : ForwardingEngine(std::move(inner)) {}

  std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) override {
    return std::make_unique<SkippingIterator>(inner().iterator(keyspace));
  }
  std::unique_ptr<Snapshot> snapshot() override {
    return std::make_unique<SkippingSnapshot>(inner().snapshot());
  }
};

class LiveSnapshot final : public Snapshot {
 public:
  explicit LiveSnapshot(Engine& engine) : engine_(engine) {}

  Status get(KeyspaceId keyspace, std::string_view key, std::string* value) override {
    return engine_.get(keyspace, key, value);
  }
  std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) override { return engine_.iterator(keyspace); }

 private:
  Engine& engine_;
};

class SnapshotNotIsolated final : public ForwardingEngine {
 public:
  SnapshotNotIsolated(const FaultContext&, std::unique_ptr<Engine> inner)
      : ForwardingEngine(std::move(inner)) {}

  std::unique_ptr<Snapshot> snapshot() override { return std::make_unique<LiveSnapshot>(inner()); }
};

class StaleRead final : public ForwardingEngine {
 public:
  StaleRead(const FaultContext& context, std::unique_ptr<Engine> inner)
      : ForwardingEngine(std::move(inner)), context_(context) {}

  Status write(const WriteBatch& batch) override {
    if (old_values_.size() > kOldValuesMax) {
      old_values_.clear();
    }
    (void)batch.for_each([&](const WriteBatch::Mutation& mutation) {
      remember(mutation);
      return Status();
    });
    return inner().write(batch);
  }

  Status get(KeyspaceId keyspace, std::string_view key, std::string* value) override {
    const auto old = old_values_.find(Place(keyspace, key));
    if (old != old_values_.end() && ++reads_ % kStaleReadPeriod == 0) {
      *value = old->second;
      return {};
    }
    return inner().get(keyspace, key, value);
  }

 private:
  using Place = std::pair<KeyspaceId, std::string>;

  void remember(const WriteBatch::Mutation& mutation) {
    const Place place(mutation.keyspace, mutation.key);
    switch (mutation.kind) {
      case WriteBatch::Kind::put: {
        std::string value;
        if (!context_.is_witness(mutation) && inner().get(mutation.keyspace, mutation.key, &value).ok() &&
            value != mutation.value) {
          old_values_[place] = value;
        }
        return;
      }
      case WriteBatch::Kind::erase:
        old_values_.erase(place);
        return;
      case WriteBatch::Kind::erase_range:
        old_values_.erase(old_values_.lower_bound(place),
                          old_values_.lower_bound(Place(mutation.keyspace, mutation.value)));
        return;
    }
  }

  const FaultContext context_;
  std::map<Place, std::string> old_values_;  // of keys that are still there: the value before the current one
  std::uint64_t reads_ = 0;
};

}  // namespace

Status open_backward_skips(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<BackwardSkips>(context, engine);
}
Status open_snapshot_not_isolated(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<SnapshotNotIsolated>(context, engine);
}
Status open_stale_read(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<StaleRead>(context, engine);
}

}  // namespace chaosgate::engines
