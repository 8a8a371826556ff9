#include "launch/descriptor_listing.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "stepdown/error.h"

namespace stepdown::steps {

namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

bool close_on_exec_by_listing(unsigned low, unsigned high) {
  const std::unique_ptr<DIR, CloseDirectory> listing(::opendir("/proc/self/fd"));
  struct statfs filesystem {};
  if (!listing || ::fstatfs(::dirfd(listing.get()), &filesystem) != 0 ||
      filesystem.f_type != PROC_SUPER_MAGIC)
    return false;
  errno = 0;
  while (const dirent* entry = ::readdir(listing.get())) {
    unsigned fd = 0;
    const char* const end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, fd).ptr != end || fd < low || fd > high) continue;
    if (::fcntl(static_cast<int>(fd), F_SETFD, FD_CLOEXEC) != 0)
      throw_errno("descriptors", "fcntl(F_SETFD)", entry->d_name);
    errno = 0;
  }
  if (errno != 0) throw_errno("descriptors", "getdents64(2)");
  return true;
}

}  // namespace stepdown::steps
