// The texts of /proc/PID/status and /proc/PID/uid_map, taken apart. Pure.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/inspect.h"

namespace stepdown::inspect {

// A status text whole: what ProcessState holds, and what only the reader of /proc needs.
struct ThreadStatus {
  ProcessState state;
  pid_t process = 0;        // Tgid: the process that this thread belongs to
  unsigned threads = 0;     // living threads of the process, a dead leader counted in
  bool dead = false;        // a zombie, or on its way out
  bool has_memory = false;  // kernel threads and the dead have none, everything else has

  // An ordinary process whose leader has called pthread_exit(3) looks like a zombie, but for its
  // other threads: it is as alive as any and must not be passed over.
  [[nodiscard]] bool runs() const { return !dead || threads > 1; }
  [[nodiscard]] bool is_kernel_thread() const { return !has_memory && !dead && threads <= 1; }
};

// Error: a needed field is missing, given twice or malformed, or the text breaks off.
ThreadStatus parse_thread_status(std::string_view step, std::string_view text);

// Error: a line is not three numbers of 32 bits.
std::vector<IdMapping> parse_id_map(std::string_view step, std::string_view text);

// The filesystem's options of what is mounted at /proc, last mounted first, without the line's end;
// empty where nothing is (proc_pid_mountinfo(5)).
std::string proc_mount_options(std::string_view mountinfo);

// A decimal number and nothing else: no sign, no space, no prefix; nullopt when out of range, too.
template <std::integral Number>
std::optional<Number> parse_decimal(std::string_view word) {
  if (word.empty() || word.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  Number number{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc{}) return std::nullopt;
  return number;
}

}  // namespace stepdown::inspect
