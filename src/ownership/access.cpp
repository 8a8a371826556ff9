// What the process, once it is the target, can read and write: asked from the kernel, which knows
// access control lists, read-only mounts and security modules (access(2) with effective ids).
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "ownership/descent.h"
#include "stepdown/error.h"
#include "stepdown/ownership.h"
#include "sys/files.h"

namespace stepdown {

namespace {

constexpr int enter_and_list = R_OK | X_OK;
constexpr int enter_and_create = W_OK | X_OK;

// "mode 0600, owner 0:0"
std::string mode_and_owner(unsigned mode, unsigned uid, unsigned gid) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "mode %04o, owner %u:%u", mode & 07777U, uid, gid);
  return text.data();
}

class ReadCheck {
 public:
  ReadCheck(const std::string& path, std::size_t limit)
      : descent_("--readable " + path, path, "the tree changed while it was looked at"),
        limit_(limit) {}

  std::vector<std::string> run() {
    check_top();
    while (!descent_.empty() && !full()) {
      if (const char* name = descent_.next()) {
        visit(name);
      } else {
        descent_.leave();
      }
    }
    return std::move(offenders_);
  }

 private:
  [[nodiscard]] bool full() const { return offenders_.size() >= limit_; }

  void check_top() {
    const std::string& path = descent_.path();
    struct stat status {};
    if (limit_ == 0) return;
    if (::stat(path.c_str(), &status) != 0) {
      offenders_.push_back(path + " (" + std::strerror(errno) + ")");
      return;
    }
    const bool is_directory = S_ISDIR(status.st_mode);
    if (::faccessat(AT_FDCWD, path.c_str(), is_directory ? enter_and_list : R_OK, AT_EACCESS) !=
        0) {
      offenders_.push_back(path + " (" +
                           mode_and_owner(status.st_mode, status.st_uid, status.st_gid) + ")");
    } else if (is_directory) {
      enter(sys::Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    }
  }

  // Its parent's listing has shown that it can be listed and entered.
  void visit(const char* name) {
    enter(sys::Fd(
        ::openat(descent_.directory(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)));
  }

  void enter(sys::Fd directory) {
    struct statx status {};
    // Gone, or something else since it was listed: the app will find it so, too.
    if (!directory || !sys::look(directory.get(), status)) return;
    descent_.enter(std::move(directory), status);
    sys::Listing listing(descent_.directory());
    while (!full()) {
      const dirent64* entry = listing.next();
      if (entry == nullptr) break;
      check(*entry);
    }
  }

  void check(const dirent64& entry) {
    unsigned char type = entry.d_type;
    struct statx status {};
    if (type == DT_UNKNOWN && sys::look(descent_.directory(), entry.d_name, status)) {
      type = static_cast<unsigned char>(IFTODT(status.stx_mode));
    }
    // The content of pipes, sockets and devices is nothing that an image brings along.
    if (type != DT_DIR && type != DT_REG) return;
    if (::faccessat(descent_.directory(), entry.d_name, type == DT_DIR ? enter_and_list : R_OK,
                    AT_EACCESS | AT_SYMLINK_NOFOLLOW) == 0) {
      if (type == DT_DIR) descent_.remember(entry.d_name);
    } else if (errno != ENOENT && sys::look(descent_.directory(), entry.d_name, status)) {
      offenders_.push_back(descent_.path_of(entry.d_name) + " (" +
                           mode_and_owner(status.stx_mode, status.stx_uid, status.stx_gid) + ")");
    }
  }

  ownership::Descent descent_;
  std::size_t limit_;
  std::vector<std::string> offenders_;
};

}  // namespace

std::vector<std::string> unreadable_below(const std::string& path, std::size_t limit) {
  return ReadCheck(path, limit).run();
}

std::string writable_mount_hint(const std::string& path, Owner target) {
  return "add a volume or docker: --tmpfs " + path + ":uid=" + std::to_string(raw(target.uid)) +
         ",gid=" + std::to_string(raw(target.gid));
}

std::optional<std::string> not_writable_reason(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return path + ": " + std::strerror(errno);
  const int wanted = S_ISDIR(status.st_mode) ? enter_and_create : W_OK;
  if (::faccessat(AT_FDCWD, path.c_str(), wanted, AT_EACCESS) == 0) return std::nullopt;
  const int refused_with = errno;
  struct statvfs filesystem {};
  // A mode that is wrong as well is reported first by the kernel, but mending it would not help.
  const bool read_only =
      ::statvfs(path.c_str(), &filesystem) == 0 && (filesystem.f_flag & ST_RDONLY) != 0;
  if (read_only || refused_with == EROFS) {
    return "read-only mount: " + writable_mount_hint(path, {Uid{::geteuid()}, Gid{::getegid()}});
  }
  return std::string(std::strerror(refused_with)) + " (" +
         mode_and_owner(status.st_mode, status.st_uid, status.st_gid) + ")";
}

}  // namespace stepdown
