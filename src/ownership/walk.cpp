// The hand-over: creates what is missing, then changes what is not right, from the leaves up.
#include "ownership/walk.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "ownership/create.h"
#include "ownership/descent.h"
#include "ownership/resolve.h"
#include "ownership/rules.h"
#include "stepdown/error.h"
#include "stepdown/ownership.h"
#include "sys/files.h"
#include "sys/text.h"

namespace stepdown {

namespace ownership {

namespace {

constexpr std::uint64_t entries_between_progress = 1024;

bool holds_chown() {
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  return ::syscall(SYS_capget, &header, data) == 0 && (data[0].effective & (1U << CAP_CHOWN)) != 0;
}

std::string words(std::uint32_t uid, std::uint32_t gid) {
  return std::to_string(uid) + ":" + std::to_string(gid);
}

class HandOver {
 public:
  using Progress = std::function<void(const HandOverReport&)>;

  HandOver(const std::string& step, const std::string& top, const HandOverTarget& target,
           const Progress& progress)
      : step_(step),
        target_(target),
        progress_(progress),
        descent_(step, top, "the tree changed while it was handed over") {}

  HandOverReport run(Pinned top, bool recursive) {
    mount_ = top.status.stx_mnt_id;
    const Verdict verdict = judge(top.status, mount_, target_.owner);
    count();
    note(verdict, [this] { return descent_.path(); });
    if (verdict == Verdict::directory && recursive) {
      enter(std::move(top.fd), top.status);
      walk();
    } else if (verdict == Verdict::directory || verdict == Verdict::wrong) {
      change(top.fd.get(), top.status, [this] { return descent_.path(); });
    }
    return std::move(report_);
  }

 private:
  // A directory is changed after its content: until then nobody new can write in it, and a process
  // without DAC_READ_SEARCH can still search it.
  void walk() {
    while (!descent_.empty()) {
      if (const char* name = descent_.next()) {
        visit(name);
      } else {
        const Descent::Level done = descent_.leave();
        change(done.fd.get(), done.status, [this] { return descent_.path(); });
      }
    }
  }

  // A subdirectory that was seen when its parent was listed, and may be something else by now.
  void visit(const char* name) {
    sys::Fd pinned = sys::pin(descent_.directory(), name, O_DIRECTORY);
    if (!pinned) {
      if (errno == ENOENT) return;
      if (errno == ENOTDIR) {
        refuse(step_, descent_.path() + ": the tree changed while it was handed over");
      }
      fail_to_read("openat2(2)", descent_.path());
    }
    struct statx status {};
    if (!sys::look(pinned.get(), status)) throw_errno(step_, "statx(2)", descent_.path());
    const Verdict verdict = judge(status, mount_, target_.owner);
    if (verdict == Verdict::directory) {
      enter(std::move(pinned), status);
    } else {
      note(verdict, [this] { return descent_.path(); });
    }
  }

  void enter(sys::Fd pinned, const struct statx& status) {
    sys::Fd directory = sys::open_for_listing(pinned.get());
    if (!directory) {
      // The app's own 0700 directory, on a second start without DAC_READ_SEARCH.
      if (errno != EACCES || !is_right(status, target_.owner))
        fail_to_read("openat(2)", descent_.path());
      ++report_.unlisted;
      return;
    }
    descent_.enter(std::move(directory), status);
    sys::Listing listing(descent_.directory());
    while (const dirent64* entry = listing.next()) handle(entry->d_name);
    // ENOENT: the directory was removed while it was open.
    if (errno != 0 && errno != ENOENT) fail_to_read("getdents64(2)", descent_.path());
  }

