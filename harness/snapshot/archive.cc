#include "harness/snapshot/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "harness/base/beneath.h"
#include "harness/base/file.h"
#include "harness/base/printable.h"

namespace chaosgate::snapshot {

namespace fs = std::filesystem;

namespace {

using Entry = std::unique_ptr<archive_entry, void (*)(archive_entry*)>;

std::string reason(archive* a) {
  const char* text = archive_error_string(a);
  return text != nullptr ? text : "unknown";
}

class Packer {
 public:
  explicit Packer(int fd) : fd_(fd), archive_(archive_write_new(), archive_write_free) {}

  Status run(const fs::path& directory) {
    std::vector<std::string> names;
    RETURN_IF_ERROR(list(directory, &names));
    archive* const a = archive_.get();
    if (archive_write_add_filter_zstd(a) != ARCHIVE_OK ||
        archive_write_set_format_pax_restricted(a) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(a, 1) != ARCHIVE_OK ||
        archive_write_open(a, this, nullptr, write_block, nullptr) != ARCHIVE_OK) {
      return failed();
    }
    for (const std::string& name : names) {
      RETURN_IF_ERROR(add(directory, name));
    }
    return archive_write_close(a) == ARCHIVE_OK ? Status() : failed();
  }

 private:
  // Everything below `directory`, sorted: a directory comes before what is in it.
  static Status list(const fs::path& directory, std::vector<std::string>* names) {
    std::error_code error;
    for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
         it.increment(error)) {
      names->push_back(it->path().lexically_relative(directory).string());
    }
    std::sort(names->begin(), names->end());
    return error ? Status::io_error("list " + directory.string(), error.value()) : Status();
  }

  static la_ssize_t write_block(archive* a, void* self, const void* bytes, std::size_t size) {
    auto* const packer = static_cast<Packer*>(self);
    packer->written_ =
        write_all(packer->fd_, {static_cast<const char*>(bytes), size}, "the archive of a snapshot");
    if (!packer->written_.ok()) {
      archive_set_error(a, EIO, "%s", packer->written_.message().c_str());
      return -1;
    }
    return static_cast<la_ssize_t>(size);
  }

  Status failed() const {
    return written_.ok() ? Status::io_error("write an archive: " + reason(archive_.get())) : written_;
  }

  Status add(const fs::path& directory, const std::string& name) {
    const fs::path path = directory / name;
    std::error_code error;
    const fs::file_status status = fs::symlink_status(path, error);
    const Entry entry(archive_entry_new(), archive_entry_free);
    archive_entry_set_pathname(entry.get(), name.c_str());
    if (fs::is_directory(status)) {
      archive_entry_set_filetype(entry.get(), AE_IFDIR);
      archive_entry_set_perm(entry.get(), 0755);
      return archive_write_header(archive_.get(), entry.get()) == ARCHIVE_OK ? Status() : failed();
    }
    if (!fs::is_regular_file(status)) {
      return Status::invalid_argument(path.string() + " is neither a file nor a directory");
    }
    const std::uintmax_t size = fs::file_size(path, error);
    if (error) {
      return Status::io_error("stat " + path.string(), error.value());
    }
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
    if (archive_write_header(archive_.get(), entry.get()) != ARCHIVE_OK) {
      return failed();
    }
    return add_content(path, size);
  }

  Status add_content(const fs::path& path, std::uint64_t size) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) {
      return Status::io_error("open " + path.string(), errno);
    }
    return for_each_block({file.get(), 0, size}, path.string(), [&](const std::string& block) {
      const la_ssize_t written = archive_write_data(archive_.get(), block.data(), block.size());
      return written == static_cast<la_ssize_t>(block.size()) ? Status() : failed();
    });
  }

  const int fd_;
  const std::unique_ptr<archive, int (*)(archive*)> archive_;
  Status written_;
};

