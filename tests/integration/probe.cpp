// The app of the integration tests: tells what it was started as, by system calls alone, so that it
// also speaks where there is no /proc. One KEY=VALUE line each; backslashes and newlines in values
// are escaped. Words that begin with '+' ask for more, and their results are lines "+WORD=RESULT":
//
//   +report=FILE    write the report there instead of stdout
//   +tcp=PORT +udp=PORT   bind(2); +tcp6 and +udp6 for IPv6
//   +append=PATH    open for writing and write a line
//   +read=PATH      open for reading
//   +create-in=DIR  create a file
//   +touch=PATH     create this file
//   +fstat=FD       owner, mode and type
//   +owner=PATH     uid:gid as they are called here
//   +chown=PATH     to 0:0
//   +tcp-as=UID:PORT   bind(2) in a child that became UID
//   +become=UID     in a child: setgroups(2), setgid(2) and setuid(2) to it, then make the file
//                   /srv/out/by-UID; its effective capabilities, and how setuid(0) ends then
//   +games=PATH     in a child with another user namespace of its own, root there: what it can do
//                   to PATH, which is beneath /srv, and to the machine; "nothing", or the names of
//                   what succeeded
//   +unshare=user   unshare(2) of a user namespace in a child
//   +threads=N      how many of N threads are told 0 by each of geteuid(2) and getegid(2)
//   +i386=CALL +x32=CALL   getuid or setuid, by another system call table
//   +hold=stdin     after the report: wait until stdin has ended
//   +do=DEED:PATH[:PATH]   a deed of probe_writes.h
//   +call, +many, +numbers, +name   what probe_calls.h says
//   +wait=any       waitpid(2): whether the launcher left a child behind
//   +play=ROLE      instead of all this: a role of probe_roles.h
//   +exec=PATH      instead of all this: become PATH with the words that follow
//   +exit=N +signal=N   how to end
//   +end=N          instead of all this: end at once
#include <asm/unistd.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "probe_calls.h"
#include "probe_roles.h"
#include "probe_writes.h"

namespace {

std::string report;

void tell(const std::string& key, std::string_view value) {
  report += key + "=";
  for (const char c : value) {
    if (c == '\n')
      report += "\\n";
    else if (c == '\\')
      report += "\\\\";
    else
      report += c;
  }
  report += '\n';
}

std::string error_name(int number) {
  const char* name = strerrorname_np(number);
  return name == nullptr ? std::to_string(number) : name;
}

// "ok" or the name of errno.
std::string result_of(long returned) {
  return returned >= 0 ? "ok" : error_name(errno);
}

std::string hex(std::uint64_t bits) {
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "%llx", static_cast<unsigned long long>(bits));
  return text.data();
}

template <typename Numbers>
std::string joined(const Numbers& numbers) {
  std::string text;
  for (const auto number : numbers) {
    if (!text.empty()) text += ' ';
    text += std::to_string(number);
  }
  return text;
}

void tell_ids() {
  tell("pid", std::to_string(getpid()));
  tell("ppid", std::to_string(getppid()));
  tell("sid", std::to_string(getsid(0)));
  uid_t ruid = 0, euid = 0, suid = 0;
  getresuid(&ruid, &euid, &suid);
  // setfsuid(2): an invalid id changes nothing and returns the current one.
  const auto fsuid = static_cast<uid_t>(setfsuid(static_cast<uid_t>(-1)));
  tell("uids", joined(std::array{ruid, euid, suid, fsuid}));
  gid_t rgid = 0, egid = 0, sgid = 0;
  getresgid(&rgid, &egid, &sgid);
  const auto fsgid = static_cast<gid_t>(setfsgid(static_cast<gid_t>(-1)));
  tell("gids", joined(std::array{rgid, egid, sgid, fsgid}));
  std::vector<gid_t> groups(65536);
  const int count = getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(static_cast<std::size_t>(count < 0 ? 0 : count));
  tell("groups", joined(groups));
}

void tell_privileges() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  syscall(SYS_capget, &header, data.data());
  const auto both = [](std::uint32_t low, std::uint32_t high) {
    return std::uint64_t{low} | (std::uint64_t{high} << 32);
  };
  tell("inheritable", hex(both(data[0].inheritable, data[1].inheritable)));
  tell("permitted", hex(both(data[0].permitted, data[1].permitted)));
  tell("effective", hex(both(data[0].effective, data[1].effective)));
  std::uint64_t bounding = 0, ambient = 0;
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if (prctl(PR_CAPBSET_READ, capability, 0UL, 0UL, 0UL) == 1)
      bounding |= std::uint64_t{1} << capability;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0UL, 0UL) == 1)
      ambient |= std::uint64_t{1} << capability;
  }
  tell("bounding", hex(bounding));
  tell("ambient", hex(ambient));
  tell("no_new_privs", std::to_string(prctl(PR_GET_NO_NEW_PRIVS, 0UL, 0UL, 0UL, 0UL)));
  tell("securebits", hex(static_cast<std::uint64_t>(prctl(PR_GET_SECUREBITS, 0UL, 0UL, 0UL, 0UL))));
  tell("seccomp", std::to_string(prctl(PR_GET_SECCOMP, 0UL, 0UL, 0UL, 0UL)));
  tell("at_secure", std::to_string(getauxval(AT_SECURE)));
}

