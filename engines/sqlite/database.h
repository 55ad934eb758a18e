// Small RAII over SQLite's C interface. Internal to engines/sqlite.
#pragma once

#include <sqlite3.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "engines/plugin/chaosgate_engine.h"

namespace chaosgate::sqlite {

// A failed call, with what SQLite says about it; caught where the plugin's functions begin.
class Error : public std::runtime_error {
 public:
  Error(int code, const std::string& text) : std::runtime_error(text), code_(code) {}
  chaosgate_code code() const {
    switch (code_ & 0xff) {
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        return CHAOSGATE_CORRUPTION;
      case SQLITE_MISUSE:
      case SQLITE_RANGE:
        return CHAOSGATE_INVALID_ARGUMENT;
      default:
        return CHAOSGATE_IO_ERROR;
    }
  }

 private:
  int code_;
};

inline void check(sqlite3* db, int code, const char* what) {
  if (code != SQLITE_OK) {
    throw Error(code, std::string(what) + ": " + (db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code)));
  }
}

class Statement {
 public:
  Statement() = default;
  Statement(sqlite3* db, const std::string& sql) : db_(db) {
    check(db, sqlite3_prepare_v3(db, sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr),
          sql.c_str());
  }
  Statement(Statement&& other) noexcept
      : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)) {}
  Statement& operator=(Statement&& other) noexcept {
    std::swap(db_, other.db_);
    std::swap(statement_, other.statement_);
    return *this;
  }
  ~Statement() { sqlite3_finalize(statement_); }

  explicit operator bool() const { return statement_ != nullptr; }

  // The bytes must stay as they are until reset(). A blob that is empty is not NULL.
  Statement& bind(int at, std::string_view bytes) {
    const char* data = bytes.empty() ? "" : bytes.data();
    check(db_, sqlite3_bind_blob64(statement_, at, data, bytes.size(), SQLITE_STATIC), "bind");
    return *this;
  }
  Statement& bind(int at, sqlite3_int64 number) {
    check(db_, sqlite3_bind_int64(statement_, at, number), "bind");
    return *this;
  }
  // True when there is a row.
  bool step() {
    const int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
      const std::string text = sqlite3_errmsg(db_);
      sqlite3_reset(statement_);
      throw Error(code, text);
    }
    return code == SQLITE_ROW;
  }
  void run() {
    step();
    reset();
  }
  void reset() { sqlite3_reset(statement_); }
  std::string_view blob(int column) {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    return {data == nullptr ? "" : data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
  }
  sqlite3_int64 number(int column) { return sqlite3_column_int64(statement_, column); }

 private:
  sqlite3* db_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
};

class Database {
 public:
  Database(const std::string& path, bool create) {
    const int code = sqlite3_open_v2(path.c_str(), &db_,
                                     SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0), nullptr);
    if (code != SQLITE_OK) {
      const Error error(code, "open " + path + ": " + sqlite3_errstr(code));
      sqlite3_close(db_);
      throw error;
    }
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database() { sqlite3_close(db_); }

  sqlite3* get() const { return db_; }
  void run(const std::string& sql) const {
    check(db_, sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr), sql.c_str());
  }
  // The first column of the first row.
  std::string text(const std::string& sql) const {
    Statement statement(db_, sql);
    return statement.step() ? std::string(statement.blob(0)) : std::string();
  }
  sqlite3_int64 number(const std::string& sql) const {
    Statement statement(db_, sql);
    return statement.step() ? statement.number(0) : 0;
  }

 private:
  sqlite3* db_ = nullptr;
};

}  // namespace chaosgate::sqlite
