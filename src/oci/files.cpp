#include "oci/files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "oci/rewrite.h"
#include "stepdown/error.h"
#include "sys/files.h"
#include "sys/regular_file.h"
#include "sys/replace_file.h"

namespace stepdown::oci {

namespace {

sys::InodeId inode_at(int fd, const std::string& step) {
  struct statx status {};
  if (!sys::look(fd, status)) throw_errno(step, "statx(2)");
  return sys::inode_of(status);
}

// What a name leads to, and nothing that a process happens to have open.
sys::Fd pin_config(const std::string& path) {
  sys::Fd fd = sys::open_resolving(AT_FDCWD, path.c_str(), O_PATH, RESOLVE_NO_MAGICLINKS);
  if (!fd && errno == ELOOP)
    refuse(path, "it leads through /proc to what a process has open",
           "a bundle has its config.json as a file, or as a link to a file's name");
  if (!fd && errno == ENOENT) refuse(path, "it is missing", "the bundle of a container has it");
  if (!fd) throw_errno(path, "openat2(2)");
  return fd;
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
  std::array<char, 4096> buffer{};
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
  const sys::InodeId written =
      sys::replace_file(real_path(path), json::text_of(document, path), sys::Replacing::as_it_was);
  if (inode_at(pin_config(path).get(), path) != written)
    refuse(path, "it isn't the file that was just written there", "start the container again");
}

sys::Fd open_root(const std::string& bundle, const std::string& root) {
  const std::string path = root.starts_with('/') ? root : bundle + "/" + root;
  // /proc/PID/root and its kin would be the root of whoever runs there.
  sys::Fd fd =
      sys::open_resolving(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY, RESOLVE_NO_MAGICLINKS);
  if (!fd) throw_errno("root.path", "openat2(2)", path);
  return fd;
}

AccountFiles read_account_files_in(const sys::Fd& root) {
  return stepdown::read_account_files_in(root.get());
}

// Runtimes follow a link to where they mount. The name itself is safe once it is mounted upon: in
// the container's mount namespace a mount point can't be renamed or removed (EBUSY, rename(2)), and
// no other container has this root. In a volume others could, and the mount would be gone.
void refuse_taken_place(const sys::Fd& root, const std::vector<Mount>& mounts) {
  const std::string step = "--inject";
  for (const Mount& mount : mounts) {
    const sys::Fd place =
        sys::open_resolving(root.get(), mount.destination.c_str(), O_PATH, RESOLVE_IN_ROOT);
    if (place && inode_at(place.get(), step) == inode_at(root.get(), step))
      refuse(step,
             mount.destination + " is the root in the image, and a volume would take its place");
  }
  struct statx status {};
  if (!sys::look(root.get(), injected_launcher + 1, status)) {
    if (errno == ENOENT) return;
    throw_errno(step, "statx(2)", injected_launcher);
  }
  if (!S_ISREG(status.stx_mode))
    refuse(step, std::string("the image has a link or directory at ") + injected_launcher +
                     ", where the launcher belongs");
}

void become_undumpable() {
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) throw_errno("dumpable", "prctl(2)");
}

}  // namespace stepdown::oci