void tell_surroundings(int argc, char** argv, char** environment) {
  const mode_t mask = umask(0);
  umask(mask);
  std::array<char, 8> octal{};
  std::snprintf(octal.data(), octal.size(), "%o", static_cast<unsigned>(mask));
  tell("umask", octal.data());
  std::array<char, PATH_MAX> cwd{};
  tell("cwd", getcwd(cwd.data(), cwd.size()) == nullptr ? error_name(errno) : cwd.data());
  for (int fd = 0; fd < 4096; ++fd) {
    struct stat status {};
    if (fstat(fd, &status) != 0) continue;
    tell("fd", std::to_string(fd) + " " + std::to_string(status.st_dev) + ":" +
                   std::to_string(status.st_ino));
  }
  for (int i = 0; i < argc; ++i) tell("argv", argv[i]);
  for (char** entry = environment; *entry != nullptr; ++entry) tell("env", *entry);
  sigset_t blocked;
  sigprocmask(SIG_BLOCK, nullptr, &blocked);
  std::vector<int> in_mask, ignored;
  for (int number = 1; number <= SIGRTMAX; ++number) {
    if (sigismember(&blocked, number) == 1) in_mask.push_back(number);
    struct sigaction action {};
    if (sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN)
      ignored.push_back(number);
  }
  tell("blocked", joined(in_mask));
  tell("ignored", joined(ignored));
}

#if defined(__x86_64__)
// An ioctl(2) on no file at all: EBADF means that the request reached the kernel, unfiltered.
long ioctl_as_i386(unsigned request) {
  long result = 0;
  // 54 is ioctl in the i386 table, reached through int 0x80 from 64-bit code as well.
  asm volatile("int $0x80" : "=a"(result) : "a"(54L), "b"(-1L), "c"(request), "d"(0L) : "memory");
  return result;
}
#endif

// The name of the errno that the call in a child ended with, "ok", or "signal N".
template <typename Call>
std::string in_a_child(Call call) {
  const pid_t child = fork();
  if (child == 0) {
    // A child that a filter or a missing system call table kills leaves no core behind.
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    const long result = call();
    _exit(result >= 0 ? 0 : static_cast<int>(-result));
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "ok" : error_name(WEXITSTATUS(status));
}

template <typename Call>
std::string attempt(Call call) {
  return in_a_child([&call]() -> long { return call() >= 0 ? 0 : -errno; });
}

void tell_refusals() {
  constexpr unsigned tioclinux = 0x541C;
  constexpr unsigned long above = 1UL << 32;
  tell("tiocsti", attempt([] { return syscall(SYS_ioctl, -1, TIOCSTI, 0); }));
  tell("tioclinux", attempt([] { return syscall(SYS_ioctl, -1, tioclinux, 0); }));
  // The kernel takes 32 bits of the request: what a filter compares as 64 bits slips through
  // (CVE-2019-7303).
  tell("tiocsti_above", attempt([] { return syscall(SYS_ioctl, -1, TIOCSTI | above, 0); }));
  tell("tioclinux_above", attempt([] { return syscall(SYS_ioctl, -1, tioclinux | above, 0); }));
  tell("tcgets", attempt([] { return syscall(SYS_ioctl, -1, TCGETS, 0); }));
#if defined(__x86_64__)
  tell("tiocsti_i386", in_a_child([] { return ioctl_as_i386(TIOCSTI); }));
  tell("tiocsti_x32", attempt([] { return syscall(0x40000000 | 514, -1, TIOCSTI, 0); }));
#endif
  tell("setuid_0", attempt([] { return setuid(0); }));
  tell("seteuid_0", attempt([] { return seteuid(0); }));
  tell("setresuid_0", attempt([] { return setresuid(0, 0, 0); }));
  tell("setfsuid_0", in_a_child([]() -> long {
         setfsuid(0);
         return setfsuid(static_cast<uid_t>(-1)) == 0 ? 0 : -EPERM;
       }));
  tell("setgid_0", attempt([] { return setgid(0); }));
  tell("setgroups_0", attempt([] {
         const gid_t root = 0;
         return syscall(SYS_setgroups, 1, &root);
       }));
}

std::string bind6_result(int type, const std::string& port) {
  const int fd = socket(AF_INET6, type, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  address.sin6_port = htons(static_cast<std::uint16_t>(std::stoi(port)));
  return result_of(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
}

std::string bind_result(int type, const std::string& port) {
  const int fd = socket(AF_INET, type, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port)));
  return result_of(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
}

// A child that became UID, in "UID:PORT".
std::string bind_as_result(const std::string& value) {
  const std::size_t cut = value.find(':');
  const auto id = static_cast<uid_t>(std::stoul(value));
  return attempt([&]() -> long {
    if (setgroups(1, &id) != 0 || setgid(id) != 0 || setuid(id) != 0) return -1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(value.substr(cut + 1))));
    return bind(socket(AF_INET, SOCK_STREAM, 0), reinterpret_cast<const sockaddr*>(&address),
                sizeof(address));
  });
}

