#include "harness/tap/call.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <linux/falloc.h>
#include <linux/openat2.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <utility>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/hash.h"

namespace chaosgate::tap {
namespace {

using Kind = Call::Kind;

constexpr std::size_t kIovecsMax = 1024;  // the kernel's limit
constexpr std::size_t kDirectAlignment = 4096;

// libseccomp searches a list and allocates: once for each number.
std::string_view name_of_system_call(int number) {
  static std::mutex mutex;
  static std::map<int, std::string> names;
  const std::lock_guard lock(mutex);
  const auto [at, added] = names.try_emplace(number);
  if (added) {
    char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
    at->second = name != nullptr ? name : "unknown";
    std::free(name);  // NOLINT: libseccomp says so
  }
  return at->second;  // entries of a map stay where they are
}

class Reading {
 public:
  Reading(const seccomp_notif& waiting, const RemoteProcess& process, const FileTable& files,
          const Patterns& volatile_files, Mappings* mappings)
      : number_(waiting.data.nr),
        args_(waiting.data.args),
        process_(process),
        files_(files),
        volatile_files_(volatile_files),
        mappings_(mappings) {}

  Call read() {
    dispatch();
    if (call_.kind != Kind::ignore) {
      call_.record.system_call = name_of_system_call(number_);
    }
    return std::move(call_);
  }

 private:
  int descriptor(int argument) const { return static_cast<int>(args_[argument]); }

  void dispatch() {
    switch (number_) {
#ifdef SYS_open
      case SYS_open:
        return open(AT_FDCWD, args_[0], args_[1], args_[2]);
      case SYS_creat:
        return open(AT_FDCWD, args_[0], O_CREAT | O_WRONLY | O_TRUNC, args_[1]);
      case SYS_rename:
        return rename(AT_FDCWD, args_[0], AT_FDCWD, args_[1], 0);
      case SYS_link:
        return link(AT_FDCWD, args_[0], AT_FDCWD, args_[1]);
      case SYS_unlink:
        return unlink(AT_FDCWD, args_[0], 0);
      case SYS_rmdir:
        return unlink(AT_FDCWD, args_[0], AT_REMOVEDIR);
      case SYS_mkdir:
        return mkdir(AT_FDCWD, args_[0], args_[1]);
      case SYS_symlink:
        return refuse_name(AT_FDCWD, args_[1]);
      case SYS_mknod:
        return refuse_name(AT_FDCWD, args_[0]);
#endif
#ifdef SYS_renameat
      case SYS_renameat:
        return rename(descriptor(0), args_[1], descriptor(2), args_[3], 0);
#endif
      case SYS_openat:
        return open(descriptor(0), args_[1], args_[2], args_[3]);
      case SYS_openat2:
        return open_how();
      case SYS_write:
        return write_buffer(-1);
      case SYS_pwrite64:
        return write_buffer(static_cast<std::int64_t>(args_[3]));
      case SYS_writev:
        return write_vector(-1, 0);
      case SYS_pwritev:
        return write_vector(static_cast<std::int64_t>(args_[3]), 0);
      case SYS_pwritev2:
        return write_vector(static_cast<std::int64_t>(args_[3]), static_cast<int>(args_[5]));
      case SYS_truncate:
        return truncate_path();
      case SYS_ftruncate:
        return file_call(StorageCall::truncate, [&] { call_.record.size_after = args_[1]; });
      case SYS_fallocate:
        return file_call(StorageCall::allocate, [&] { allocate(); });
      case SYS_fsync:
        return sync(StorageCall::sync);
      case SYS_fdatasync:
        return sync(StorageCall::datasync);
      case SYS_sync_file_range:
        return file_call(StorageCall::range_sync, [&] {
          call_.record.offset = args_[1];
          call_.record.length = args_[2];
          call_.range_flags = static_cast<unsigned>(args_[3]);
        });
      case SYS_sync:
      case SYS_syncfs:
        return sync_all();
      case SYS_renameat2:
        return rename(descriptor(0), args_[1], descriptor(2), args_[3], static_cast<unsigned>(args_[4]));
      case SYS_linkat:
        return link(descriptor(0), args_[1], descriptor(2), args_[3]);
      case SYS_unlinkat:
        return unlink(descriptor(0), args_[1], static_cast<int>(args_[2]));
      case SYS_mkdirat:
        return mkdir(descriptor(0), args_[1], args_[2]);
      case SYS_symlinkat:
        return refuse_name(descriptor(1), args_[2]);
      case SYS_mknodat:
        return refuse_name(descriptor(0), args_[1]);
      case SYS_copy_file_range:
      case SYS_splice:
        return refuse_file(descriptor(2), number_ == SYS_splice ? EINVAL : ENOSYS);
      case SYS_sendfile:
        return refuse_file(descriptor(0), EINVAL);
      case SYS_ioctl:
        return refuse_file(descriptor(0), EOPNOTSUPP);
      case SYS_mmap:
        return map();
      case SYS_mprotect:
      case SYS_pkey_mprotect:
        return protect();
      default:
        return;
    }
  }

