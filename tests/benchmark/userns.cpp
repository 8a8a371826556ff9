// What a launch into a user namespace costs: the time above a bare spawn of an empty static
// program, for stepdown --userns, for unshare(1) and for bubblewrap, which hardens as well. Medians
// of interleaved runs. A benchmark, not a test: it judges the target and fails only when something
// can't run.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "harness.h"

namespace {

using namespace benchmarks;
namespace fs = std::filesystem;

constexpr int status_of_empty = 42;  // what empty.cpp returns
constexpr double largest_ratio = 0.5;
constexpr const char* bare = "(bare spawn)";
constexpr const char* bubblewrap = "bwrap --unshare-user";

std::vector<Contestant> launchers(const fs::path& stepdown, const fs::path& empty,
                                  const Account& account) {
  const std::string own_uid = "0:" + std::to_string(account.uid) + ":1";
  const std::string own_gid = "0:" + std::to_string(account.gid) + ":1";
  const std::string range = "1:100000:65536";  // the usual line of subuid(5)
  const std::string& user = account.name;
  std::vector<Contestant> all{
      {bare, {}},
      {"stepdown", {stepdown, "--user", user, "--"}},
      {"stepdown --userns=root", {stepdown, "--user", user, "--userns=root", "--"}},
      {"stepdown --userns=root, ranges",
       {stepdown, "--user", user, "--userns=root", "--uid-map", own_uid, "--uid-map", range,
        "--gid-map", own_gid, "--gid-map", range, "--"}},
      {"stepdown --userns=keep", {stepdown, "--user", user, "--userns=keep", "--"}},
  };
  const std::vector<std::pair<std::string, Words>> peers{
      {"unshare -Ur", {"unshare", "-Ur", "--"}},
      {bubblewrap, {"bwrap", "--unshare-user", "--dev-bind", "/", "/", "--"}},
  };
  for (auto [name, words] : peers) {
    if (const auto program = find_program(words.front())) {
      words.front() = *program;
      all.push_back({name, words});
    } else {
      std::printf("%s is not installed\n", words.front().c_str());
    }
  }
  for (Contestant& launcher : all) launcher.words.push_back(empty);
  return all;
}

void print_table(const std::vector<Contestant>& all) {
  const auto peer = overhead_of(all, bubblewrap);
  std::printf("\n%-32s %10s %12s %9s\n", "launcher", "median µs", "overhead µs", "to bwrap");
  for (const Contestant& launcher : all) {
    const double above = *overhead_of(all, launcher.name);
    std::printf("%-32s %9.0f %11.0f", launcher.name.c_str(), median(launcher.microseconds), above);
    if (peer && launcher.name != bare) std::printf(" %9.2f", above / *peer);
    std::printf("\n");
  }
}

}  // namespace

int main(int count, char** words) {
  try {
    const Arguments arguments(count, words,
                              {{"rounds", "300", "how often each launcher runs"},
                               {"empty", sibling("benchmark-empty"), "the program to launch"}});
    const int rounds = std::max(1, arguments.number("rounds"));
    const Directory directory;
    std::vector<Contestant> all =
        launchers(directory.install(arguments.text("stepdown")),
                  directory.install(arguments.text("empty")), account_of(arguments.text("user")));
    const Words broken = measure(all, rounds, 3, status_of_empty);
    std::printf("%d interleaved rounds\n", rounds);
    print_table(all);

    Targets targets(arguments.is_set("check"));
    for (const char* mode :
         {"stepdown --userns=root", "stepdown --userns=root, ranges", "stepdown --userns=keep"}) {
      targets.at_most(std::string(mode) + ", to bwrap's overhead",
                      ratio(overhead_of(all, mode), overhead_of(all, bubblewrap)), largest_ratio);
    }
    return targets.ok() && broken.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark-userns: %s\n", error.what());
    return 1;
  }
}
