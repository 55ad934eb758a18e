#include "harness/tap/filter.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <vector>

#include "harness/base/error.h"
#include "harness/tap/signals.h"

namespace chaosgate::tap {
namespace {

using Rules = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, decltype(&seccomp_release)>;

void add(scmp_filter_ctx rules, std::uint32_t action, int call, std::vector<scmp_arg_cmp> arguments = {}) {
  const int result =
      seccomp_rule_add_array(rules, action, call, static_cast<unsigned>(arguments.size()), arguments.data());
  if (result != 0) {
    throw_errno("seccomp rule for system call " + std::to_string(call), -result);
  }
}

scmp_arg_cmp masked(unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

// The calls that can change a file's content or a name, by whatever way.
void add_storage_calls(scmp_filter_ctx rules) {
  const std::uint32_t notify = SCMP_ACT_NOTIFY;
  for (const int call : {SCMP_SYS(creat),     SCMP_SYS(openat2),  SCMP_SYS(write),
                         SCMP_SYS(pwrite64),  SCMP_SYS(writev),   SCMP_SYS(pwritev),
                         SCMP_SYS(pwritev2),  SCMP_SYS(truncate), SCMP_SYS(ftruncate),
                         SCMP_SYS(fallocate), SCMP_SYS(fsync),    SCMP_SYS(fdatasync),
                         SCMP_SYS(sync),      SCMP_SYS(syncfs),   SCMP_SYS(sync_file_range),
                         SCMP_SYS(rename),    SCMP_SYS(renameat), SCMP_SYS(renameat2),
                         SCMP_SYS(link),      SCMP_SYS(linkat),   SCMP_SYS(symlink),
                         SCMP_SYS(symlinkat), SCMP_SYS(unlink),   SCMP_SYS(unlinkat),
                         SCMP_SYS(mkdir),     SCMP_SYS(mkdirat),  SCMP_SYS(rmdir),
                         SCMP_SYS(mknod),     SCMP_SYS(mknodat),  SCMP_SYS(copy_file_range),
                         SCMP_SYS(sendfile),  SCMP_SYS(splice)}) {
    add(rules, notify, call);
  }
  // Opening to read changes nothing.
  for (const auto& [call, flags] : {std::pair{SCMP_SYS(open), 1U}, std::pair{SCMP_SYS(openat), 2U}}) {
    for (const std::uint64_t bit : {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC}) {
      add(rules, notify, call, {masked(flags, bit, bit)});
    }
  }
  // Shared mappings of files, and the way to make one writable later.
  add(rules, notify, SCMP_SYS(mmap), {masked(3, MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED)});
  add(rules, notify, SCMP_SYS(mprotect), {masked(2, PROT_WRITE, PROT_WRITE)});
  add(rules, notify, SCMP_SYS(pkey_mprotect), {masked(2, PROT_WRITE, PROT_WRITE)});
  for (const std::uint64_t request : {FICLONE, FICLONERANGE, FIDEDUPERANGE}) {
    add(rules, notify, SCMP_SYS(ioctl), {scmp_arg_cmp{1, SCMP_CMP_EQ, request, 0}});
  }
}

// Ways to write past the calls above.
void add_refusals(scmp_filter_ctx rules) {
  for (const int call : {SCMP_SYS(io_uring_setup), SCMP_SYS(io_setup), SCMP_SYS(open_by_handle_at)}) {
    add(rules, SCMP_ACT_ERRNO(ENOSYS), call);
  }
}

std::vector<sock_filter> compile() {
  const Rules rules(seccomp_init(SCMP_ACT_ALLOW), seccomp_release);
  if (rules == nullptr) {
    throw EnvironmentError("libseccomp cannot make a filter");
  }
  seccomp_attr_set(rules.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a binary tree instead of a chain
  add_storage_calls(rules.get());
  add_refusals(rules.get());
  const UniqueFd memory(::memfd_create("seccomp-filter", MFD_CLOEXEC));
  if (!memory || seccomp_export_bpf(rules.get(), memory.get()) != 0) {
    throw EnvironmentError("libseccomp cannot export a filter");
  }
  const off_t size = ::lseek(memory.get(), 0, SEEK_END);
  std::vector<sock_filter> program(static_cast<std::size_t>(size) / sizeof(sock_filter));
  if (::pread(memory.get(), program.data(), static_cast<std::size_t>(size), 0) != size) {
    throw_errno("read the seccomp filter");
  }
  return program;
}

const std::vector<sock_filter>& program() {
  static const std::vector<sock_filter> compiled = compile();
  return compiled;
}

}  // namespace

UniqueFd install_filter() {
  const sock_fprog filter{static_cast<unsigned short>(program().size()),
                          const_cast<sock_filter*>(program().data())};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    throw_errno("set no_new_privs");
  }
  const long fd =
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &filter);
  if (fd < 0) {
    throw_errno("install a seccomp filter with user notification");
  }
  hide_waiting_from_signals();
  return UniqueFd(static_cast<int>(fd));
}

const std::string& why_unavailable() {
  static const std::string reason = [] {
    program();  // so that children that install it find it made
    const pid_t pid = ::fork();
    if (pid < 0) {
      return std::string("fork: ") + std::strerror(errno);
    }
    if (pid == 0) {
      try {
        install_filter();
      } catch (const EnvironmentError&) {
        ::_exit(errno == 0 ? 1 : errno);
      }
      ::_exit(0);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      return std::string();
    }
    return "seccomp user notification is not available: " +
           (WIFEXITED(status) ? std::string(std::strerror(WEXITSTATUS(status)))
                              : std::string("the trial process died"));
  }();
  return reason;
}

}  // namespace chaosgate::tap
