// An Engine that forwards everything to another one; who derives from it overrides what shall be different.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engines/engine.h"

namespace chaosgate::engines {

class ForwardingEngine : public Engine {
 public:
  explicit ForwardingEngine(std::unique_ptr<Engine> inner) : inner_(std::move(inner)) {}

  Status write(const WriteBatch& batch) override { return inner_->write(batch); }
  Status get(KeyspaceId keyspace, std::string_view key, std::string* value) override {
    return inner_->get(keyspace, key, value);
  }
  std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) override { return inner_->iterator(keyspace); }
  std::unique_ptr<Snapshot> snapshot() override { return inner_->snapshot(); }
  Status flush() override { return inner_->flush(); }
  Status compact() override { return inner_->compact(); }
  Status checkpoint(const std::filesystem::path& directory) override { return inner_->checkpoint(directory); }
  Status size(SizeInfo* info) override { return inner_->size(info); }
  Status check_integrity() override { return inner_->check_integrity(); }

 protected:
  Engine& inner() { return *inner_; }

 private:
  std::unique_ptr<Engine> inner_;
};

}  // namespace chaosgate::engines
