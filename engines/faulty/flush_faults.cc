// Faults of Engine::flush(), compact() and the close: what is durable, and when.

#include <optional>

#include "engines/faulty/decorator.h"

namespace chaosgate::engines {
namespace {

class FlushLies final : public ForwardingEngine {
 public:
  FlushLies(const FaultContext&, std::unique_ptr<Engine> inner) : ForwardingEngine(std::move(inner)) {}
  Status flush() override { return {}; }
};

class CloseFlushes final : public ForwardingEngine {
 public:
  CloseFlushes(const FaultContext&, std::unique_ptr<Engine> inner) : ForwardingEngine(std::move(inner)) {}
  ~CloseFlushes() override { (void)inner().flush(); }
  Status flush() override { return {}; }
};

// The rewritten store has the applied index that was current at the last flush; the right one, which was only
// in memory, comes back with the next batch.
class DefragLosesIndex final : public ForwardingEngine {
 public:
  DefragLosesIndex(const FaultContext& context, std::unique_ptr<Engine> inner)
      : ForwardingEngine(std::move(inner)), context_(context) {
    remember_witness();
  }

  Status flush() override {
    RETURN_IF_ERROR(inner().flush());
    remember_witness();
    return {};
  }

  Status compact() override {
    WriteBatch restore;
    if (flushed_witness_) {
      restore.put(context_.witness_keyspace, context_.witness_key, *flushed_witness_);
    } else {
      restore.erase(context_.witness_keyspace, context_.witness_key);
    }
    // Before, not after: so the rewrite makes it durable on every engine.
    RETURN_IF_ERROR(inner().write(restore));
    return inner().compact();
  }

 private:
  void remember_witness() {
    std::string value;
    flushed_witness_.reset();
    if (inner().get(context_.witness_keyspace, context_.witness_key, &value).ok()) {
      flushed_witness_ = value;
    }
  }

  const FaultContext context_;
  std::optional<std::string> flushed_witness_;
};

}  // namespace

// The one fault that needs its engine's help: only the engine can flush one keyspace without the others.
Status open_flush_not_atomic(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  FaultContext torn = context;
  torn.options.atomic_flush = false;
  return open_inner(torn, engine);
}
Status open_flush_lies(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<FlushLies>(context, engine);
}
Status open_close_flushes(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<CloseFlushes>(context, engine);
}
Status open_defrag_loses_index(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<DefragLosesIndex>(context, engine);
}

}  // namespace chaosgate::engines
