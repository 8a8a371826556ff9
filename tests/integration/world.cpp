#include "world.h"

#include <fcntl.h>
#include <link.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

namespace stepdown::world {

namespace {

constexpr const char* report_file = "/srv/out/report";
constexpr auto longest_run = std::chrono::seconds(60);
// Where the child keeps the pipe through which it tells how it fares; far from what tests open.
constexpr int tale_fd = 900;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// For calls that return -1 and set errno.
template <typename Result>
Result must(Result result, const std::string& what) {
  if (result < 0) fail(what);
  return result;
}

std::string binary_under_test() {
  const char* path = std::getenv("STEPDOWN_BINARY");
  return path != nullptr && *path != '\0' ? path : STEPDOWN_BINARY_PATH;
}

bool is_dynamic(const std::string& binary) {
  const std::string image = read_file(binary);
  ElfW(Ehdr) header{};
  if (image.size() < sizeof(header)) throw std::runtime_error(binary + " is no ELF file");
  std::memcpy(&header, image.data(), sizeof(header));
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    ElfW(Phdr) segment{};
    std::memcpy(&segment, image.data() + header.e_phoff + i * sizeof(segment), sizeof(segment));
    if (segment.p_type == PT_INTERP) return true;
  }
  return false;
}

bool is_sanitized(const std::string& binary) {
  static const bool sanitized = read_file(binary).find("__asan_init") != std::string::npos;
  return sanitized;
}

void enter_own_mount_namespace() {
  static const bool done = [] {
    must(unshare(CLONE_NEWNS), "unshare(CLONE_NEWNS), which needs root");
    must(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make / private");
    return true;
  }();
  static_cast<void>(done);
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream << text;
  stream.close();
  if (!stream) throw std::runtime_error("can't write " + path);
}

// For files of /proc, where all must go in one write(2).
void write_once(const std::string& path, const std::string& text) {
  const int fd = must(open(path.c_str(), O_WRONLY | O_CLOEXEC), path);
  must(write(fd, text.data(), text.size()), path);
  close(fd);
}

// ---- in the child, before the binary is started ----

void bind_file(const std::string& from, const std::string& to) {
  must(mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr), "bind " + from + " to " + to);
}

void enter_own_network(int unprivileged_port_start) {
  must(unshare(CLONE_NEWNET), "unshare(CLONE_NEWNET)");
  const int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  must(ioctl(fd, SIOCSIFFLAGS, &request), "bring lo up");
  close(fd);
  write_once("/proc/sys/net/ipv4/ip_unprivileged_port_start",
             std::to_string(unprivileged_port_start));
}

// As with userns-remap: uid 0 inside is 100000 outside. The maps are written by a process that
// stays outside, because whoever unshares can't map ids that aren't its own.
void enter_own_user_namespace() {
  std::array<int, 2> go{};
  must(pipe2(go.data(), O_CLOEXEC), "pipe2");
  const std::string process = "/proc/" + std::to_string(getpid());
  const pid_t outside = must(fork(), "fork");
  if (outside == 0) {
    char byte = 0;
    if (read(go[0], &byte, 1) != 1) _exit(1);
    write_once(process + "/uid_map", "0 100000 65536");
    write_once(process + "/gid_map", "0 100000 65536");
    _exit(0);
  }
  must(unshare(CLONE_NEWUSER), "unshare(CLONE_NEWUSER)");
  must(write(go[1], "x", 1), "write");
  int status = 0;
  must(waitpid(outside, &status, 0), "waitpid");
  if (status != 0) throw std::runtime_error("the id maps can't be written");
  close(go[0]);
  close(go[1]);
}

// The rest happens in a child of this process, whose end becomes this process's own.
void continue_in_child() {
  const pid_t child = must(fork(), "fork");
  if (child == 0) return;
  for (unsigned fd = 0; fd <= tale_fd; ++fd) close(static_cast<int>(fd));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

void set_capabilities(Caps permitted, Caps inheritable) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  for (std::size_t half = 0; half < 2; ++half) {
    data[half].permitted = data[half].effective =
        static_cast<std::uint32_t>(permitted >> (32 * half));
    data[half].inheritable = static_cast<std::uint32_t>(inheritable >> (32 * half));
  }
  must(syscall(SYS_capset, &header, data.data()), "capset");
}

Caps permitted_now() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  must(syscall(SYS_capget, &header, data.data()), "capget");
  return Caps{data[0].permitted} | (Caps{data[1].permitted} << 32);
}

