// Reading: cursors and views over one connection, that later writes of that connection do not change.
//
// A cursor runs SQLite's own queries as long as nothing is written; before a write, whoever still reads gets
// a copy of the keyspaces it shows. One connection is all there is: a second reader would keep a
// rollback-journal database from committing. Internal to engines/sqlite.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engines/sqlite/database.h"

namespace chaosgate::sqlite {

using Pairs = std::vector<std::pair<std::string, std::string>>;  // in the order of keys

std::string table_name(std::uint32_t keyspace);

// Copies of keyspaces, each made when it is first asked for.
class Copies {
 public:
  explicit Copies(const Database& db) : db_(db) {}
  std::shared_ptr<const Pairs> of(std::uint32_t keyspace);

 private:
  const Database& db_;
  std::vector<std::shared_ptr<const Pairs>> copies_;
};

class Cursor {
 public:
  // Reads the live table, or `pairs` when given.
  Cursor(const Database& db, std::uint32_t keyspace, std::shared_ptr<const Pairs> pairs)
      : db_(db), keyspace_(keyspace), pairs_(std::move(pairs)) {}

  void seek_first();
  void seek_last();
  void seek(std::string_view target);
  void seek_for_prev(std::string_view target);
  void next();
  void prev();

  bool valid() const { return valid_; }
  const std::string& key() const { return key_; }
  const std::string& value() const { return value_; }

  // Lets go of the running query; the next move starts another from the key it stands at.
  void park();
  // Reads `pairs` from now on, if it reads the live table.
  void freeze(Copies& copies);

 private:
  enum Query : std::uint8_t { kFrom, kAfter, kUpTo, kBefore, kLast };

  void query(Query which, std::string_view bound);
  void take_row();
  void take_pair(std::size_t at);  // invalid when out of range
  std::size_t lower_bound(std::string_view key) const;

  const Database& db_;
  std::uint32_t keyspace_;
  std::shared_ptr<const Pairs> pairs_;
  std::array<Statement, 5> statements_;  // by Query, prepared when first used
  Statement* running_ = nullptr;
  bool running_forward_ = false;
  bool valid_ = false;
  std::string key_;
  std::string value_;
  std::string bound_;  // of the running query
};

}  // namespace chaosgate::sqlite
