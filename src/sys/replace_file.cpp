#include "sys/replace_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
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

  void write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) throw_errno(path_, "write(2)");
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  void publish() {
    if (::fchmod(fd_.get(), 0644) != 0) throw_errno(path_, "fchmod(2)");
    // A rename may reach the disk before the bytes do, and leave an empty file after a crash.
    if (::fsync(fd_.get()) != 0) throw_errno(path_, "fsync(2)");
    if (::rename(name_.c_str(), path_.c_str()) != 0) throw_errno(path_, "rename(2)");
    name_.clear();
  }

 private:
  const std::string& path_;
  std::string name_;
  Fd fd_;
};

}  // namespace

void replace_file(const std::string& path, std::string_view bytes) {
  struct stat status {};
  // Root could replace a device, or a link that somebody relies on.
  if (::lstat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    refuse(path, "what is there is no regular file");
  Draft draft(path);
  draft.write(bytes);
  draft.publish();
}

}  // namespace stepdown::sys