void install_filter(const std::vector<FilteredCall>& calls) {
  std::vector<sock_filter> program;
  const auto statement = [&program](int code, std::uint32_t value) {
    program.push_back({static_cast<std::uint16_t>(code), 0, 0, value});
  };
  const auto unless_equal_skip = [&program](std::uint32_t value, std::uint8_t count) {
    program.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, count, value});
  };
  for (const FilteredCall& call : calls) {
    statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
    unless_equal_skip(static_cast<std::uint32_t>(call.number), call.first_argument ? 3 : 1);
    if (call.first_argument) {
      statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args));
      unless_equal_skip(*call.first_argument, 1);
    }
    statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(call.error));
  }
  statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0UL, 0UL), "PR_SET_SECCOMP");
}

void become(const Caller& caller) {
  for (unsigned long number = 0; prctl(PR_CAPBSET_READ, number, 0UL, 0UL, 0UL) >= 0; ++number)
    if (((caller.bounding >> number) & 1) == 0)
      must(prctl(PR_CAPBSET_DROP, number, 0UL, 0UL, 0UL), "PR_CAPBSET_DROP");
  must(syscall(SYS_setgroups, caller.groups.size(), caller.groups.data()), "setgroups");
  must(setresgid(caller.gid, caller.gid, caller.gid), "setresgid");
  must(prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL), "PR_SET_KEEPCAPS");
  must(setresuid(caller.real_uid.value_or(caller.uid), caller.uid, caller.uid), "setresuid");
  // Permitted may stay full until execve(2), which leaves what Caller says.
  set_capabilities(permitted_now(), caller.inheritable | caller.ambient);
  for (unsigned long number = 0; number < 64; ++number)
    if (((caller.ambient >> number) & 1) != 0)
      must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0UL, 0UL), "PR_CAP_AMBIENT_RAISE");
  if (caller.securebits != 0)
    must(prctl(PR_SET_SECUREBITS, caller.securebits, 0UL, 0UL, 0UL), "PR_SET_SECUREBITS");
  if (caller.no_new_privs)
    must(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL), "PR_SET_NO_NEW_PRIVS");
  if (!caller.filter.empty()) install_filter(caller.filter);
}

void set_signals(const Start& start) {
  for (int number = 1; number <= SIGRTMAX; ++number) signal(number, SIG_DFL);
  for (const int number : start.ignored_signals) signal(number, SIG_IGN);
  sigset_t mask;
  sigemptyset(&mask);
  for (const int number : start.blocked_signals) sigaddset(&mask, number);
  must(sigprocmask(SIG_SETMASK, &mask, nullptr), "sigprocmask");
}

// fds 0 to 2 as asked; `ends` are this process's ends of the pipes, or -1.
void set_stdio(const Start& start, const std::array<int, 3>& ends) {
  const Stdio in = start.watch ? Stdio::capture : start.in;
  const std::array<Stdio, 3> kinds{in, start.out, start.err};
  for (int fd = 0; fd < 3; ++fd) {
    const Stdio kind = kinds[static_cast<std::size_t>(fd)];
    int from = ends[static_cast<std::size_t>(fd)];
    if (kind == Stdio::null) from = must(open("/srv/null", O_RDWR | O_CLOEXEC), "/srv/null");
    if (kind == Stdio::file) {
      const std::string path = "/srv/stdio-" + std::to_string(fd);
      from = must(open(path.c_str(), O_RDWR | O_CLOEXEC), path);
    }
    close(fd);
    if (kind != Stdio::closed) must(dup2(from, fd), "dup2");
  }
}

void open_extra(const std::vector<int>& numbers) {
  for (const int number : numbers) {
    const int fd = must(open("/srv/extra", O_RDONLY | O_CLOEXEC), "/srv/extra");
    if (fd != number) {
      must(dup2(fd, number), "dup2");
      close(fd);
    } else {
      must(fcntl(fd, F_SETFD, 0), "fcntl");
    }
  }
}

