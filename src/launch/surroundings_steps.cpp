#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "launch/access_step.h"
#include "launch/descriptor_listing.h"
#include "launch/scout.h"
#include "launch/steps.h"
#include "stepdown/error.h"
#include "sys/fd.h"

namespace stepdown::steps {

void examine_directory(const Launch& launch, Findings& findings) {
  if (!launch.plan.directory) return;
  const std::string& directory = *launch.plan.directory;
  StepFinding finding{
      .name = "directory", .detail = "start in " + directory, .syscall = "chdir(2)"};
  struct stat status {};
  const bool exists = ::stat(directory.c_str(), &status) == 0;
  if (is_owned(launch.plan, directory)) {
    // Handed over, or created, before chdir(2) is called.
  } else if (!exists && errno == ENOENT) {
    finding.state = StepState::blocked;
    finding.reason = directory + " does not exist; --own " + directory + " creates it";
  } else if (exists && !S_ISDIR(status.st_mode)) {
    finding.state = StepState::blocked;
    finding.reason = directory + " is not a directory";
  } else if (can_scout(launch.plan, launch.caller)) {
    const auto answer = scout(launch.plan, [&directory] {
      const bool enters = ::chdir(directory.c_str()) == 0;
      return enters ? std::vector<std::string>{} : std::vector<std::string>{std::strerror(errno)};
    });
    if (!answer.empty()) {
      finding.state = StepState::blocked;
      finding.reason = "the app's user can't enter " + directory + " (chdir(2): " + answer.front() +
                       "); name another --chdir, or open it to that user";
    }
  }
  findings.push_back(std::move(finding));
}

void apply_directory(const Launch& launch) {
  if (::chdir(launch.plan.directory->c_str()) != 0)
    throw_errno("directory", "chdir(2)", *launch.plan.directory,
                "the app's user must be able to enter it; --own hands it over");
}

void examine_umask(const Launch& launch, Findings& findings) {
  if (!launch.plan.umask) return;
  const mode_t mask = *launch.plan.umask;
  const std::string digits{static_cast<char>('0' + (mask >> 6 & 7)),
                           static_cast<char>('0' + (mask >> 3 & 7)),
                           static_cast<char>('0' + (mask & 7))};
  StepFinding finding{.name = "umask", .detail = "set it to " + digits, .syscall = "umask(2)"};
  if (mask == launch.caller.umask) finding.state = StepState::already;
  findings.push_back(std::move(finding));
}

void apply_umask(const Launch& launch) {
  ::umask(*launch.plan.umask);
}

void examine_descriptors(const Launch& launch, Findings& findings) {
  if (launch.plan.keep_all_fds) return;
  StepFinding finding{.name = "descriptors",
                      .detail = "close what is above 2 at execve",
                      .syscall = "close_range(2)"};
  for (const int fd : launch.plan.keep_fds) {
    finding.detail += ", but " + std::to_string(fd);
    if (::fcntl(fd, F_GETFD) < 0) {
      finding.state = StepState::blocked;
      finding.reason += (finding.reason.empty() ? "" : ", ") + std::string("descriptor ") +
                        std::to_string(fd) + " is not open (--keep-fd)";
    }
  }
  findings.push_back(std::move(finding));
}

void apply_descriptors(const Launch& launch) {
  // A descriptor that must be closed at execve as well shows whether what close_range(2) returned
  // is true: a filter may answer in the kernel's place.
  const sys::Fd witness(::open("/", O_PATH));
  if (!witness) throw_errno("descriptors", "open(2)", "/");
  unsigned first = 3;
  const auto mark = [](unsigned low, unsigned high) {
    if (low > high) return;
    if (::syscall(SYS_close_range, low, high, CLOSE_RANGE_CLOEXEC) == 0) return;
    // Kernels before 5.11, and filters that don't know the call: one by one, as /proc lists them.
    const int why = errno;
    if (why == ENOSYS || why == EINVAL || why == EPERM) {
      if (close_on_exec_by_listing(low, high)) return;
      errno = why;
    }
    throw_errno("descriptors", "close_range(2)", {},
                "needs Linux 5.11, or /proc mounted in the container");
  };
  for (const int kept : launch.plan.keep_fds) {
    mark(first, static_cast<unsigned>(kept) - 1);
    first = static_cast<unsigned>(kept) + 1;
  }
  mark(first, UINT_MAX);
  if ((::fcntl(witness.get(), F_GETFD) & FD_CLOEXEC) == 0)
    refuse("descriptors", "close_range(2) returned success and closes nothing");
}

}  // namespace stepdown::steps
