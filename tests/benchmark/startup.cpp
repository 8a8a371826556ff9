// What a launch costs: the time above a bare spawn of an empty static program, for stepdown and
// for its peers. Medians of interleaved runs, so that whatever the machine does meanwhile happens
// to all of them alike. A benchmark, not a test: it judges the targets and fails only when
// something can't run.
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

constexpr int status_of_empty = 42;  // what empty.cpp returns
constexpr double largest_ratio = 0.5;
constexpr double largest_mebibytes = 2.5;
constexpr std::string_view bare = "(bare spawn)";
constexpr std::string_view hardened = "stepdown";

struct Options {
  int rounds = 300;
  std::string stepdown;
  std::string empty;
  std::string user = "daemon";
  std::optional<std::size_t> cpu;
};

struct Launcher {
  std::string name;
  Words words;       // the empty program is their end
  fs::path program;  // what is started, for its size
  std::vector<double> microseconds{};
};

void check(int error, const char* call) {
  if (error != 0) throw std::system_error(error, std::generic_category(), call);
}

// posix_spawn(3) with stderr on /dev/null: tini complains there that it isn't PID 1.
class Spawner {
 public:
  Spawner() {
    check(posix_spawn_file_actions_init(&actions_), "posix_spawn_file_actions_init");
    check(posix_spawn_file_actions_addopen(&actions_, 2, "/dev/null", O_WRONLY, 0),
          "posix_spawn_file_actions_addopen");
  }
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;
  ~Spawner() { posix_spawn_file_actions_destroy(&actions_); }

  // Microseconds from the spawn to the end, and the exit status (or 128 and the signal).
  [[nodiscard]] std::pair<double, int> run(const Launcher& launcher) const {
    std::vector<char*> words;
    for (const std::string& word : launcher.words) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    std::string home = "HOME=/root";
    std::array<char*, 3> environment{path.data(), home.data(), nullptr};

    pid_t child = 0;
    int status = 0;
    const auto start = std::chrono::steady_clock::now();
    check(posix_spawn(&child, launcher.program.c_str(), &actions_, nullptr, words.data(),
                      environment.data()),
          launcher.program.c_str());
    while (waitpid(child, &status, 0) < 0) check(errno == EINTR ? 0 : errno, "waitpid");
    const std::chrono::duration<double, std::micro> taken =
        std::chrono::steady_clock::now() - start;
    return {taken.count(), WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)};
  }

 private:
  posix_spawn_file_actions_t actions_{};
};

// A directory of root's that ends with this object: the programs, the link named gosu, and a small
// tree that belongs to the user already. The programs are copied there as an installation does:
// what a linker wrote lies in the page cache in smaller pieces and starts up to 10 % slower.
class Scene {
 public:
  Scene(const Options& options, uid_t uid, gid_t gid) {
    std::string name = (fs::temp_directory_path() / "stepdown-benchmark.XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) check(errno, "mkdtemp");
    top_ = name;
    fs::permissions(top_, fs::perms{0755});
    fs::copy_file(options.stepdown, stepdown());
    fs::copy_file(options.empty, empty());
    fs::create_symlink(stepdown(), gosu());
    fs::create_directory(data());
    give(data(), uid, gid);
    for (int i = 0; i < 8; ++i) {
      const fs::path file = data() / std::to_string(i);
      const int fd = open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
      if (fd < 0) check(errno, file.c_str());
      close(fd);
      give(file, uid, gid);
    }
  }
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;
  ~Scene() {
    std::error_code ignored;
    fs::remove_all(top_, ignored);
  }

  [[nodiscard]] fs::path stepdown() const { return top_ / "stepdown"; }
  [[nodiscard]] fs::path empty() const { return top_ / "empty"; }
  [[nodiscard]] fs::path gosu() const { return top_ / "gosu"; }
  [[nodiscard]] fs::path data() const { return top_ / "data"; }

 private:
  static void give(const fs::path& path, uid_t uid, gid_t gid) {
    if (chown(path.c_str(), uid, gid) != 0) check(errno, path.c_str());
  }
  fs::path top_;
};

std::optional<fs::path> find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream directories(path == nullptr ? "/usr/sbin:/usr/bin:/sbin:/bin" : path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    const fs::path candidate = fs::path(directory) / name;
    std::error_code ignored;
    if (fs::is_regular_file(candidate, ignored) && access(candidate.c_str(), X_OK) == 0)
      return candidate;
  }
  return std::nullopt;
}

