// BorderSizes makes the batches of a load meet the borders of sectors, pages and blocks: it pads them so that
// what the engine writes for one is a multiple of 512, 4,096 or 32,768 bytes long, or ends at one in its
// file, or misses that by a few bytes. Readers and writers of logs go wrong there first.
//
// How much an engine writes for a batch is learnt from its files, without knowing what they are: the one that
// grew by at least the batch tells what it costs besides its own bytes, for each batch and for each mutation.
// An engine that writes nothing until a flush is padded by a guess. A pure function of the seed, of the
// batches and of what the files did. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "engines/engine.h"
#include "engines/write_batch.h"
#include "harness/base/rng.h"

namespace chaosgate::replica {

class BorderSizes {
 public:
  // `directory`: the engine's. `config` must outlive this.
  BorderSizes(const engines::EngineConfig& config, std::filesystem::path directory, const Rng& rng);

  // Completes the batch: puts a value of the right length under this key, its last mutation.
  void pad(engines::KeyspaceId keyspace, std::string_view key, engines::WriteBatch* batch);
  // The batch was written, padding included.
  void wrote(const engines::WriteBatch& batch);

 private:
  struct Cost {
    std::int64_t count = 0;  // of mutations
    std::int64_t bytes = 0;  // beyond those of keys and values
  };

  void look();
  std::int64_t cost(std::int64_t count) const;

  const engines::EngineConfig& config_;
  const std::filesystem::path directory_;
  Rng rng_;
  std::map<std::string, std::int64_t> sizes_;  // of files
  std::int64_t log_end_ = 0;                   // of the file that takes the batches
  std::int64_t grown_ = 0;                     // of it, since the last look
  Cost last_;
  std::int64_t of_mutation_ = 0;
  bool known_ = false;
};

}  // namespace chaosgate::replica
