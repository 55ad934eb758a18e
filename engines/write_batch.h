// WriteBatch is an ordered list of mutations over several keyspaces, to be applied atomically.
//
// A value type without an engine. All bytes lie in one buffer, so clear() keeps the memory and a batch can
// be reused without allocation. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace chaosgate::engines {

using KeyspaceId = std::uint8_t;  // position in EngineOptions::keyspaces

class WriteBatch {
 public:
  enum class Kind : std::uint8_t { put, erase, erase_range };

  struct Mutation {
    Kind kind;
    KeyspaceId keyspace;
    std::string_view key;    // begin of the range for erase_range
    std::string_view value;  // put: the value; erase_range: the end, excluded
  };

  void put(KeyspaceId keyspace, std::string_view key, std::string_view value);
  void erase(KeyspaceId keyspace, std::string_view key);
  // Removes keys in [begin, end). An empty range does nothing. REQUIRES: begin <= end.
  void erase_range(KeyspaceId keyspace, std::string_view begin, std::string_view end);

  void clear();
  bool empty() const { return count_ == 0; }
  std::size_t count() const { return count_; }
  std::size_t bytes() const { return buffer_.size(); }
  // Of keys, values and ends of ranges alone.
  std::size_t payload_bytes() const;

  // Calls visit(const Mutation&) for each mutation in order; stops at and returns the first Status that
  // is not ok. The views are good until the batch changes.
  template <typename Visit>
  auto for_each(Visit&& visit) const {
    using Result = decltype(visit(Mutation{}));
    for (std::size_t at = 0; at < buffer_.size();) {
      if (Result result = visit(decode(&at)); !result.ok()) {
        return result;
      }
    }
    return Result();
  }

 private:
  void add(Kind kind, KeyspaceId keyspace, std::string_view key, std::string_view value);
  Mutation decode(std::size_t* at) const;

  std::string buffer_;
  std::size_t count_ = 0;
};

}  // namespace chaosgate::engines
