#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>

#include "launch/descriptor_listing.h"
#include "launch/scout.h"
#include "launch/steps.h"
#include "stepdown/error.h"
#include "stepdown/ownership.h"

namespace stepdown::steps {

namespace {

constexpr std::size_t offenders_shown = 5;

// The path will be the app's once --own has handed it over: until then there is nothing to learn.
bool is_owned(const Plan& plan, const std::string& path) {
  return std::any_of(plan.own.begin(), plan.own.end(), [&](const OwnedPath& own) {
    return own.path == path || (own.recursive && path.starts_with(own.path + "/"));
  });
}

// What stands in the way of the app's user as it is now: one line each, "KIND<TAB>PATH<TAB>REASON".
// `owned` says whether the owned paths are asked about as well: before they are handed over there
// is nothing to learn from them.
struct Obstacle {
  std::string kind, path, reason;
};

std::vector<Obstacle> obstacles(const Plan& plan, bool owned) {
  std::vector<Obstacle> found;
  for (const std::string& path : plan.writable) {
    if (!owned && is_owned(plan, path)) continue;
    if (const auto reason = not_writable_reason(path)) found.push_back({"writable", path, *reason});
  }
  for (const std::string& path : plan.readable)
    for (const std::string& file : unreadable_below(path, offenders_shown))
      found.push_back({"readable", path, file});
  return found;
}

std::string advice(const Obstacle& obstacle, const Identity& identity) {
  const std::string owner =
      std::to_string(raw(identity.uid)) + ":" + std::to_string(raw(identity.gid));
  if (obstacle.kind == "readable")
    return "the app can't read " + obstacle.reason + "; in the Dockerfile: COPY --chown=" + owner +
           " SOURCE " + obstacle.path;
  return "the app can't write there: " + obstacle.reason + "; to hand it over: --own " +
         obstacle.path;
}

void push(Findings& findings, const char* kind, const std::string& path,
          const std::string& reason) {
  StepFinding finding{
      .name = std::string(kind) + " " + path,
      .detail = std::string("the app can ") +
                (std::string_view(kind) == "writable" ? "write to " : "read all of ") + path,
      .syscall = "faccessat(2)"};
  if (!reason.empty()) {
    finding.state = StepState::blocked;
    finding.reason = reason;
  }
  findings.push_back(std::move(finding));
}

}  // namespace

void examine_access(const Launch& launch, Findings& findings) {
  const Plan& plan = launch.plan;
  const bool ask = !plan.readable.empty() ||
                   std::any_of(plan.writable.begin(), plan.writable.end(),
                               [&](const std::string& path) { return !is_owned(plan, path); });
  std::vector<std::string> lines;
  if (ask && can_scout(plan, launch.caller))
    lines = scout(plan, [&plan] {
      std::vector<std::string> answers;
      for (const Obstacle& obstacle : obstacles(plan, false)) {
        answers.push_back(obstacle.kind);
        answers.push_back(obstacle.path);
        answers.push_back(advice(obstacle, plan.identity));
      }
      return answers;
    });
  const auto report = [&](const char* kind, const std::string& path) {
    std::string reason;
    for (std::size_t at = 0; at + 2 < lines.size(); at += 3)
      if (lines[at] == kind && lines[at + 1] == path)
        reason += (reason.empty() ? "" : "\n    ") + lines[at + 2];
    push(findings, kind, path, reason);
  };
  for (const std::string& path : plan.writable) report("writable", path);
  for (const std::string& path : plan.readable) report("readable", path);
}

void apply_access(const Launch& launch) {
  for (const Obstacle& obstacle : obstacles(launch.plan, true))
    refuse(obstacle.kind + " " + obstacle.path, advice(obstacle, launch.plan.identity));
}

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
      finding.reason = "the app's user can't enter " + directory + ": " + answer.front();
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
      finding.reason = "descriptor " + std::to_string(fd) + " is not open (--keep-fd)";
    }
  }
  findings.push_back(std::move(finding));
}

void apply_descriptors(const Launch& launch) {
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
}

}  // namespace stepdown::steps
