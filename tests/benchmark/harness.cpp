#include "harness.h"

#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
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
#include <numeric>
#include <random>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace benchmarks {

namespace {

namespace fs = std::filesystem;

class FileActions {
 public:
  FileActions() {
    check(posix_spawn_file_actions_init(&actions_), "posix_spawn_file_actions_init");
  }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  ~FileActions() { posix_spawn_file_actions_destroy(&actions_); }

  void quiet_stderr() {
    check(posix_spawn_file_actions_addopen(&actions_, STDERR_FILENO, "/dev/null", O_WRONLY, 0),
          "posix_spawn_file_actions_addopen");
  }
  void stdout_to(int fd) {
    check(posix_spawn_file_actions_adddup2(&actions_, fd, STDOUT_FILENO),
          "posix_spawn_file_actions_adddup2");
  }
  [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

pid_t spawn(const Words& words, const FileActions& actions) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  std::string home = "HOME=/root";
  std::array<char*, 3> environment{path.data(), home.data(), nullptr};
  pid_t child = 0;
  check(posix_spawn(&child, pointers.front(), actions.get(), nullptr, pointers.data(),
                    environment.data()),
        words.front());
  return child;
}

int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) check(errno == EINTR ? 0 : errno, "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Calls `measure_one` for each in every round, in a new order each time.
template <typename Function>
void in_rounds(std::vector<Contestant>& all, int rounds, const Function& measure_one) {
  std::mt19937 order(1);
  std::vector<std::size_t> turns(all.size());
  std::iota(turns.begin(), turns.end(), std::size_t{0});
  for (int i = 0; i < rounds; ++i) {
    std::shuffle(turns.begin(), turns.end(), order);
    for (const std::size_t turn : turns) measure_one(all[turn]);
  }
}

std::pair<double, int> run_prepared(const Contestant& contestant) {
  if (contestant.prepare) contestant.prepare();
  return run(contestant.words);
}

void print_usage(std::FILE* stream, const std::vector<Option>& options) {
  std::fprintf(stream, "usage: %s [OPTIONS]\n", program_invocation_short_name);
  for (const Option& option : options) {
    std::fprintf(stream, "  --%-9s %s", option.name.c_str(), option.meaning.c_str());
    if (!option.standard.empty()) std::fprintf(stream, " (%s)", option.standard.c_str());
    std::fprintf(stream, "\n");
  }
}

}  // namespace

void check(int error, const std::string& what) {
  if (error != 0) throw std::system_error(error, std::generic_category(), what);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

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

fs::path needed_program(const std::string& name) {
  const auto program = find_program(name);
  if (!program) throw std::runtime_error(name + " is not installed");
  return *program;
}

Arguments::Arguments(int count, char** words, std::vector<Option> own) {
  const char* binary = std::getenv("STEPDOWN_BINARY");
  own.push_back({"stepdown", binary == nullptr ? "build/release/stepdown" : binary,
                 "the launcher; STEPDOWN_BINARY names it too"});
  own.push_back({"user", "daemon", "whom to become"});
  own.push_back({"check", "", "a missed target is a failure"});
  own.push_back({"help", "", "print this"});
  std::vector<option> known;
  for (const Option& each : own) {
    values_[each.name] = each.standard;
    const bool is_flag = each.name == "check" || each.name == "help";
    known.push_back({each.name.c_str(), is_flag ? no_argument : required_argument, nullptr, 0});
  }
  known.push_back({nullptr, 0, nullptr, 0});
  int index = 0;
  while (true) {
    const int result = getopt_long(count, words, "", known.data(), &index);
    if (result == -1 && optind == count) break;
    if (result != 0) {
      print_usage(stderr, own);
      std::exit(2);
    }
    values_[known[static_cast<std::size_t>(index)].name] = optarg == nullptr ? "yes" : optarg;
  }
  if (is_set("help")) {
    print_usage(stdout, own);
    std::exit(0);
  }
  if (geteuid() != 0) throw std::runtime_error("needs root, as the launchers do");
}

Account account_of(const std::string& name) {
  const passwd* entry = getpwnam(name.c_str());
  if (entry == nullptr) throw std::runtime_error("no user " + name);
  return {name, entry->pw_uid, entry->pw_gid};
}

fs::path sibling(const std::string& name) {
  return fs::read_symlink("/proc/self/exe").parent_path() / name;
}

Directory::Directory() {
  std::string name = (fs::temp_directory_path() / "stepdown-benchmark.XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) check(errno, "mkdtemp");
  path_ = name;
  fs::permissions(path_, fs::perms{0755});
}

Directory::~Directory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

fs::path Directory::install(const fs::path& file) const {
  fs::path copy = path_ / file.filename();
  fs::copy_file(file, copy);
  fs::permissions(copy, fs::perms{0755});
  return copy;
}

pid_t start(const Words& words) {
  FileActions actions;
  actions.quiet_stderr();
  return spawn(words, actions);
}

std::pair<double, int> run(const Words& words) {
  const auto begin = std::chrono::steady_clock::now();
  const int status = wait_for(start(words));
  const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - begin;
  return {taken.count(), status};
}

std::string output_of(const Words& words) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) check(errno, "pipe2");
  FileActions actions;
  actions.stdout_to(ends[1]);
  const pid_t child = spawn(words, actions);
  close(ends[1]);
  std::string text;
  std::array<char, 256> piece{};
  for (ssize_t length; (length = read(ends[0], piece.data(), piece.size())) > 0;)
    text.append(piece.data(), static_cast<std::size_t>(length));
  close(ends[0]);
  if (const int status = wait_for(child); status != 0) {
    std::string line;
    for (const std::string& word : words) line += word + " ";
    throw std::runtime_error(line + "ended with " + std::to_string(status));
  }
  return text;
}

Words measure(std::vector<Contestant>& all, int rounds, int warm_up, int status) {
  Words broken;
  for (int i = 0; i < warm_up; ++i) {
    std::erase_if(all, [&](const Contestant& each) {
      const int seen = run_prepared(each).second;
      if (seen == status) return false;
      std::printf("%s did not run the program: exit status %d\n", each.name.c_str(), seen);
      broken.push_back(each.name);
      return true;
    });
  }
  in_rounds(all, rounds, [status](Contestant& each) {
    const auto [taken, seen] = run_prepared(each);
    if (seen != status)
      throw std::runtime_error(each.name + " failed once: exit status " + std::to_string(seen));
    each.microseconds.push_back(taken);
  });
  return broken;
}

void measure_calls(std::vector<Contestant>& all, int rounds) {
  in_rounds(all, rounds, [](Contestant& each) {
    each.microseconds.push_back(std::stod(output_of(each.words)) / 1000);
  });
}

std::optional<double> median_of(const std::vector<Contestant>& all, std::string_view name) {
  for (const Contestant& each : all) {
    if (each.name == name) return median(each.microseconds);
  }
  return std::nullopt;
}

std::optional<double> overhead_of(const std::vector<Contestant>& all, std::string_view name) {
  return overhead_of(all, name, all.front().name);
}

std::optional<double> overhead_of(const std::vector<Contestant>& all, std::string_view name,
                                  std::string_view other) {
  const auto value = median_of(all, name);
  const auto below = median_of(all, other);
  if (!value || !below) return std::nullopt;
  return *value - *below;
}

std::optional<double> ratio(std::optional<double> ours, std::optional<double> theirs) {
  if (!ours || !theirs) return std::nullopt;
  return *ours / *theirs;
}

Targets::Targets(bool misses_count) : misses_count_(misses_count) {
  std::printf("\ntargets\n");
}

void Targets::at_most(const std::string& what, std::optional<double> value, double largest,
                      const std::string& unit) {
  if (!value) {
    std::printf("  %-48s can't be judged\n", what.c_str());
    ok_ = false;
    return;
  }
  const bool holds = *value <= largest;
  std::printf("  %-48s %.2f%s, at most %.2f%s: %s\n", what.c_str(), *value, unit.c_str(), largest,
              unit.c_str(), holds ? "holds" : "MISSED");
  ok_ = ok_ && (holds || !misses_count_);
}

}  // namespace benchmarks