  void handle(const char* name) {
    const auto path = [this, name] { return descent_.path_of(name); };
    struct statx status {};
    if (!sys::look(descent_.directory(), name, status)) {
      if (errno == ENOENT) return;
      fail_to_read("statx(2)", path());
    }
    Verdict verdict = judge(status, mount_, target_.owner);
    if (verdict == Verdict::wrong) {
      // That was a cheap look at a name; what counts is the inode that will be changed.
      const sys::Fd pinned = sys::pin(descent_.directory(), name);
      if (!pinned) {
        if (errno == ENOENT) return;
        fail_to_read("openat2(2)", path());
      }
      if (!sys::look(pinned.get(), status)) throw_errno(step_, "statx(2)", path());
      verdict = judge(status, mount_, target_.owner);
      if (verdict == Verdict::wrong) change(pinned.get(), status, path);
    }
    if (verdict == Verdict::directory) descent_.remember(name);
    count();
    note(verdict, path);
  }

  void count() {
    ++report_.entries;
    if (progress_ && report_.entries % entries_between_progress == 0) progress_(report_);
  }

  template <typename Path>
  void note(Verdict verdict, const Path& path) {
    if (verdict == Verdict::device) ++report_.devices;
    if (verdict == Verdict::other_mount) ++report_.other_mounts;
    if (verdict == Verdict::left_alone) ++report_.shared;
    if (verdict == Verdict::hard_link && report_.hard_links++ == 0) {
      // One line, whatever the name: it goes into a message.
      report_.first_hard_link = sys::escaped(path());
    }
  }

  template <typename Path>
  void change(int fd, const struct statx& status, const Path& path) {
    if (is_right(status, target_.owner)) return;
    if (::fchownat(fd, "", raw(target_.owner.uid), raw(target_.owner.gid), AT_EMPTY_PATH) == 0) {
      ++report_.changed;
    } else if (errno == EPERM && target_can_write(status, target_)) {
      ++report_.unchangeable;
    } else {
      fail_to_change(errno, status, path());
    }
  }

  [[noreturn]] void fail_to_change(int number, const struct statx& status,
                                   const std::string& path) const {
    ErrorDetails details;
    details.step = step_;
    details.syscall = "fchownat(2)";
    details.number = number;
    const std::string wanted = words(raw(target_.owner.uid), raw(target_.owner.gid));
    details.cause = sys::escaped(path) + " (now " + words(status.stx_uid, status.stx_gid) +
                    ") can't be given to " + wanted;
    if (number == EROFS) {
      details.hint = "read-only mount: " + writable_mount_hint(path, target_.owner);
    } else if (number == EPERM && !holds_chown()) {
      details.needs = {"CHOWN"};
      details.hint =
          "docker: --cap-add CHOWN     compose: cap_add: [CHOWN]\n  or start as the user itself: "
          "--user " +
          wanted;
    } else if (number == EPERM) {
      details.hint =
          "an immutable file, an owner outside this user namespace, or a server that refuses "
          "(NFS root_squash): change the owner where the files are kept";
    } else if (number == EINVAL) {
      details.hint = "this user namespace has no mapping for " + wanted;
    }
    throw Error(std::move(details));
  }

  [[noreturn]] void fail_to_read(const char* syscall, const std::string& path) const {
    throw_access_error(step_, syscall, path, "DAC_READ_SEARCH");
  }

  const std::string& step_;
  const HandOverTarget& target_;
  const Progress& progress_;
  Descent descent_;
  std::uint64_t mount_ = 0;
  HandOverReport report_;
};

}  // namespace

HandOverReport walk(const std::string& step, const std::string& path, Pinned top, bool recursive,
                    const HandOverTarget& target,
                    const std::function<void(const HandOverReport&)>& progress) {
  return HandOver(step, path, target, progress).run(std::move(top), recursive);
}

}  // namespace ownership

HandOverReport hand_over(const OwnedPath& own, const HandOverTarget& target,
                         const std::function<void(const HandOverReport&)>& progress) {
  const std::string step = ownership::step_name(own);
  ownership::Resolution resolution = ownership::examine(own, target.owner).resolution;
  const std::string path = resolution.path;
  ownership::Pinned top =
      resolution.exists() ? std::move(resolution.trail.back())
                          : ownership::create_missing(step, std::move(resolution), target.owner);
  return ownership::walk(step, path, std::move(top), own.recursive, target, progress);
}

}  // namespace stepdown
