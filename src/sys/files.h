// Calls about files that glibc lacks or that are easy to get wrong. None of them follows a symlink
// in the last component. They report failure by an empty value with errno set, because for their
// callers ENOENT is often an answer and not an error.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sys/fd.h"

namespace stepdown::sys {

// Which inode: unique in the running system while the inode is held or exists (inode(7)).
struct InodeId {
  std::uint64_t device = 0;
  std::uint64_t number = 0;
  friend bool operator==(InodeId, InodeId) = default;
};
InodeId inode_of(const struct statx& status);

// openat2(2) with O_CLOEXEC; `resolve`: RESOLVE_….
Fd open_resolving(int directory, const char* path, int flags, std::uint64_t resolve);

// Opens a file of procfs, for reading or as `access` says (O_RDWR); fails with ENOENT where what is
// there isn't one: a root filesystem without procfs can have anything at that path, a FIFO or a
// link to /dev/zero.
Fd open_procfs(const char* path, int access = O_RDONLY);

// What is mounted on /proc is a procfs, and of this process's PID namespace: /proc/PID is who PID
// is for kill(2), and not somebody else.
bool proc_counts_as_we_do();

// The device as stat(2) would give it in st_dev.
std::uint64_t device_of(const struct statx& status);

// Pins what one component `name` is in `directory` (a symlink itself, not its target) as an O_PATH
// descriptor; `flags` may add O_DIRECTORY. openat2(2) with RESOLVE_BENEATH and
// RESOLVE_NO_MAGICLINKS.
Fd pin(int directory, const char* name, int flags = 0);

// Opens a pinned directory for reading; nothing can be swapped in between.
Fd open_for_listing(int directory);

// statx(2) with the basic fields and STATX_MNT_ID (5.8); mounts no automount.
bool look(int directory, const char* name, struct statx& status);
// The same of what `fd` has open.
bool look(int fd, struct statx& status);

// All of `bytes`, however many calls that takes.
bool write_all(int fd, std::string_view bytes);

// The entries of a directory that is open for reading, but for "." and "..".
class Listing {
 public:
  explicit Listing(int directory) : directory_(directory) {}
  // nullptr at the end (errno 0) or on failure (errno set).
  const dirent64* next();

 private:
  int directory_;
  std::size_t position_ = 0;
  std::size_t filled_ = 0;
  // Uninitialised on purpose: only the pages that getdents64(2) fills are ever touched.
  alignas(dirent64) std::array<char, 32768> buffer_;
};

}  // namespace stepdown::sys