// Every launcher that is here, the bare spawn first. What isn't installed is said.
std::vector<Launcher> launchers(const Options& options, const Scene& scene, uid_t uid, gid_t gid) {
  const std::string& user = options.user;
  const std::string uid_word = std::to_string(uid);
  const std::string gid_word = std::to_string(gid);
  std::vector<Launcher> all{{std::string(bare), {}, scene.empty()}};
  all.push_back({std::string(hardened), {"--user", user, "--"}, scene.stepdown()});
  all.push_back({"stepdown --own DIR",
                 {"--user", user, "--own", scene.data().string(), "--"},
                 scene.stepdown()});
  all.push_back({"stepdown as gosu", {user}, scene.gosu()});

  const std::vector<std::pair<std::string, Words>> peers{
      {"gosu", {user}},
      {"su-exec", {user}},
      {"setpriv",
       {"--reuid=" + user, "--regid=" + gid_word, "--init-groups", "--inh-caps=-all",
        "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"}},
      {"s6-applyuidgid", {"-u", uid_word, "-g", gid_word, "-G", gid_word}},
      {"catatonit", {"--"}},
      {"tini", {"--"}},
      {"bwrap", {"--bind", "/", "/", "--cap-drop", "ALL", "--"}},
  };
  for (const auto& [name, words] : peers) {
    if (const auto program = find_program(name)) {
      all.push_back({name, words, *program});
    } else {
      std::printf("%s is not installed\n", name.c_str());
    }
  }
  for (Launcher& launcher : all) {
    launcher.words.insert(launcher.words.begin(), launcher.program.string());
    if (launcher.name != bare) launcher.words.push_back(scene.empty().string());
  }
  return all;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Runs each launcher `rounds` times, all of them in a new order in every round. Returns the names
// of those that didn't run the program, which are then left out.
Words measure(std::vector<Launcher>& all, int rounds) {
  constexpr int warm_up = 3;
  const Spawner spawner;
  Words broken;
  for (int i = 0; i < warm_up; ++i) {
    std::erase_if(all, [&](const Launcher& launcher) {
      const int status = spawner.run(launcher).second;
      if (status == status_of_empty) return false;
      std::printf("%s did not run the program: exit status %d\n", launcher.name.c_str(), status);
      broken.push_back(launcher.name);
      return true;
    });
  }
  std::mt19937 order(1);
  std::vector<std::size_t> turns(all.size());
  for (std::size_t i = 0; i < turns.size(); ++i) turns[i] = i;
  for (int i = 0; i < rounds; ++i) {
    std::shuffle(turns.begin(), turns.end(), order);
    for (const std::size_t turn : turns) {
      const auto [taken, status] = spawner.run(all[turn]);
      if (status != status_of_empty)
        throw std::runtime_error(all[turn].name + " failed once: exit status " +
                                 std::to_string(status));
      all[turn].microseconds.push_back(taken);
    }
  }
  return broken;
}

// Microseconds above the bare spawn; nullopt for a launcher that isn't here.
std::optional<double> overhead(const std::vector<Launcher>& all, std::string_view name) {
  for (const Launcher& launcher : all) {
    if (launcher.name == name)
      return median(launcher.microseconds) - median(all.front().microseconds);
  }
  return std::nullopt;
}

double mebibytes(const fs::path& program) {
  return static_cast<double>(fs::file_size(program)) / 1048576.0;
}

void print_table(const std::vector<Launcher>& all) {
  const std::optional<double> gosu = overhead(all, "gosu");
  std::printf("\n%-20s %10s %12s %8s %9s\n", "launcher", "median µs", "overhead µs", "to gosu",
              "size MiB");
  for (const Launcher& launcher : all) {
    const double above = *overhead(all, launcher.name);
    // (The µ counts twice in the widths above.)
    std::printf("%-20s %9.0f %11.0f", launcher.name.c_str(), median(launcher.microseconds), above);
    if (gosu && launcher.name != bare) {
      std::printf(" %8.2f", above / *gosu);
    } else {
      std::printf(" %8s", "");
    }
    std::printf(" %9.2f\n", mebibytes(launcher.program));
  }
}

// Prints a target and whether it holds; false when it can't be judged.
bool print_target(const char* what, std::optional<double> value, double largest, const char* unit) {
  if (!value) {
    std::printf("  %-44s can't be judged\n", what);
    return false;
  }
  std::printf("  %-44s %.2f%s, at most %.2f%s: %s\n", what, *value, unit, largest, unit,
              *value <= largest ? "holds" : "MISSED");
  return true;
}

bool print_targets(const std::vector<Launcher>& all, const Options& options) {
  const auto ratio_to = [&](std::string_view peer) -> std::optional<double> {
    const auto ours = overhead(all, hardened);
    const auto theirs = overhead(all, peer);
    if (!ours || !theirs) return std::nullopt;
    return *ours / *theirs;
  };
  std::printf("\ntargets\n");
  bool judged =
      print_target("a hardened launch, to gosu's overhead", ratio_to("gosu"), largest_ratio, "");
  judged &= print_target("a hardened launch, to setpriv's overhead", ratio_to("setpriv"),
                         largest_ratio, "");
  judged &= print_target("the size of the binary", mebibytes(options.stepdown), largest_mebibytes,
                         " MiB");
  return judged;
}

void pin_to(std::size_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) check(errno, "sched_setaffinity");
}

