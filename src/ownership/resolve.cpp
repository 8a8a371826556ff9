#include "ownership/resolve.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "ownership/rules.h"
#include "stepdown/error.h"
#include "sys/files.h"

namespace stepdown::ownership {

namespace {

// The kernel's own limit (path_resolution(7)).
constexpr int most_symlinks = 40;

std::string numbers(const struct statx& status) {
  return std::to_string(status.stx_uid) + ":" + std::to_string(status.stx_gid);
}

struct statfs filesystem_of(const std::string& step, const std::string& path, int fd) {
  struct statfs filesystem {};
  if (::fstatfs(fd, &filesystem) != 0) throw_errno(step, "fstatfs(2)", path);
  return filesystem;
}

std::uint64_t magic_of(const struct statfs& filesystem) {
  return static_cast<std::uint32_t>(filesystem.f_type);
}

class Resolver {
 public:
  Resolver(const std::string& step, const std::string& path) : step_(step), rest_(path) {}

  Resolution run() {
    start();
    for (std::string name = next(); !name.empty(); name = next()) take(name);
    if (result_.path.empty()) result_.path = "/";
    return std::move(result_);
  }

 private:
  void start() {
    Pinned root;
    root.fd = sys::Fd(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root.fd) throw_errno(step_, "open(2)", "/");
    look(root, "/");
    result_.trail.reserve(8);
    result_.trail.push_back(std::move(root));
  }

  // The next component; empty at the end.
  std::string next() {
    const std::size_t begin = rest_.find_first_not_of('/', position_);
    if (begin == std::string::npos) return {};
    position_ = std::min(rest_.find('/', begin), rest_.size());
    return rest_.substr(begin, position_ - begin);
  }

  void take(const std::string& name) {
    if (name == ".") return;
    if (name == "..") {
      go_up();
    } else if (!result_.missing.empty()) {
      add_missing(name);
    } else {
      go_down(name);
    }
  }

  // On our own trail and not in the filesystem, where a directory can be moved away meanwhile.
  void go_up() {
    if (!result_.missing.empty()) {
      refuse(step_, result_.path + " does not exist, so the path can't go on with ..");
    }
    if (result_.trail.size() == 1) return;
    result_.trail.pop_back();
    result_.path.resize(result_.trail.back().path_length);
  }

  void add_missing(const std::string& name) {
    result_.path += "/" + name;
    result_.missing.push_back(name);
  }

  void go_down(const std::string& name) {
    const Pinned& directory = result_.last();
    const std::string here = result_.path + "/" + name;
    if (!S_ISDIR(directory.status.stx_mode)) {
      errno = ENOTDIR;
      throw_errno(step_, "", result_.path);
    }
    Pinned found;
    found.fd = sys::pin(directory.fd.get(), name.c_str());
    if (!found.fd) {
      if (errno == ENOENT) return add_missing(name);
      if (errno == ENOSYS || errno == EPERM) {
        throw_errno(step_, "openat2(2)", here,
                    "this needs Linux 5.6 and a seccomp filter that lets openat2 through");
      }
      throw_access_error(step_, "openat2(2)", here, "DAC_READ_SEARCH");
    }
    look(found, here);
    if (S_ISLNK(found.status.stx_mode)) return follow(found, here);
    result_.path = here;
    found.path_length = here.size();
    result_.trail.push_back(std::move(found));
  }

  void follow(const Pinned& link, const std::string& here) {
    const struct statx& directory = result_.last().status;
    if (!symlinks_are_trusted_in(directory)) {
      refuse(step_,
             here + " is a symbolic link in a directory that is not root's alone (owner " +
                 numbers(directory) + ")",
             "name the path that it stands for");
    }
    // What procfs shows as a link is no path but a door into another process (proc(5), "root").
    if (magic_of(filesystem_of(step_, here, link.fd.get())) == PROC_SUPER_MAGIC) {
      refuse(step_, here + " is a link of procfs", "name the path that it stands for");
    }
    if (++symlinks_ > most_symlinks) {
      errno = ELOOP;
      throw_errno(step_, "readlinkat(2)", here);
    }
    std::array<char, PATH_MAX> text;
    const ssize_t length = ::readlinkat(link.fd.get(), "", text.data(), text.size());
    if (length < 0) throw_errno(step_, "readlinkat(2)", here);
    std::string target(text.data(), static_cast<std::size_t>(length));
    if (target.starts_with('/')) {
      result_.trail.erase(result_.trail.begin() + 1, result_.trail.end());
      result_.path.clear();
    }
    rest_ = std::move(target) + "/" + rest_.substr(position_);
    position_ = 0;
  }

  void look(Pinned& inode, const std::string& here) {
    if (!sys::look(inode.fd.get(), inode.status)) throw_errno(step_, "statx(2)", here);
  }

