#include "launch/refusal_server.h"

#include <linux/seccomp.h>
#include <malloc.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "seccomp/evaluate.h"
#include "seccomp/listener.h"
#include "seccomp/notifying.h"
#include "seccomp/refusal.h"
#include "sys/files.h"

namespace stepdown {

namespace {

constexpr std::size_t most_told = 256;
constexpr int largest_errno = 4095;  // the kernel cuts what a filter says to it (MAX_ERRNO)

// Answers are the policy's, and where there is none this one: never success by mistake.
int errno_of(std::uint32_t verdict) {
  if ((verdict & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ERRNO) return EPERM;
  return std::min(static_cast<int>(verdict & SECCOMP_RET_DATA), largest_errno);
}

// A line of the log in one piece into a pipe that has room (takes_a_line): the rest of it, the
// longest name of a process and all capabilities among it, takes less than 2 KiB in either format.
// A byte of a path may become six.
std::string short_name(const std::string& policy) {
  constexpr std::size_t longest = 256;
  static_assert(PIPE_BUF >= 2048 + 6 * (longest + 3));
  return policy.size() > longest ? "..." + policy.substr(policy.size() - longest) : policy;
}

std::string errno_name(int error) {
  if (error == 0) return "success, undone";
  const char* const name = ::strerrorname_np(error);
  return name == nullptr ? std::to_string(error) : name;
}

// " to python3 (pid 12)": who asked, in the words that it chose itself.
std::string caller_text(std::uint32_t thread) {
  // From a PID namespace that is not below this one.
  if (thread == 0) return {};
  std::array<char, 64> name{};
  const sys::Fd file = sys::open_procfs(("/proc/" + std::to_string(thread) + "/comm").c_str());
  const ssize_t length = file ? ::read(file.get(), name.data(), name.size()) : 0;
  std::string text(name.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
  if (text.ends_with('\n')) text.back() = ' ';
  // The log escapes all else; a line of its own would pass for one of ours.
  std::ranges::replace(text, '\n', '?');
  return " to " + text + "(pid " + std::to_string(thread) + ")";
}

// Architecture, number, errno.
using Refusal = std::tuple<std::uint32_t, int, int>;

class RefusalServer {
 public:
  RefusalServer(sys::Fd listener, const RefusedApp& app, const Log& log)
      : listener_(std::move(listener)), app_(app), log_(log) {}

  void run() {
    while (const std::optional<seccomp_notif> call = listener_.next()) serve(*call);
  }

 private:
  void serve(const seccomp_notif& call) {
    if (seccomp::is_knock(call.data)) return listener_.fail(call, seccomp::answer_to_knock);
    const int error = errno_of(seccomp::evaluate(app_.filter.program, call.data));
    // Before the answer: the app may end by it, and the supervisor with the app.
    tell_once(call, error);
    if (error == 0)
      listener_.answer(call, 0);
    else
      listener_.fail(call, error);
  }

  void tell_once(const seccomp_notif& call, int error) {
    const Refusal refusal{call.data.arch, call.data.nr, error};
    if (told_.size() > most_told || told_.contains(refusal) || !takes_a_line()) return;
    told_.insert(refusal);
    const std::string policy = "the policy " + short_name(app_.filter.name) + " refused ";
    if (told_.size() > most_told)
      return log_(LogLevel::warning, policy + "more than " + std::to_string(most_told) +
                                         " different calls: no further ones are told");
    // ENOSYS is how a program is told to do it another way, which it then does.
    log_(error == ENOSYS ? LogLevel::info : LogLevel::warning,
         policy + seccomp::call_text(call.data) + " with " + errno_name(error) +
             caller_text(call.pid) + "; " +
             seccomp::way_to_allow(app_.filter, app_.situation, call.data));
    // A policy in JSON takes far more memory to read than the supervisor to live.
    ::malloc_trim(0);
  }

  // The app's calls don't wait for a reader who doesn't read: a later one of the same kind is told.
  [[nodiscard]] bool takes_a_line() const {
    pollfd log{app_.log_descriptor, POLLOUT, 0};
    return log_ && ::poll(&log, 1, 0) > 0;
  }

  seccomp::Listener listener_;
  RefusedApp app_;
  const Log& log_;
  std::set<Refusal> told_;
};

}  // namespace

void serve_refusals(sys::Fd listener, const RefusedApp& app, const Log& log) {
  RefusalServer(std::move(listener), app, log).run();
}

}  // namespace stepdown
