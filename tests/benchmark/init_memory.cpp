// What a supervisor holds while its app does nothing: stepdown beside tini, dumb-init and
// catatonit, each above `sleep`. From /proc/PID/smaps_rollup (proc(5)):
//
//   PSS     its share of all pages; a file's pages are shared with whoever else has them mapped
//   dirty   private pages that only it has and that no file has: what it costs for sure
//   RSS     all pages it has mapped
//
// A benchmark, not a test: it prints, and fails only when something can't run.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "harness.h"

namespace {

using namespace benchmarks;

struct Memory {
  long pss = 0, dirty = 0, rss = 0;  // kB
};

// A supervisor that runs, with its app, until this object ends.
class Supervisor {
 public:
  explicit Supervisor(const Words& words) : pid_(start(words)) {}
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

  pid_t pid_;
};

// The median of several, each number by itself.
Memory idle_memory(const Words& words, int rounds) {
  std::vector<Memory> all;
  for (int i = 0; i < rounds; ++i) all.push_back(Supervisor(words).idle());
  const auto median_by = [&all](long Memory::*member) {
    const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
    std::nth_element(all.begin(), middle, all.end(),
                     [member](const Memory& a, const Memory& b) { return a.*member < b.*member; });
    return (*middle).*member;
  };
  return {median_by(&Memory::pss), median_by(&Memory::dirty), median_by(&Memory::rss)};
}

}  // namespace

int main(int count, char** words) {
  try {
    const Arguments arguments(count, words, {{"rounds", "5", "how often each is started"}});
    const int rounds = std::max(1, arguments.number("rounds"));
    const std::string& stepdown = arguments.text("stepdown");
    const std::string& user = arguments.text("user");
    const auto sleep = find_program("sleep");
    if (!sleep) throw std::runtime_error("there is no sleep");
    // A freshly linked binary's pages would count as dirty until they are on the disk.
    sync();

    std::vector<std::pair<std::string, Words>> all = {
        {"stepdown --init", {stepdown, "--user", user, "--init", "--"}},
        {"stepdown --pretend-root", {stepdown, "--user", user, "--pretend-root", "--"}}};
    for (const char* name : {"tini", "dumb-init", "catatonit"}) {
      if (const auto program = find_program(name))
        all.push_back({name, {*program, "--"}});
      else
        std::printf("%s is not installed\n", name);
    }
    std::printf("%-24s %8s %8s %8s\n", "kB", "PSS", "dirty", "RSS");
    for (auto& [name, command] : all) {
      command.insert(command.end(), {*sleep, "60"});
      const Memory memory = idle_memory(command, rounds);
      std::printf("%-24s %8ld %8ld %8ld\n", name.c_str(), memory.pss, memory.dirty, memory.rss);
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark-init-memory: %s\n", error.what());
    return 1;
  }
}
