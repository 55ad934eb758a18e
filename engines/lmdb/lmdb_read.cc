#include "engines/lmdb/lmdb_read.h"

#include <fmt/format.h>

#include <utility>

#include "harness/base/check.h"

namespace chaosgate::engines {

Status from_lmdb(int code, std::string_view what) {
  switch (code) {
    case MDB_SUCCESS:
      return {};
    case MDB_NOTFOUND:
      return Status::not_found();
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_CURSOR_FULL:
      return Status::corruption(fmt::format("{}: {}", what, mdb_strerror(code)));
    case MDB_BAD_VALSIZE:
      return Status::invalid_argument(fmt::format("{}: {}", what, mdb_strerror(code)));
    default:
      return Status::io_error(fmt::format("{}: {}", what, mdb_strerror(code)));
  }
}

ReadTransaction::ReadTransaction(MDB_env* env, int* open_readers) : open_readers_(open_readers) {
  status_ = from_lmdb(mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn_), "begin a read transaction");
  ++*open_readers_;
}

ReadTransaction::~ReadTransaction() {
  if (status_.ok()) {
    mdb_txn_abort(txn_);
  }
  --*open_readers_;
}

namespace {

class LmdbIterator final : public Iterator {
 public:
  LmdbIterator(std::shared_ptr<const ReadTransaction> transaction, MDB_dbi database)
      : transaction_(std::move(transaction)) {
    status_ = from_lmdb(mdb_cursor_open(transaction_->txn(), database, &cursor_), "open a cursor");
  }
  LmdbIterator(const LmdbIterator&) = delete;
  LmdbIterator& operator=(const LmdbIterator&) = delete;
  ~LmdbIterator() override {
    if (cursor_ != nullptr) {
      mdb_cursor_close(cursor_);  // LMDB leaves the cursors of a read transaction to their owner
    }
  }

  bool valid() const override { return valid_; }
  void seek_to_first() override { move(MDB_FIRST); }
  void seek_to_last() override { move(MDB_LAST); }
  void seek(std::string_view target) override {
    if (target.empty()) {
      seek_to_first();  // LMDB takes no empty key, not even to search
      return;
    }
    key_ = to_val(target);
    move(MDB_SET_RANGE);
  }
  void seek_for_prev(std::string_view target) override {
    if (target.empty()) {
      valid_ = false;  // every key is greater
      return;
    }
    seek(target);
    if (valid_ && key() > target) {
      move(MDB_PREV);
    } else if (!valid_ && status_.ok()) {
      seek_to_last();
    }
  }
  void next() override {
    CHECK(valid_);
    move(MDB_NEXT);
  }
  void prev() override {
    CHECK(valid_);
    move(MDB_PREV);
  }
  std::string_view key() const override {
    CHECK(valid_);
    return from_val(key_);
  }
  std::string_view value() const override {
    CHECK(valid_);
    return from_val(value_);
  }
  Status status() const override { return status_; }

 private:
  void move(MDB_cursor_op operation) {
    if (cursor_ == nullptr) {
      return;
    }
    const int code = mdb_cursor_get(cursor_, &key_, &value_, operation);
    valid_ = code == MDB_SUCCESS;
    status_ = code == MDB_NOTFOUND ? Status() : from_lmdb(code, "move a cursor");
  }

  std::shared_ptr<const ReadTransaction> transaction_;
  MDB_cursor* cursor_ = nullptr;
  MDB_val key_{};
  MDB_val value_{};
  bool valid_ = false;
  Status status_;
};

class LmdbSnapshot final : public Snapshot {
 public:
  LmdbSnapshot(std::shared_ptr<const ReadTransaction> transaction, std::vector<MDB_dbi> databases)
      : transaction_(std::move(transaction)), databases_(std::move(databases)) {}

  Status get(KeyspaceId keyspace, std::string_view key, std::string* value) override {
    RETURN_IF_ERROR(check_key(keyspace, key, databases_.size()));
    MDB_val wanted = to_val(key);
    MDB_val found{};
    RETURN_IF_ERROR(from_lmdb(mdb_get(transaction_->txn(), databases_[keyspace], &wanted, &found), "get"));
    value->assign(from_val(found));
    return {};
  }
  std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) override {
    CHECK(keyspace < databases_.size(), "keyspace {} of {}", keyspace, databases_.size());
    return make_lmdb_iterator(transaction_, databases_[keyspace]);
  }

 private:
  std::shared_ptr<const ReadTransaction> transaction_;
  std::vector<MDB_dbi> databases_;
};

class FailedIterator final : public Iterator {
 public:
  explicit FailedIterator(Status status) : status_(std::move(status)) {}

  bool valid() const override { return false; }
  void seek_to_first() override {}
  void seek_to_last() override {}
  void seek(std::string_view) override {}
  void seek_for_prev(std::string_view) override {}
  void next() override { check_failed_use(); }
  void prev() override { check_failed_use(); }
  std::string_view key() const override { check_failed_use(); }
  std::string_view value() const override { check_failed_use(); }
  Status status() const override { return status_; }

 private:
  [[noreturn]] void check_failed_use() const {
    check_failed(__FILE__, __LINE__, "valid()", "an iterator that never was valid: " + status_.to_string());
  }

  Status status_;
};

class FailedSnapshot final : public Snapshot {
 public:
  explicit FailedSnapshot(Status status) : status_(std::move(status)) {}

  Status get(KeyspaceId, std::string_view, std::string*) override { return status_; }
  std::unique_ptr<Iterator> iterator(KeyspaceId) override { return make_failed_iterator(status_); }

 private:
  Status status_;
};

}  // namespace

std::unique_ptr<Iterator> make_lmdb_iterator(std::shared_ptr<const ReadTransaction> transaction,
                                             MDB_dbi database) {
  if (!transaction->status().ok()) {
    return make_failed_iterator(transaction->status());
  }
  return std::make_unique<LmdbIterator>(std::move(transaction), database);
}

std::unique_ptr<Snapshot> make_lmdb_snapshot(std::shared_ptr<const ReadTransaction> transaction,
                                             std::vector<MDB_dbi> databases) {
  if (!transaction->status().ok()) {
    return make_failed_snapshot(transaction->status());
  }
  return std::make_unique<LmdbSnapshot>(std::move(transaction), std::move(databases));
}

std::unique_ptr<Iterator> make_failed_iterator(Status status) {
  return std::make_unique<FailedIterator>(std::move(status));
}

std::unique_ptr<Snapshot> make_failed_snapshot(Status status) {
  return std::make_unique<FailedSnapshot>(std::move(status));
}

}  // namespace chaosgate::engines