  // Duplicates the descriptor; false when it is not one of a file or directory that the table knows.
  bool take_file(int number) {
    call_.file = process_.descriptor(number);
    struct stat info {};
    if (!call_.file || ::fstat(call_.file.get(), &info) != 0) {
      return false;
    }
    const InodeId inode = files_.find(info);
    if (inode == 0) {
      return false;
    }
    about(inode, info);
    return true;
  }

  void about(InodeId inode, const struct stat& info) {
    call_.record.inode = inode;
    call_.record.is_directory = S_ISDIR(info.st_mode);
    call_.record.path = files_.path(inode);
    call_.record.size_before = call_.record.is_directory ? 0 : static_cast<std::uint64_t>(info.st_size);
    call_.record.size_after = call_.record.size_before;
  }

  void is_storage(StorageCall call) {
    call_.kind = Kind::storage;
    call_.record.call = call;
    if (call_.record.inode != 0) {
      const TraceRecord& record = call_.record;
      const std::uint64_t end = call == StorageCall::write ? record.offset + record.requested : 0;
      call_.record.file_class = files_.file_class(record.inode, end);
    }
  }

  template <typename Fill>
  void file_call(StorageCall call, Fill&& fill) {
    if (take_file(descriptor(0)) && !call_.record.is_directory) {
      fill();
      is_storage(call);
    }
  }

  // False when the path's directory is none of the table's.
  bool locate(int dirfd, std::uint64_t address, Place* place) {
    if (!process_.read_path(address, &place->path) || place->path.empty()) {
      return false;
    }
    std::string& path = place->path;
    while (path.size() > 1 && path.back() == '/') {
      path.pop_back();
    }
    if (path.front() != '/') {
      place->base = dirfd == AT_FDCWD ? process_.current_directory() : process_.descriptor(dirfd);
      if (!place->base) {
        return false;
      }
    }
    const std::size_t slash = path.rfind('/');
    place->name = slash == std::string::npos ? path : path.substr(slash + 1);
    const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    struct stat info {};
    if (place->name.empty() || place->name == "." || place->name == ".." ||
        ::fstatat(base_of(*place), parent.c_str(), &info, 0) != 0) {
      return false;
    }
    place->dir = files_.find(info);
    return place->dir != 0;
  }

  static int base_of(const Place& place) { return place.base ? place.base.get() : AT_FDCWD; }

  // A call about the name `call_.place`, which is, or will be, bound to `inode`.
  void name_call(StorageCall call, InodeId inode) {
    TraceRecord& record = call_.record;
    record.dir = call_.place.dir;
    record.name = call_.place.name;
    const std::string parent = files_.path(record.dir);
    if (inode != 0) {
      record.inode = inode;
      record.is_directory = files_.is_directory(inode);
    }
    is_storage(call);
    record.path = parent.empty() ? record.name : parent + "/" + record.name;
  }

