#include "userns/spare.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

#include "stepdown/error.h"
#include "stepdown/user_namespace.h"
#include "userns/leave.h"

namespace stepdown::userns {

namespace {

constexpr const char* step = "userns";

// noexcept: what gets through here would unwind into a copy of the caller; it ends the child.
[[noreturn]] void keep(int channel) noexcept {
  // Another one's channel would never end while this child has it.
  const auto own = static_cast<unsigned>(channel);
  ::close_range(3, own - 1, 0);
  ::close_range(own + 1, ~0U, 0);
  int number = 0;
  try {
    leave_parent_namespace();
  } catch (const Error& error) {
    number = error.details().number;
  }
  char byte = 0;
  if (::send(channel, &number, sizeof number, MSG_NOSIGNAL) == sizeof number)
    while (::recv(channel, &byte, 1, 0) < 0 && errno == EINTR) {
    }
  ::_exit(0);
}

// What the child's unshare(2) left in errno.
int answer_of(int channel) {
  int number = 0;
  for (;;) {
    const ssize_t got = ::recv(channel, &number, sizeof number, 0);
    if (got == sizeof number) return number;
    if (got < 0 && errno == EINTR) continue;
    refuse(step, "the child that makes a user namespace ended");
  }
}

sys::Fd proc_directory(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid);
  sys::Fd directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw_errno(step, "open(2)", path);
  struct statfs filesystem {};
  if (::fstatfs(directory.get(), &filesystem) != 0) throw_errno(step, "fstatfs(2)", path);
  if (filesystem.f_type != PROC_SUPER_MAGIC) refuse(step, "/proc is not procfs");
  return directory;
}

}  // namespace

SpareNamespace::Child::~Child() {
  channel.reset();
  if (pid < 0) return;
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

SpareNamespace::SpareNamespace() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw_errno(step, "socketpair(2)");
  child_.channel = sys::Fd(ends[0]);
  sys::Fd there(ends[1]);
  child_.pid = ::fork();
  if (child_.pid == 0) {
    child_.channel.reset();
    keep(there.get());
  }
  if (child_.pid < 0) throw_errno(step, "fork(2)");
  there.reset();
  if (const int number = answer_of(child_.channel.get()); number != 0) {
    errno = number;
    throw_errno(step, "unshare(2)", "CLONE_NEWUSER");
  }
  directory_ = proc_directory(child_.pid);
}

sys::Fd SpareNamespace::with_maps(const std::vector<IdMapping>& uid_map,
                                  const std::vector<IdMapping>& gid_map) {
  write("uid_map", uid_map);
  write("gid_map", gid_map);
  sys::Fd made(::openat(directory_.get(), "ns/user", O_RDONLY | O_CLOEXEC));
  if (!made) throw_errno(step, "openat(2)", "/proc/PID/ns/user");
  return made;
}

void SpareNamespace::write(const char* name, const std::vector<IdMapping>& map) const {
  const sys::Fd file(::openat(directory_.get(), name, O_WRONLY | O_CLOEXEC));
  const std::string text = id_map_text(map);
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw_errno(step, "write(2)", std::string("/proc/PID/") + name);
}

}  // namespace stepdown::userns
