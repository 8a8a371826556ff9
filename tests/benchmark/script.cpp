// How much slower a configure script with a small build runs (workload.sh): bare, under
// --pretend-root and under fakeroot. All as the same user, in directories of their own. Medians of
// interleaved rounds. A benchmark, not a test: it judges the targets and fails only when something
// can't run.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "harness.h"

namespace {

using namespace benchmarks;
namespace fs = std::filesystem;

constexpr double largest_slowdown = 1.3;
constexpr const char* bare = "(bare)";
constexpr const char* pretend = "stepdown --pretend-root";
constexpr const char* pretend_static = "stepdown --pretend-root=static";
constexpr const char* fakeroot = "fakeroot";

fs::path needed_program(const std::string& name) {
  const auto program = find_program(name);
  if (!program) throw std::runtime_error("there is no " + name);
  return *program;
}

std::vector<Contestant> contestants(const Arguments& arguments, const Directory& directory,
                                    const Account& account) {
  const fs::path stepdown = directory.install(arguments.text("stepdown"));
  const fs::path script = directory.install(arguments.text("script"));
  const Words drop{needed_program("setpriv"), "--reuid=" + std::to_string(account.uid),
                   "--regid=" + std::to_string(account.gid), "--clear-groups"};
  Words faked = drop;
  faked.insert(faked.end(), {needed_program("fakeroot"), "--"});
  const Words pretended{stepdown, "--user", account.name, "--pretend-root", "--"};
  const Words constant{stepdown, "--user", account.name, "--pretend-root=static", "--"};

  std::vector<Contestant> all{
      {bare, drop}, {pretend, pretended}, {pretend_static, constant}, {fakeroot, faked}};
  for (Contestant& each : all) {
    const fs::path place = directory.path() / std::to_string(&each - all.data());
    fs::create_directory(place);
    if (chown(place.c_str(), account.uid, account.gid) != 0) check(errno, place);
    const std::string expected = each.name == bare ? std::to_string(account.uid) : "0";
    each.words.insert(each.words.end(),
                      {needed_program("sh"), script, place, arguments.text("tests"), expected});
  }
  return all;
}

}  // namespace

int main(int count, char** words) {
  try {
    const Arguments arguments(count, words,
                              {{"rounds", "9", "how often each runs"},
                               {"tests", "150", "how many tests the script makes"},
                               {"script", BENCHMARK_WORKLOAD, "the script"}});
    const int rounds = std::max(1, arguments.number("rounds"));
    const Directory directory;
    std::vector<Contestant> all =
        contestants(arguments, directory, account_of(arguments.text("user")));
    const Words broken = measure(all, rounds, 1, 0);

    std::printf("%d interleaved rounds of %s tests\n", rounds, arguments.text("tests").c_str());
    std::printf("\n%-32s %10s %10s %8s\n", "", "median ms", "fastest ms", "to bare");
    for (const Contestant& each : all) {
      std::printf("%-32s %10.0f %10.0f %8.3f\n", each.name.c_str(),
                  median(each.microseconds) / 1000,
                  *std::min_element(each.microseconds.begin(), each.microseconds.end()) / 1000,
                  ratio(median_of(all, each.name), median_of(all, bare)).value_or(0));
    }
    Targets targets(arguments.is_set("check"));
    const auto ours = median_of(all, pretend);
    targets.at_most("--pretend-root, to bare", ratio(ours, median_of(all, bare)), largest_slowdown);
    targets.at_most("--pretend-root, to fakeroot", ratio(ours, median_of(all, fakeroot)), 1);
    return targets.ok() && broken.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark-script: %s\n", error.what());
    return 1;
  }
}
