// MapState is the plainest MutableState: a std::map per keyspace. For tests.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "workloads/state_machine.h"

namespace chaosgate::workloads {

class MapState : public MutableState {
 public:
  using Map = std::map<std::string, std::string, std::less<>>;

  Map& operator[](Keyspace keyspace) { return maps_[static_cast<std::size_t>(keyspace)]; }
  std::uint64_t live_keys() const { return maps_[0].size() + maps_[1].size() + maps_[2].size(); }
  std::uint64_t live_bytes() const { return live_bytes_; }
  bool operator==(const MapState& other) const { return maps_ == other.maps_; }

  bool get(Keyspace keyspace, std::string_view key, std::string* value) override {
    const auto found = (*this)[keyspace].find(key);
    if (found == (*this)[keyspace].end()) {
      return false;
    }
    *value = found->second;
    return true;
  }
  void scan(Keyspace keyspace, std::string_view begin, std::string_view end,
            const std::function<bool(std::string_view, std::string_view)>& visit) override {
    const Map& map = (*this)[keyspace];
    for (auto at = map.lower_bound(begin); at != map.end() && at->first < end; ++at) {
      if (!visit(at->first, at->second)) {
        return;
      }
    }
  }
  void put(Keyspace keyspace, std::string_view key, std::string_view value) override {
    Map& map = (*this)[keyspace];
    auto found = map.lower_bound(key);
    if (found == map.end() || found->first != key) {
      found = map.emplace_hint(found, key, "");
      live_bytes_ += key.size();
    }
    live_bytes_ += value.size() - found->second.size();
    found->second.assign(value);
  }
  void erase(Keyspace keyspace, std::string_view key) override {
    Map& map = (*this)[keyspace];
    if (const auto found = map.find(key); found != map.end()) {
      live_bytes_ -= found->first.size() + found->second.size();
      map.erase(found);
    }
  }
  void erase_range(Keyspace keyspace, std::string_view begin, std::string_view end) override {
    Map& map = (*this)[keyspace];
    for (auto at = map.lower_bound(begin); at != map.end() && at->first < end;) {
      live_bytes_ -= at->first.size() + at->second.size();
      at = map.erase(at);
    }
  }

 private:
  std::array<Map, kKeyspaceCount> maps_;
  std::uint64_t live_bytes_ = 0;
};

}  // namespace chaosgate::workloads
