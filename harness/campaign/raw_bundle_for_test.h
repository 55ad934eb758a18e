// RawBundle is what a bundle's file holds, member by member, to be changed and sealed again: for tests of
// what somebody else may have written.
//
// Include it before "harness/base/test.h". Failures throw.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/json.h"
#include "harness/campaign/digest.h"

namespace chaosgate::campaign {

class RawBundle {
 public:
  explicit RawBundle(const std::filesystem::path& file) {
    const std::unique_ptr<archive, int (*)(archive*)> from(archive_read_new(), archive_read_free);
    archive_read_support_filter_zstd(from.get());
    archive_read_support_format_tar(from.get());
    must(archive_read_open_filename(from.get(), file.c_str(), 1 << 16));
    archive_entry* entry = nullptr;
    while (archive_read_next_header(from.get(), &entry) == ARCHIVE_OK) {
      std::string content(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
      if (archive_read_data(from.get(), content.data(), content.size()) !=
          static_cast<la_ssize_t>(content.size())) {
        throw std::runtime_error("a bundle cannot be read");
      }
      members.emplace_back(archive_entry_pathname(entry), std::move(content));
    }
    head = parse_json(members.at(0).second);
    members.erase(members.begin());
  }

  std::string& member(const std::string& name) {
    for (auto& [known, content] : members) {
      if (known == name) {
        return content;
      }
    }
    throw std::runtime_error("no member " + name);
  }

  // With checksums that fit.
  void save(const std::filesystem::path& file) const {
    nlohmann::json sealed = head;
    sealed.erase("sha256");
    sealed["members"] = nlohmann::json::object();
    for (const auto& [name, content] : members) {
      sealed["members"][name.ends_with('/') ? name + "." : name] = sha256(content);
    }
    sealed["sha256"] = sha256(sealed.dump());
    const std::unique_ptr<archive, int (*)(archive*)> to(archive_write_new(), archive_write_free);
    archive_write_add_filter_zstd(to.get());
    archive_write_set_format_pax_restricted(to.get());
    must(archive_write_open_filename(to.get(), file.c_str()));
    add(to.get(), "bundle.json", sealed.dump());
    for (const auto& [name, content] : members) {
      add(to.get(), name, content);
    }
    must(archive_write_close(to.get()));
  }

  nlohmann::json head;                                       // of bundle.json
  std::vector<std::pair<std::string, std::string>> members;  // the others; a directory's name ends in '/'

 private:
  static void must(int result) {
    if (result != ARCHIVE_OK) {
      throw std::runtime_error("libarchive failed");
    }
  }

  static void add(archive* to, const std::string& name, const std::string& content) {
    const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(),
                                                                         archive_entry_free);
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
    archive_entry_set_filetype(entry.get(), name.ends_with('/') ? AE_IFDIR : AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    must(archive_write_header(to, entry.get()));
    if (archive_write_data(to, content.data(), content.size()) != static_cast<la_ssize_t>(content.size())) {
      throw std::runtime_error("a bundle cannot be written");
    }
  }
};

}  // namespace chaosgate::campaign
