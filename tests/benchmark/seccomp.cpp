// What a seccomp policy costs: at the launch (ready in the binary, from a file compiled before,
// compiled at start), in the kernel that takes the program, and at each call afterwards. Medians of
// interleaved rounds; of the calls the fastest. A benchmark, not a test: it judges the targets and
// fails only when something can't run.
#include "stepdown/seccomp.h"

#include <linux/filter.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness.h"
#include "seccomp/program.h"

namespace {

using namespace benchmarks;
namespace fs = std::filesystem;

constexpr int status_of_empty = 42;       // what empty.cpp returns
constexpr double largest_addition = 200;  // microseconds
constexpr double largest_part_of_gosu = 0.6;
constexpr double largest_slowdown = 1.15;

constexpr const char* bare = "(bare spawn)";
constexpr const char* no_policy = "stepdown";
constexpr const char* built_in = "--seccomp default";
constexpr const char* compiled_before = "--seccomp COMPILED";
constexpr const char* compiled_now = "--seccomp JSON";
constexpr const char* hardened = "--profile default";

// The programs, and the policy `default` as JSON and compiled.
class Scene {
 public:
  explicit Scene(const Arguments& arguments)
      : stepdown(directory_.install(arguments.text("stepdown"))),
        empty(directory_.install(arguments.text("empty"))),
        calls(directory_.install(arguments.text("calls"))),
        json(directory_.path() / "default.json"),
        compiled(directory_.path() / "default.bpf") {
    std::ofstream(json) << output_of({stepdown, "seccomp", "show", "default"});
    output_of({stepdown, "seccomp", "compile", json, "-o", compiled});
  }

 private:
  Directory directory_;

 public:
  const fs::path stepdown, empty, calls, json, compiled;
};

std::vector<Contestant> launchers(const Scene& scene, const std::string& user) {
  const auto ours = [&](const Words& options) {
    Words words{scene.stepdown, "--user", user};
    words.insert(words.end(), options.begin(), options.end());
    words.emplace_back("--");
    return words;
  };
  std::vector<Contestant> all{
      {bare, {}},
      {no_policy, ours({})},
      {built_in, ours({"--seccomp", "default"})},
      {compiled_before, ours({"--seccomp", scene.compiled})},
      {compiled_now, ours({"--seccomp", scene.json})},
      {hardened, ours({"--profile", "default"})},
  };
  if (const auto gosu = find_program("gosu")) {
    all.push_back({"gosu", {*gosu, user}});
  } else {
    std::printf("gosu is not installed\n");
  }
  for (Contestant& launcher : all) launcher.words.push_back(scene.empty);
  return all;
}

void print_launches(const std::vector<Contestant>& all) {
  const auto gosu = overhead_of(all, "gosu");
  const auto without = overhead_of(all, no_policy);
  std::printf("\n%-20s %10s %12s %14s %8s\n", "launcher", "median µs", "overhead µs",
              "no policy +µs", "to gosu");
  for (const Contestant& launcher : all) {
    const double above = *overhead_of(all, launcher.name);
    // (The µ counts twice in the widths above.)
    std::printf("%-20s %9.0f %11.0f", launcher.name.c_str(), median(launcher.microseconds), above);
    if (without) std::printf(" %13.0f", above - *without);
    if (gosu && launcher.name != bare) std::printf(" %8.2f", above / *gosu);
    std::printf("\n");
  }
}

// Microseconds of seccomp(2) alone, in a process of its own: what is loaded stays.
double time_loading(const std::vector<sock_filter>& program, unsigned flags) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) check(errno, "pipe");
  const pid_t child = fork();
  if (child < 0) check(errno, "fork");
  if (child == 0) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(1);
    const auto begin = std::chrono::steady_clock::now();
    if (stepdown::seccomp::load(program, flags) != 0) _exit(1);
    const std::chrono::duration<double, std::micro> taken =
        std::chrono::steady_clock::now() - begin;
    const double microseconds = taken.count();
    _exit(write(ends[1], &microseconds, sizeof microseconds) == sizeof microseconds ? 0 : 1);
  }
  close(ends[1]);
  double microseconds = 0;
  const bool told = read(ends[0], &microseconds, sizeof microseconds) == sizeof microseconds;
  close(ends[0]);
  while (waitpid(child, nullptr, 0) < 0) check(errno == EINTR ? 0 : errno, "waitpid");
  if (!told) throw std::runtime_error("the policy could not be loaded");
  return microseconds;
}

void measure_loading(int rounds) {
  const stepdown::ReadyFilter ready = stepdown::ready_filter(
      stepdown::read_policy_source("default"), {.kept = {}, .kernel = stepdown::running_kernel()});
  std::vector<sock_filter> program;
  for (const std::uint64_t instruction : ready.program.code)
    program.push_back(std::bit_cast<sock_filter>(instruction));
  std::vector<double> taken;
  for (int i = 0; i < rounds; ++i) taken.push_back(time_loading(program, ready.program.flags));
  std::printf("\nthe kernel takes the %zu instructions of `default` in %.0f µs\n", program.size(),
              median(taken));
}

