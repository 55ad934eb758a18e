#include "harness/snapshot/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <memory>

#include "harness/base/error.h"
#include "harness/base/test.h"

namespace chaosgate::snapshot {
namespace {

namespace fs = std::filesystem;

using Tree = std::map<std::string, std::string>;  // "dir/" for a directory

void must_be_ok(const Status& status) {
  if (!status.ok()) {
    throw EnvironmentError(status.to_string());
  }
}

Tree tree_of(const fs::path& directory) {
  Tree tree;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    const std::string name = entry.path().lexically_relative(directory).string();
    if (entry.is_directory()) {
      tree[name + "/"] = "";
    } else {
      must_be_ok(read_file(entry.path(), &tree[name]));
    }
  }
  return tree;
}

class ArchiveBench {
 public:
  ArchiveBench() : temporary_(fs::temp_directory_path(), "chaosgate-archive-") {}

  fs::path path(const std::string& name) const { return temporary_.path() / name; }
  fs::path make(const std::string& name, const Tree& tree) const {
    fs::create_directory(path(name));
    for (const auto& [file, content] : tree) {
      if (file.ends_with('/')) {
        fs::create_directories(path(name) / file);
      } else {
        fs::create_directories((path(name) / file).parent_path());
        replace_file(path(name) / file, content);
      }
    }
    return path(name);
  }
  std::string packed(const fs::path& directory) const {
    const UniqueFd file(::open(path("packed").c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600));
    must_be_ok(pack_directory(directory, file.get()));
    std::string bytes;
    must_be_ok(read_file(path("packed"), &bytes));
    return bytes;
  }
  // The range has other bytes around it.
  Status unpack(const std::string& bytes, Tree* tree) const {
    replace_file(path("range"), "before" + bytes + "behind");
    const UniqueFd file(::open(path("range").c_str(), O_RDONLY));
    fs::remove_all(path("unpacked"));
    fs::create_directory(path("unpacked"));
    const Status status = unpack_directory({file.get(), 6, 6 + bytes.size()}, path("unpacked"));
    *tree = tree_of(path("unpacked"));
    return status;
  }

 private:
  TempDir temporary_;
};

Tree sample_tree() {
  return {{"ENGINE", "marker"}, {"data", std::string(300'000, 'd') + "end"},
          {"empty", ""},        {"table-1", "after data"},
          {"table/", ""},       {"table/1", std::string("\0\1\2", 3)},
          {"void/", ""}};
}

// An archive with one member, as no packer of ours would write it.
std::string forged(const std::string& name, unsigned type) {
  std::string bytes(64 << 10, '\0');
  std::size_t used = 0;
  const std::unique_ptr<archive, int (*)(archive*)> a(archive_write_new(), archive_write_free);
  archive_write_add_filter_zstd(a.get());
  archive_write_set_format_pax_restricted(a.get());
  archive_write_open_memory(a.get(), bytes.data(), bytes.size(), &used);
  const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(),
                                                                       archive_entry_free);
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_filetype(entry.get(), type);
  archive_entry_set_perm(entry.get(), 0644);
  archive_entry_set_size(entry.get(), 0);
  if (type == AE_IFLNK) {
    archive_entry_set_symlink(entry.get(), "/");
  }
  archive_write_header(a.get(), entry.get());
  archive_write_close(a.get());
  bytes.resize(used);
  return bytes;
}

TEST_CASE("An archive gives back the tree that was packed") {
  const ArchiveBench bench;
  Tree found;
  must_be_ok(bench.unpack(bench.packed(bench.make("tree", sample_tree())), &found));
  REQUIRE(found == sample_tree());
  must_be_ok(bench.unpack(bench.packed(bench.make("nothing", {})), &found));
  REQUIRE(found.empty());
}

TEST_CASE("The same tree makes the same archive whenever and in whatever order it was made") {
  const ArchiveBench bench;
  const std::string first = bench.packed(bench.make("first", sample_tree()));
  const fs::path second = bench.make("second", {});
  const Tree tree = sample_tree();
  for (auto it = tree.rbegin(); it != tree.rend(); ++it) {
    if (it->first.ends_with('/')) {
      fs::create_directories(second / it->first);
    } else {
      fs::create_directories((second / it->first).parent_path());
      replace_file(second / it->first, it->second);
      fs::permissions(second / it->first, fs::perms::owner_read);
      fs::last_write_time(second / it->first, fs::file_time_type::min());
    }
  }
  REQUIRE(bench.packed(second) == first);
}

TEST_CASE("A truncated archive is refused wherever it ends") {
  const ArchiveBench bench;
  const std::string bytes = bench.packed(bench.make("tree", sample_tree()));
  std::size_t whole = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    Tree found;
    const Status status = bench.unpack(bytes.substr(0, size), &found);
    // What ends behind the last member's content has lost nothing.
    if (status.ok()) {
      ++whole;
      REQUIRE(found == sample_tree());
    }
  }
  REQUIRE(whole < 40);
}

TEST_CASE("A member that would leave the directory or is no file is refused") {
  const ArchiveBench bench;
  Tree found;
  must_be_ok(bench.unpack(forged("good", AE_IFREG), &found));
  REQUIRE(found == Tree{{"good", ""}});
  for (const std::string name : {"../evil", "a/../../evil", "/tmp/chaosgate-evil"}) {
    INFO(name);
    REQUIRE(bench.unpack(forged(name, AE_IFREG), &found).code() == StatusCode::corruption);
    REQUIRE(found.empty());
  }
  REQUIRE(bench.unpack(forged("link", AE_IFLNK), &found).code() == StatusCode::corruption);
  REQUIRE(bench.unpack(forged("pipe", AE_IFIFO), &found).code() == StatusCode::corruption);
  REQUIRE_FALSE(fs::exists(bench.path("evil")));
}

TEST_CASE("What is neither a file nor a directory is not packed") {
  const ArchiveBench bench;
  const fs::path tree = bench.make("tree", sample_tree());
  fs::create_symlink("ENGINE", tree / "link");
  const UniqueFd file(::open(bench.path("packed").c_str(), O_RDWR | O_CREAT, 0600));
  REQUIRE(pack_directory(tree, file.get()).code() == StatusCode::invalid_argument);
}

TEST_CASE("Failures of the archive's file are reported as such") {
  const ArchiveBench bench;
  const fs::path tree = bench.make("tree", sample_tree());
  const UniqueFd full(::open("/dev/full", O_WRONLY));
  REQUIRE(pack_directory(tree, full.get()).code() == StatusCode::io_error);
}

}  // namespace
}  // namespace chaosgate::snapshot
