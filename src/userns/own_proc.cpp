#include "userns/own_proc.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "inspect/status_text.h"
#include "stepdown/error.h"
#include "sys/files.h"

namespace stepdown::userns {

namespace {

constexpr const char* step = "userns";
constexpr const char* mount_hint = "mount procfs on /proc: mount -t proc proc /proc";

// Whatever else somebody mounted within /proc is not taken for the kernel's answer
// (CVE-2025-52881 was a redirected write below /proc).
sys::Fd open_beneath(int directory, const char* name, int flags) {
  return sys::open_resolving(directory, name, flags,
                             RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS);
}

sys::Fd open_proc() {
  sys::Fd proc(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!proc) throw_errno(step, "open(2)", "/proc", mount_hint);
  struct statfs filesystem {};
  if (::fstatfs(proc.get(), &filesystem) != 0) throw_errno(step, "fstatfs(2)", "/proc");
  if (filesystem.f_type != PROC_SUPER_MAGIC) refuse(step, "/proc is not procfs", mount_hint);
  return proc;
}

std::string own_pid(int proc) {
  std::array<char, 32> target{};
  const ssize_t length = ::readlinkat(proc, "self", target.data(), target.size());
  if (length < 0)
    throw_errno(step, "readlink(2)", "/proc/self",
                "the /proc of another pid namespace does not show this process: mount its own");
  return {target.data(), static_cast<std::size_t>(length)};
}

}  // namespace

OwnProc::OwnProc() {
  const sys::Fd proc = open_proc();
  pid_ = own_pid(proc.get());
  directory_ = open_beneath(proc.get(), pid_.c_str(), O_PATH | O_DIRECTORY);
  if (!directory_) throw_errno(step, "openat2(2)", "/proc/" + pid_);
}

sys::Fd OwnProc::open(const char* name, int flags) const {
  sys::Fd file = open_beneath(directory_.get(), name, flags);
  if (!file)
    throw_errno(step, "openat2(2)", std::string("/proc/self/") + name,
                errno == ENOENT ? "/proc must not be mounted with hidepid=" : "");
  return file;
}

void OwnProc::write(const char* name, std::string_view text, std::vector<std::string> needs) const {
  const sys::Fd file = open(name, O_WRONLY);
  const ssize_t written = ::write(file.get(), text.data(), text.size());
  if (written == static_cast<ssize_t>(text.size())) return;
  ErrorDetails details;
  details.number = written < 0 ? errno : EIO;
  details.step = step;
  details.syscall = "write(2)";
  details.cause = std::string("/proc/self/") + name;
  if (details.number == EPERM) {
    details.needs = std::move(needs);
    details.hint =
        "every outside id must exist in the namespace that stepdown was started in, and no "
        "security module may forbid user namespaces (kernel.apparmor_restrict_unprivileged_userns)";
  }
  throw Error(std::move(details));
}

void OwnProc::write_maps(const UserNamespace& wanted, bool privileged) const {
  std::vector<std::string> for_uids, for_gids;
  if (privileged) {
    for_uids = {"SETUID"};
    for_gids = {"SETGID"};
    if (maps_outside(wanted.uid_map, raw(root_uid))) for_uids.emplace_back("SETFCAP");
  }
  write("uid_map", id_map_text(wanted.uid_map), std::move(for_uids));
  write("gid_map", id_map_text(wanted.gid_map), std::move(for_gids));
}

std::string OwnProc::read(const char* name) const {
  const sys::Fd file = open(name, O_RDONLY);
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno(step, "read(2)", std::string("/proc/self/") + name);
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

std::vector<IdMapping> OwnProc::read_map(const char* name) const {
  return inspect::parse_id_map(step, read(name));
}

}  // namespace stepdown::userns