  void open(int dirfd, std::uint64_t path, std::uint64_t flags, std::uint64_t mode) {
    constexpr std::uint64_t kTemporary = O_TMPFILE & ~O_DIRECTORY;
    if ((flags & kTemporary) != 0) {
      return refuse_unnamed(dirfd, path);
    }
    if ((flags & (O_CREAT | O_TRUNC)) == 0 || !locate(dirfd, path, &call_.place)) {
      return;
    }
    call_.open_flags = flags;
    call_.open_mode = (flags & O_CREAT) != 0 ? mode & 07777 : 0;
    const InodeId bound = files_.bound(call_.place.dir, call_.place.name);
    if (bound == 0) {
      if ((flags & O_CREAT) != 0) {
        name_call(StorageCall::create, 0);
        call_.record.file_class = files_.class_of_path(call_.record.path);
      }
      return;
    }
    struct stat info {};
    if ((flags & O_EXCL) != 0 || (flags & O_TRUNC) == 0 ||
        ::fstatat(base_of(call_.place), call_.place.path.c_str(), &info, 0) != 0 || info.st_size == 0) {
      return;
    }
    about(bound, info);
    call_.record.size_after = 0;
    is_storage(StorageCall::truncate);
  }

  void open_how() {
    open_how_t how{};
    const std::size_t size = std::min<std::size_t>(args_[3], sizeof how);
    if (process_.read(args_[2], &how, size)) {
      call_.open_resolve = how.resolve;
      open(descriptor(0), args_[1], how.flags, how.mode);
    }
  }
  using open_how_t = struct open_how;

  void refuse_unnamed(int dirfd, std::uint64_t address) {
    Place place;
    struct stat info {};
    if (!process_.read_path(address, &place.path)) {
      return;
    }
    if (!place.path.empty() && place.path.front() != '/') {
      place.base = dirfd == AT_FDCWD ? process_.current_directory() : process_.descriptor(dirfd);
    }
    if (::fstatat(base_of(place), place.path.c_str(), &info, 0) == 0 && files_.find(info) != 0) {
      about(files_.find(info), info);
      refuse(EOPNOTSUPP);
    }
  }

  void write_buffer(std::int64_t position) {
    if (!take_file(descriptor(0))) {
      return;
    }
    std::string& payload = call_.record.payload;
    payload.resize(args_[2]);
    if (process_.read(args_[1], payload.data(), payload.size())) {
      write(position, 0);
    }
  }

  void write_vector(std::int64_t position, int flags) {
    if (!take_file(descriptor(0))) {
      return;
    }
    const std::size_t count = args_[2];
    std::vector<iovec> pieces(std::min(count, kIovecsMax));
    if (count > kIovecsMax || !process_.read(args_[1], pieces.data(), count * sizeof(iovec))) {
      return;  // the kernel says what is wrong with it
    }
    std::string& payload = call_.record.payload;
    for (const iovec& piece : pieces) {
      const std::size_t at = payload.size();
      payload.resize(at + piece.iov_len);
      if (!process_.read(reinterpret_cast<std::uint64_t>(piece.iov_base), payload.data() + at,
                         piece.iov_len)) {
        return;
      }
    }
    write(position, flags);
  }

  void write(std::int64_t position, int flags) {
    TraceRecord& record = call_.record;
    const int file_flags = ::fcntl(call_.file.get(), F_GETFL);
    if (file_flags < 0 || (file_flags & O_ACCMODE) == O_RDONLY || record.payload.empty()) {
      return;
    }
    const bool append = (file_flags & O_APPEND) != 0 || (flags & RWF_APPEND) != 0;
    const std::int64_t at = position >= 0 ? position : ::lseek(call_.file.get(), 0, SEEK_CUR);
    record.offset = append ? record.size_before : static_cast<std::uint64_t>(at);
    record.requested = record.payload.size();
    record.write_through = (file_flags & O_DSYNC) != 0 || (flags & (RWF_DSYNC | RWF_SYNC)) != 0;
    call_.position = position;
    call_.write_flags = flags;
    record.direct = (file_flags & O_DIRECT) != 0;
    is_storage(StorageCall::write);
  }

