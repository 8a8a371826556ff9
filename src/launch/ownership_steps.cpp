#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "launch/scout.h"
#include "launch/steps.h"
#include "ownership/report.h"
#include "stepdown/error.h"
#include "stepdown/ownership.h"
#include "sys/text.h"

namespace stepdown::steps {

namespace {

Owner target(const Plan& plan) {
  return {plan.identity.uid, plan.identity.gid};
}

std::string text(Owner owner) {
  return std::to_string(raw(owner.uid)) + ":" + std::to_string(raw(owner.gid));
}

bool holds_chown(const Launch& launch) {
  return launch.caller.credentials.capabilities.effective.has(Capability::chown);
}

// --- stdio ---

enum class Stream { leave, pipe, terminal };

// The app could not open this fd again through /dev/stdout, and it is stepdown's to change: a pipe
// that root made for it, or the terminal of a session that stepdown leads. Another session's
// terminal must not be given away: whoever gets it reads and writes what other programs do there.
Stream classify(int fd, const Plan& plan) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || status.st_uid != raw(root_uid) || plan.identity.uid == root_uid)
    return Stream::leave;
  if (S_ISFIFO(status.st_mode)) {
    // A named one on a disk would keep what it was given.
    struct statfs filesystem {};
    if (::fstatfs(fd, &filesystem) != 0 || filesystem.f_type != PIPEFS_MAGIC) return Stream::leave;
    const bool right = status.st_gid == raw(plan.identity.gid) &&
                       (status.st_mode & 07777) == (fd == 0 ? 0640U : 0620U);
    return right ? Stream::leave : Stream::pipe;
  }
  if (S_ISCHR(status.st_mode) && ::isatty(fd) == 1 && ::getsid(0) == ::getpid() &&
      ::tcgetsid(fd) == ::getpid())
    return Stream::terminal;
  return Stream::leave;
}

bool changes_a_stream(const Plan& plan) {
  for (int fd = 0; fd <= 2; ++fd)
    if (classify(fd, plan) != Stream::leave) return true;
  return false;
}

// Never fatal: the app still has the descriptor itself.
void give_stream(const Launch& launch, int fd) {
  const Identity& identity = launch.plan.identity;
  const Stream stream = classify(fd, launch.plan);
  int result = 0;
  if (stream == Stream::pipe) {
    // The group alone: the app may open it, and can't chmod it for others or read its own output.
    result = ::fchown(fd, static_cast<uid_t>(-1), raw(identity.gid));
    if (result == 0) result = ::fchmod(fd, fd == 0 ? 0640 : 0620);
  } else if (stream == Stream::terminal) {
    result = ::fchown(fd, raw(identity.uid), static_cast<gid_t>(-1));
  }
  if (result != 0 && launch.log)
    launch.log(LogLevel::info, "descriptor " + std::to_string(fd) +
                                   " could not be handed over; the app can write to it, but not "
                                   "open it again");
}

// --- owned paths ---

HandOverTarget receiver(const Launch& launch) {
  return {target(launch.plan), launch.plan.identity.groups};
}

// Before the walk: the app's user can write at the top, so not holding CAP_CHOWN is no obstacle.
bool already_writable(const Launch& launch, const std::string& path,
                      const OwnedPathSurvey& survey) {
  if (survey.kind == OwnedPathSurvey::Kind::missing) return false;
  if (!can_scout(launch.plan, launch.caller)) return may_write_by_mode(survey, receiver(launch));
  return scout(launch.plan,
               [&path] {
                 const auto reason = not_writable_reason(path);
                 return reason ? std::vector<std::string>{*reason} : std::vector<std::string>{};
               })
      .empty();
}

// The directory that is there, above what is missing, lets this process create in it.
bool may_create(std::string path) {
  while (path.size() > 1 && ::access(path.c_str(), F_OK) != 0)
    path.resize(std::max<std::size_t>(path.rfind('/'), 1));
  return !not_writable_reason(path);
}

// What this process lacks to create a missing path for the target.
std::vector<std::string> lacking_to_create(const Launch& launch, const std::string& path) {
  const bool is_target = launch.caller.credentials.uid.effective == launch.plan.identity.uid;
  std::vector<std::string> needs;
  if (!holds_chown(launch) && !is_target) needs.emplace_back("CHOWN");
  // Who is not root needs a root start, for which CHOWN stands; root needs to pass modes by.
  if (!may_create(path)) {
    const bool is_root = launch.caller.credentials.uid.effective == root_uid;
    if (is_root || needs.empty()) needs.emplace_back(is_root ? "DAC_OVERRIDE" : "CHOWN");
  }
  return needs;
}

