#include "oci/init_process.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <string>
#include <string_view>

#include "inspect/status_text.h"
#include "stepdown/error.h"
#include "sys/files.h"

namespace stepdown::oci {

namespace {

constexpr const char* step = "state: pid";
constexpr const char* proc = "/proc";

sys::InodeId namespace_of(int directory, const std::string& kind, const char* failed_step) {
  struct statx status {};
  const std::string name = "ns/" + kind;
  // Followed: what procfs shows as a link is the namespace (namespaces(7)).
  if (::statx(directory, name.c_str(), 0, STATX_INO, &status) != 0)
    throw_errno(failed_step, "statx(2)", "/proc/PID/" + name);
  return sys::inode_of(status);
}

// Error: procfs has no such process.
sys::Fd directory_of(const std::string& process, const char* failed_step) {
  const std::string path = "/proc/" + process;
  if (!sys::open_procfs((path + "/status").c_str()))
    throw_errno(failed_step, "open(2)", path, "procfs must be mounted on /proc");
  sys::Fd directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw_errno(failed_step, "open(2)", path);
  return directory;
}

std::string text_of(int directory, const char* name, const char* failed_step) {
  const sys::Fd file(::openat(directory, name, O_RDONLY | O_CLOEXEC));
  if (!file) throw_errno(failed_step, "openat(2)", std::string("/proc/PID/") + name);
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno(failed_step, "read(2)", std::string("/proc/PID/") + name);
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

InitProcess::InitProcess(pid_t pid) {
  if (pid <= 0)
    refuse(step, "the runtime names no process", "this hook belongs to the stage createRuntime");
  if (!sys::proc_counts_as_we_do())
    refuse(step, "/proc is not a procfs of this process's PID namespace",
           "start the runtime where it is");
  pidfd_ = sys::Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd_) throw_errno(step, "pidfd_open(2)", std::to_string(pid));
  directory_ = directory_of(std::to_string(pid), step);
  // Alive after its directory was opened: that was its own, and not a successor's.
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), 0, nullptr, 0) != 0)
    throw_errno(step, "pidfd_send_signal(2)", std::to_string(pid));
}

bool InitProcess::shares(const char* kind) const {
  return namespace_of(directory_.get(), kind, step) ==
         namespace_of(directory_of("self", step).get(), kind, step);
}

std::vector<IdMapping> InitProcess::id_map(const char* name) const {
  return inspect::parse_id_map(step, text_of(directory_.get(), name, step));
}

void InitProcess::join(int type) const {
  if (::setns(pidfd_.get(), type) != 0)
    throw_errno(step, "setns(2)", "the namespaces of the container can't be entered",
                "this needs Linux 5.8, CAP_SYS_ADMIN and CAP_SYS_PTRACE");
}

IdMaps own_id_maps_for(const Container& container) {
  return container.own_user_namespace ? own_id_maps() : IdMaps{};
}

IdMaps own_id_maps() {
  const sys::Fd self = directory_of("self", proc);
  const auto map = [&self](const char* name) {
    return inspect::parse_id_map(proc, text_of(self.get(), name, proc));
  };
  return {map("uid_map"), map("gid_map")};
}

bool is_hosts_root(const std::vector<IdMapping>& runtime, std::uint32_t id) {
  return outside(runtime, !runtime.empty(), id) == 0U;
}

bool shared_with_runtime(const char* kind) {
  std::string process = "self";
  // This process, the container's first one, and the runtime that made it.
  for (int generation = 0; generation < 2; ++generation) {
    const sys::Fd directory = directory_of(process, proc);
    const pid_t parent =
        inspect::parse_thread_status(proc, text_of(directory.get(), "status", proc)).state.parent;
    if (parent <= 0) refuse(proc, "the runtime is nowhere to be seen");
    process = std::to_string(parent);
  }
  return namespace_of(directory_of(process, proc).get(), kind, proc) ==
         namespace_of(directory_of("self", proc).get(), kind, proc);
}

}  // namespace stepdown::oci
