// Imager turns an ImageSpec into what a reader of the disk would find: a hash of it, or the files themselves.
//
// What an image holds: the files and directories that the data directory leads to by names that are in the
// image. A file reads as its writes, zeroings and sizes that are in the image, in order, on top of what it
// held when the trace began. Bytes behind its size are invisible. Where it grew by a write whose data is
// missing, it reads as the fill says; garbage is a fixed pattern without meaning. A directory that became
// reachable from inside itself is cut off there, as fsck would.
//
// The hash is of names and bytes alone: two specs with the same hash have the same tree, byte for byte (up to
// collisions of 64 bits), however they were reached. It is computed without touching the disk.
//
// Holds the base files' data in memory, and remembers hashes of files it has seen. Not thread-safe; use one
// per thread. Throws EnvironmentError when the base directory is not what the trace says or an image cannot
// be written, UsageError when the trace has names that lead out of a directory or that it cannot hold.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "harness/base/beneath.h"
#include "harness/disk/image_spec.h"
#include "harness/disk/micro_op.h"

namespace chaosgate::disk {

struct ImagerOptions {
  // Whether no reader of an image ever changes this existing file in place (it may remove it): true for
  // sorted tables. Such a file is not copied but linked, to the base or to `store`. Empty: none is.
  std::function<bool(const std::string& path)> never_modified;
  // An existing directory for the one copy of each linked file that is not in the base. Empty: those are
  // copied into each image. REQUIRES: on the file system of the images, like the base.
  std::filesystem::path store;
};

// A directory that has two names shows what is in it twice, so names can be many more than calls.
inline constexpr std::size_t kNamesMax = 100'000;

class Imager {
 public:
  // `base` holds the content that the trace began with, and must not change. REQUIRES: history outlives this.
  Imager(const History& history, const std::filesystem::path& base, ImagerOptions options = {});

  // REQUIRES, here and below: fits(spec).
  std::uint64_t hash(const ImageSpec& spec);
  // The same as values, for small images: the content of each file by path, "" for a directory, whose path
  // ends with '/'.
  std::map<std::string, std::string> files(const ImageSpec& spec) const;
  // Writes the image into `directory`. REQUIRES: it exists and is empty. Throws UsageError when a reader of
  // an earlier image changed a file that is never modified.
  void materialize(const ImageSpec& spec, const std::filesystem::path& directory);

 private:
  using Page = std::string;  // kPageBytes bytes

  struct BaseFile {
    std::uint64_t size = 0;
    std::string path;
    std::map<std::uint64_t, Page> pages;  // those that are not all zero
    std::map<std::uint64_t, std::uint64_t> page_hashes;
    std::uint64_t hash_sum = 0;  // of page_hashes
  };

  // The content of a file in an image. Pages that are in neither map are zero.
  struct File {
    const BaseFile* base = nullptr;
    std::uint64_t base_end = 0;  // base bytes from here on were truncated away
    std::uint64_t size = 0;
    std::map<std::uint64_t, Page> pages;  // these hide those of the base

    bool is_base() const {
      return base != nullptr && pages.empty() && size == base->size && base_end >= size;
    }
  };

  struct Entry {
    std::string path;
    InodeId inode = 0;
    bool directory = false;
  };
  using Names = std::map<InodeId, std::map<std::string_view, InodeId>>;  // by directory

  void load_base();
  BaseFile load_file(const tap::BaseEntry& entry) const;

  std::vector<Entry> tree(const SpecIndex& image) const;
  void walk(const Names& names, InodeId dir, const std::string& path, std::vector<InodeId>* above,
            std::vector<Entry>* entries) const;

  File content(InodeId inode, const SpecIndex& image) const;
  void apply(OpId op, const SpecIndex& image, File* file) const;
  void apply_write(OpId op, const SpecIndex& image, File* file) const;
  void fill_bare(OpId op, const SpecIndex& image, File* file) const;
  std::uint64_t content_hash(InodeId inode, const SpecIndex& image);
  static std::uint64_t hash_of(const File& file);

  static Page* page_for_write(File* file, std::uint64_t page);
  static void zero(File* file, std::uint64_t begin, std::uint64_t end);
  static void resize(File* file, std::uint64_t size);

  using PutPage = std::function<void(std::uint64_t offset, std::string_view bytes)>;
  static void for_each_page(const File& file, const PutPage& put);
  void put_file(const File& file, const std::string& path, const Beneath& to);
  // A further name, `path` below `to`, for a file. False when the file system cannot do it. Throws UsageError
  // when the file is not as it was at first.
  bool link_unchanged(const Beneath& directory, const std::string& name, const std::string& path,
                      const Beneath& to);

  const History& history_;
  const Beneath base_;
  const ImagerOptions options_;
  std::optional<Beneath> store_;
  // Size and time of the last write of each file that images link to, as of its first link.
  using Stamp = std::tuple<std::int64_t, std::int64_t, std::int64_t>;
  std::map<std::filesystem::path, Stamp> linked_;
  std::map<InodeId, BaseFile> base_files_;
  Names base_names_;
  std::map<InodeId, bool> directories_;
  std::map<std::pair<InodeId, std::uint64_t>, std::uint64_t> known_hashes_;  // by inode and what is applied
};

}  // namespace chaosgate::disk
