#include "sys/regular_file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "stepdown/error.h"
#include "sys/fd.h"

namespace stepdown::sys {

namespace {

[[noreturn]] void refuse_size(const std::string& path, std::size_t limit, std::string_view kind) {
  refuse(
      path,
      "larger than " + std::to_string(limit >> 20U) + " MiB, which no " + std::string(kind) + " is",
      "mount or COPY the right file there");
}

struct stat regular_status(const Fd& fd, const std::string& path, std::string_view kind) {
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw_errno(path, "fstat(2)");
  if (!S_ISREG(status.st_mode))
    refuse(path, "not a regular file",
           "mount or COPY " + std::string(kind.starts_with('a') ? "an " : "a ") +
               std::string(kind) + " there, or remove it");
  return status;
}

RegularFile read_opened(const Fd& fd, const std::string& path, std::size_t limit,
                        std::string_view kind) {
  const struct stat status = regular_status(fd, path, kind);
  if (status.st_size > static_cast<off_t>(limit)) refuse_size(path, limit, kind);

  // One byte more than expected, so that the usual file ends with two reads and no reallocation.
  std::string text(static_cast<std::size_t>(status.st_size) + 1, '\0');
  std::size_t length = 0;
  while (true) {
    const ssize_t got = ::read(fd.get(), text.data() + length, text.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno(path, "read(2)");
    if (got == 0) break;
    length += static_cast<std::size_t>(got);
    if (length > limit) refuse_size(path, limit, kind);
    // Longer than fstat(2) said: it grows, or its filesystem says 0, as procfs and some FUSE do.
    if (length == text.size()) text.resize(text.size() * 2);
  }
  // Half of a file can be a valid one that asks for less.
  if (length < static_cast<std::size_t>(status.st_size))
    refuse(path, "it became shorter while it was read", "start again");
  text.resize(length);
  return RegularFile{std::move(text), {status.st_dev, status.st_ino}};
}

Fd open_in(int root, const std::string& path, int flags) {
  // Somebody renames in there (openat2(2), EAGAIN): who never stops doing so gets an error.
  constexpr int most_tries = 32;
  for (int tries = 0; tries < most_tries; ++tries) {
    Fd fd = open_resolving(root, path.c_str(), flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    if (fd || errno != EAGAIN) return fd;
  }
  return {};
}

}  // namespace

std::optional<RegularFile> read_regular_file(const std::string& path, std::size_t limit,
                                             std::string_view kind) {
  // O_NONBLOCK, because opening a FIFO for reading would otherwise wait for a writer (fifo(7)), and
  // whoever planted it there would have us hang.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) {
    if (errno == ENOENT) return std::nullopt;
    throw_errno(path, "open(2)");
  }
  return read_opened(fd, path, limit, kind);
}

std::optional<RegularFile> read_regular_file_in(int root, const std::string& path,
                                                const std::string& name, std::size_t limit,
                                                std::string_view kind) {
  const Fd pinned = open_in(root, path, O_PATH);
  if (!pinned && errno == ENOENT) return std::nullopt;
  if (!pinned) throw_errno(name, "openat2(2)");
  const struct stat seen = regular_status(pinned, name, kind);
  const Fd fd = open_in(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) throw_errno(name, "openat2(2)");
  RegularFile file = read_opened(fd, name, limit, kind);
  if (file.inode != InodeId{seen.st_dev, seen.st_ino})
    refuse(name, "it was replaced while it was read", "start again");
  return file;
}

}  // namespace stepdown::sys