std::string append_result(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_NOCTTY);
  if (fd < 0) return error_name(errno);
  const std::string line = "# appended\n";
  return result_of(write(fd, line.data(), line.size()));
}

std::string fstat_result(const std::string& fd) {
  struct stat status {};
  if (fstat(std::stoi(fd), &status) != 0) return error_name(errno);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%u:%u %o", status.st_uid, status.st_gid, status.st_mode);
  return text.data();
}

std::string owner_result(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return error_name(errno);
  return std::to_string(status.st_uid) + ":" + std::to_string(status.st_gid);
}

// What a child writes to a pipe; "signal N" when it was killed.
template <typename Tale>
std::string told_by_a_child(Tale tale) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return error_name(errno);
  const pid_t child = fork();
  if (child == 0) {
    const std::string text = tale();
    _exit(write(ends[1], text.data(), text.size()) < 0 ? 1 : 0);
  }
  close(ends[1]);
  std::array<char, 4096> buffer{};
  const ssize_t count = read(ends[0], buffer.data(), buffer.size());
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return {buffer.data(), static_cast<std::size_t>(count < 0 ? 0 : count)};
}

std::uint64_t effective_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  syscall(SYS_capget, &header, data.data());
  return std::uint64_t{data[0].effective} | (std::uint64_t{data[1].effective} << 32);
}

std::string become_result(const std::string& word) {
  const auto id = static_cast<uid_t>(std::stoul(word));
  return told_by_a_child([id, &word]() -> std::string {
    if (setgroups(1, &id) != 0) return "setgroups " + error_name(errno);
    if (setgid(id) != 0) return "setgid " + error_name(errno);
    if (setuid(id) != 0) return "setuid " + error_name(errno);
    const int file = open(("/srv/out/by-" + word).c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (file < 0) return "open " + error_name(errno);
    const std::string effective = hex(effective_capabilities());
    return effective + " " + result_of(setuid(0));
  });
}

bool write_to(const char* path, const std::string& text) {
  const int file = open(path, O_WRONLY);
  if (file < 0) return false;
  const ssize_t count = write(file, text.data(), text.size());
  close(file);
  return count == static_cast<ssize_t>(text.size());
}

std::string games_result(const std::string& path) {
  // What is won is lost for the machine: only what the tests made themselves may be the prize.
  if (!path.starts_with("/srv/") || path.find("/../") != std::string::npos) return "refused";
  return told_by_a_child([&path]() -> std::string {
    const std::string uid = std::to_string(geteuid()), gid = std::to_string(getegid());
    // Without a map, which takes CAP_SETFCAP where the own uid is 0, it has every capability there
    // all the same.
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) {
      write_to("/proc/self/setgroups", "deny");
      if (write_to("/proc/self/uid_map", "0 " + uid + " 1") &&
          write_to("/proc/self/gid_map", "0 " + gid + " 1") &&
          (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0))
        return "mapped and not root";
    }
    std::string done;
    const auto game = [&done](const char* name, bool won) {
      if (won) done += (done.empty() ? "" : " ") + std::string(name);
    };
    const char* file = path.c_str();
    game("read", open(file, O_RDONLY) >= 0);
    game("write", open(file, O_WRONLY) >= 0);
    game("chmod", chmod(file, 0666) == 0);
    game("chown", chown(file, 0, 0) == 0);
    game("chown-away", chown(file, 1, 1) == 0);
    game("unlink", unlink(file) == 0);
    game("mknod", mknod("/srv/out/memory", S_IFCHR | 0666, makedev(1, 1)) == 0);
    std::array<char, HOST_NAME_MAX + 1> name{};
    gethostname(name.data(), name.size());
    game("hostname", sethostname(name.data(), std::strlen(name.data())) == 0);
    game("kill", kill(getppid(), 0) == 0 && kill(1, 0) == 0);
    game("setns", [] {
      const int outside = open("/proc/1/ns/user", O_RDONLY);
      return outside >= 0 && setns(outside, CLONE_NEWUSER) == 0;
    }());
    return done.empty() ? "nothing" : done;
  });
}

