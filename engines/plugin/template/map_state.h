// The state of an engine as maps in memory: batches as bytes, in records; what they mean; and the reading
// half of a plugin over it, which is get, iterators and snapshots. An engine that does all this by itself
// does not need this file; its own functions take the place of these in the table.
#pragma once

#include <chaosgate_engine.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

using Keyspace = std::map<std::string, std::string>;
using State = std::vector<Keyspace>;

// Shared by all who read it. Who writes calls own() first, which copies it when somebody else reads it.
struct SharedState {
  std::shared_ptr<State> state;

  State& own() {
    if (state.use_count() > 1) {
      state = std::make_shared<State>(*state);
    }
    return *state;
  }
};

struct chaosgate_snapshot : SharedState {};
struct chaosgate_iterator : SharedState {
  Keyspace* map;
  Keyspace::iterator at;
};

inline std::string text(chaosgate_slice bytes) {
  return bytes.size == 0 ? std::string() : std::string(bytes.data, bytes.size);
}
inline chaosgate_slice slice(const std::string& bytes) { return {bytes.data(), bytes.size()}; }

// A mutation as bytes: kind, keyspace and two sizes of 8 bytes each, key, value.
inline void encode(const chaosgate_mutation& mutation, std::string* bytes) {
  const std::uint64_t head[] = {mutation.kind, mutation.keyspace, mutation.key.size, mutation.value.size};
  bytes->append(reinterpret_cast<const char*>(head), sizeof head);
  bytes->append(text(mutation.key)).append(text(mutation.value));
}

// Applies encoded mutations, one after the other.
inline void apply_mutations(const std::string& bytes, State* state) {
  std::uint64_t head[4];
  for (std::size_t at = 0; at < bytes.size(); at += sizeof head + head[2] + head[3]) {
    std::memcpy(head, bytes.data() + at, sizeof head);
    const std::string key = bytes.substr(at + sizeof head, head[2]);
    const std::string value = bytes.substr(at + sizeof head + head[2], head[3]);
    Keyspace& map = state->at(head[1]);
    if (head[0] == CHAOSGATE_PUT) {
      map[key] = value;
    } else if (head[0] == CHAOSGATE_DELETE) {
      map.erase(key);
    } else {
      map.erase(map.lower_bound(key), map.lower_bound(value));
    }
  }
}

// All of a state as one batch.
inline std::string encode(const State& state) {
  std::string bytes;
  for (std::uint32_t keyspace = 0; keyspace < state.size(); ++keyspace) {
    for (const auto& [key, value] : state[keyspace]) {
      encode({CHAOSGATE_PUT, keyspace, slice(key), slice(value)}, &bytes);
    }
  }
  return bytes;
}

// record := size:u64 hash:u64 body
inline std::string record(const std::string& body) {
  const std::uint64_t head[] = {body.size(), std::hash<std::string>()(body)};
  return std::string(reinterpret_cast<const char*>(head), sizeof head) + body;
}

inline bool append(int fd, const std::string& bytes) {
  return ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
}

// Makes a new file with these bytes, durably.
inline bool write_file(const std::string& path, const std::string& bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  return fd >= 0 && append(fd, bytes) && ::fsync(fd) == 0 && ::close(fd) == 0;
}

inline bool is_filled(const std::string& path) {
  std::error_code error;
  return std::filesystem::file_size(path, error) > 0 && !error;
}

// Calls visit(number, body) for each record, up to the first one that is not whole (a crash tore it) or for
// which it returns false. Returns where that one begins.
template <typename Visit>
std::uint64_t read_records(const std::string& path, Visit&& visit) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  std::uint64_t at = 0;
  std::uint64_t head[2];
  for (std::uint64_t number = 0; at + sizeof head <= bytes.size(); ++number, at += sizeof head + head[0]) {
    std::memcpy(head, bytes.data() + at, sizeof head);
    const std::string body = bytes.substr(at + sizeof head, head[0]);
    if (body.size() != head[0] || std::hash<std::string>()(body) != head[1] || !visit(number, body)) {
      break;
    }
  }
  return at;
}

inline chaosgate_code get(const SharedState* from, std::uint32_t keyspace, chaosgate_slice key,
                          chaosgate_slice* value) {
  const Keyspace& map = (*from->state)[keyspace];
  const auto found = map.find(text(key));
  if (found == map.end()) {
    return CHAOSGATE_NOT_FOUND;
  }
  *value = slice(found->second);
  return CHAOSGATE_OK;
}

inline chaosgate_code new_iterator(const SharedState* from, std::uint32_t keyspace,
                                   chaosgate_iterator** iterator) {
  Keyspace& map = (*from->state)[keyspace];
  *iterator = new chaosgate_iterator{{from->state}, &map, map.end()};
  return CHAOSGATE_OK;
}

inline chaosgate_code stand(chaosgate_iterator* iterator, Keyspace::iterator at,
                            chaosgate_position* position) {
  iterator->at = at;
  position->valid = at != iterator->map->end() ? 1 : 0;
  if (position->valid != 0) {
    position->key = slice(at->first);
    position->value = slice(at->second);
  }
  return CHAOSGATE_OK;
}

inline Keyspace::iterator before(chaosgate_iterator* iterator, Keyspace::iterator at) {
  return at == iterator->map->begin() ? iterator->map->end() : std::prev(at);
}

// Fills in the part of the table that reads. Engine: the plugin's chaosgate_engine, which is a SharedState.
template <typename Engine>
void add_reads(chaosgate_functions* table) {
  using Iterator = chaosgate_iterator*;
  using Position = chaosgate_position*;
  using Message = chaosgate_message*;
  table->get = [](Engine* engine, std::uint32_t keyspace, chaosgate_slice key, chaosgate_slice* value,
                  Message) { return get(engine, keyspace, key, value); };
  table->iterator = [](Engine* engine, std::uint32_t keyspace, Iterator* iterator, Message) {
    return new_iterator(engine, keyspace, iterator);
  };
  table->iterator_seek_first = [](Iterator it, Position position, Message) {
    return stand(it, it->map->begin(), position);
  };
  table->iterator_seek_last = [](Iterator it, Position position, Message) {
    return stand(it, before(it, it->map->end()), position);
  };
  table->iterator_seek = [](Iterator it, chaosgate_slice target, Position position, Message) {
    return stand(it, it->map->lower_bound(text(target)), position);
  };
  table->iterator_seek_for_prev = [](Iterator it, chaosgate_slice target, Position position, Message) {
    return stand(it, before(it, it->map->upper_bound(text(target))), position);
  };
  table->iterator_next = [](Iterator it, Position position, Message) {
    return stand(it, std::next(it->at), position);
  };
  table->iterator_prev = [](Iterator it, Position position, Message) {
    return stand(it, before(it, it->at), position);
  };
  table->iterator_free = [](Iterator it) { delete it; };
  table->snapshot = [](Engine* engine, chaosgate_snapshot** snapshot, Message) {
    *snapshot = new chaosgate_snapshot{{engine->state}};
    return CHAOSGATE_OK;
  };
  table->snapshot_get = [](chaosgate_snapshot* snapshot, std::uint32_t keyspace, chaosgate_slice key,
                           chaosgate_slice* value, Message) { return get(snapshot, keyspace, key, value); };
  table->snapshot_iterator = [](chaosgate_snapshot* snapshot, std::uint32_t keyspace, Iterator* iterator,
                                Message) { return new_iterator(snapshot, keyspace, iterator); };
  table->snapshot_free = [](chaosgate_snapshot* snapshot) { delete snapshot; };
}
