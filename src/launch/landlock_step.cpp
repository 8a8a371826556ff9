#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "landlock/ruleset.h"
#include "launch/steps.h"
#include "launch/unplanted_path.h"
#include "stepdown/error.h"
#include "sys/fd.h"

namespace stepdown::steps {

namespace {

constexpr const char* step = "landlock";

landlock::Wishes wishes(const Plan& plan) {
  return {plan.read_only, plan.only_ports};
}

std::vector<std::uint16_t> tcp_ports(const Plan& plan) {
  std::vector<std::uint16_t> numbers;
  for (const PortUse& port : plan.ports)
    if (port.protocol == Protocol::tcp) numbers.push_back(port.number);
  return numbers;
}

std::string listed(const std::vector<std::string>& words, const char* between = ", ") {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

std::string detail(const Plan& plan) {
  std::vector<std::string> sentences;
  if (plan.read_only)
    sentences.push_back(plan.writable.empty() ? "write nowhere but on the usual devices"
                                              : "write only beneath " + listed(plan.writable) +
                                                    ", and on the usual devices");
  if (plan.only_ports) {
    std::vector<std::string> numbers;
    for (const std::uint16_t port : tcp_ports(plan)) numbers.push_back(std::to_string(port));
    sentences.push_back(
        (numbers.empty() ? "bind no TCP port" : "of TCP ports bind only " + listed(numbers)) +
        " (UDP can't be limited)");
  }
  return listed(sentences, "; ");
}

sys::Fd open_device(const char* path) {
  sys::Fd device(::open(path, O_PATH | O_CLOEXEC));
  // What is not there, or not for this user to reach, the app can't open either.
  if (!device && errno != ENOENT && errno != EACCES && errno != ENOTDIR)
    throw_errno(step, "open(2)", path);
  return device;
}

// Whatever else stands under these names in the image is no device and gets nothing.
bool is_of_type(const sys::Fd& fd, mode_t type) {
  struct stat status {};
  return fd && ::fstat(fd.get(), &status) == 0 && (status.st_mode & S_IFMT) == type;
}

void allow_devices(landlock::Ruleset& rules) {
  for (const char* path : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
                           "/dev/tty", "/dev/ptmx"})
    if (const sys::Fd device = open_device(path); is_of_type(device, S_IFCHR))
      rules.allow_beneath(device.get(), path);
  // Terminals that the app opens by /dev/ptmx; those of others are not its user's.
  if (const sys::Fd terminals = open_device("/dev/pts"); is_of_type(terminals, S_IFDIR))
    rules.allow_opening_beneath(terminals.get(), "/dev/pts");
  if (const sys::Fd memory = open_device("/dev/shm"); is_of_type(memory, S_IFDIR))
    rules.allow_beneath(memory.get(), "/dev/shm");
}

// What the app has open for writing it may open again, as /dev/stdout: the own terminal, a log
// file.
void allow_stdio(landlock::Ruleset& rules) {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_RDONLY) continue;
    rules.allow_beneath(fd, "descriptor " + std::to_string(fd));
  }
}

}  // namespace

void examine_landlock(const Launch& launch, Findings& findings) {
  const Plan& plan = launch.plan;
  if (!plan.read_only && !plan.only_ports) return;
  StepFinding finding{.name = step, .detail = detail(plan), .syscall = "landlock_restrict_self(2)"};
  const landlock::Kernel kernel = landlock::ask_kernel();
  const landlock::Terms terms = landlock::terms(kernel.abi, wishes(plan));
  if (kernel.abi == 0)
    finding.reason = kernel.obstacle;
  else if (!terms.missing.empty())
    finding.reason = "weaker on this kernel: " + listed(terms.missing, "; ");
  if (plan.landlock_required && !finding.reason.empty()) {
    finding.state = StepState::blocked;
    finding.reason += " (--landlock require)";
  } else if (terms.enforce_nothing()) {
    finding.state = StepState::moot;
  }
  findings.push_back(std::move(finding));
}

void apply_landlock(const Launch& launch) {
  const Plan& plan = launch.plan;
  const landlock::Terms terms = landlock::terms(landlock::ask_kernel().abi, wishes(plan));
  landlock::Ruleset rules(terms);
  if (plan.read_only) {
    for (const std::string& path : plan.writable)
      rules.allow_beneath(open_unplanted(step, path).get(), path);
    allow_devices(rules);
    allow_stdio(rules);
  }
  if (terms.network != 0)
    for (const std::uint16_t port : tcp_ports(plan)) rules.allow_binding(port);
  rules.enforce();
}

}  // namespace stepdown::steps
