// The one exception of stepdown. It is thrown where a system call fails or an input is refused and
// caught in one place, main, which prints it and exits with `exit_status`.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace stepdown {

// Exit statuses as env(1), nice(1) and chroot(1) use them.
namespace exit_status {
constexpr int failed = 125;          // stepdown itself failed, or refused
constexpr int not_executable = 126;  // the command was found and can't be executed
constexpr int not_found = 127;       // the command was not found
}  // namespace exit_status

struct ErrorDetails {
  std::string step;                // what was being done: "groups", "--own /data", "/etc/passwd:12"
  std::string syscall;             // "setgroups(2)", or empty when no call failed
  int number = 0;                  // errno of that call, or 0
  std::string cause;               // in words, where errno does not say it all
  std::vector<std::string> needs;  // capabilities that were missing, as "SETGID"
  std::string hint;                // the exact thing to do about it, or empty
  int status = exit_status::failed;
};

class Error : public std::exception {
 public:
  explicit Error(ErrorDetails details);

  [[nodiscard]] const ErrorDetails& details() const { return details_; }
  // Without the step, in one line: "CAUSE: CALL: ERRNO TEXT; HINT".
  [[nodiscard]] std::string reason() const;
  // "STEP: CAUSE: CALL: ERRNO TEXT", and the hint on a line of its own.
  [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }

 private:
  ErrorDetails details_;
  std::string text_;
};

// For inputs that are refused: a step, a cause and a hint, no system call.
[[noreturn]] void refuse(std::string_view step, std::string_view cause, std::string_view hint = {});

// For system calls that failed: reads errno, so it is called before anything can change it.
[[noreturn]] void throw_errno(std::string_view step, std::string_view syscall,
                              std::string_view cause = {}, std::string_view hint = {});

}  // namespace stepdown
