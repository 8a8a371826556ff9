#include "oci/files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "inspect/status_text.h"
#include "stepdown/error.h"
#include "sys/files.h"
#include "sys/regular_file.h"

namespace stepdown::oci {

namespace {

sys::InodeId inode_at(int fd, const std::string& step) {
  struct statx status {};
  if (!sys::look(fd, status)) throw_errno(step, "statx(2)");
  return sys::inode_of(status);
}

// What a name leads to, and nothing that a process happens to have open.
sys::Fd pin_config(const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_MAGICLINKS;
  sys::Fd fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
  if (!fd && errno == ELOOP)
    refuse(path, "it leads through /proc to what a process has open",
           "a bundle has its config.json as a file, or as a link to a file's name");
  if (!fd && errno == ENOENT) refuse(path, "it is missing", "the bundle of a container has it");
  if (!fd) throw_errno(path, "openat2(2)");
  return fd;
}

// The file that is being written, which is gone again unless it took the other's place.
class Unfinished {
 public:
  explicit Unfinished(std::string path) : path_(std::move(path) + ".stepdown-XXXXXX") {
    fd_ = sys::Fd(::mkostemp(path_.data(), O_CLOEXEC));
    if (!fd_) throw_errno(path_, "mkostemp(3)");
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  ~Unfinished() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] sys::InodeId inode() const { return inode_at(fd_.get(), path_); }
  void replace(const std::string& path) {
    if (::rename(path_.c_str(), path.c_str()) != 0) throw_errno(path, "rename(2)");
    path_.clear();
  }

 private:
  std::string path_;
  sys::Fd fd_;
};

void write_all(int fd, std::string_view text, const std::string& step) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_errno(step, "write(2)");
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// What a link at `path` leads to: the link is the engine's, and stays.
std::string real_path(const std::string& path) {
  struct Free {
    void operator()(char* text) const { std::free(text); }
  };
  const std::unique_ptr<char, Free> real(::realpath(path.c_str(), nullptr));
  if (!real) throw_errno(path, "realpath(3)");
  return real.get();
}

}  // namespace

std::string read_stdin(const std::string& step) {
  if (::isatty(STDIN_FILENO) == 1)
    refuse(step, "stdin is a terminal",
           "the engine writes the container's state or configuration there: see stepdown-hook(8)");
  std::string text;
  std::array<char, 65536> buffer{};
  while (true) {
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno(step, "read(2)", "stdin");
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > limits.bytes)
      refuse(step, "stdin has more than " + std::to_string(limits.bytes >> 20U) +
                       " MiB, which no container's document has");
  }
}

std::string read_document(const std::string& path) {
  auto file = sys::read_regular_file(path, limits.bytes, "container's configuration");
  if (!file) refuse(path, "it is missing", "the bundle of a container has it");
  return std::move(file->text);
}

std::string read_config(const std::string& path) {
  const sys::Fd pinned = pin_config(path);
  auto file = sys::read_regular_file(path, limits.bytes, "container's configuration");
  if (!file || file->inode != inode_at(pinned.get(), path))
    refuse(path, "it was replaced while it was read", "start the container again");
  return std::move(file->text);
}

void replace_document(const std::string& path, const json::Json& document) {
  const std::string real = real_path(path);
  struct stat status {};
  if (::stat(real.c_str(), &status) != 0) throw_errno(path, "stat(2)");
  Unfinished unfinished(real);
  write_all(unfinished.fd(), document.dump(), path);
  // The owner first: chown(2) may clear bits of the mode.
  if (::fchown(unfinished.fd(), status.st_uid, status.st_gid) != 0) throw_errno(path, "fchown(2)");
  if (::fchmod(unfinished.fd(), status.st_mode & 07777U) != 0) throw_errno(path, "fchmod(2)");
  const sys::InodeId written = unfinished.inode();
  unfinished.replace(real);
  if (inode_at(pin_config(path).get(), path) != written)
    refuse(path, "it isn't the file that was just written there", "start the container again");
}

sys::Fd open_root(const std::string& bundle, const std::string& root) {
  const std::string path = root.starts_with('/') ? root : bundle + "/" + root;
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  // /proc/PID/root and its kin would be the root of whoever runs there.
  how.resolve = RESOLVE_NO_MAGICLINKS;
  sys::Fd fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
  if (!fd) throw_errno("root.path", "openat2(2)", path);
  return fd;
}

AccountFiles read_account_files_in(const sys::Fd& root) {
  return stepdown::read_account_files_in(root.get());
}

std::optional<std::uint32_t> own_port_start() {
  const sys::Fd file = sys::open_procfs("/proc/sys/net/ipv4/ip_unprivileged_port_start");
  std::array<char, 16> buffer{};
  const ssize_t length = file ? ::read(file.get(), buffer.data(), buffer.size()) : 0;
  std::string_view digits(buffer.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  if (digits.ends_with('\n')) digits.remove_suffix(1);
  return inspect::parse_decimal<std::uint32_t>(digits);
}

void become_undumpable() {
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) throw_errno("dumpable", "prctl(2)");
}

}  // namespace stepdown::oci
