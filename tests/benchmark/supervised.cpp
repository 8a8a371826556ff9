// What a call costs that the supervisor answers: the identity calls under --pretend-root, and
// bind(2) of a low port inside a user namespace, as the program sees it, beside the bare calls.
// Medians of interleaved rounds, in a network namespace of its own. A benchmark, not a test: it
// judges the target and fails only when something can't run.
#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "harness.h"

namespace {

using namespace benchmarks;
namespace fs = std::filesystem;

constexpr double largest_microseconds = 6;

// SECCOMP_IOCTL_NOTIF_SET_FLAGS with SYNC_WAKE_UP came with Linux 6.6 (seccomp_unotify(2)).
bool wakes_on_the_same_cpu() {
  utsname names{};
  if (uname(&names) != 0) check(errno, "uname");
  int major = 0, minor = 0;
  if (std::sscanf(names.release, "%d.%d", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 6);
}

std::vector<Contestant> cases(const fs::path& stepdown, const fs::path& calls,
                              const std::string& user, const std::string& times) {
  const Words pretend{stepdown, "--user", user, "--pretend-root", "--"};
  const Words constant{stepdown, "--user", user, "--pretend-root=static", "--"};
  const Words inside{stepdown, "--user", user, "--userns=root", "--port", "80", "--"};
  std::vector<Contestant> all;
  const auto add = [&](const std::string& name, Words launcher, const Words& call) {
    launcher.push_back(calls);
    launcher.insert(launcher.end(), call.begin(), call.end());
    all.push_back({name, launcher});
  };
  for (const std::string call : {"getuid", "getresuid", "setresuid", "chown", "getppid"}) {
    add(call + ", bare", {}, {call, times});
    add(call + ", --pretend-root", pretend, {call, times});
  }
  add("getuid, --pretend-root=static", constant, {"getuid", times});
  add("bind to 8080, bare", {}, {"bind", times, "8080"});
  add("bind to 80, --userns --port 80", inside, {"bind", times, "80"});
  add("bind to 8080, --userns --port 80", inside, {"bind", times, "8080"});
  return all;
}

}  // namespace

int main(int count, char** words) {
  try {
    const Arguments arguments(count, words,
                              {{"rounds", "31", "how often each program runs"},
                               {"times", "2000", "how often it makes the call"},
                               {"calls", sibling("benchmark-calls"), "the program"}});
    const int rounds = std::max(1, arguments.number("rounds"));
    // There port 80 is free, and a low port whatever the machine's ip_unprivileged_port_start.
    if (unshare(CLONE_NEWNET) != 0) check(errno, "unshare(CLONE_NEWNET)");
    const Directory directory;
    std::vector<Contestant> all = cases(
        directory.install(arguments.text("stepdown")), directory.install(arguments.text("calls")),
        account_of(arguments.text("user")).name, arguments.text("times"));
    measure_calls(all, rounds);

    std::printf("%d interleaved rounds of %s calls\n", rounds, arguments.text("times").c_str());
    std::printf("\n%-34s %10s %8s\n", "µs a call", "median", "fastest");
    for (const Contestant& each : all) {
      std::printf("%-33s %10.2f %8.2f\n", each.name.c_str(), median(each.microseconds),
                  *std::min_element(each.microseconds.begin(), each.microseconds.end()));
    }
    if (!wakes_on_the_same_cpu()) {
      std::printf("\nthis kernel is older than 6.6, which the target asks for\n");
      return 0;
    }
    Targets targets(arguments.is_set("check"));
    for (const char* call : {"getuid", "getresuid", "setresuid"}) {
      const std::string name = std::string(call) + ", --pretend-root";
      targets.at_most(name, median_of(all, name), largest_microseconds, " µs");
    }
    return targets.ok() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark-supervised: %s\n", error.what());
    return 1;
  }
}
