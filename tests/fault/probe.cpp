// The app of the fault-injection harness: prints, as one JSON object, the state that the launcher
// left it in. It asks the kernel by system calls (and /proc/self/status for what has none: the
// number of seccomp filters and the signal sets), because it must not believe the launcher.
//
//   probe MARKER    MARKER is created first: proof that the app ran, even where stdout is lost
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace {

void print_ids() {
  uid_t uid[3];
  gid_t gid[3];
  if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
    std::exit(1);
  // setfsuid(2): an id that is not valid changes nothing, and the call returns the current one.
  std::printf("\"uid\":[%u,%u,%u,%u],", uid[0], uid[1], uid[2], unsigned(setfsuid(uid_t(-1))));
  std::printf("\"gid\":[%u,%u,%u,%u],", gid[0], gid[1], gid[2], unsigned(setfsgid(gid_t(-1))));
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
  for (const char* name : {"Seccomp_filters", "SigBlk", "SigIgn"}) {
    const char* line = std::strstr(text, name);
    if (line == nullptr) std::exit(1);
    const char* value = std::strchr(line, '\t') + 1;
    std::printf("\"%s\":\"%.*s\",", name, int(std::strcspn(value, "\n")), value);
  }
}

// errno of ioctl(0, request); stdin is a pipe, for which the kernel alone answers ENOTTY.
int errno_of_ioctl(unsigned long request) {
  char argument = 0;
  return syscall(SYS_ioctl, 0, request, &argument) == 0 ? 0 : errno;
}

void print_refusals() {
  std::printf("\"tiocsti\":%d,\"tioclinux\":%d,", errno_of_ioctl(TIOCSTI),
              errno_of_ioctl(TIOCLINUX));
  // The kernel looks at 32 bits of the request; a filter that compares 64 can be passed by
  // (CVE-2019-7303).
  std::printf("\"tiocsti_wide\":%d,", errno_of_ioctl(TIOCSTI | (1UL << 32)));
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
  if (count < 2) return 2;
  std::printf("{");
  print_descriptors();  // before anything is opened here
  close(open(words[1], O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  print_ids();
  print_groups();
  print_capabilities();
  print_flags();
  print_status_lines();
  print_refusals();
  print_surroundings(environment);
  // Last, because it changes what it asks about where it works.
  std::printf("\"became_root_again\":%s}\n", setresuid(0, 0, 0) == 0 ? "true" : "false");
  return std::fflush(stdout) == 0 ? 0 : 1;
}
