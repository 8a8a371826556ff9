#include "launch/access_step.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "launch/scout.h"
#include "launch/steps.h"
#include "launch/unplanted_path.h"
#include "stepdown/error.h"
#include "stepdown/ownership.h"
#include "sys/text.h"

namespace stepdown::steps {

namespace {

constexpr std::size_t offenders_shown = 5;

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, std::max<std::size_t>(slash, 1));
}

// What stands in the way of the app's user: the finding it belongs to, and why.
struct Obstacle {
  std::string name;  // "writable /data"
  std::string reason;
};

// An owned path that stays useless once its owner is right: a mode that locks the owner out (modes
// are never changed), or a path below it that is not there.
std::string useless_when_owned(const Plan& plan, const std::string& path) {
  struct stat status {};
  const bool is_below = std::none_of(plan.own.begin(), plan.own.end(),
                                     [&path](const OwnedPath& own) { return own.path == path; });
  if (::stat(path.c_str(), &status) != 0)
    return is_below && errno == ENOENT ? path + " does not exist; --own " + path + " creates it"
                                       : std::string();
  const mode_t wanted = S_ISDIR(status.st_mode) ? S_IWUSR | S_IXUSR : S_IWUSR;
  if ((status.st_mode & (S_ISVTX | S_IWOTH)) != 0 || (status.st_mode & wanted) == wanted) return {};
  return "its mode keeps even its owner from writing; chmod u+" +
         std::string(S_ISDIR(status.st_mode) ? "rwx " : "rw ") + path;
}

std::string advice_to_own(const std::string& path, const std::string& reason) {
  // On a read-only mount the owner does not matter.
  return "the app can't write there: " + reason +
         (reason.starts_with("read-only") ? "" : "; to hand it over: --own " + path);
}

// The files below `path` that the app can't read, and the line that mends them; empty: none.
std::string unreadable(const Plan& plan, const std::string& path, bool handed_over) {
  const bool some_owned =
      std::any_of(plan.own.begin(), plan.own.end(),
                  [&path](const OwnedPath& own) { return own.path.starts_with(path + "/"); });
  constexpr std::size_t many = 10000;
  std::string files;
  std::size_t count = 0;
  // What --own is about to hand over is no obstacle, but may be all that a short list shows.
  const std::size_t limit = some_owned && !handed_over ? many : offenders_shown + 1;
  for (const std::string& file : unreadable_below(path, limit)) {
    if (!handed_over && is_owned(plan, file.substr(0, file.rfind(" (")))) continue;
    if (++count > offenders_shown) break;
    files += "\n  " + sys::escaped(file);
  }
  if (count == 0) return {};
  if (count > offenders_shown) files += "\n  and more";
  return "the app can't read" + files +
         "\n  in the Dockerfile: COPY --chown=" + std::to_string(raw(plan.identity.uid)) + ":" +
         std::to_string(raw(plan.identity.gid)) + " SOURCE " + path;
}

// Why a permission to write at `path` would not be given to what the plan means by it.
std::string untrusted_way(const std::string& path) {
  try {
    open_unplanted("writable " + path, path);
  } catch (const Error& error) {
    return error.reason();
  }
  return {};
}

// As the app's user. `handed_over` tells whether the owned paths are its own by now.
std::vector<Obstacle> obstacles(const Plan& plan, bool handed_over) {
  std::vector<Obstacle> found;
  for (const std::string& path : plan.writable) {
    if (handed_over || !is_owned(plan, path)) {
      if (const auto reason = not_writable_reason(path))
        found.push_back({"writable " + path, advice_to_own(path, *reason)});
      else if (const std::string way = plan.read_only ? untrusted_way(path) : ""; !way.empty())
        found.push_back({"writable " + path, way});
    } else if (::access(parent_of(path).c_str(), X_OK) != 0 && errno == EACCES) {
      found.push_back({"writable " + path, "the app's user can't enter " + parent_of(path)});
    }
  }
  for (const std::string& path : plan.readable) {
    if (!handed_over && is_owned(plan, path)) continue;
    const std::string reason = unreadable(plan, path, handed_over);
    if (!reason.empty()) found.push_back({"readable " + path, reason});
  }
  return found;
}

// Only the app's user can tell, which costs a process.
bool must_be_tried(const Plan& plan) {
  const auto tried = [&plan](const std::string& path) {
    return !is_owned(plan, path) || !is_open_to_all(path);
  };
  return !plan.readable.empty() || std::any_of(plan.writable.begin(), plan.writable.end(), tried);
}

}  // namespace

bool is_open_to_all(std::string path) {
  while (path.size() > 1) {
    path = parent_of(path);
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && (status.st_mode & S_IXOTH) == 0) return false;
  }
  return true;
}

bool is_owned(const Plan& plan, const std::string& path) {
  return std::any_of(plan.own.begin(), plan.own.end(), [&](const OwnedPath& own) {
    return own.path == path || (own.recursive && path.starts_with(own.path + "/"));
  });
}

void examine_access(const Launch& launch, Findings& findings) {
  const Plan& plan = launch.plan;
  std::vector<Obstacle> found;
  for (const std::string& path : plan.writable) {
    const std::string reason = is_owned(plan, path) ? useless_when_owned(plan, path) : "";
    if (!reason.empty()) found.push_back({"writable " + path, reason});
  }
  if (must_be_tried(plan) && can_scout(plan, launch.caller)) {
    const std::vector<std::string> answers = scout(plan, [&plan] {
      std::vector<std::string> lines;
      for (const Obstacle& obstacle : obstacles(plan, false)) {
        lines.push_back(obstacle.name);
        lines.push_back(obstacle.reason);
      }
      return lines;
    });
    for (std::size_t at = 0; at + 1 < answers.size(); at += 2)
      found.push_back({answers[at], answers[at + 1]});
  }
  const auto report = [&](const std::string& name, const std::string& detail) {
    StepFinding finding{.name = name, .detail = detail, .syscall = "faccessat(2)"};
    for (const Obstacle& obstacle : found) {
      if (obstacle.name != name || !finding.reason.empty()) continue;
      finding.state = StepState::blocked;
      finding.reason = obstacle.reason;
    }
    findings.push_back(std::move(finding));
  };
  for (const std::string& path : plan.writable)
    report("writable " + path, "the app can write to " + path);
  for (const std::string& path : plan.readable)
    report("readable " + path, "the app can read all of " + path);
}

void apply_access(const Launch& launch) {
  for (const Obstacle& obstacle : obstacles(launch.plan, true))
    refuse(obstacle.name, obstacle.reason);
}

}  // namespace stepdown::steps
