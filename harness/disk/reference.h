// A second, slow opinion on which images are legal, for tests: written from the rules and not from the
// library.
//
// The disk is a set of registers: the size of each file, each of its pages, each name. A change gives one
// register its next version. An image is a set of changes; the rules say of pairs of changes that the later
// one cannot be there without the earlier. Everything is tried. Histories must be small, and each write must
// lie in one sector of one page: tears have tests of their own.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "harness/disk/profile.h"
#include "harness/disk/trace_builder.h"

namespace chaosgate::disk::reference {

struct Change {
  std::size_t time = 0;  // record
  char what = 0;         // 'n'ame, 's'ize, 'd'ata
  std::string reg;
  InodeId inode = 0;  // of the content; what a name means from then on, 0 for nothing
  InodeId dir = 0;
  std::string name;
  std::uint64_t size = 0;
  bool grows = false;  // part of a write that grew its file
};

class Reference {
 public:
  Reference(const TraceBuilder& builder, Profile profile) : builder_(builder), profile_(std::move(profile)) {
    for (std::size_t t = 0; t < records().size(); ++t) {
      list_changes(t);
    }
    durable_.assign(changes_.size(), false);
    for (std::size_t i = 0; i < changes_.size(); ++i) {
      for (std::size_t s = 0; s < records().size(); ++s) {
        durable_[i] = durable_[i] || syncs(s, i);
      }
    }
    for (bool grown = true; grown;) {
      grown = false;
      for (std::size_t i = 0; i < changes_.size(); ++i) {
        for (std::size_t j = 0; j < changes_.size(); ++j) {
          if (durable_[j] && !durable_[i] && needs(changes_[j], changes_[i])) {
            durable_[i] = grown = true;
          }
        }
      }
    }
  }

  std::set<std::string> images() const {
    std::set<std::string> found;
    for (unsigned mask = 0; mask < 1U << changes_.size(); ++mask) {
      std::vector<bool> in;
      for (std::size_t i = 0; i < changes_.size(); ++i) {
        in.push_back((mask >> i & 1) != 0);
      }
      if (legal(in)) {
        add_images(in, &found);
      }
    }
    return found;
  }

 private:
  using Call = tap::StorageCall;
  const std::vector<tap::TraceRecord>& records() const { return builder_.trace.records; }

  void list_changes(std::size_t t) {
    const tap::TraceRecord& r = records()[t];
    const auto name = [&](InodeId dir, const std::string& leaf, InodeId means) {
      changes_.push_back({.time = t,
                          .what = 'n',
                          .reg = "n" + std::to_string(dir) + leaf,
                          .inode = means,
                          .dir = dir,
                          .name = leaf});
    };
    const bool grows = r.call == Call::write && r.size_after > r.size_before;
    if (r.call == Call::create || r.call == Call::rename || r.call == Call::mkdir) {
      name(r.dir, r.name, r.inode);
    }
    if (r.call == Call::unlink) {
      name(r.dir, r.name, 0);
    }
    if (r.call == Call::rename) {
      name(r.from_dir, r.from_name, 0);
    }
    if (r.size_before != r.size_after) {
      changes_.push_back({.time = t,
                          .what = 's',
                          .reg = "s" + std::to_string(r.inode),
                          .inode = r.inode,
                          .size = r.size_after,
                          .grows = grows});
    }
    if (r.call == Call::write) {
      changes_.push_back({.time = t,
                          .what = 'd',
                          .reg = "d" + std::to_string(r.inode) + "/" + std::to_string(r.offset / 4096),
                          .inode = r.inode,
                          .grows = grows});
    }
  }

  // Whether the later change cannot be there without the earlier one.
  bool needs(const Change& later, const Change& earlier) const {
    const bool before = earlier.time < later.time;
    const bool names = later.what == 'n' && earlier.what == 'n';
    const bool same_file = later.what != 'n' && earlier.what != 'n' && later.inode == earlier.inode;
    const bool bare = profile_.bare_size_zero || profile_.bare_size_hole || profile_.bare_size_garbage;
    const tap::TraceRecord& call = records()[later.time];
    if (before && later.reg == earlier.reg) return true;
    if (before && profile_.prefix) return true;
    if (before && names && profile_.ordered_directories) return true;
    if (!before && earlier.time == later.time && names && profile_.atomic_rename) return true;
    if (before && later.what == 'n' && later.inode != 0 && call.call == Call::rename && call.replaced != 0 &&
        earlier.what != 'n' && earlier.inode == later.inode && profile_.data_before_rename_over) {
      return true;
    }
    if (earlier.time == later.time && same_file && later.what == 's' && later.grows && !bare) return true;
    if (before && same_file && later.grows && earlier.grows && profile_.ordered_appends) return true;
    const bool shrinks = earlier.what == 's' && earlier.size < records()[earlier.time].size_before;
    return before && same_file && shrinks && later.what == 'd';
  }