  void truncate_path() {
    if (!locate(AT_FDCWD, args_[0], &call_.place)) {
      return;
    }
    const InodeId inode = files_.bound(call_.place.dir, call_.place.name);
    call_.file = UniqueFd(::openat(base_of(call_.place), call_.place.path.c_str(), O_WRONLY | O_CLOEXEC));
    struct stat info {};
    if (inode == 0 || !call_.file || ::fstat(call_.file.get(), &info) != 0) {
      return;
    }
    about(inode, info);
    call_.record.size_after = args_[1];
    is_storage(StorageCall::truncate);
  }

  void allocate() {
    TraceRecord& record = call_.record;
    record.mode = static_cast<std::uint32_t>(args_[1]);
    record.offset = args_[2];
    record.length = args_[3];
    if ((record.mode & FALLOC_FL_KEEP_SIZE) == 0) {
      record.size_after = std::max(record.size_before, record.offset + record.length);
    }
  }

  void sync(StorageCall call) {
    if (take_file(descriptor(0))) {
      is_storage(call);
    }
  }

  void sync_all() {
    if (number_ == SYS_syncfs && !take_file(descriptor(0))) {
      return;
    }
    call_.record.inode = kRootInode;
    call_.record.is_directory = true;
    call_.record.path.clear();
    is_storage(StorageCall::sync_all);
  }

  void rename(int from_dirfd, std::uint64_t from, int dirfd, std::uint64_t to, unsigned flags) {
    const bool from_ours = locate(from_dirfd, from, &call_.from);
    const bool ours = locate(dirfd, to, &call_.place);
    if (!from_ours && !ours) {
      return;
    }
    const InodeId inode = from_ours ? files_.bound(call_.from.dir, call_.from.name) : 0;
    if (!from_ours || !ours || (flags & ~static_cast<unsigned>(RENAME_NOREPLACE)) != 0) {
      return refuse(from_ours && ours ? EINVAL : EXDEV);
    }
    const InodeId replaced = files_.bound(call_.place.dir, call_.place.name);
    if (inode == 0 || inode == replaced || (replaced != 0 && (flags & RENAME_NOREPLACE) != 0)) {
      return;  // fails, or does nothing
    }
    call_.rename_flags = flags;
    two_names(StorageCall::rename, inode);
    call_.record.replaced = replaced;
  }

  void link(int from_dirfd, std::uint64_t from, int dirfd, std::uint64_t to) {
    if (!locate(dirfd, to, &call_.place)) {
      return;
    }
    if (!locate(from_dirfd, from, &call_.from)) {
      return refuse(EXDEV);
    }
    const InodeId inode = files_.bound(call_.from.dir, call_.from.name);
    if (inode != 0 && files_.bound(call_.place.dir, call_.place.name) == 0) {
      two_names(StorageCall::link, inode);
    }
  }

  void two_names(StorageCall call, InodeId inode) {
    call_.record.from_dir = call_.from.dir;
    call_.record.from_name = call_.from.name;
    name_call(call, inode);
    if (!call_.record.is_directory) {
      call_.record.file_class = files_.class_of_path(call_.record.path);  // what it becomes
    }
  }

