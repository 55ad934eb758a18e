// The meaning of a transaction: from a state and a transaction to mutations.
//
// The replica (over an engine) and the oracle (over memory) share this function, and nothing else, so that
// both mean the same by "append". What it computes is fixed by workloads/state_machine_test.cc.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "workloads/transaction.h"

namespace chaosgate::workloads {

// A state that is read while it changes: every call sees the mutations already made.
class MutableState {
 public:
  virtual ~MutableState() = default;

  // False when the key is absent.
  virtual bool get(Keyspace keyspace, std::string_view key, std::string* value) = 0;
  // Calls visit(key, value) for the keys in [begin, end), ascending, until it returns false. The state must
  // not be changed during the scan.
  virtual void scan(Keyspace keyspace, std::string_view begin, std::string_view end,
                    const std::function<bool(std::string_view, std::string_view)>& visit) = 0;

  virtual void put(Keyspace keyspace, std::string_view key, std::string_view value) = 0;
  virtual void erase(Keyspace keyspace, std::string_view key) = 0;
  virtual void erase_range(Keyspace keyspace, std::string_view begin, std::string_view end) = 0;
};

void apply(const Transaction& transaction, MutableState& state);

// True when apply() will scan. An implementation that buffers mutations can use it to empty its buffer first.
bool scans(const Transaction& transaction);

}  // namespace chaosgate::workloads
