// The app of the fault-injection harness: prints, as one JSON object, the state that the launcher
// left it in, and what it gets when it tries for more. It asks the kernel by system calls (and
// /proc/self for what has none: the number of seccomp filters, the signal sets, the maps), because
// it must not believe the launcher; by bare ones where a supervisor may answer, whose errors the C
// library would hide.
//
//   probe DIRECTORY ROOTS    DIRECTORY/ran is created first: proof that the app ran, even where
//                            stdout is lost; ROOTS is a file that belongs to root alone
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>

namespace {

// A system call's answer, as the kernel gives it: -errno for an error.
template <typename... Arguments>
long said(long number, Arguments... arguments) {
  const long answer = syscall(number, arguments...);
  return answer == -1 ? -long{errno} : answer;
}

template <typename... Arguments>
int errno_of(long number, Arguments... arguments) {
  const long answer = said(number, arguments...);
  return answer < 0 ? int(-answer) : 0;
}

void print_three(const char* name, long number, long filesystem) {
  unsigned ids[3];
  const long answer = said(number, &ids[0], &ids[1], &ids[2]);
  std::printf("\"%s\":[", name);
  for (const unsigned id : ids) std::printf("%ld,", answer == 0 ? long{id} : answer);
  // setfsuid(2): an id that is not valid changes nothing, and the call returns the current one.
  std::printf("%ld],", said(filesystem, -1));
}

// In this order.
void print_simple_ids(const char* name) {
  const long ids[] = {said(SYS_getuid), said(SYS_geteuid), said(SYS_getgid), said(SYS_getegid)};
  std::printf("\"%s\":[%ld,%ld,%ld,%ld],", name, ids[0], ids[1], ids[2], ids[3]);
}

void print_ids() {
  print_simple_ids("simple_ids");
  print_three("uid", SYS_getresuid, SYS_setfsuid);
  print_three("gid", SYS_getresgid, SYS_setfsgid);
}

void print_groups() {
  static gid_t groups[65536];
  const int count = getgroups(65536, groups);
  if (count < 0) std::exit(1);
  std::printf("\"groups\":[");
  for (int i = 0; i < count; ++i) std::printf("%s%u", i == 0 ? "" : ",", groups[i]);
  std::printf("],");
}

void print_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (syscall(SYS_capget, &header, data) != 0) std::exit(1);
  const auto both = [](std::uint32_t low, std::uint32_t high) {
    return (std::uint64_t{high} << 32) | low;
  };
  std::uint64_t bounding = 0;
  std::uint64_t ambient = 0;
  for (unsigned cap = 0; cap < 64; ++cap) {
    if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1) bounding |= std::uint64_t{1} << cap;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
      ambient |= std::uint64_t{1} << cap;
  }
  std::printf("\"inheritable\":%" PRIu64 ",\"permitted\":%" PRIu64 ",\"effective\":%" PRIu64
              ",\"bounding\":%" PRIu64 ",\"ambient\":%" PRIu64 ",",
              both(data[0].inheritable, data[1].inheritable),
              both(data[0].permitted, data[1].permitted),
              both(data[0].effective, data[1].effective), bounding, ambient);
}

void print_flags() {
  std::printf("\"no_new_privs\":%d,\"securebits\":%d,\"seccomp\":%d,\"parent_death_signal\":",
              prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_SECUREBITS, 0, 0, 0, 0),
              prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
  int signal = -1;
  prctl(PR_GET_PDEATHSIG, &signal, 0, 0, 0);
  std::printf("%d,", signal);
}

// The line of /proc/self/status with that name, as a string.
void print_status_lines() {
  static char text[16384];
  const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  const ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (length < 0) std::exit(1);
  close(fd);
  for (const char* name : {"Seccomp_filters", "SigBlk", "SigIgn", "Uid", "Gid"}) {
    const char* line = std::strstr(text, (std::string("\n") + name + ":\t").c_str());
    if (line == nullptr) std::exit(1);
    const char* value = std::strchr(line, '\t') + 1;
    std::string words(value, std::strcspn(value, "\n"));
    for (char& letter : words)
      if (letter == '\t') letter = ' ';
    std::printf("\"%s\":\"%s\",", name, words.c_str());
  }
}

void print_map(const char* name) {
  std::FILE* const file = std::fopen((std::string("/proc/self/") + name).c_str(), "re");
  if (file == nullptr) std::exit(1);
  std::printf("\"%s\":[", name);
  const char* separator = "";
  for (unsigned line[3]; std::fscanf(file, "%u %u %u", &line[0], &line[1], &line[2]) == 3;) {
    std::printf("%s[%u,%u,%u]", separator, line[0], line[1], line[2]);
    separator = ",";
  }
  std::fclose(file);
  std::printf("],");
}

// Stdin is a pipe, for which the kernel alone answers ENOTTY.
int errno_of_ioctl(unsigned long request) {
  char argument = 0;
  return errno_of(SYS_ioctl, 0, request, &argument);
}