[[noreturn]] void start_binary(const World& world, const Start& start, std::array<int, 3> ends,
                               const std::string& terminal) {
  // A group of its own, so that a run that takes too long can be killed as a whole.
  if (start.terminal == Terminal::none)
    must(setpgid(0, 0), "setpgid");
  else
    must(setsid(), "setsid");
  const rlimit no_core{0, 0};
  must(setrlimit(RLIMIT_CORE, &no_core), "setrlimit");

  must(unshare(CLONE_NEWNS), "unshare(CLONE_NEWNS)");
  bind_file(world.passwd_file.empty() ? "/srv/etc/passwd" : world.passwd_file, "/etc/passwd");
  bind_file("/srv/etc/group", "/etc/group");
  // A machine without them has no ranges of its own that would have to be hidden.
  if (!world.subuid.empty() || exists("/etc/subuid")) bind_file("/srv/etc/subuid", "/etc/subuid");
  if (!world.subgid.empty() || exists("/etc/subgid")) bind_file("/srv/etc/subgid", "/etc/subgid");
  const bool own_network_first = start.user_namespace != UserNamespace::with_own_network;
  if (own_network_first && start.unprivileged_port_start)
    enter_own_network(*start.unprivileged_port_start);
  if (start.user_namespace != UserNamespace::none) enter_own_user_namespace();

  if (start.terminal != Terminal::none) {
    // The first terminal that a session leader opens is its controlling one.
    const int slave = must(open(terminal.c_str(), O_RDWR), terminal);
    ends = {slave, slave, slave};
  }
  for (int& end : ends)  // out of the way of what becomes fd 0 to 2 and of what tests open
    if (end >= 0) end = must(fcntl(end, F_DUPFD_CLOEXEC, tale_fd + 1), "fcntl");
  for (const int fd : {0, 1, 2}) close(fd);
  must(close_range(3, tale_fd - 1, 0), "close_range");
  for (const int fd : {0, 1, 2}) must(open("/srv/null", O_RDWR) - fd, "/srv/null");
  if (start.pid_namespace) must(unshare(CLONE_NEWPID), "unshare(CLONE_NEWPID)");
  if (start.pid_namespace || start.terminal == Terminal::borrowed) continue_in_child();
  if (start.pid_namespace)
    must(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr), "mount /proc");

  Start described = start;
  Caller caller = start.caller;
  if (start.user_namespace != UserNamespace::none) {
    must(syscall(SYS_setgroups, 0, nullptr), "setgroups");
    must(setresgid(0, 0, 0), "setresgid");
    must(setresuid(0, 0, 0), "setresuid");
  }
  if (!own_network_first && start.unprivileged_port_start)
    enter_own_network(*start.unprivileged_port_start);

  std::vector<char*> argv{described.name.data()};
  for (std::string& word : described.words) argv.push_back(word.data());
  argv.push_back(nullptr);
  if (is_sanitized("/srv/bin/stepdown")) {
    // LeakSanitizer wants ptrace(2) and threads, which many of these callers can't have.
    described.environment.emplace_back("ASAN_OPTIONS=detect_leaks=0");
  }
  std::vector<char*> environment;
  for (std::string& entry : described.environment) {
    const std::size_t at = entry.find("@PID@");
    if (at != std::string::npos) entry.replace(at, 5, std::to_string(getpid()));
    environment.push_back(entry.data());
  }
  environment.push_back(nullptr);

  set_stdio(start, ends);
  must(close_range(tale_fd + 1, ~0U, 0), "close_range");
  open_extra(start.open_fds);
  if (!start.root.empty()) must(chroot(start.root.c_str()), "chroot");
  must(chdir(start.cwd.c_str()), "chdir");
  umask(start.umask);
  set_signals(start);
  const std::string tale = "p" + std::to_string(getpid());
  must(write(tale_fd, tale.data(), tale.size()), "write");
  if (start.prepare) start.prepare();
  become(caller);
  execve(start.binary.c_str(), argv.data(), environment.data());
  fail("execve " + start.binary);
}