StepFinding look_at(const Launch& launch, const OwnedPath& own) {
  StepFinding finding{.name = "own " + own.path, .syscall = "fchownat(2)"};
  const Owner owner = target(launch.plan);
  const OwnedPathSurvey survey = survey_owned_path(own, owner);
  using Kind = OwnedPathSurvey::Kind;
  finding.detail = survey.kind == Kind::missing ? "create " + own.path : "hand over " + own.path;
  if (survey.owner) finding.detail += " (now " + text(*survey.owner) + ")";
  if (survey.read_only_mount) {
    finding.state = StepState::blocked;
    finding.reason = "read-only mount: " + writable_mount_hint(own.path, owner);
  } else if (survey.kind == Kind::world_writable && !already_writable(launch, own.path, survey)) {
    finding.state = StepState::blocked;
    finding.reason =
        "sticky or writable for everyone, so it is never handed over, and the app can't write "
        "there: name a directory below it, or chmod -t it";
  } else if (survey.kind == Kind::already_right || survey.kind == Kind::world_writable) {
    finding.state = StepState::already;
    if (survey.kind == Kind::world_writable)
      finding.reason = "sticky or writable for everyone: left as it is";
  } else if (!holds_chown(launch) && already_writable(launch, own.path, survey)) {
    finding.state = StepState::moot;
    finding.reason = "CAP_CHOWN is not held; the app can already write there";
  } else if (survey.needs_dac_read_search && survey.owner == owner) {
    finding.state = StepState::moot;
    finding.reason = "it is the app's already; CAP_DAC_READ_SEARCH to look below is not held";
  } else {
    if (survey.kind == Kind::missing)
      finding.needs = lacking_to_create(launch, survey.resolved);
    else if (!holds_chown(launch))
      finding.needs = {"CHOWN"};
    if (survey.needs_dac_read_search) finding.needs.emplace_back("DAC_READ_SEARCH");
    if (!finding.needs.empty()) {
      finding.state = StepState::blocked;
      finding.reason = "not held: CAP_" + finding.needs.front() +
                       (finding.needs.size() > 1 ? ", CAP_" + finding.needs.back() : "");
    }
  }
  return finding;
}

// A line on the terminal, from the second second on; wiped when the walk is done.
class Progress {
 public:
  explicit Progress(std::string path) : path_(std::move(path)) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    if (shown_) std::fputs("\r\033[K", stderr);
  }
  void operator()(const HandOverReport& report) {
    const auto now = Clock::now();
    if (now < next_) return;
    next_ = now + std::chrono::milliseconds(200);
    if (!terminal_) return;
    std::fprintf(stderr, "\rstepdown: --own %s: %llu entries, %llu handed over",
                 sys::escaped(path_).c_str(), static_cast<unsigned long long>(report.entries),
                 static_cast<unsigned long long>(report.changed));
    shown_ = true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::string path_;
  Clock::time_point next_ = Clock::now() + std::chrono::seconds(1);
  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool shown_ = false;
};

}  // namespace

bool leaves_traces(const Launch& launch) {
  return !launch.plan.own.empty() ||
         (launch.plan.own_stdio && holds_chown(launch) && changes_a_stream(launch.plan));
}

void examine_stdio(const Launch& launch, Findings& findings) {
  if (!launch.plan.own_stdio) return;
  StepFinding finding{.name = "own-stdio",
                      .detail = "let the app open /dev/stdin, stdout and stderr again",
                      .state = StepState::already,
                      .syscall = "fchown(2)"};
  if (changes_a_stream(launch.plan)) finding.state = StepState::to_do;
  if (finding.state == StepState::to_do && !holds_chown(launch)) {
    finding.state = StepState::moot;
    finding.reason = "CAP_CHOWN is not held; the app can use the descriptors as they are";
  }
  findings.push_back(std::move(finding));
}

void apply_stdio(const Launch& launch) {
  for (int fd = 0; fd <= 2; ++fd) give_stream(launch, fd);
}

void examine_own(const Launch& launch, Findings& findings) {
  for (const OwnedPath& own : launch.plan.own) {
    try {
      findings.push_back(look_at(launch, own));
    } catch (const Error& error) {
      // A path that is refused blocks the plan like everything else, so that all is told at once.
      findings.push_back({.name = "own " + own.path,
                          .detail = "hand over " + own.path,
                          .state = StepState::blocked,
                          .reason = error.reason()});
    }
  }
}

void apply_own(const Launch& launch) {
  for (const OwnedPath& own : launch.plan.own) {
    const StepFinding now = look_at(launch, own);
    if (now.state == StepState::blocked) refuse(now.name, now.reason);  // it has just changed
    if (now.state != StepState::to_do) continue;
    Progress progress(own.path);
    const HandOverReport report = hand_over(
        own, receiver(launch), [&progress](const HandOverReport& so_far) { progress(so_far); });
    ownership::tell(launch.log, "--own " + own.path, report);
  }
}

}  // namespace stepdown::steps