  const std::string& step_;
  std::string rest_;
  std::size_t position_ = 0;
  int symlinks_ = 0;
  Resolution result_;
};

// What `path` means today, symlinks followed; nullopt when there is no such thing.
std::optional<struct statx> reference(const std::string& step, const char* path) {
  struct statx status {};
  if (::statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, STATX_INO, &status) == 0) return status;
  if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return std::nullopt;
  throw_errno(step, "statx(2)", path);
}

bool is_same(const std::optional<struct statx>& known, const struct statx& status) {
  return known && sys::inode_of(*known) == sys::inode_of(status);
}

// A symlink or a bind mount can give a protected inode any name.
void refuse_protected_inodes(const std::string& step, const Resolution& resolution,
                             bool recursive) {
  const std::vector<Pinned>& trail = resolution.trail;
  const auto is_on_trail = [&trail](const std::optional<struct statx>& known) {
    return std::any_of(trail.begin(), trail.end(),
                       [&known](const Pinned& inode) { return is_same(known, inode.status); });
  };
  const auto refuse_as = [&](const std::string& what) {
    refuse(step, resolution.path + " is " + what + " by another name");
  };

  for (const char* top : {"/proc", "/sys"}) {
    if (is_on_trail(reference(step, top))) refuse_as(std::string("in ") + top);
  }
  const struct statx& last = resolution.last().status;
  // Where /dev is a filesystem of its own, all of that filesystem is off limits wherever a part of
  // it is mounted.
  const std::optional<struct statx> dev = reference(step, "/dev");
  const bool is_in_dev =
      dev && (is_on_trail(dev) || (sys::device_of(*dev) == sys::device_of(last) &&
                                   sys::device_of(*dev) != sys::device_of(trail.front().status)));
  if (is_in_dev && !is_on_trail(reference(step, "/dev/shm"))) refuse_as("in /dev");
  if (!resolution.exists() || !S_ISDIR(last.stx_mode)) return;
  if (is_same(trail.front().status, last)) refuse_as("/");
  for (const char* path : never_as_a_whole) {
    if (is_same(reference(step, path), last)) refuse_as(path);
  }
  if (recursive && is_same(reference(step, "/run"), last)) refuse_as("/run");
}

void refuse_unfit_inode(const std::string& step, const Resolution& resolution, Owner target) {
  const struct statx& last = resolution.last().status;
  if ((last.stx_mask & STATX_MNT_ID) == 0) {
    refuse(step, "needs Linux 5.8: without STATX_MNT_ID nothing tells mounts apart");
  }
  if (resolution.exists()) {
    if (S_ISBLK(last.stx_mode) || S_ISCHR(last.stx_mode)) {
      refuse(step, resolution.path + " is a device");
    }
    return;
  }
  if (!may_create_in(last, target)) {
    refuse(step,
           resolution.path + " is missing, and the directory it would be created in belongs to " +
               "someone else (" + numbers(last) + "), who could swap it",
           "create it beforehand, or name the directory itself");
  }
}

}  // namespace

Resolution resolve(const std::string& step, const std::string& path) {
  return Resolver(step, path).run();
}

std::string step_name(const OwnedPath& own) {
  return "--own " + own.path + (own.recursive ? "" : ":top");
}

Examined examine(const OwnedPath& own, Owner target) {
  return examine(step_name(own), own, target);
}

Examined examine(const std::string& step, const OwnedPath& own, Owner target) {
  Examined examined;
  examined.resolution = resolve(step, own.path);
  const Resolution& resolution = examined.resolution;
  if (const std::optional<std::string> reason = refused_by_name(resolution.path, own.recursive)) {
    refuse(step, *reason, "name the directories that the app writes to");
  }
  const struct statfs filesystem = filesystem_of(step, resolution.path, resolution.last().fd.get());
  if (is_kernel_interface(magic_of(filesystem))) {
    refuse(step, resolution.path + " is an interface of the kernel");
  }
  refuse_protected_inodes(step, resolution, own.recursive);
  refuse_unfit_inode(step, resolution, target);
  examined.read_only_mount = (static_cast<unsigned long>(filesystem.f_flags) & ST_RDONLY) != 0;
  return examined;
}

void throw_access_error(const std::string& step, const std::string& syscall,
                        const std::string& cause, const std::string& capability) {
  ErrorDetails details;
  details.number = errno;
  details.step = step;
  details.syscall = syscall;
  details.cause = cause;
  if (details.number == EACCES) {
    details.needs = {capability};
    details.hint =
        "docker: --cap-add " + capability + "     compose: cap_add: [" + capability + "]";
  }
  throw Error(std::move(details));
}

}  // namespace stepdown::ownership