// ---- in the test process ----

struct Pipe {
  int ours = -1, theirs = -1;
};

Pipe make_pipe(bool they_read) {
  std::array<int, 2> ends{};
  must(pipe2(ends.data(), O_CLOEXEC), "pipe2");
  return they_read ? Pipe{ends[1], ends[0]} : Pipe{ends[0], ends[1]};
}

struct Terminals {
  int master = -1;
  std::string slave;
};

Terminals make_terminal() {
  Terminals made;
  made.master = must(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "posix_openpt");
  must(grantpt(made.master), "grantpt");
  must(unlockpt(made.master), "unlockpt");
  made.slave = ptsname(made.master);
  return made;
}

// Reads all of them to their ends; those that are -1 are skipped.
void read_all(pid_t group, std::vector<std::pair<int, std::string*>> sources) {
  const auto deadline = std::chrono::steady_clock::now() + longest_run;
  std::erase_if(sources, [](const auto& source) { return source.first < 0; });
  while (!sources.empty()) {
    std::vector<pollfd> waiting;
    for (const auto& [fd, text] : sources) waiting.push_back({fd, POLLIN, 0});
    const int ready = poll(waiting.data(), waiting.size(), 1000);
    if (ready < 0 && errno != EINTR) fail("poll");
    if (std::chrono::steady_clock::now() > deadline) {
      kill(-group, SIGKILL);
      throw std::runtime_error("the launcher or its app did not end in time");
    }
    for (std::size_t i = waiting.size(); i-- > 0;) {
      if (waiting[i].revents == 0) continue;
      std::array<char, 65536> buffer{};
      const ssize_t count = read(waiting[i].fd, buffer.data(), buffer.size());
      // A terminal's master says EIO when nobody has the other side open.
      if (count <= 0)
        sources.erase(sources.begin() + static_cast<std::ptrdiff_t>(i));
      else
        sources[i].second->append(buffer.data(), static_cast<std::size_t>(count));
    }
  }
}

std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size())
      plain += text[++i] == 'n' ? '\n' : text[i];
    else
      plain += text[i];
  }
  return plain;
}

// Waits for it; false when the process that it comes from has ended instead.
bool has_reported(pid_t process) {
  const auto deadline = std::chrono::steady_clock::now() + longest_run;
  while (std::chrono::steady_clock::now() < deadline) {
    siginfo_t ended{};
    must(waitid(P_PID, static_cast<id_t>(process), &ended, WEXITED | WNOHANG | WNOWAIT), "waitid");
    if (exists(report_file) &&
        read_file(report_file).find("\nend=of report\n") != std::string::npos)
      return true;
    if (ended.si_pid != 0) return false;
    usleep(1000);
  }
  return false;
}

pid_t only_child_of(pid_t process) {
  const std::string number = std::to_string(process);
  return std::stoi(read_file("/proc/" + number + "/task/" + number + "/children"));
}

template <typename Number>
std::vector<Number> numbers(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<Number>(stream), std::istream_iterator<Number>()};
}

Caps bits(const std::string& hex) {
  return std::stoull(hex, nullptr, 16);
}

void take(Report& report, const std::string& key, const std::string& value) {
  if (key == "pid") report.pid = std::stoi(value);
  if (key == "sid") report.sid = std::stoi(value);
  if (key == "uids") report.uids = numbers<std::uint32_t>(value);
  if (key == "gids") report.gids = numbers<std::uint32_t>(value);
  if (key == "groups") {
    report.groups = numbers<std::uint32_t>(value);
    std::sort(report.groups.begin(), report.groups.end());
  }
  if (key == "inheritable") report.inheritable = bits(value);
  if (key == "permitted") report.permitted = bits(value);
  if (key == "effective") report.effective = bits(value);
  if (key == "bounding") report.bounding = bits(value);
  if (key == "ambient") report.ambient = bits(value);
  if (key == "no_new_privs") report.no_new_privs = value == "1";
  if (key == "securebits") report.securebits = static_cast<unsigned>(bits(value));
  if (key == "seccomp") report.seccomp = std::stoi(value);
  if (key == "umask") report.umask = static_cast<mode_t>(std::stoul(value, nullptr, 8));
  if (key == "cwd") report.cwd = value;
  if (key == "fd") {
    const std::size_t cut = value.find(' ');
    report.fds[std::stoi(value)] = value.substr(cut + 1);
  }
  if (key == "argv") report.argv.push_back(value);
  if (key == "env" && !value.starts_with("ASAN_OPTIONS=")) report.environment.push_back(value);
  if (key == "blocked") report.blocked = numbers<int>(value);
  if (key == "ignored") report.ignored = numbers<int>(value);
  report.results[key] = value;
}

