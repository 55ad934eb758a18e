#include "harness/disk/image.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "harness/base/check.h"
#include "harness/base/coding.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/hash.h"
#include "harness/disk/sparse_file.h"

namespace chaosgate::disk {
namespace {

bool is_zero(std::string_view bytes) { return bytes.find_first_not_of('\0') == std::string_view::npos; }

// What a page adds to the hash of its file: nothing for zeroes, so that holes cost nothing.
std::uint64_t page_hash(std::uint64_t page, std::string_view bytes) {
  return is_zero(bytes) ? 0 : hash64(bytes, page + 1);
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  char bytes[sizeof a + sizeof b];
  std::memcpy(bytes, &a, sizeof a);
  std::memcpy(bytes + sizeof a, &b, sizeof b);
  return hash64(std::string_view(bytes, sizeof bytes));
}

// Byte `at` of a file that was never written: the same in every image, never ASCII.
char garbage_byte(InodeId inode, std::uint64_t at) {
  std::uint64_t x = (inode << 40) ^ at;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return static_cast<char>((x >> 32) | 0x80);
}

}  // namespace

Imager::Imager(const History& history, const std::filesystem::path& base, ImagerOptions options)
    : history_(history), base_(base), options_(std::move(options)) {
  if (!options_.store.empty()) {
    store_.emplace(options_.store);
  }
  load_base();
}

// ---- the base ----

void Imager::load_base() {
  std::map<std::string, InodeId> by_path = {{"", tap::kRootInode}};
  directories_[tap::kRootInode] = true;
  for (const tap::BaseEntry& entry : history_.trace().base) {
    by_path[entry.path] = entry.inode;
    directories_[entry.inode] = entry.directory;
    if (!entry.directory && !base_files_.contains(entry.inode)) {
      base_files_.emplace(entry.inode, load_file(entry));
    }
  }
  for (const tap::BaseEntry& entry : history_.trace().base) {
    if (entry.path.empty()) {
      continue;
    }
    const std::size_t slash = entry.path.rfind('/');
    const auto parent = by_path.find(slash == std::string::npos ? "" : entry.path.substr(0, slash));
    if (parent == by_path.end()) {
      throw EnvironmentError(fmt::format("the trace's base has {} but not its directory", entry.path));
    }
    base_names_[parent->second][std::string_view(entry.path).substr(slash + 1)] = entry.inode;
  }
  for (const TraceRecord& call : history_.records()) {
    if (call.call == tap::StorageCall::mkdir) {
      directories_[call.inode] = true;
    }
  }
}

Imager::BaseFile Imager::load_file(const tap::BaseEntry& entry) const {
  BaseFile file{.size = entry.size, .path = entry.path};
  const std::uint64_t size = read_sparse(base_, entry.path, [&](std::uint64_t page, std::string_view bytes) {
    if (const std::uint64_t hash = page_hash(page, bytes); hash != 0) {
      file.pages.emplace(page, bytes);
      file.page_hashes.emplace(page, hash);
      file.hash_sum += hash;
    }
  });
  if (size != entry.size) {
    throw EnvironmentError(fmt::format("{} has {} bytes, but the trace began with {}",
                                       (base_.directory() / entry.path).string(), size, entry.size));
  }
  return file;
}

// ---- names ----

std::vector<Imager::Entry> Imager::tree(const SpecIndex& image) const {
  Names names = base_names_;
  for (OpId id = 0; id < image.end(); ++id) {
    const MicroOp& op = history_.ops()[id];
    if (!op.is_name() || !image.in_image(id)) {
      continue;
    }
    if (op.kind == OpKind::bind) {
      names[op.dir][op.name] = op.inode;
    } else {
      names[op.dir].erase(op.name);
    }
  }
  std::vector<Entry> entries;
  std::vector<InodeId> above;
  walk(names, tap::kRootInode, "", &above, &entries);
  return entries;
}

void Imager::walk(const Names& names, InodeId dir, const std::string& path, std::vector<InodeId>* above,
                  std::vector<Entry>* entries) const {
  const auto found = names.find(dir);
  if (found == names.end()) {
    return;
  }
  above->push_back(dir);
  for (const auto& [name, inode] : found->second) {
    const auto known = directories_.find(inode);
    const bool directory = known != directories_.end() && known->second;
    if (directory && std::find(above->begin(), above->end(), inode) != above->end()) {
      continue;
    }
    if (entries->size() == kNamesMax || path.size() > PATH_MAX) {
      throw UsageError(
          fmt::format("a disk image of over {} names, or with one of over {} bytes", kNamesMax, PATH_MAX));
    }
    entries->push_back({path + std::string(name), inode, directory});
    if (directory) {
      walk(names, inode, path + std::string(name) + "/", above, entries);
    }
  }
  above->pop_back();
}

// ---- content ----

Imager::File Imager::content(InodeId inode, const SpecIndex& image) const {
  File file;
  if (const auto base = base_files_.find(inode); base != base_files_.end()) {
    file = {.base = &base->second, .base_end = base->second.size, .size = base->second.size};
  }
  for (const OpId op : history_.content_ops(inode)) {
    if (op >= image.end()) {
      break;
    }
    apply(op, image, &file);
  }
  // What was written behind the end stays invisible.
  resize(&file, file.size);
  return file;
}

void Imager::apply(OpId op, const SpecIndex& image, File* file) const {
  const MicroOp& self = history_.ops()[op];
  if (self.kind == OpKind::write) {
    apply_write(op, image, file);
  } else if (image.in_image(op) && self.kind == OpKind::size) {
    resize(file, self.new_size);
  } else if (image.in_image(op)) {
    zero(file, self.begin, self.end);
  }
}

void Imager::apply_write(OpId op, const SpecIndex& image, File* file) const {
  const MicroOp& self = history_.ops()[op];
  const TraceRecord& call = history_.record_of(op);
  if (!image.in_image(op) || image.tear_of(op) != nullptr) {
    fill_bare(op, image, file);
  }
  if (!image.in_image(op)) {
    return;
  }
  Page* page = page_for_write(file, self.begin / kPageBytes);
  for (const ByteRange& kept : kept_bytes(self, image.tear_of(op))) {
    std::copy_n(call.payload.data() + (kept.begin - call.offset), kept.end - kept.begin,
                page->data() + kept.begin % kPageBytes);
  }
}

// The part of a write that the file grew by, when the size is in the image and the data is not. Zeroes are
// there already.
void Imager::fill_bare(OpId op, const SpecIndex& image, File* file) const {
  const MicroOp& size = history_.ops()[history_.group(history_.ops()[op].record).first];
  if (image.spec().fill == Fill::zero || size.kind != OpKind::size ||
      !image.in_image(history_.group(size.record).first)) {
    return;
  }
  const MicroOp& self = history_.ops()[op];
  for (std::uint64_t at = std::max(self.begin, size.old_size); at < self.end; ++at) {
    (*page_for_write(file, at / kPageBytes))[at % kPageBytes] = garbage_byte(self.inode, at);
  }
}

Imager::Page* Imager::page_for_write(File* file, std::uint64_t page) {
  const auto [found, is_new] = file->pages.try_emplace(page);
  if (!is_new) {
    return &found->second;
  }
  found->second.assign(kPageBytes, '\0');
  if (file->base != nullptr && page * kPageBytes < file->base_end) {
    if (const auto base = file->base->pages.find(page); base != file->base->pages.end()) {
      const std::uint64_t visible = std::min(kPageBytes, file->base_end - page * kPageBytes);
      found->second.replace(0, visible, base->second, 0, visible);
    }
  }
  return &found->second;
}

void Imager::zero(File* file, std::uint64_t begin, std::uint64_t end) {
  for (std::uint64_t at = begin; at < end;) {
    const std::uint64_t page = at / kPageBytes;
    const std::uint64_t stop = std::min(end, (page + 1) * kPageBytes);
    const bool in_base = file->base != nullptr && file->base->pages.contains(page);
    if (in_base || file->pages.contains(page)) {
      std::fill_n(page_for_write(file, page)->begin() + at % kPageBytes, stop - at, '\0');
    }
    at = stop;
  }
}

void Imager::resize(File* file, std::uint64_t size) {
  file->size = size;
  file->base_end = std::min(file->base_end, size);
  file->pages.erase(file->pages.lower_bound((size + kPageBytes - 1) / kPageBytes), file->pages.end());
  if (const auto last = file->pages.find(size / kPageBytes); last != file->pages.end()) {
    std::fill(last->second.begin() + size % kPageBytes, last->second.end(), '\0');
  }
}

// ---- hash ----

std::uint64_t Imager::hash_of(const File& file) {
  std::uint64_t sum = mix(file.size, 0);
  for (const auto& [page, bytes] : file.pages) {
    sum += page_hash(page, bytes);
  }
  if (file.base == nullptr) {
    return sum;
  }
  sum += file.base->hash_sum;
  // Take back what the image does not show of the base.
  for (const auto& [page, bytes] : file.pages) {
    if (const auto hidden = file.base->page_hashes.find(page); hidden != file.base->page_hashes.end()) {
      sum -= hidden->second;
    }
  }
  const auto& hashes = file.base->page_hashes;
  for (auto at = hashes.lower_bound(file.base_end / kPageBytes); at != hashes.end(); ++at) {
    if (file.pages.contains(at->first)) {
      continue;
    }
    sum -= at->second;
    if (at->first * kPageBytes < file.base_end) {
      Page shown = file.base->pages.at(at->first);
      std::fill(shown.begin() + file.base_end % kPageBytes, shown.end(), '\0');
      sum += page_hash(at->first, shown);
    }
  }
  return sum;
}

std::uint64_t Imager::content_hash(InodeId inode, const SpecIndex& image) {
  std::string applied;
  for (const OpId op : history_.content_ops(inode)) {
    if (op >= image.end()) {
      break;
    }
    if (image.in_image(op)) {
      put_u32(&applied, op);
    }
    if (const Tear* tear = image.in_image(op) ? image.tear_of(op) : nullptr) {
      for (const PageRange& range : tear->kept) {
        put_u32(&applied, UINT32_MAX);
        put_fixed(&applied, range);
      }
    }
  }
  put_u8(&applied, static_cast<std::uint8_t>(image.spec().fill));
  // Dropped data after the last op that is in the image shows in no size, so `applied` tells images apart.
  const auto [known, is_new] = known_hashes_.try_emplace({inode, hash64(applied)});
  if (is_new) {
    known->second = hash_of(content(inode, image));
  }
  return known->second;
}

std::uint64_t Imager::hash(const ImageSpec& spec) {
  const SpecIndex image(history_, spec);
  std::uint64_t sum = 0;
  for (const Entry& entry : tree(image)) {
    sum += mix(hash64(entry.path), entry.directory ? 1 : content_hash(entry.inode, image));
  }
  return sum;
}

// ---- files ----

// The pages that are not holes, cut at the end of the file.
void Imager::for_each_page(const File& file, const PutPage& put) {
  if (file.base != nullptr) {
    for (const auto& [page, bytes] : file.base->pages) {
      if (page * kPageBytes < file.base_end && !file.pages.contains(page)) {
        put(page * kPageBytes, std::string_view(bytes).substr(0, file.base_end - page * kPageBytes));
      }
    }
  }
  for (const auto& [page, bytes] : file.pages) {
    put(page * kPageBytes, std::string_view(bytes).substr(0, file.size - page * kPageBytes));
  }
}

std::map<std::string, std::string> Imager::files(const ImageSpec& spec) const {
  const SpecIndex image(history_, spec);
  std::map<std::string, std::string> found;
  for (const Entry& entry : tree(image)) {
    if (entry.directory) {
      found[entry.path + "/"];
      continue;
    }
    const File file = content(entry.inode, image);
    std::string bytes(file.size, '\0');
    for_each_page(
        file, [&](std::uint64_t offset, std::string_view page) { bytes.replace(offset, page.size(), page); });
    found[entry.path] = std::move(bytes);
  }
  return found;
}

void Imager::materialize(const ImageSpec& spec, const std::filesystem::path& directory) {
  const SpecIndex image(history_, spec);
  const Beneath to(directory);
  std::map<InodeId, std::string> written;  // a file with two names is one file
  for (const Entry& entry : tree(image)) {
    if (entry.directory) {
      throw_if_refused(to.make_directory(entry.path));
      continue;
    }
    const auto [first, is_new] = written.emplace(entry.inode, entry.path);
    bool linked = false;
    if (!is_new) {
      throw_if_refused(Beneath::link(to, first->second, to, entry.path, &linked));
    }
    if (!linked) {
      put_file(content(entry.inode, image), entry.path, to);
    }
  }
}

void Imager::put_file(const File& file, const std::string& path, const Beneath& to) {
  const auto write = [&](const Beneath& where, const std::string& name) {
    SparseWriter writer(where, name, file.size);
    for_each_page(file, [&](std::uint64_t offset, std::string_view bytes) { writer.write(offset, bytes); });
    writer.finish();
  };
  const bool linked = options_.never_modified && options_.never_modified(path);
  if (linked && file.is_base() && link_unchanged(base_, file.base->path, path, to)) {
    return;
  }
  if (linked && store_) {
    const std::string kept = fmt::format("{:016x}", hash_of(file));
    if (!std::filesystem::exists(options_.store / kept)) {
      write(*store_, kept);
    }
    if (link_unchanged(*store_, kept, path, to)) {
      return;
    }
  }
  write(to, path);
}

bool Imager::link_unchanged(const Beneath& directory, const std::string& name, const std::string& path,
                            const Beneath& to) {
  UniqueFd fd;
  throw_if_refused(directory.open(name, O_PATH, &fd));
  struct stat now {};
  if (::fstat(fd.get(), &now) != 0) {
    throw_errno((directory.directory() / name).string());
  }
  const Stamp stamp{now.st_size, now.st_mtim.tv_sec, now.st_mtim.tv_nsec};
  if (linked_.try_emplace(directory.directory() / name, stamp).first->second != stamp) {
    throw UsageError(fmt::format(
        "{} is of a file class that the engine declares immutable, but a recovery changed it in place",
        path));
  }
  bool linked = false;
  throw_if_refused(Beneath::link(directory, name, to, path, &linked));
  return linked;
}

}  // namespace chaosgate::disk
