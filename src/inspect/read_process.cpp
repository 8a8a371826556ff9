// Processes as /proc shows them. A process is opened once and read beneath that descriptor, so that
// its number can't come to mean another process half-way.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <utility>

#include "inspect/status_text.h"
#include "stepdown/error.h"
#include "stepdown/inspect.h"
#include "sys/fd.h"
#include "sys/files.h"

namespace stepdown {

namespace {

using inspect::ThreadStatus;

constexpr std::string_view proc_step = "/proc";
// Command lines can be megabytes long; this much tells processes apart.
constexpr std::size_t command_limit = 4096;

std::string step_of(pid_t pid) {
  return "process " + std::to_string(pid);
}

// What every call beneath the directory of a process that has ended answers.
bool has_ended(int error) {
  return error == ENOENT || error == ESRCH;
}

// The first `limit` bytes of a file beneath a process's directory; nullopt when the process ended.
std::optional<std::string> read_text(int directory, const std::string& name,
                                     const std::string& step,
                                     std::size_t limit = std::string::npos) {
  const sys::Fd file(openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) {
    // EINVAL: uid_map of a process that ended after its name was looked up (fs/proc/base.c).
    if (has_ended(errno) || errno == EINVAL) return std::nullopt;
    throw_errno(step, "openat(2)", "can't read its " + name);
  }
  std::string text;
  std::array<char, 4096> buffer;
  while (text.size() < limit) {
    const std::size_t wanted = std::min(buffer.size(), limit - text.size());
    const ssize_t count = read(file.get(), buffer.data(), wanted);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && has_ended(errno)) return std::nullopt;
    if (count < 0) throw_errno(step, "read(2)", "can't read its " + name);
    if (count == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return text;
}

// The directory's entries that are numbers, ascending; nullopt when the process ended.
std::optional<std::vector<pid_t>> numbers_in(int directory, const char* name,
                                             const std::string& step) {
  const sys::Fd fd(openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    if (has_ended(errno)) return std::nullopt;
    throw_errno(step, "openat(2)", "can't list it");
  }
  std::vector<pid_t> numbers;
  sys::Listing entries(fd.get());
  while (const dirent64* entry = entries.next()) {
    const std::optional<pid_t> number = inspect::parse_decimal<pid_t>(entry->d_name);
    if (number) numbers.push_back(*number);
  }
  if (has_ended(errno)) return std::nullopt;
  if (errno != 0) throw_errno(step, "getdents64(2)", "can't list it");
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::optional<std::string> link_target(int directory, const char* name) {
  std::array<char, 64> target;
  const ssize_t length = readlinkat(directory, name, target.data(), target.size());
  if (length < 0) return std::nullopt;
  return std::string(target.data(), static_cast<std::size_t>(length));
}

// "nginx: worker process", "sleep 100"; titles that programs write over their arguments end in
// NULs.
std::string joined_arguments(std::string text) {
  const bool cut = text.size() > command_limit;
  if (cut) text.resize(command_limit);
  const std::size_t end = text.find_last_not_of('\0');
  text.resize(end == std::string::npos ? 0 : end + 1);
  std::replace(text.begin(), text.end(), '\0', ' ');
  if (cut) text += "...";
  return text;
}

// user_namespaces(7): the initial user namespace's map.
bool is_identity(const std::vector<IdMapping>& map) {
  return map == std::vector<IdMapping>{{0, 0, 4294967295}};
}

class Procfs {
 public:
  Procfs() : proc_(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (!proc_) throw_errno(proc_step, "open(2)", "processes can't be read without it");
    struct statfs filesystem {};
    if (fstatfs(proc_.get(), &filesystem) != 0) throw_errno(proc_step, "fstatfs(2)");
    if (filesystem.f_type != PROC_SUPER_MAGIC) {
      refuse(proc_step, "it is not a procfs, so nothing in it can be believed");
    }
    read_own();
  }

  // This process's number in the PID namespace that /proc shows; 0 when it isn't in there.
  [[nodiscard]] pid_t self() const { return self_; }

  [[nodiscard]] std::vector<pid_t> pids() const {
    std::vector<pid_t> pids = numbers_in(proc_.get(), ".", std::string(proc_step)).value();
    // Every PID namespace has a process 1 (pid_namespaces(7)): to be blind must not read as "all is
    // well".
    if (pids.empty() || pids.front() != 1 || hides_processes()) {
      refuse(proc_step, "it hides processes (hidepid, proc(5)), so not all of them can be checked",
             "run the check as root or with the gid= of the mount");
    }
    return pids;
  }

  // The mount option hidepid= (proc(5)): process 1 may be visible, because it is the reader's own
  // user's, and others not.
  [[nodiscard]] bool hides_processes() const {
    const std::optional<std::string> mounts =
        read_text(proc_.get(), "self/mountinfo", std::string(proc_step));
    const std::string options = mounts ? inspect::proc_mount_options(*mounts) : std::string();
    const std::size_t begin = options.find("hidepid=");
    if (begin == std::string::npos) return false;
    const std::string mode = options.substr(begin, options.find(',', begin) - begin);
    // noaccess shows every process and refuses to have it read: that is an error of its own.
    if (mode == "hidepid=off" || mode == "hidepid=0" || mode == "hidepid=noaccess" ||
        mode == "hidepid=1")
      return false;
    const Credentials me = own_credentials();
    constexpr Capability sys_ptrace{19};
    if (me.capabilities.effective.has(sys_ptrace)) return false;
    const std::size_t gid = options.find("gid=");
    if (mode == "hidepid=ptraceable" || mode == "hidepid=4" || gid == std::string::npos)
      return true;
    const std::optional<std::uint32_t> number = inspect::parse_decimal<std::uint32_t>(
        std::string_view(options).substr(gid + 4, options.find(',', gid) - gid - 4));
    const auto is_it = [&number](Gid one) { return number && raw(one) == *number; };
    return !is_it(me.gid.filesystem) && std::none_of(me.groups.begin(), me.groups.end(), is_it);
  }

  // nullopt when there is no such process (any more); a zombie is none.
  [[nodiscard]] std::optional<ThreadStatus> read(pid_t pid) const {
    const std::string step = step_of(pid);
    const sys::Fd directory(
        openat(proc_.get(), std::to_string(pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory) {
      if (has_ended(errno)) return std::nullopt;
      throw_errno(step, "openat(2)", "can't open its directory in /proc");
    }
    const std::optional<std::string> text = read_text(directory.get(), "status", step);
    if (!text) return std::nullopt;
    ThreadStatus leader = inspect::parse_thread_status(step, *text);
    if (leader.process != pid) {
      const std::string process = std::to_string(leader.process);
      refuse(step, "it is a thread of process " + process, "--pid " + process);
    }
    if (!leader.runs()) return std::nullopt;
    if (leader.is_kernel_thread()) return leader;
    leader.state.ids_may_be_hidden = ids_may_be_hidden_;
    if (!read_command(directory.get(), step, leader.state) ||
        !read_user_namespace(directory.get(), step, leader.state) ||
        !read_threads(directory.get(), step, leader)) {
      return std::nullopt;
    }
    return leader;
  }

 private:
  void read_own() {
    const std::optional<std::string> number = link_target(proc_.get(), "self");
    if (!number) return;  // a procfs of a PID namespace that this process isn't in
    self_ = inspect::parse_decimal<pid_t>(*number).value_or(0);
    own_namespace_ = link_target(proc_.get(), "self/ns/user");
    if (!own_namespace_) {
      kernel_has_user_namespaces_ = false;
      return;
    }
    const std::string step = step_of(self_);
    own_map_ = inspect::parse_id_map(step, read_text(proc_.get(), "self/uid_map", step).value());
    const std::vector<IdMapping> groups =
        inspect::parse_id_map(step, read_text(proc_.get(), "self/gid_map", step).value());
    ids_may_be_hidden_ = !is_identity(own_map_) || !is_identity(groups);
  }

  // These three are false when the process ended.

  bool read_command(int directory, const std::string& step, ProcessState& state) const {
    std::optional<std::string> text = read_text(directory, "cmdline", step, command_limit + 1);
    if (!text) return false;
    std::string command = joined_arguments(std::move(*text));
    if (!command.empty()) state.command = std::move(command);
    return true;
  }

  bool read_user_namespace(int directory, const std::string& step, ProcessState& state) const {
    if (!kernel_has_user_namespaces_) return true;
    // Another user's process shows its uid_map to everybody and its namespace's number to few
    // (ptrace(2), "Ptrace access mode checking"); the map alone then decides, and an identity
    // counts as no namespace: a rule may fail that could hold, never the other way round.
    const std::optional<std::string> its_namespace = link_target(directory, "ns/user");
    const bool comparable = its_namespace && own_namespace_;
    if (comparable && its_namespace == own_namespace_) {
      state.uid_map = own_map_;
      state.own_user_namespace = !is_identity(own_map_);
      return true;
    }
    const std::optional<std::string> map = read_text(directory, "uid_map", step);
    if (!map) return false;
    state.uid_map = inspect::parse_id_map(step, *map);
    // Ids that have no number out here: the namespace is no descendant of the reader's, and may be
    // the initial one.
    constexpr std::uint32_t unmapped = 4294967295;
    const bool elsewhere =
        std::any_of(state.uid_map.begin(), state.uid_map.end(),
                    [](const IdMapping& line) { return line.outside == unmapped; });
    state.own_user_namespace = !elsewhere && (comparable || !is_identity(state.uid_map));
    return true;
  }

  bool read_threads(int directory, const std::string& step, ThreadStatus& leader) const {
    if (leader.threads <= 1) return true;
    const std::optional<std::vector<pid_t>> tids = numbers_in(directory, "task", step);
    if (!tids) return false;
    for (const pid_t tid : *tids) {
      if (tid == leader.state.pid) continue;
      const std::optional<std::string> text =
          read_text(directory, "task/" + std::to_string(tid) + "/status", step);
      if (!text) continue;
      ThreadStatus thread = inspect::parse_thread_status(step, *text);
      if (same_privileges(thread.state, leader.state)) continue;
      // Threads can't be in different user namespaces: unshare(2) and setns(2) refuse it.
      thread.state.own_user_namespace = leader.state.own_user_namespace;
      thread.state.uid_map = leader.state.uid_map;
      thread.state.ids_may_be_hidden = leader.state.ids_may_be_hidden;
      leader.state.differing_threads.push_back(std::move(thread.state));
    }
    return true;
  }

  static bool same_privileges(const ProcessState& a, const ProcessState& b) {
    return a.credentials == b.credentials && a.seccomp_mode == b.seccomp_mode &&
           a.seccomp_filters == b.seccomp_filters;
  }

  sys::Fd proc_;
  pid_t self_ = 0;
  bool kernel_has_user_namespaces_ = true;
  std::optional<std::string> own_namespace_;
  std::vector<IdMapping> own_map_;
  bool ids_may_be_hidden_ = false;
};

ProcessState read_existing(const Procfs& proc, pid_t pid) {
  std::optional<ThreadStatus> found = proc.read(pid);
  if (!found) refuse(step_of(pid), "no such process, or it has ended");
  return std::move(found->state);
}

std::vector<ProcessState> read_all(const Procfs& proc) {
  std::vector<ProcessState> processes;
  for (const pid_t pid : proc.pids()) {
    std::optional<ThreadStatus> found = proc.read(pid);
    if (found && !found->is_kernel_thread()) processes.push_back(std::move(found->state));
  }
  return processes;
}

}  // namespace

ProcessState read_process(pid_t pid) {
  return read_existing(Procfs(), pid);
}

std::vector<ProcessState> read_all_processes() {
  const Procfs proc;
  std::vector<ProcessState> processes = read_all(proc);
  std::erase_if(processes, [&proc](const ProcessState& one) { return one.pid == proc.self(); });
  return processes;
}

std::vector<ProcessState> read_process_tree(pid_t root) {
  const Procfs proc;
  std::vector<ProcessState> tree = {read_existing(proc, root)};
  std::vector<ProcessState> processes = read_all(proc);
  std::multimap<pid_t, ProcessState*> children;
  for (ProcessState& process : processes) {
    if (process.pid != root) children.emplace(process.parent, &process);
  }
  // Taken out as they are found: a number that was reused meanwhile can't make a circle.
  for (std::size_t i = 0; i < tree.size(); ++i) {
    const auto [first, last] = children.equal_range(tree[i].pid);
    for (auto child = first; child != last; ++child) tree.push_back(std::move(*child->second));
    children.erase(first, last);
  }
  std::erase_if(tree,
                [&](const ProcessState& one) { return one.pid == proc.self() && one.pid != root; });
  return tree;
}

}  // namespace stepdown