std::optional<Report> parse_report(const std::string& text) {
  Report report;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    // A terminal turns \n into \r\n.
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line == "end=of report") return report;
    // A wish repeats its own '=': the result comes after the last one.
    const std::size_t cut = line.starts_with('+') ? line.rfind('=') : line.find('=');
    if (cut != std::string::npos)
      take(report, line.substr(0, cut), unescaped(line.substr(cut + 1)));
  }
  return std::nullopt;
}

bool is_piped(Stdio kind) {
  return kind == Stdio::capture || kind == Stdio::users_pipe;
}

}  // namespace

const Caps docker_default = 0xa80425fb;

Caps caps(std::initializer_list<int> members) {
  Caps set = 0;
  for (const int member : members) set |= Caps{1} << member;
  return set;
}

Caps caps_named(const std::vector<std::string>& flags) {
  Caps set = 0;
  for (const std::string& flag : flags) {
    cap_value_t number = 0;
    if (cap_from_name(("cap_" + flag).c_str(), &number) != 0)
      throw std::runtime_error("no capability is called " + flag);
    set |= Caps{1} << number;
  }
  return set;
}

Caller root_with(Caps held) {
  Caller caller;
  caller.bounding = held;
  return caller;
}

Caller root_with_docker_default() {
  return root_with(docker_default);
}

Caller user(uid_t uid, gid_t gid, std::vector<gid_t> groups) {
  Caller caller;
  caller.uid = uid;
  caller.gid = gid;
  caller.groups = std::move(groups);
  return caller;
}

Caller restricted_user(uid_t uid, gid_t gid, std::vector<gid_t> groups) {
  Caller caller = user(uid, gid, std::move(groups));
  caller.bounding = 0;
  caller.no_new_privs = true;
  caller.filter = {{SYS_kexec_load, EPERM}};
  return caller;
}

std::vector<std::string> Report::values_of(const std::string& variable) const {
  std::vector<std::string> values;
  for (const std::string& entry : environment)
    if (entry.starts_with(variable + "=")) values.push_back(entry.substr(variable.size() + 1));
  return values;
}

std::string Report::value_of(const std::string& variable) const {
  const std::vector<std::string> values = values_of(variable);
  if (values.size() != 1)
    throw std::runtime_error(variable + " is there " + std::to_string(values.size()) + " times");
  return values.front();
}

