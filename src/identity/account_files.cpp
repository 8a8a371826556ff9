// Reading the account files as whole texts.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string>

#include "stepdown/error.h"
#include "stepdown/identity.h"
#include "sys/fd.h"

namespace stepdown {

namespace {

constexpr std::size_t largest_file = 10U << 20U;

[[noreturn]] void refuse_size(const std::string& path) {
  refuse(path, "larger than 10 MiB, which no account file is",
         "mount or COPY the right file there");
}

std::string read_bounded(const sys::Fd& fd, const std::string& path, std::size_t expected) {
  // One byte more than expected, so that the usual file ends with two reads and no reallocation.
  std::string text(expected + 1, '\0');
  std::size_t length = 0;
  while (true) {
    const ssize_t got = ::read(fd.get(), text.data() + length, text.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno(path, "read(2)");
    if (got == 0) break;
    length += static_cast<std::size_t>(got);
    if (length > largest_file) refuse_size(path);
    // Longer than fstat(2) said: it grows, or its filesystem says 0, as procfs and some FUSE do.
    if (length == text.size()) text.resize(text.size() * 2);
  }
  text.resize(length);
  return text;
}

std::string read_account_file(const std::string& path) {
  // Symlinks are followed: images have them. O_NONBLOCK, because opening a FIFO for reading would
  // otherwise wait for a writer (fifo(7)), and whoever planted it there would have us hang.
  const sys::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) {
    if (errno == ENOENT) return {};
    throw_errno(path, "open(2)");
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw_errno(path, "fstat(2)");
  if (!S_ISREG(status.st_mode)) {
    refuse(path, "not a regular file", "mount or COPY an account file there, or remove it");
  }
  if (status.st_size > static_cast<off_t>(largest_file)) refuse_size(path);
  return read_bounded(fd, path, static_cast<std::size_t>(status.st_size));
}

}  // namespace

AccountFiles read_account_files(const std::string& passwd_path, const std::string& group_path) {
  return {.passwd = read_account_file(passwd_path),
          .group = read_account_file(group_path),
          .passwd_path = passwd_path,
          .group_path = group_path};
}

void read_subordinate_files(AccountFiles& files) {
  files.subuid = read_account_file(files.subuid_path);
  files.subgid = read_account_file(files.subgid_path);
}

}  // namespace stepdown
