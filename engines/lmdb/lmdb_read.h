// Reading from LMDB: read transactions, cursors as Iterators, and LMDB's error codes as Status.
//
// A ReadTransaction is shared by the snapshot and the iterators over it, so any of them may go first; all
// must go before the environment is closed.
#pragma once

#include <lmdb.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engines/engine.h"

namespace chaosgate::engines {

// "<what>: <LMDB's or the system's text>". MDB_NOTFOUND becomes not_found.
Status from_lmdb(int code, std::string_view what);

inline MDB_val to_val(std::string_view bytes) {
  return {bytes.size(), const_cast<char*>(bytes.data())};  // LMDB does not write through it
}
inline std::string_view from_val(const MDB_val& val) {
  return {static_cast<const char*>(val.mv_data), val.mv_size};
}

class ReadTransaction {
 public:
  // Look at status() before txn(). Counts itself in *open_readers while it lives.
  ReadTransaction(MDB_env* env, int* open_readers);
  ReadTransaction(const ReadTransaction&) = delete;
  ReadTransaction& operator=(const ReadTransaction&) = delete;
  ~ReadTransaction();

  const Status& status() const { return status_; }
  MDB_txn* txn() const { return txn_; }

 private:
  MDB_txn* txn_ = nullptr;
  int* open_readers_;
  Status status_;
};

// A cursor over `database` in a read transaction of its own or of a snapshot.
std::unique_ptr<Iterator> make_lmdb_iterator(std::shared_ptr<const ReadTransaction> transaction,
                                             MDB_dbi database);
std::unique_ptr<Snapshot> make_lmdb_snapshot(std::shared_ptr<const ReadTransaction> transaction,
                                             std::vector<MDB_dbi> databases);

// An iterator that is never valid and says why.
std::unique_ptr<Iterator> make_failed_iterator(Status status);
std::unique_ptr<Snapshot> make_failed_snapshot(Status status);

}  // namespace chaosgate::engines