std::vector<std::uint32_t> Report::memberships() const {
  std::vector<std::uint32_t> all = groups;
  all.push_back(gids.at(1));
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::vector<int> Report::fd_numbers() const {
  std::vector<int> all;
  for (const auto& [number, inode] : fds) all.push_back(number);
  return all;
}

const std::string& Report::result(const std::string& of) const {
  const auto found = results.find(of);
  if (found == results.end()) throw std::runtime_error("the probe said nothing of " + of);
  return found->second;
}

const Report& Outcome::app() const {
  if (!report)
    throw std::runtime_error("the app did not run; status " + std::to_string(status) +
                             ", stdout: " + out + ", stderr: " + err);
  return *report;
}

bool Outcome::says(const std::string& text) const {
  return err.find(text) != std::string::npos;
}

void PrintTo(const Owned& owned, std::ostream* stream) {
  *stream << owned.uid << ':' << owned.gid << ' ' << std::oct << owned.mode << std::dec;
}

World::World()
    : passwd(
          "root:x:0:0:root:/root:/bin/bash\n"
          "app:x:1000:1000:The App:/home/app:/bin/sh\n"
          "other:x:1001:1001::/home/other:/bin/sh\n"
          "rootgroup:x:1002:0::/home/rootgroup:/bin/sh\n"
          "wheel:x:1003:1003::/home/wheel:/bin/sh\n"
          "check:x:1004:1004::/home/check:/bin/sh\n"
          "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"),
      group(
          "root:x:0:wheel\n"
          "adm:x:4:root\n"
          "app:x:1000:\n"
          "other:x:1001:\n"
          "staff:x:2000:app\n"
          "media:x:3000:\n"
          "nogroup:x:65534:\n") {
  enter_own_mount_namespace();
  must(mount("tmpfs", "/srv", "tmpfs", 0, "mode=0755"), "mount a tmpfs at /srv");
  umask(022);
  directory("/srv/out", 0, 0, 0777);
  directory("/srv/etc", 0, 0, 0755);
  copy(binary_under_test(), "/srv/bin/stepdown");
  copy(STEPDOWN_PROBE_PATH, "/srv/bin/probe");
  is_sanitized("/srv/bin/stepdown");  // so that no child needs to find out
  file("/srv/extra", "", 0, 0, 0644);
  for (const char* path : {"/srv/stdio-0", "/srv/stdio-1", "/srv/stdio-2"})
    file(path, "", 0, 0, 0600);
  must(mknod("/srv/null", S_IFCHR | 0666, makedev(1, 3)), "mknod /srv/null");
  must(chmod("/srv/null", 0666), "chmod /srv/null");
}

World::~World() {
  umount2("/srv", MNT_DETACH);
}

Outcome World::run(const Start& start) const {
  write_text("/srv/etc/passwd", passwd);
  write_text("/srv/etc/group", group);
  write_text("/srv/etc/subuid", subuid);
  write_text("/srv/etc/subgid", subgid);
  unlink(report_file);

  Outcome outcome;
  Terminals terminal;
  if (start.terminal != Terminal::none) {
    terminal = make_terminal();
    outcome.terminal_before = owner_of(terminal.slave);
  }
  const Stdio in = start.watch ? Stdio::capture : start.in;
  const std::array<Stdio, 3> kinds{in, start.out, start.err};
  std::array<Pipe, 3> pipes;
  for (std::size_t fd = 0; fd < 3; ++fd) {
    if (start.terminal != Terminal::none || !is_piped(kinds[fd])) continue;
    pipes[fd] = make_pipe(fd == 0);
    if (kinds[fd] == Stdio::users_pipe) must(fchown(pipes[fd].theirs, 1001, 1001), "fchown");
  }
  Pipe tale = make_pipe(false);

  const pid_t child = must(fork(), "fork");
  if (child == 0) {
    try {
      must(dup3(tale.theirs, tale_fd, O_CLOEXEC), "dup3");
      start_binary(*this, start, {pipes[0].theirs, pipes[1].theirs, pipes[2].theirs},
                   terminal.slave);
    } catch (const std::exception& trouble) {
      const std::string text = std::string("e") + trouble.what();
      if (write(tale_fd, text.data(), text.size()) < 0) _exit(97);
    }
    _exit(97);
  }
  close(tale.theirs);
  for (const Pipe& each : pipes)
    if (each.theirs >= 0) close(each.theirs);
  if (pipes[0].ours >= 0 && !start.watch) close(pipes[0].ours);

  std::string told;
  const int out = start.terminal == Terminal::none ? pipes[1].ours : terminal.master;
  try {
    // What it tells ends with execve(2); a terminal can't be read to its end before it is opened.
    read_all(child, {{tale.ours, &told}});
    if (start.watch) {
      if (has_reported(child)) start.watch(start.pid_namespace ? only_child_of(child) : child);
      close(std::exchange(pipes[0].ours, -1));
    }
    read_all(child, {{out, &outcome.out}, {pipes[2].ours, &outcome.err}});
  } catch (...) {
    close(pipes[0].ours);
    waitpid(child, nullptr, 0);
    throw;
  }
  int status = 0;
  while (must(waitpid(child, &status, 0), "waitpid") != child) {
  }
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  if (start.terminal != Terminal::none) outcome.terminal_after = owner_of(terminal.slave);
  for (const int fd : {tale.ours, out, pipes[2].ours})
    if (fd >= 0) close(fd);
  const std::size_t trouble = told.find('e');
  if (trouble != std::string::npos)
    throw std::runtime_error("the world can't be made: " + told.substr(trouble + 1));
  outcome.pid = std::stoi(told.substr(1));
  outcome.report = parse_report(exists(report_file) ? read_file(report_file) : outcome.out);
  return outcome;
}

Outcome World::run(const std::vector<std::string>& words) const {
  return run(root_with_docker_default(), words);
}

Outcome World::run(const Caller& caller, const std::vector<std::string>& words) const {
  Start start;
  start.caller = caller;
  start.words = words;
  return run(start);
}

namespace {
void parents_of(const std::string& path) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
}
void give(const std::string& path, uid_t uid, gid_t gid, mode_t mode) {
  must(chown(path.c_str(), uid, gid), "chown " + path);
  must(chmod(path.c_str(), mode), "chmod " + path);
}
}  // namespace