// The policy looks at the arguments of the last three. `personality` and `ioctl` do next to
// nothing: they show what that look costs.
constexpr std::array measured_calls = {"getpid", "openat", "socket", "personality", "ioctl"};
constexpr std::array judged_calls = {"getpid", "openat", "socket"};

std::string name_of(const std::string& call, const std::string& launcher) {
  return call + ", " + launcher;
}

std::vector<Contestant> callers(const Scene& scene, const std::string& user,
                                const std::string& times) {
  const std::vector<Contestant> launchers{
      {bare, {}},
      {no_policy, {scene.stepdown, "--user", user, "--"}},
      {built_in, {scene.stepdown, "--user", user, "--seccomp", "default", "--"}},
  };
  std::vector<Contestant> all;
  for (const char* call : measured_calls) {
    for (const Contestant& launcher : launchers) {
      Words words = launcher.words;
      words.insert(words.end(), {scene.calls, call, times});
      all.push_back({name_of(call, launcher.name), words});
    }
  }
  return all;
}

// Of the rounds the fastest: calls of nanoseconds can only be held up, and a busy machine holds
// most rounds up.
double nanoseconds_of(const std::vector<Contestant>& all, const std::string& call,
                      const std::string& launcher) {
  const std::string name = name_of(call, launcher);
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const Contestant& each) { return each.name == name; });
  return 1000 * *std::min_element(found->microseconds.begin(), found->microseconds.end());
}

void print_calls(const std::vector<Contestant>& all) {
  std::printf("\n%-12s %10s %10s %10s %10s\n", "ns a call", "no filter", "no policy", "default",
              "to none");
  for (const char* call : measured_calls) {
    std::printf("%-12s", call);
    for (const char* launcher : {bare, no_policy, built_in})
      std::printf(" %10.0f", nanoseconds_of(all, call, launcher));
    std::printf(" %10.2f\n", nanoseconds_of(all, call, built_in) / nanoseconds_of(all, call, bare));
  }
}

void judge(const std::vector<Contestant>& launches, const std::vector<Contestant>& calls,
           Targets& targets) {
  const auto without = overhead_of(launches, no_policy);
  for (const char* ready : {built_in, compiled_before}) {
    std::optional<double> added = overhead_of(launches, ready);
    if (added && without) added = *added - *without;
    targets.at_most(std::string(ready) + ", above no policy", added, largest_addition, " µs");
  }
  targets.at_most("--profile default, to gosu's overhead",
                  ratio(overhead_of(launches, hardened), overhead_of(launches, "gosu")),
                  largest_part_of_gosu);
  for (const char* call : judged_calls) {
    targets.at_most(std::string(call) + " under `default`, to no filter",
                    nanoseconds_of(calls, call, built_in) / nanoseconds_of(calls, call, bare),
                    largest_slowdown);
  }
  // What every application of stepdown's has already: a filter, at which the kernel looks.
  for (const char* call : judged_calls) {
    targets.at_most(std::string(call) + " under `default`, to no policy",
                    nanoseconds_of(calls, call, built_in) / nanoseconds_of(calls, call, no_policy),
                    largest_slowdown);
  }
}

}  // namespace

int main(int count, char** words) {
  try {
    const Arguments arguments(count, words,
                              {{"rounds", "300", "how often each launcher runs"},
                               {"times", "20000", "how often each call is made"},
                               {"call-rounds", "31", "in how many rounds"},
                               {"empty", sibling("benchmark-empty"), "the program to launch"},
                               {"calls", sibling("benchmark-calls"), "the program that calls"}});
    const int rounds = std::max(1, arguments.number("rounds"));
    const int call_rounds = std::max(1, arguments.number("call-rounds"));
    const std::string user = account_of(arguments.text("user")).name;
    const Scene scene(arguments);

    std::vector<Contestant> launches = launchers(scene, user);
    const Words broken = measure(launches, rounds, 3, status_of_empty);
    std::printf("%d interleaved rounds\n", rounds);
    print_launches(launches);

    measure_loading(rounds);

    std::vector<Contestant> calls = callers(scene, user, arguments.text("times"));
    measure_calls(calls, call_rounds);
    std::printf("%d interleaved rounds of %s calls; openat and socket with their close\n",
                call_rounds, arguments.text("times").c_str());
    print_calls(calls);

    Targets targets(arguments.is_set("check"));
    judge(launches, calls, targets);
    return targets.ok() && broken.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark-seccomp: %s\n", error.what());
    return 1;
  }
}
