// What a launch costs: the time above a bare spawn of an empty static program, for stepdown and
// for its peers. Medians of interleaved runs. A benchmark, not a test: it judges the targets and
// fails only when something can't run.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness.h"

namespace {

using namespace benchmarks;
namespace fs = std::filesystem;

constexpr int status_of_empty = 42;  // what empty.cpp returns
constexpr double largest_ratio = 0.5;
constexpr double largest_mebibytes = 2.5;
constexpr const char* bare = "(bare spawn)";
constexpr const char* hardened = "stepdown";

// The programs, the link named gosu, and a small tree that belongs to the user already.
class Scene {
 public:
  Scene(const Arguments& arguments, const Account& account)
      : stepdown(directory_.install(arguments.text("stepdown"))),
        empty(directory_.install(arguments.text("empty"))),
        gosu(directory_.path() / "gosu"),
        data(directory_.path() / "data") {
    fs::create_symlink(stepdown, gosu);
    fs::create_directory(data);
    give(data, account);
    for (int i = 0; i < 8; ++i) {
      const fs::path file = data / std::to_string(i);
      const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
      if (fd < 0) check(errno, file);
      close(fd);
      give(file, account);
    }
  }

 private:
  static void give(const fs::path& path, const Account& account) {
    if (chown(path.c_str(), account.uid, account.gid) != 0) check(errno, path);
  }
  Directory directory_;

 public:
  const fs::path stepdown, empty, gosu, data;
};

// Every launcher that is here, the bare spawn first. What isn't installed is said.
std::vector<Contestant> launchers(const Scene& scene, const Account& account) {
  const std::string& user = account.name;
  const std::string uid = std::to_string(account.uid);
  const std::string gid = std::to_string(account.gid);
  std::vector<Contestant> all{
      {bare, {}},
      {hardened, {scene.stepdown, "--user", user, "--"}},
      {"stepdown --own DIR", {scene.stepdown, "--user", user, "--own", scene.data, "--"}},
      {"stepdown as gosu", {scene.gosu, user}},
  };
  const std::vector<std::pair<std::string, Words>> peers{
      {"gosu", {user}},
      {"su-exec", {user}},
      {"setpriv",
       {"--reuid=" + user, "--regid=" + gid, "--init-groups", "--inh-caps=-all",
        "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"}},
      {"s6-applyuidgid", {"-u", uid, "-g", gid, "-G", gid}},
      {"catatonit", {"--"}},
      {"tini", {"--"}},
      {"bwrap", {"--bind", "/", "/", "--cap-drop", "ALL", "--"}},
  };
  for (const auto& [name, options] : peers) {
    if (const auto program = find_program(name)) {
      Words words{*program};
      words.insert(words.end(), options.begin(), options.end());
      all.push_back({name, words});
    } else {
      std::printf("%s is not installed\n", name.c_str());
    }
  }
  for (Contestant& launcher : all) launcher.words.push_back(scene.empty);
  return all;
}

double mebibytes(const fs::path& program) {
  return static_cast<double>(fs::file_size(program)) / 1048576.0;
}

void print_table(const std::vector<Contestant>& all) {
  const std::optional<double> gosu = overhead_of(all, "gosu");
  std::printf("\n%-20s %10s %12s %8s %9s\n", "launcher", "median µs", "overhead µs", "to gosu",
              "size MiB");
  for (const Contestant& launcher : all) {
    const double above = *overhead_of(all, launcher.name);
    // (The µ counts twice in the widths above.)
    std::printf("%-20s %9.0f %11.0f", launcher.name.c_str(), median(launcher.microseconds), above);
    if (gosu && launcher.name != bare) {
      std::printf(" %8.2f", above / *gosu);
    } else {
      std::printf(" %8s", "");
    }
    std::printf(" %9.2f\n", mebibytes(launcher.words.front()));
  }
}

void pin_to(std::size_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) check(errno, "sched_setaffinity");
}

}  // namespace

int main(int count, char** words) {
  try {
    const Arguments arguments(count, words,
                              {{"rounds", "300", "how often each launcher runs"},
                               {"empty", sibling("benchmark-empty"), "the program to launch"},
                               {"cpu", "", "stay on this processor"}});
    if (arguments.is_set("cpu")) pin_to(std::stoul(arguments.text("cpu")));
    const int rounds = std::max(1, arguments.number("rounds"));
    const Account account = account_of(arguments.text("user"));
    const Scene scene(arguments, account);

    std::vector<Contestant> all = launchers(scene, account);
    const Words broken = measure(all, rounds, 3, status_of_empty);
    std::printf("%d interleaved rounds\n", rounds);
    print_table(all);

    Targets targets(arguments.is_set("check"));
    const auto ours = overhead_of(all, hardened);
    targets.at_most("a hardened launch, to gosu's overhead", ratio(ours, overhead_of(all, "gosu")),
                    largest_ratio);
    targets.at_most("a hardened launch, to setpriv's overhead",
                    ratio(ours, overhead_of(all, "setpriv")), largest_ratio);
    targets.at_most("the size of the binary", mebibytes(scene.stepdown), largest_mebibytes, " MiB");
    return targets.ok() && broken.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark-startup: %s\n", error.what());
    return 1;
  }
}