void World::directory(const std::string& path, uid_t uid, gid_t gid, mode_t mode) const {
  std::filesystem::create_directories(path);
  give(path, uid, gid, mode);
}

void World::file(const std::string& path, const std::string& text, uid_t uid, gid_t gid,
                 mode_t mode) const {
  parents_of(path);
  write_text(path, text);
  give(path, uid, gid, mode);
}

void World::program(const std::string& path, const std::string& text) const {
  file(path, text, 0, 0, 0755);
}

void World::copy(const std::string& from, const std::string& to, mode_t mode) const {
  parents_of(to);
  std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
  give(to, 0, 0, mode);
}

void World::symlink(const std::string& target, const std::string& path) const {
  parents_of(path);
  must(::symlink(target.c_str(), path.c_str()), "symlink " + path);
}

void World::fifo(const std::string& path) const {
  must(mkfifo(path.c_str(), 0644), path);
}

void World::read_only_mount(const std::string& path) const {
  std::filesystem::create_directories(path);
  must(mount("tmpfs", path.c_str(), "tmpfs", MS_RDONLY, "mode=0755"), "mount " + path);
}

void World::file_capabilities(const std::string& path, Caps permitted, bool effective) const {
  vfs_cap_data data{};  // capabilities(7), "File capability extended attribute versioning"
  data.magic_etc = VFS_CAP_REVISION_2 | (effective ? VFS_CAP_FLAGS_EFFECTIVE : 0U);
  data.data[0].permitted = static_cast<std::uint32_t>(permitted);
  data.data[1].permitted = static_cast<std::uint32_t>(permitted >> 32);
  must(setxattr(path.c_str(), "security.capability", &data, XATTR_CAPS_SZ_2, 0),
       "set file capabilities on " + path);
}

void World::bare_root(const std::string& path) const {
  copy("/srv/bin/stepdown", path + "/stepdown");
  copy("/srv/bin/probe", path + "/probe");
  if (!is_dynamic("/srv/bin/stepdown")) return;
  for (const std::string library : {"/lib", "/lib64", "/usr/lib"}) {
    if (!exists(library)) continue;
    std::filesystem::create_directories(path + library);
    must(mount(library.c_str(), (path + library).c_str(), nullptr, MS_BIND, nullptr), library);
  }
  std::filesystem::create_directories(path + "/proc");
  must(mount("proc", (path + "/proc").c_str(), "proc", 0, nullptr), "mount proc");
}

bool exists(const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0;
}

Owned owner_of(const std::string& path) {
  struct stat status {};
  must(lstat(path.c_str(), &status), path);
  return {status.st_uid, status.st_gid, status.st_mode & 07777};
}

std::string change_stamp(const std::string& path) {
  struct stat status {};
  must(lstat(path.c_str(), &status), path);
  return std::to_string(status.st_ctim.tv_sec) + "." + std::to_string(status.st_ctim.tv_nsec) +
         " " + std::to_string(status.st_uid) + ":" + std::to_string(status.st_gid) + " " +
         std::to_string(status.st_mode);
}

std::string read_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error("can't read " + path);
  std::ostringstream text;
  text << stream.rdbuf();
  return std::move(text).str();
}

}  // namespace stepdown::world
