#include "ownership/create.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "ownership/rules.h"
#include "stepdown/error.h"
#include "sys/files.h"

namespace stepdown::ownership {

namespace {

constexpr mode_t directory_mode = 0755;

// The only way to the wanted mode that needs no second call on the new directory: what a chmod(2)
// came upon might be something else. The umask belongs to the process; the launcher has one thread.
class NoUmask {
 public:
  NoUmask() : saved_(::umask(0)) {}
  ~NoUmask() { ::umask(saved_); }
  NoUmask(const NoUmask&) = delete;
  NoUmask& operator=(const NoUmask&) = delete;

 private:
  mode_t saved_;
};

void make_directory(const std::string& step, int parent, const std::string& name,
                    const std::string& path, Owner target) {
  const NoUmask no_umask;
  if (::mkdirat(parent, name.c_str(), directory_mode) == 0) return;
  // Another container with the same volume was faster; what is there now is judged by the caller.
  if (errno == EEXIST) return;
  if (errno == EROFS) {
    throw_errno(step, "mkdirat(2)", path, "read-only mount: " + writable_mount_hint(path, target));
  }
  throw_access_error(step, "mkdirat(2)", path, "DAC_OVERRIDE");
}

}  // namespace

Pinned create_missing(const std::string& step, Resolution resolution, Owner target) {
  Pinned parent = std::move(resolution.trail.back());
  std::string path = resolution.path.substr(0, parent.path_length);
  for (const std::string& name : resolution.missing) {
    if (!may_create_in(parent.status, target)) {
      refuse(step, (path.empty() ? "/" : path) +
                       " belongs to a stranger, who may swap what is created in it");
    }
    path += "/" + name;
    make_directory(step, parent.fd.get(), name, path, target);
    // O_NOFOLLOW and O_DIRECTORY: a symlink that was swapped in is an error here.
    Pinned child;
    child.fd = sys::pin(parent.fd.get(), name.c_str(), O_DIRECTORY);
    if (!child.fd) throw_access_error(step, "openat2(2)", path, "DAC_READ_SEARCH");
    if (!sys::look(child.fd.get(), child.status)) throw_errno(step, "statx(2)", path);
    if (child.status.stx_mnt_id != parent.status.stx_mnt_id) {
      refuse(step, path + " became a mount point while it was created");
    }
    child.path_length = path.size();
    parent = std::move(child);
  }
  return parent;
}

}  // namespace stepdown::ownership
