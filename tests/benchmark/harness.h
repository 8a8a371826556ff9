// What the benchmarks share: their options, starting programs, interleaved rounds, targets.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace benchmarks {

using Words = std::vector<std::string>;

// std::system_error with `what` when `error`, an errno, isn't 0.
void check(int error, const std::string& what);

double median(std::vector<double> values);

// The first regular file of that name along PATH that may be executed.
std::optional<std::filesystem::path> find_program(const std::string& name);
// The same, or an exception.
std::filesystem::path needed_program(const std::string& name);

// Long options that take a value. All benchmarks have --stepdown, --user and --check besides their
// own; with --check a missed target is a failure.
struct Option {
  std::string name, standard, meaning;
};
class Arguments {
 public:
  // Words that aren't understood, and --help, end the process.
  Arguments(int count, char** words, std::vector<Option> own);
  // The value, or what stands for it; empty without either.
  [[nodiscard]] const std::string& text(const std::string& name) const { return values_.at(name); }
  [[nodiscard]] int number(const std::string& name) const { return std::stoi(text(name)); }
  [[nodiscard]] bool is_set(const std::string& name) const { return !text(name).empty(); }

 private:
  std::map<std::string, std::string> values_;
};

struct Account {
  std::string name;
  uid_t uid;
  gid_t gid;
};
Account account_of(const std::string& name);

// A program that was built beside this one.
std::filesystem::path sibling(const std::string& name);

// A directory of root's that everyone may enter and that ends with this object.
class Directory {
 public:
  Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  // Copies a file into it, as an installation does. (The target may not reach a build tree; and
  // what a linker wrote lies in the page cache in smaller pieces and starts up to 10 % slower.)
  [[nodiscard]] std::filesystem::path install(const std::filesystem::path& file) const;

 private:
  std::filesystem::path path_;
};

// Starts the words, the first of them a path, with stderr on /dev/null (tini complains there that
// it isn't PID 1) and an environment of PATH and HOME.
pid_t start(const Words& words);
// Microseconds until it has ended, and its exit status (or 128 and the signal).
std::pair<double, int> run(const Words& words);
// What it prints, stderr left alone; an exit status other than 0 is an exception.
std::string output_of(const Words& words);

struct Contestant {
  std::string name;
  Words words;
  std::vector<double> microseconds{};  // one a round
  std::function<void()> prepare{};     // before each run, not measured
};

// Runs all of them in every round, in a new order each time, so that whatever the machine does
// meanwhile happens to all of them alike. Returns the names of those that didn't end with `status`
// in the rounds for warming up, which are then left out.
Words measure(std::vector<Contestant>& all, int rounds, int warm_up, int status);

// The same for programs that print how many nanoseconds something took them (calls.cpp).
void measure_calls(std::vector<Contestant>& all, int rounds);

// The median; nullopt for one that isn't here.
std::optional<double> median_of(const std::vector<Contestant>& all, std::string_view name);
// The same above the first, which is the bare one, or above another.
std::optional<double> overhead_of(const std::vector<Contestant>& all, std::string_view name);
std::optional<double> overhead_of(const std::vector<Contestant>& all, std::string_view name,
                                  std::string_view other);
std::optional<double> ratio(std::optional<double> ours, std::optional<double> theirs);

// Prints each target and whether it holds.
class Targets {
 public:
  explicit Targets(bool misses_count);
  // A value that isn't here can't be judged, which is a failure.
  void at_most(const std::string& what, std::optional<double> value, double largest,
               const std::string& unit = "");
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  bool misses_count_;
  bool ok_ = true;
};

}  // namespace benchmarks