void print_refusals() {
  std::printf("\"tiocsti\":%d,\"tioclinux\":%d,", errno_of_ioctl(TIOCSTI),
              errno_of_ioctl(TIOCLINUX));
  // The kernel looks at 32 bits of the request; a filter that compares 64 can be passed by
  // (CVE-2019-7303).
  std::printf("\"tiocsti_wide\":%d,", errno_of_ioctl(TIOCSTI | (1UL << 32)));
}

int errno_of_bind(int type, std::uint16_t port) {
  const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  // Other probes in this network namespace bind the same ports.
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  const int error = errno_of(SYS_bind, fd, &address, sizeof address);
  close(fd);
  return error;
}

void print_attempts(const std::string& directory, const char* roots) {
  // The app's own, but outside what --writable names.
  std::printf("\"write_spool\":%d,",
              errno_of(SYS_openat, AT_FDCWD, (directory + "/../spool/new").c_str(),
                       O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  std::printf("\"read_roots\":%d,\"write_roots\":%d,\"chown_roots\":%d,",
              errno_of(SYS_openat, AT_FDCWD, roots, O_RDONLY | O_CLOEXEC),
              errno_of(SYS_openat, AT_FDCWD, roots, O_WRONLY | O_CLOEXEC),
              errno_of(SYS_fchownat, AT_FDCWD, roots, 0, 0, 0));
  std::printf("\"bind_80\":%d,\"bind_81\":%d,\"bind_80_udp\":%d,", errno_of_bind(SOCK_STREAM, 80),
              errno_of_bind(SOCK_STREAM, 81), errno_of_bind(SOCK_DGRAM, 80));
  // What the built-in policy refuses; the kernel knows no such request.
  std::printf("\"keyctl\":%d,", errno_of(SYS_keyctl, 9999, 0, 0, 0, 0));
  // Process 1 is root's; no signal is sent (kill(2)).
  std::printf("\"kill_roots\":%d,", errno_of(SYS_kill, 1, 0));
}

// What a root master does for its workers, and then tries to take back. It leaves a file, whose
// owner tells the kernel's view of who made it.
void print_worker(const std::string& directory) {
  constexpr int www_data = 33;
  int ends[2];
  if (pipe(ends) != 0) std::exit(1);
  std::fflush(stdout);
  const pid_t pid = fork();
  if (pid < 0) std::exit(1);
  if (pid == 0) {
    const int group = www_data;
    const int answers[] = {errno_of(SYS_setgroups, 1, &group),
                           errno_of(SYS_setresgid, www_data, www_data, www_data),
                           errno_of(SYS_setresuid, www_data, www_data, www_data),
                           errno_of(SYS_setresuid, 0, 0, 0), errno_of(SYS_setuid, 0)};
    close(open((directory + "/worker").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    _exit(write(ends[1], answers, sizeof answers) == sizeof answers ? 0 : 1);
  }
  close(ends[1]);
  int answers[5];
  if (read(ends[0], answers, sizeof answers) != sizeof answers) std::exit(1);
  close(ends[0]);
  waitpid(pid, nullptr, 0);
  std::printf("\"worker\":[%d,%d,%d,%d,%d],", answers[0], answers[1], answers[2], answers[3],
              answers[4]);
}

void print_surroundings(char** environment) {
  const mode_t mask = umask(0);
  char directory[PATH_MAX];
  // No path here needs escaping: the harness names them all.
  std::printf("\"umask\":%u,\"cwd\":\"%s\",\"pid\":%d,", mask,
              getcwd(directory, sizeof directory) == nullptr ? "" : directory, int(getpid()));
  std::printf("\"environment\":[");
  for (char** word = environment; *word != nullptr; ++word)
    std::printf("%s\"%s\"", word == environment ? "" : ",", *word);
  std::printf("],");
}

void print_descriptors() {
  std::printf("\"fds\":{");
  const char* separator = "";
  for (int fd = 0; fd < 1024; ++fd) {
    struct stat status {};
    if (fstat(fd, &status) != 0) continue;
    std::printf("%s\"%d\":[%u,%u,%u]", separator, fd, status.st_uid, status.st_gid,
                status.st_mode & 07777);
    separator = ",";
  }
  std::printf("},");
}

}  // namespace

int main(int count, char** words, char** environment) {
  if (count < 3) return 2;
  const std::string directory = words[1];
  std::printf("{");
  print_descriptors();  // before anything is opened here
  close(open((directory + "/ran").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  print_ids();
  print_groups();
  print_capabilities();
  print_flags();
  print_status_lines();
  print_map("uid_map");
  print_map("gid_map");
  print_refusals();
  print_attempts(directory, words[2]);
  print_surroundings(environment);
  print_worker(directory);
  // Last, because it changes what it asks about where it works.
  std::printf("\"setresuid_root\":%d,", errno_of(SYS_setresuid, 0, 0, 0));
  print_simple_ids("simple_ids_at_last");
  std::printf("\"ended\":true}\n");
  return std::fflush(stdout) == 0 ? 0 : 1;
}