  void unlink(int dirfd, std::uint64_t path, int flags) {
    if (!locate(dirfd, path, &call_.place)) {
      return;
    }
    const InodeId inode = files_.bound(call_.place.dir, call_.place.name);
    if (inode != 0) {
      struct stat info {};
      if (::fstatat(base_of(call_.place), call_.place.path.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
          S_ISREG(info.st_mode) && info.st_nlink == 1) {
        call_.record.size_before = static_cast<std::uint64_t>(info.st_size);  // given back
      }
      name_call((flags & AT_REMOVEDIR) != 0 ? StorageCall::rmdir : StorageCall::unlink, inode);
    }
  }

  void mkdir(int dirfd, std::uint64_t path, std::uint64_t mode) {
    if (locate(dirfd, path, &call_.place) && files_.bound(call_.place.dir, call_.place.name) == 0) {
      call_.open_mode = mode & 07777;
      name_call(StorageCall::mkdir, 0);
      call_.record.file_class = kDirectoryClass;
      call_.record.is_directory = true;
    }
  }

  void refuse(int error) {
    is_storage(StorageCall::refused);
    call_.kind = Kind::refuse;
    call_.refusal_error = error;
    call_.record.error = static_cast<std::uint32_t>(error);
  }

  void refuse_name(int dirfd, std::uint64_t path) {
    if (locate(dirfd, path, &call_.place)) {
      call_.record.path = call_.place.path;
      refuse(EPERM);
    }
  }

  void refuse_file(int number, int error) {
    if (take_file(number)) {
      refuse(error);
    }
  }

  bool is_volatile(const std::string& path) const {
    return std::any_of(volatile_files_.begin(), volatile_files_.end(), [&](const std::string& pattern) {
      return ::fnmatch(pattern.c_str(), path.c_str(), 0) == 0;
    });
  }

  void map() {
    if (!take_file(descriptor(4)) || is_volatile(call_.record.path)) {
      return;
    }
    if ((args_[2] & PROT_WRITE) != 0) {
      call_.kind = Kind::map;
    } else {
      mappings_->readable_data = true;
    }
  }

  void protect() {
    if (!mappings_->readable_data) {
      return;
    }
    // "7f00-7f10 r--s 00000000 00:1d 1234 /path": a shared mapping of a file in the range?
    std::ifstream maps("/proc/" + std::to_string(process_.pid()) + "/maps");
    for (std::string line; std::getline(maps, line);) {
      unsigned long begin = 0;
      unsigned long end = 0;
      char rights[5] = {};
      unsigned major = 0;
      unsigned minor = 0;
      unsigned long inode = 0;
      if (std::sscanf(line.c_str(), "%lx-%lx %4s %*x %x:%x %lu", &begin, &end, rights, &major, &minor,
                      &inode) != 6 ||
          rights[3] != 's' || end <= args_[0] || begin >= args_[0] + args_[1]) {
        continue;
      }
      struct stat info {};
      info.st_dev = makedev(major, minor);
      info.st_ino = inode;
      const InodeId known = files_.find(info);
      if (known != 0 && !is_volatile(files_.path(known))) {
        call_.record.path = files_.path(known);
        call_.kind = Kind::map;
        return;
      }
    }
  }

  const int number_;
  const __u64* args_;
  const RemoteProcess& process_;
  const FileTable& files_;
  const Patterns& volatile_files_;
  Mappings* mappings_;
  Call call_;
};

// Of calls that answer 0 or -1.
std::int64_t result_of(int result) { return result == 0 ? 0 : -errno; }

int base_of(const Place& place) { return place.base ? place.base.get() : AT_FDCWD; }

std::int64_t write_bytes(Call* call, std::uint64_t bytes) {
  const std::string& payload = call->record.payload;
  const void* from = payload.data();
  std::unique_ptr<void, decltype(&std::free)> aligned(nullptr, std::free);
  if (call->record.direct) {
    const std::size_t room = (bytes + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment;
    aligned.reset(std::aligned_alloc(kDirectAlignment, room));
    CHECK(aligned != nullptr);
    std::memcpy(aligned.get(), from, bytes);
    from = aligned.get();
  }
  const iovec piece{const_cast<void*>(from), bytes};
  const ssize_t count = ::pwritev2(call->file.get(), &piece, 1, call->position, call->write_flags);
  return count >= 0 ? count : -errno;
}

void note_written(Call* call, std::uint64_t count) {
  TraceRecord& record = call->record;
  record.length = count;
  record.payload.resize(count);
  record.payload_hash = hash64(record.payload);
  record.size_after = std::max(record.size_before, record.offset + count);
}

std::int64_t carry_out_open(Call* call, FileTable* files) {
  TraceRecord& record = call->record;
  const int base = base_of(call->place);
  const char* path = call->place.path.c_str();
  if (call->open_resolve != 0) {
    struct open_how how {};
    how.flags = call->open_flags | O_CLOEXEC;
    how.mode = call->open_mode;
    how.resolve = call->open_resolve;
    call->opened = UniqueFd(static_cast<int>(::syscall(SYS_openat2, base, path, &how, sizeof how)));
  } else {
    call->opened = UniqueFd(::openat(base, path, static_cast<int>(call->open_flags) | O_CLOEXEC,
                                     static_cast<mode_t>(call->open_mode)));
  }
  if (!call->opened) {
    return -errno;
  }
  if (record.call == StorageCall::create) {
    struct stat info {};
    CHECK(::fstat(call->opened.get(), &info) == 0);
    record.inode = files->add(info, record.dir, record.name);
  }
  return 0;
}

std::int64_t carry_out_mkdir(Call* call, FileTable* files) {
  TraceRecord& record = call->record;
  if (::mkdirat(base_of(call->place), call->place.path.c_str(), static_cast<mode_t>(call->open_mode)) != 0) {
    return -errno;
  }
  struct stat info {};
  CHECK(::fstatat(base_of(call->place), call->place.path.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0);
  record.inode = files->add(info, record.dir, record.name);
  return 0;
}

std::int64_t carry_out_names(Call* call, FileTable* files) {
  TraceRecord& record = call->record;
  const int to = base_of(call->place);
  const int from = base_of(call->from);
  const char* path = call->place.path.c_str();
  int result = 0;
  switch (record.call) {
    case StorageCall::rename:
      result = static_cast<int>(
          ::syscall(SYS_renameat2, from, call->from.path.c_str(), to, path, call->rename_flags));
      break;
    case StorageCall::link:
      result = ::linkat(from, call->from.path.c_str(), to, path, 0);
      break;
    case StorageCall::unlink:
    case StorageCall::rmdir:
      result = ::unlinkat(to, path, record.call == StorageCall::rmdir ? AT_REMOVEDIR : 0);
      break;
    default:
      CHECK(false, "not a call about names");
  }
  if (result != 0) {
    return -errno;
  }
  if (record.call == StorageCall::rename || record.call == StorageCall::link) {
    files->bind(record.dir, record.name, record.inode);
  } else {
    files->unbind(record.dir, record.name);
  }
  if (record.call == StorageCall::rename) {
    files->unbind(record.from_dir, record.from_name);
  }
  return 0;
}

}  // namespace

std::optional<Call> read_call(const seccomp_notif& waiting, const RemoteProcess& process,
                              const FileTable& files, const Patterns& volatile_files, Mappings* mappings) {
  if (!process.alive()) {
    return std::nullopt;
  }
  try {
    return Reading(waiting, process, files, volatile_files, mappings).read();
  } catch (const EnvironmentError& error) {
    throw EnvironmentError(fmt::format("storage call {} cannot be seen: {}",
                                       name_of_system_call(waiting.data.nr), error.what()));
  }
}

std::int64_t carry_out(Call* call, std::uint64_t bytes, bool sync_disk, FileTable* files) {
  TraceRecord& record = call->record;
  const int file = call->file.get();
  switch (record.call) {
    case StorageCall::create:
      return carry_out_open(call, files);
    case StorageCall::write: {
      const std::int64_t count = write_bytes(call, bytes);
      note_written(call, count < 0 ? 0 : static_cast<std::uint64_t>(count));
      return count;
    }
    case StorageCall::truncate:
      return call->open_flags != 0 ? carry_out_open(call, files)
                                   : result_of(::ftruncate(file, static_cast<off_t>(record.size_after)));
    case StorageCall::allocate:
      return result_of(::fallocate(file, static_cast<int>(record.mode), static_cast<off_t>(record.offset),
                                   static_cast<off_t>(record.length)));
    case StorageCall::sync:
      return sync_disk ? result_of(::fsync(file)) : 0;
    case StorageCall::datasync:
      return sync_disk ? result_of(::fdatasync(file)) : 0;
    case StorageCall::range_sync:
      return sync_disk ? result_of(::sync_file_range(file, static_cast<off_t>(record.offset),
                                                     static_cast<off_t>(record.length), call->range_flags))
                       : 0;
    case StorageCall::sync_all:
      if (sync_disk) {
        ::sync();
      }
      return 0;
    case StorageCall::mkdir:
      return carry_out_mkdir(call, files);
    case StorageCall::rename:
    case StorageCall::link:
    case StorageCall::unlink:
    case StorageCall::rmdir:
      return carry_out_names(call, files);
    case StorageCall::refused:
      break;
  }
  CHECK(false, "not a call that can be carried out");
  return 0;
}

}  // namespace chaosgate::tap
