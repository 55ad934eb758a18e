#include "harness/campaign/bundle.h"

#include <cstdlib>

#include "harness/base/command_line.h"
#include "harness/base/file.h"
#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::campaign;

namespace fs = std::filesystem;

namespace {

Bundle small_bundle() {
  Bundle bundle;
  bundle.recovery.order.engine = "lmdb";
  bundle.recovery.order.term = 1;
  bundle.recovery.order.workload = bundle.key.workload;
  bundle.recovery.order.seed = bundle.key.seed;
  bundle.recovery.order.segment_bytes = 24 << 10;
  bundle.plan = crash::plan_cycle({}, wire::Protocol::in_batch, 1, 0, 0);
  bundle.power.reset();
  return bundle;
}

}  // namespace

TEST_CASE("tar unpacks a bundle, empty directories too, and it is read back with them") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-bundle-");
  const fs::path image = directory.path() / "image";
  fs::create_directories(image / "engine/tables");
  fs::create_directories(image / "engine/with a blank/nested");
  replace_file(image / "engine/data", "bytes");
  const fs::path file = directory.path() / "bundle.tar.zst";
  write_bundle(small_bundle(), image, {}, file);

  const fs::path unpacked = directory.path() / "unpacked";
  fs::create_directory(unpacked);
  const std::string command = "set -o pipefail; zstd -dc " + shell_quoted(file.native()) + " | tar x -C " +
                              shell_quoted(unpacked.native());
  CHECK(std::system(("bash -c " + shell_quoted(command)).c_str()) == 0);
  CHECK(fs::is_directory(unpacked / "image/engine/tables"));
  CHECK(fs::is_directory(unpacked / "image/engine/with a blank/nested"));
  CHECK(fs::file_size(unpacked / "image/engine/data") == 5);

  const fs::path again = directory.path() / "again";
  fs::create_directory(again);
  CHECK(read_bundle(file, again).recovery.order.engine == "lmdb");
  CHECK(fs::is_directory(again / "engine/tables"));
  CHECK(fs::is_directory(again / "engine/with a blank/nested"));
  CHECK(fs::is_empty(again / "engine/tables"));
}
