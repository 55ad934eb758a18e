// Faults of Engine::write(): batches that are split, thinned out, or carry a wrong applied index.

#include <string>
#include <utility>

#include "engines/faulty/decorator.h"
#include "harness/base/coding.h"

namespace chaosgate::engines {
namespace {

// In a cycle of a few dozen batches, a fault that strikes one batch in this many strikes at least once.
constexpr std::uint64_t kLostBatchPeriod = 16;

class WriteFault : public ForwardingEngine {
 public:
  WriteFault(const FaultContext& context, std::unique_ptr<Engine> inner)
      : ForwardingEngine(std::move(inner)), context_(context) {}

 protected:
  const FaultContext& context() const { return context_; }

  // Sorts the mutations into those of the state machine and those of the applied index.
  void split(const WriteBatch& batch, WriteBatch* data, WriteBatch* witness) const {
    (void)batch.for_each([&](const WriteBatch::Mutation& mutation) {
      append(mutation, context_.is_witness(mutation) ? witness : data);
      return Status();
    });
  }

  Status write_in_two(const WriteBatch& first, const WriteBatch& second) {
    RETURN_IF_ERROR(inner().write(first));
    context_.gap();
    return inner().write(second);
  }

 private:
  const FaultContext context_;
};

class IndexOutsideBatch final : public WriteFault {
 public:
  using WriteFault::WriteFault;
  Status write(const WriteBatch& batch) override {
    WriteBatch data;
    WriteBatch witness;
    split(batch, &data, &witness);
    return witness.empty() ? inner().write(batch) : write_in_two(data, witness);
  }
};

class IndexBeforeBatch final : public WriteFault {
 public:
  using WriteFault::WriteFault;
  Status write(const WriteBatch& batch) override {
    WriteBatch data;
    WriteBatch witness;
    split(batch, &data, &witness);
    return witness.empty() ? inner().write(batch) : write_in_two(witness, data);
  }
};

class HalfBatch final : public WriteFault {
 public:
  using WriteFault::WriteFault;
  Status write(const WriteBatch& batch) override {
    WriteBatch data;
    WriteBatch second;
    split(batch, &data, &second);
    if (data.count() < 2) {
      return inner().write(batch);
    }
    WriteBatch first;
    std::size_t position = 0;
    WriteBatch rest;
    (void)data.for_each([&](const WriteBatch::Mutation& mutation) {
      append(mutation, position++ < data.count() / 2 ? &first : &rest);
      return Status();
    });
    (void)second.for_each([&](const WriteBatch::Mutation& mutation) {
      append(mutation, &rest);
      return Status();
    });
    return write_in_two(first, rest);
  }
};

// What is stored as the applied index is off by Offset; recovery reads what is stored.
template <int Offset>
class IndexOff final : public WriteFault {
 public:
  using WriteFault::WriteFault;
  Status write(const WriteBatch& batch) override {
    WriteBatch changed;
    (void)batch.for_each([&](const WriteBatch::Mutation& mutation) {
      std::uint64_t index = 0;
      if (!context().is_witness(mutation) || !Reader(mutation.value).u64(&index) || index == 0) {
        append(mutation, &changed);
        return Status();
      }
      std::string value;
      put_u64(&value, index + static_cast<std::uint64_t>(Offset));  // wraps around to a subtraction
      changed.put(mutation.keyspace, mutation.key, value);
      return Status();
    });
    return inner().write(changed);
  }
};

class LostBatch final : public WriteFault {
 public:
  using WriteFault::WriteFault;
  Status write(const WriteBatch& batch) override {
    WriteBatch data;
    WriteBatch witness;
    split(batch, &data, &witness);
    if (witness.empty() || data.empty() || ++batches_ % kLostBatchPeriod != 0) {
      return inner().write(batch);
    }
    return inner().write(witness);
  }

 private:
  std::uint64_t batches_ = 0;
};

class EmptyValueIsAbsent final : public WriteFault {
 public:
  using WriteFault::WriteFault;
  Status write(const WriteBatch& batch) override {
    WriteBatch changed;
    (void)batch.for_each([&](const WriteBatch::Mutation& mutation) {
      if (mutation.kind == WriteBatch::Kind::put && mutation.value.empty()) {
        changed.erase(mutation.keyspace, mutation.key);
      } else {
        append(mutation, &changed);
      }
      return Status();
    });
    return inner().write(changed);
  }
};

class DeleteRangeOffByOne final : public WriteFault {
 public:
  using WriteFault::WriteFault;
  Status write(const WriteBatch& batch) override {
    WriteBatch changed;
    (void)batch.for_each([&](const WriteBatch::Mutation& mutation) {
      append(mutation, &changed);
      const std::string_view end = mutation.value;
      if (mutation.kind == WriteBatch::Kind::erase_range && !end.empty() && end.size() <= kKeyBytesMax) {
        changed.erase(mutation.keyspace, end);
      }
      return Status();
    });
    return inner().write(changed);
  }
};

// The check puts back what the last batch overwrote. The next write brings the batch back, so only a death in
// between shows it. A batch with a range is left alone.
class CheckLosesCommit final : public WriteFault {
 public:
  using WriteFault::WriteFault;
  Status write(const WriteBatch& batch) override {
    WriteBatch all;
    if (std::exchange(lost_, false)) {
      (void)last_.for_each([&](const WriteBatch::Mutation& mutation) {
        append(mutation, &all);
        return Status();
      });
    }
    RETURN_IF_ERROR(remember(batch));
    (void)batch.for_each([&](const WriteBatch::Mutation& mutation) {
      append(mutation, &all);
      return Status();
    });
    return inner().write(all);
  }
  Status check_integrity() override {
    RETURN_IF_ERROR(inner().check_integrity());
    lost_ = !undo_.empty();
    return lost_ ? inner().write(undo_) : Status();
  }

 private:
  Status remember(const WriteBatch& batch) {
    undo_.clear();
    last_.clear();
    bool has_range = false;
    RETURN_IF_ERROR(batch.for_each([&](const WriteBatch::Mutation& mutation) {
      append(mutation, &last_);
      has_range = has_range || mutation.kind == WriteBatch::Kind::erase_range;
      return check_mutation(mutation, context().options.keyspaces.size());
    }));
    if (has_range) {
      return {};
    }
    return batch.for_each([&](const WriteBatch::Mutation& mutation) -> Status {
      std::string old;
      const Status found = inner().get(mutation.keyspace, mutation.key, &old);
      if (found.ok()) {
        undo_.put(mutation.keyspace, mutation.key, old);
      } else if (found.is_not_found()) {
        undo_.erase(mutation.keyspace, mutation.key);
      } else {
        return found;
      }
      return {};
    });
  }

  WriteBatch last_;
  WriteBatch undo_;
  bool lost_ = false;
};

}  // namespace

Status open_index_outside_batch(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<IndexOutsideBatch>(context, engine);
}
Status open_index_before_batch(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<IndexBeforeBatch>(context, engine);
}
Status open_half_batch(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<HalfBatch>(context, engine);
}
Status open_index_one_high(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<IndexOff<1>>(context, engine);
}
Status open_index_one_low(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<IndexOff<-1>>(context, engine);
}
Status open_lost_batch(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<LostBatch>(context, engine);
}
Status open_check_loses_commit(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<CheckLosesCommit>(context, engine);
}
Status open_empty_value_is_absent(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<EmptyValueIsAbsent>(context, engine);
}
Status open_delete_range_off_by_one(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<DeleteRangeOffByOne>(context, engine);
}

}  // namespace chaosgate::engines