  bool syncs(std::size_t s, std::size_t i) const {
    const tap::TraceRecord& r = records()[s];
    const Change& c = changes_[i];
    if (c.time >= s) return false;
    if (r.call == Call::sync_all) return true;
    if (r.call != Call::sync && r.call != Call::datasync) return false;
    if (c.what == 'n' && r.is_directory && c.dir == r.inode) return true;
    if (c.what == 'd' && c.inode == r.inode) return true;
    if (c.what == 's' && c.inode == r.inode) return r.call == Call::sync || !profile_.fdatasync_drops_size;
    if (c.what != 'n' || r.call != Call::sync) return false;
    return profile_.fsync_commits_directories ||
           (profile_.fsync_persists_name && !r.is_directory && on_path(c, r.inode, s));
  }

  // Whether the change gives the file, or a directory above it, the name that it has at that time.
  bool on_path(const Change& c, InodeId file, std::size_t time) const {
    if (c.inode == 0) return false;
    for (const Change& other : changes_) {
      if (other.reg == c.reg && other.time > c.time && other.time < time) return false;
    }
    if (c.inode == file) return true;
    for (const Change& below : changes_) {
      if (below.what == 'n' && below.time < time && below.dir == c.inode && on_path(below, file, time))
        return true;
    }
    return false;
  }

  bool legal(const std::vector<bool>& in) const {
    for (std::size_t i = 0; i < in.size(); ++i) {
      if (!in[i] && durable_[i]) return false;
      for (std::size_t j = 0; j < in.size(); ++j) {
        if (in[j] && !in[i] && needs(changes_[j], changes_[i])) return false;
      }
    }
    return true;
  }

  void add_images(const std::vector<bool>& in, std::set<std::string>* found) const {
    if (profile_.bare_size_zero || profile_.bare_size_hole || !has_bare(in)) found->insert(image(in, '\0'));
    if (profile_.bare_size_garbage || !has_bare(in)) found->insert(image(in, '\x80'));
  }

  bool has_bare(const std::vector<bool>& in) const {
    for (std::size_t i = 0; i < in.size(); ++i) {
      if (changes_[i].what == 'd' && changes_[i].grows && !in[i] && in[i - 1]) return true;
    }
    return false;
  }

  std::string content(InodeId inode, std::string bytes, const std::vector<bool>& in, char fill) const {
    // The bytes that the pages hold, whatever the size says; then the size.
    std::size_t size = bytes.size();
    std::string pages = bytes;
    for (std::size_t i = 0; i < in.size(); ++i) {
      const tap::TraceRecord& r = records()[changes_[i].time];
      if (changes_[i].inode != inode || changes_[i].what == 'n') continue;
      if (changes_[i].what == 's' && in[i]) {
        size = changes_[i].size;
        if (size < pages.size()) pages.resize(size);
      }
      if (changes_[i].what != 'd') continue;
      pages.resize(std::max<std::size_t>(pages.size(), r.offset + r.length), '\0');
      for (std::size_t at = r.offset; at < r.offset + r.length; ++at) {
        if (in[i]) pages[at] = r.payload[at - r.offset];
        if (!in[i] && changes_[i].grows && in[i - 1] && at >= r.size_before) pages[at] = fill;
      }
    }
    pages.resize(size, '\0');
    return pages;
  }

  std::string image(const std::vector<bool>& in, char fill) const {
    std::map<InodeId, std::string> base;
    std::map<InodeId, std::map<std::string, InodeId>> names;
    std::map<InodeId, bool> directories;
    std::map<std::string, InodeId> by_path = {{"", tap::kRootInode}};
    for (const tap::BaseEntry& entry : builder_.trace.base) {
      const std::size_t slash = entry.path.rfind('/');
      const std::string above = slash == std::string::npos ? "" : entry.path.substr(0, slash);
      by_path[entry.path] = entry.inode;
      names[by_path[above]][entry.path.substr(slash + 1)] = entry.inode;
      directories[entry.inode] = entry.directory;
      if (!entry.directory) base[entry.inode] = builder_.base_content.at(entry.path);
    }
    for (std::size_t i = 0; i < in.size(); ++i) {
      const Change& c = changes_[i];
      directories[c.inode] |= records()[c.time].call == Call::mkdir;
      if (c.what != 'n' || !in[i]) continue;
      if (c.inode == 0) {
        names[c.dir].erase(c.name);
      } else {
        names[c.dir][c.name] = c.inode;
      }
    }
    std::map<std::string, std::string> files;
    const std::function<void(InodeId, const std::string&)> walk = [&](InodeId dir, const std::string& path) {
      for (const auto& [name, inode] : names[dir]) {
        if (directories[inode]) {
          files[path + name + "/"];
          walk(inode, path + name + "/");
        } else {
          files[path + name] = content(inode, base[inode], in, fill);
        }
      }
    };
    walk(tap::kRootInode, "");
    return show(files);
  }

  const TraceBuilder& builder_;
  const Profile profile_;
  std::vector<Change> changes_;
  std::vector<bool> durable_;
};

}  // namespace chaosgate::disk::reference
