#include "sys/replace_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "stepdown/error.h"
#include "sys/fd.h"

namespace stepdown::sys {

namespace {

// Beside `path`, and gone again unless it takes that name.
class Draft {
 public:
  explicit Draft(const std::string& path) : path_(path), name_(path + ".XXXXXX") {
    fd_ = Fd(::mkostemp(name_.data(), O_CLOEXEC));
    if (!fd_) throw_errno(path_, "mkostemp(3)", "a file beside it can't be made");
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft() {
    if (!name_.empty()) ::unlink(name_.c_str());
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  void publish() {
    if (::rename(name_.c_str(), path_.c_str()) != 0) throw_errno(path_, "rename(2)");
    name_.clear();
  }

 private:
  const std::string& path_;
  std::string name_;
  Fd fd_;
};

}  // namespace

InodeId replace_file(const std::string& path, std::string_view bytes, Replacing how) {
  const bool anew = how == Replacing::anew;
  struct stat old {};
  const bool is_there = ::lstat(path.c_str(), &old) == 0;
  if (!is_there && !anew) throw_errno(path, "lstat(2)");
  // Root could replace a device, or a link that somebody relies on.
  if (is_there && !S_ISREG(old.st_mode)) refuse(path, "what is there is no regular file");
  Draft draft(path);
  if (!write_all(draft.fd(), bytes)) throw_errno(path, "write(2)");
  // The owner first: chown(2) may clear bits of the mode.
  if (!anew && ::fchown(draft.fd(), old.st_uid, old.st_gid) != 0) throw_errno(path, "fchown(2)");
  if (::fchmod(draft.fd(), anew ? 0644 : old.st_mode & 07777U) != 0) throw_errno(path, "fchmod(2)");
  // A rename may reach the disk before the bytes do, and leave an empty file after a crash, which a
  // bundle doesn't outlive.
  if (anew && ::fsync(draft.fd()) != 0) throw_errno(path, "fsync(2)");
  struct stat written {};
  if (::fstat(draft.fd(), &written) != 0) throw_errno(path, "fstat(2)");
  draft.publish();
  return {written.st_dev, written.st_ino};
}

}  // namespace stepdown::sys
