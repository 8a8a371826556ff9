// What the app of the seccomp tests tries:
//
//   +call=NUMBER[:ARGUMENT]…   the system call, in a child; "ok", the name of errno or "signal N"
//   +many=NUMBER:THREADS:TIMES  each of the threads makes the call so often, while a timer with a
//                               handler that restarts calls goes off all the time; "EPERM 300"
//   +numbers=FIRST:COUNT        every system call of these numbers, with arguments that can't be
//                               right; how many answered ENOSYS or EPERM
//   +name=TEXT                  prctl(2), PR_SET_NAME
#pragma once

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace calls {

inline std::vector<long> numbers_in(const std::string& text) {
  std::vector<long> numbers;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(':', at), text.size());
    numbers.push_back(static_cast<long>(std::stoull(text.substr(at, end - at), nullptr, 0)));
    at = end + 1;
  }
  return numbers;
}

inline std::string name_of(int error) {
  const char* const name = strerrorname_np(error);
  return name == nullptr ? std::to_string(error) : name;
}

inline std::string call_result(const std::string& words) {
  std::vector<long> numbers = numbers_in(words);
  numbers.resize(7);
  const pid_t child = fork();
  if (child == 0) {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    const long result =
        syscall(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]);
    _exit(result == -1 ? errno : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "ok" : name_of(WEXITSTATUS(status));
}

inline std::string many_result(const std::string& words) {
  const std::vector<long> numbers = numbers_in(words);
  struct sigaction action {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  const itimerval often{{0, 300}, {0, 300}};
  setitimer(ITIMER_REAL, &often, nullptr);
  std::map<std::string, long> results;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (long thread = 0; thread < numbers.at(1); ++thread)
    threads.emplace_back([&] {
      for (long time = 0; time < numbers.at(2); ++time) {
        const long result = syscall(numbers[0], 0, 0, 0, 0, 0, 0);
        const std::string name = result == -1 ? name_of(errno) : "ok";
        const std::lock_guard lock(mutex);
        ++results[name];
      }
    });
  for (std::thread& thread : threads) thread.join();
  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  std::string text;
  for (const auto& [name, count] : results)
    text += (text.empty() ? "" : " ") + name + " " + std::to_string(count);
  return text;
}

inline std::string numbers_result(const std::string& words) {
  const std::vector<long> numbers = numbers_in(words);
  long refused = 0;
  for (long number = numbers.at(0); number < numbers.at(0) + numbers.at(1); ++number)
    if (syscall(number, -1, -1, -1, -1, -1, -1) == -1 && (errno == ENOSYS || errno == EPERM))
      ++refused;
  return std::to_string(refused);
}

}  // namespace calls