constexpr const char* usage =
    "usage: benchmark-startup [--rounds N] [--stepdown FILE] [--empty FILE] [--user NAME] [--cpu "
    "N]\n"
    "  --rounds    how often each launcher runs (300)\n"
    "  --stepdown  the launcher (STEPDOWN_BINARY, else build/release/stepdown)\n"
    "  --empty     the program to launch (benchmark-empty beside this one)\n"
    "  --user      whom to become (daemon)\n"
    "  --cpu       stay on this processor\n";

Options parse(int count, char** words) {
  const char* binary = std::getenv("STEPDOWN_BINARY");
  Options options;
  options.stepdown = binary == nullptr ? "build/release/stepdown" : binary;
  options.empty = (fs::read_symlink("/proc/self/exe").parent_path() / "benchmark-empty").string();
  const std::array<option, 7> known{{{"rounds", required_argument, nullptr, 'r'},
                                     {"stepdown", required_argument, nullptr, 's'},
                                     {"empty", required_argument, nullptr, 'e'},
                                     {"user", required_argument, nullptr, 'u'},
                                     {"cpu", required_argument, nullptr, 'c'},
                                     {"help", no_argument, nullptr, 'h'},
                                     {nullptr, 0, nullptr, 0}}};
  for (int letter; (letter = getopt_long(count, words, "", known.data(), nullptr)) != -1;) {
    switch (letter) {
      case 'r':
        options.rounds = std::max(1, std::stoi(optarg));
        break;
      case 's':
        options.stepdown = optarg;
        break;
      case 'e':
        options.empty = optarg;
        break;
      case 'u':
        options.user = optarg;
        break;
      case 'c':
        options.cpu = std::stoul(optarg);
        break;
      case 'h':
        std::fputs(usage, stdout);
        std::exit(0);
      default:
        std::fputs(usage, stderr);
        std::exit(2);
    }
  }
  return options;
}

}  // namespace

int main(int count, char** words) {
  try {
    const Options options = parse(count, words);
    if (geteuid() != 0) throw std::runtime_error("needs root, as the launchers do");
    for (const std::string& needed : {options.stepdown, options.empty}) {
      if (access(needed.c_str(), X_OK) != 0) check(errno, needed.c_str());
    }
    const passwd* account = getpwnam(options.user.c_str());
    if (account == nullptr) throw std::runtime_error("no user " + options.user);
    if (options.cpu) pin_to(*options.cpu);

    const Scene scene(options, account->pw_uid, account->pw_gid);
    std::vector<Launcher> all = launchers(options, scene, account->pw_uid, account->pw_gid);
    const Words broken = measure(all, options.rounds);
    std::printf("%d interleaved rounds\n", options.rounds);
    print_table(all);
    const bool judged = print_targets(all, options);
    return judged && broken.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark-startup: %s\n", error.what());
    return 1;
  }
}