std::string threads_result(const std::string& count) {
  std::atomic<int> zeros = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < std::stoi(count); ++i)
    threads.emplace_back([&zeros] {
      if (geteuid() == 0 && getegid() == 0) ++zeros;
    });
  for (std::thread& thread : threads) thread.join();
  return std::to_string(zeros);
}

#if defined(__x86_64__)
std::string i386_result(const std::string& call) {
  // getuid32 and setuid32 of the i386 table.
  const long number = call == "getuid" ? 199 : 213;
  return told_by_a_child([number] {
    long result = 0;
    asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(0L) : "memory");
    return std::to_string(result);
  });
}

std::string x32_result(const std::string& call) {
  const long number = 0x40000000 | (call == "getuid" ? SYS_getuid : SYS_setuid);
  return told_by_a_child([number] {
    const long result = syscall(number, 0L);
    return result < 0 ? error_name(errno) : std::to_string(result);
  });
}
#endif

}  // namespace

int main(int argc, char** argv, char** environment) {
  int status = 0;
  int last_signal = 0;
  bool hold = false;
  std::string report_file;
  std::vector<std::pair<std::string, std::string>> wishes;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const std::size_t cut = word.find('=');
    if (!word.starts_with('+') || cut == std::string::npos) continue;
    const std::string name = word.substr(1, cut - 1);
    const std::string value = word.substr(cut + 1);
    if (name == "play") roles::play(value);
    if (name == "end") _exit(std::stoi(value));
    if (name == "exec") {
      argv[i] = argv[i] + cut + 1;
      execv(value.c_str(), argv + i);
      _exit(99);
    }
    if (name == "exit")
      status = std::stoi(value);
    else if (name == "signal")
      last_signal = std::stoi(value);
    else if (name == "report")
      report_file = value;
    else if (name == "hold")
      hold = true;
    else
      wishes.emplace_back(name, value);
  }

  tell_ids();
  tell_privileges();
  tell_surroundings(argc, argv, environment);
  tell_refusals();
  for (const auto& [name, value] : wishes) {
    std::string result = "unknown";
    if (name == "tcp") result = bind_result(SOCK_STREAM, value);
    if (name == "udp") result = bind_result(SOCK_DGRAM, value);
    if (name == "append") result = append_result(value);
    if (name == "read")
      result = result_of(open(value.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (name == "create-in")
      result = result_of(open((value + "/made-by-app").c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644));
    if (name == "touch") result = result_of(open(value.c_str(), O_WRONLY | O_CREAT, 0644));
    if (name == "call") result = calls::call_result(value);
    if (name == "many") result = calls::many_result(value);
    if (name == "numbers") result = calls::numbers_result(value);
    if (name == "name") result = result_of(prctl(PR_SET_NAME, value.c_str(), 0UL, 0UL, 0UL));
    if (name == "do") result = writes::result_of(value);
    if (name == "wait") result = result_of(waitpid(-1, nullptr, WNOHANG));
    if (name == "fstat") result = fstat_result(value);
    if (name == "tcp-as") result = bind_as_result(value);
    if (name == "tcp6") result = bind6_result(SOCK_STREAM, value);
    if (name == "udp6") result = bind6_result(SOCK_DGRAM, value);
    if (name == "owner") result = owner_result(value);
    if (name == "chown") result = result_of(chown(value.c_str(), 0, 0));
    if (name == "become") result = become_result(value);
    if (name == "games") result = games_result(value);
    if (name == "unshare") result = attempt([] { return unshare(CLONE_NEWUSER); });
    if (name == "threads") result = threads_result(value);
#if defined(__x86_64__)
    if (name == "i386") result = i386_result(value);
    if (name == "x32") result = x32_result(value);
#endif
    tell("+" + name + "=" + value, result);
  }
  report += "end=of report\n";

  int out = STDOUT_FILENO;
  if (!report_file.empty()) out = open(report_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  for (std::size_t written = 0; written < report.size();) {
    const ssize_t more = write(out, report.data() + written, report.size() - written);
    if (more <= 0) _exit(98);
    written += static_cast<std::size_t>(more);
  }
  for (char byte = 0; hold && read(STDIN_FILENO, &byte, 1) > 0;) {
  }
  if (last_signal != 0) {
    signal(last_signal, SIG_DFL);
    raise(last_signal);
  }
  return status;
}