class Unpacker {
 public:
  explicit Unpacker(const FileRange& range)
      : range_(range), archive_(archive_read_new(), archive_read_free), at_(range.begin) {}

  Status run(const fs::path& directory) {
    const Beneath to(directory);
    archive* const a = archive_.get();
    if (archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
        archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_open(a, this, nullptr, read_block, nullptr) != ARCHIVE_OK) {
      return failed("its beginning");
    }
    for (;;) {
      archive_entry* entry = nullptr;
      const int result = archive_read_next_header(a, &entry);
      if (result == ARCHIVE_EOF) {
        return read_;
      }
      if (result != ARCHIVE_OK) {
        return failed("the next member");
      }
      RETURN_IF_ERROR(take(entry, to));
    }
  }

 private:
  static la_ssize_t read_block(archive* a, void* self, const void** bytes) {
    auto* const unpacker = static_cast<Unpacker*>(self);
    const std::uint64_t left = unpacker->range_.end - unpacker->at_;
    std::string& block = unpacker->block_;
    block.resize(std::min<std::uint64_t>(kBlockBytes, left));
    unpacker->read_ =
        read_exactly(unpacker->range_.fd, unpacker->at_, block.data(), block.size(), "a received snapshot");
    if (!unpacker->read_.ok()) {
      archive_set_error(a, EIO, "%s", unpacker->read_.message().c_str());
      return -1;
    }
    unpacker->at_ += block.size();
    *bytes = block.data();
    return static_cast<la_ssize_t>(block.size());
  }

  Status failed(std::string_view where) const {
    return read_.ok() ? Status::corruption(fmt::format("the archive of the snapshot is damaged at {}: {}",
                                                       where, reason(archive_.get())))
                      : read_;
  }

  // What the stream names wrongly is damage of the stream.
  static Status as_damage(const Status& status) {
    const bool of_name = status.code() == StatusCode::invalid_argument || status.is_not_found();
    return of_name ? Status::corruption("the archive of the snapshot has a member that cannot be unpacked: " +
                                        status.message())
                   : status;
  }

  Status take(archive_entry* entry, const Beneath& directory) {
    const char* const text = archive_entry_pathname(entry);
    std::string name = text != nullptr ? text : "";
    if (archive_entry_filetype(entry) == AE_IFDIR) {
      while (name.ends_with('/')) {
        name.pop_back();
      }
      return as_damage(directory.make_directory(name));
    }
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != nullptr) {
      return Status::corruption(
          fmt::format("the archive of the snapshot has a member that is no file: {}", printable_line(name)));
    }
    return write_member(entry, directory, name);
  }

  Status write_member(archive_entry* entry, const Beneath& directory, const std::string& name) {
    UniqueFd file;
    RETURN_IF_ERROR(as_damage(directory.open(name, O_WRONLY | O_CREAT | O_EXCL, &file)));
    const std::string path = (directory.directory() / name).string();
    std::string block(kBlockBytes, '\0');
    std::uint64_t written = 0;
    la_ssize_t count = 0;
    while ((count = archive_read_data(archive_.get(), block.data(), block.size())) > 0) {
      RETURN_IF_ERROR(
          write_all(file.get(), std::string_view(block).substr(0, static_cast<std::size_t>(count)), path));
      written += static_cast<std::uint64_t>(count);
    }
    if (count < 0 || written != static_cast<std::uint64_t>(archive_entry_size(entry))) {
      return failed(printable_line(name));
    }
    return {};
  }

  const FileRange range_;
  const std::unique_ptr<archive, int (*)(archive*)> archive_;
  std::string block_;
  std::uint64_t at_;  // what comes next of the range
  Status read_;
};

}  // namespace

Status pack_directory(const fs::path& directory, int fd) { return Packer(fd).run(directory); }

Status unpack_directory(const FileRange& archive, const fs::path& directory) {
  return Unpacker(archive).run(directory);
}

}  // namespace chaosgate::snapshot
