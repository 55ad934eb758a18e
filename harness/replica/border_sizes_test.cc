#include "harness/replica/border_sizes.h"

#include <algorithm>

#include "harness/base/file.h"
#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::replica;

TEST_CASE("after two batches an engine's log meets borders, by the length of a record or by its end") {
  const TempDir directory(std::filesystem::temp_directory_path(), "chaosgate-borders-");
  engines::EngineConfig config;
  const std::filesystem::path log = directory.path() / "log";
  replace_file(directory.path() / "other", "does not grow");
  config.file_classes = {{.name = "info", .pattern = "LOG", .informational = true}};
  replace_file(log, "");
  BorderSizes sizes(config, directory.path(), Rng(1));
  std::uint64_t end = 0;
  int exact = 0;
  int near = 0;
  for (int i = 0; i < 200; ++i) {
    engines::WriteBatch batch;
    for (int k = 0; k <= i % 3; ++k) {
      batch.put(0, "key", std::string(static_cast<std::size_t>(7 * i % 90), 'v'));
    }
    sizes.pad(1, "padding", &batch);
    const std::uint64_t record = 16 + 10 * batch.count() + batch.payload_bytes();  // an engine's own cost
    end += record;
    std::filesystem::resize_file(log, end);
    replace_file(directory.path() / "LOG", std::string(end * 2, 'i'));  // for people, and longer at times
    sizes.wrote(batch);
    const auto beside = [](std::uint64_t bytes) { return std::min(bytes % 512, 512 - bytes % 512); };
    const std::uint64_t distance = std::min(beside(record), beside(end));
    exact += distance == 0 ? 1 : 0;
    near += distance <= 8 ? 1 : 0;
  }
  CHECK(near >= 197);  // the first ones teach what a batch costs
  CHECK(exact >= 80);
  CHECK(exact <= 140);
}

TEST_CASE("an engine that writes nothing for a batch is padded by a guess") {
  const TempDir directory(std::filesystem::temp_directory_path(), "chaosgate-borders-");
  engines::EngineConfig config;
  BorderSizes sizes(config, directory.path(), Rng(1));
  for (int i = 0; i < 50; ++i) {
    engines::WriteBatch batch;
    batch.put(0, "key", "value");
    sizes.pad(1, "padding", &batch);
    CHECK(batch.count() == 2);
    CHECK(batch.payload_bytes() <= 32768 + 15);
    sizes.wrote(batch);
  }
}
