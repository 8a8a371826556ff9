// What a supervisor holds while its app does nothing: stepdown --init beside tini, dumb-init and
// catatonit, each above `sleep`. From /proc/PID/smaps_rollup (proc(5)):
//
//   PSS     its share of all pages; a file's pages are shared with whoever else has them mapped
//   dirty   private pages that only it has and that no file has: what it costs for sure
//   RSS     all pages it has mapped
//
// A benchmark, not a test: it prints, and fails only when something can't run.
#include <fcntl.h>
#include <getopt.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Words = std::vector<std::string>;

struct Memory {
  long pss = 0, dirty = 0, rss = 0;  // kB
};

void check(int error, const std::string& what) {
  if (error != 0) throw std::system_error(error, std::generic_category(), what);
}

// A supervisor that runs, with its app, until this object ends.
class Supervisor {
 public:
  explicit Supervisor(Words words) {
    posix_spawn_file_actions_t actions;
    check(posix_spawn_file_actions_init(&actions), "posix_spawn_file_actions_init");
    // tini complains there that it isn't PID 1.
    check(posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0),
          "posix_spawn_file_actions_addopen");
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    const int error =
        posix_spawn(&pid_, pointers.front(), &actions, nullptr, pointers.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    check(error, words.front());
  }
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  ~Supervisor() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }

  // Once it has a child that is the app, and has come to rest.
  [[nodiscard]] Memory idle() const {
    for (int attempt = 0; attempt < 500; ++attempt) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      const pid_t app = child();
      if (app == 0 || read_word("/proc/" + std::to_string(app) + "/comm") != "sleep") continue;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      return rollup();
    }
    throw std::runtime_error("it did not start the app");
  }

 private:
  static std::string read_word(const std::string& file) {
    std::ifstream stream(file);
    std::string word;
    stream >> word;
    return word;
  }
  [[nodiscard]] pid_t child() const {
    const std::string process = std::to_string(pid_);
    const std::string word = read_word("/proc/" + process + "/task/" + process + "/children");
    return word.empty() ? 0 : std::stoi(word);
  }
  [[nodiscard]] Memory rollup() const {
    Memory memory;
    std::ifstream stream("/proc/" + std::to_string(pid_) + "/smaps_rollup");
    if (!stream) check(errno, "smaps_rollup");
    for (std::string line; std::getline(stream, line);) {
      std::istringstream words(line);
      std::string name;
      long kilobytes = 0;
      words >> name >> kilobytes;
      if (name == "Pss:") memory.pss = kilobytes;
      if (name == "Private_Dirty:") memory.dirty = kilobytes;
      if (name == "Rss:") memory.rss = kilobytes;
    }
    return memory;
  }

  pid_t pid_ = 0;
};

std::optional<std::string> find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream directories(path == nullptr ? "/usr/sbin:/usr/bin:/sbin:/bin" : path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    const std::string candidate = directory + "/" + name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::nullopt;
}

// The median of several, each number by itself.
Memory measure(const Words& words, int rounds) {
  std::vector<Memory> all;
  for (int i = 0; i < rounds; ++i) all.push_back(Supervisor(words).idle());
  const auto median = [&all](long Memory::*member) {
    const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
    std::nth_element(all.begin(), middle, all.end(),
                     [member](const Memory& a, const Memory& b) { return a.*member < b.*member; });
    return (*middle).*member;
  };
  return {median(&Memory::pss), median(&Memory::dirty), median(&Memory::rss)};
}

constexpr const char* usage =
    "usage: benchmark-init-memory [--rounds N] [--stepdown FILE] [--user NAME]\n"
    "  --rounds    how often each is started (5)\n"
    "  --stepdown  the launcher (STEPDOWN_BINARY, else build/release/stepdown)\n"
    "  --user      whom to become (daemon)\n";

}  // namespace

int main(int count, char** words) {
  try {
    const char* binary = std::getenv("STEPDOWN_BINARY");
    std::string stepdown = binary == nullptr ? "build/release/stepdown" : binary;
    std::string user = "daemon";
    int rounds = 5;
    const std::array<option, 5> known{{{"rounds", required_argument, nullptr, 'r'},
                                       {"stepdown", required_argument, nullptr, 's'},
                                       {"user", required_argument, nullptr, 'u'},
                                       {"help", no_argument, nullptr, 'h'},
                                       {nullptr, 0, nullptr, 0}}};
    for (int letter; (letter = getopt_long(count, words, "", known.data(), nullptr)) != -1;) {
      if (letter == 'r')
        rounds = std::max(1, std::stoi(optarg));
      else if (letter == 's')
        stepdown = optarg;
      else if (letter == 'u')
        user = optarg;
      else {
        std::fputs(usage, letter == 'h' ? stdout : stderr);
        return letter == 'h' ? 0 : 2;
      }
    }
    if (geteuid() != 0) throw std::runtime_error("needs root, as the launcher does");
    const auto sleep = find_program("sleep");
    if (!sleep) throw std::runtime_error("there is no sleep");
    // A freshly linked binary's pages would count as dirty until they are on the disk.
    sync();

    std::vector<std::pair<std::string, Words>> all = {
        {"stepdown --init", {stepdown, "--user", user, "--init", "--"}}};
    for (const char* name : {"tini", "dumb-init", "catatonit"}) {
      if (const auto program = find_program(name))
        all.push_back({name, {*program, "--"}});
      else
        std::printf("%s is not installed\n", name);
    }
    std::printf("%-16s %8s %8s %8s\n", "kB", "PSS", "dirty", "RSS");
    for (auto& [name, command] : all) {
      command.insert(command.end(), {*sleep, "60"});
      const Memory memory = measure(command, rounds);
      std::printf("%-16s %8ld %8ld %8ld\n", name.c_str(), memory.pss, memory.dirty, memory.rss);
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark-init-memory: %s\n", error.what());
    return 1;
  }
}
