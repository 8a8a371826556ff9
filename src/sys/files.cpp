#include "sys/files.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

namespace stepdown::sys {

namespace {

bool look_with(int fd, const char* name, int flags, struct statx& status) {
  if (::statx(fd, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
              STATX_BASIC_STATS | STATX_MNT_ID, &status) != 0)
    return false;
  // Where the call is missing, the C library answers from fstatat(2): without a mount to compare,
  // every entry would look as if something else were mounted there.
  if ((status.stx_mask & STATX_MNT_ID) != 0) return true;
  errno = ENOSYS;
  return false;
}

bool is_dot_or_dot_dot(const char* name) {
  return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0;
}

}  // namespace

bool proc_counts_as_we_do() {
  struct statfs filesystem {};
  if (::statfs("/proc/self", &filesystem) != 0 || filesystem.f_type != PROC_SUPER_MAGIC)
    return false;
  std::array<char, 16> buffer{};
  const ssize_t count = ::readlink("/proc/self", buffer.data(), buffer.size());
  return count > 0 && std::string_view(buffer.data(), static_cast<std::size_t>(count)) ==
                          std::to_string(::getpid());
}

std::uint64_t device_of(const struct statx& status) {
  return makedev(status.stx_dev_major, status.stx_dev_minor);
}

InodeId inode_of(const struct statx& status) {
  return {device_of(status), status.stx_ino};
}

Fd open_procfs(const char* path, int access) {
  Fd file(::open(path, access | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct statfs filesystem {};
  if (file && ::fstatfs(file.get(), &filesystem) == 0 && filesystem.f_type == PROC_SUPER_MAGIC)
    return file;
  if (file) errno = ENOENT;
  return {};
}

Fd open_resolving(int directory, const char* path, int flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = resolve;
  return Fd(static_cast<int>(::syscall(SYS_openat2, directory, path, &how, sizeof how)));
}

Fd pin(int directory, const char* name, int flags) {
  return open_resolving(directory, name, flags | O_PATH | O_NOFOLLOW,
                        RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
}

Fd open_for_listing(int directory) {
  return Fd(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

bool look(int directory, const char* name, struct statx& status) {
  return look_with(directory, name, 0, status);
}

bool look(int fd, struct statx& status) {
  return look_with(fd, "", AT_EMPTY_PATH, status);
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

const dirent64* Listing::next() {
  for (;;) {
    if (position_ == filled_) {
      const ssize_t got = ::getdents64(directory_, buffer_.data(), buffer_.size());
      if (got < 0) return nullptr;
      if (got == 0) {
        errno = 0;
        return nullptr;
      }
      position_ = 0;
      filled_ = static_cast<std::size_t>(got);
    }
    const auto* entry = reinterpret_cast<const dirent64*>(buffer_.data() + position_);
    position_ += entry->d_reclen;
    if (!is_dot_or_dot_dot(entry->d_name)) return entry;
  }
}

}  // namespace stepdown::sys
