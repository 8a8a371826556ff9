#include "cli/log.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "stepdown/error.h"
#include "sys/clock.h"
#include "sys/files.h"
#include "sys/text.h"

namespace stepdown::cli {

namespace {

// A reader who is gone, or RLIMIT_FSIZE, must not end the launch by a signal: the call fails then,
// and the dispositions are passed on as they came.
class NoWriteSignals {
 public:
  NoWriteSignals() {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &pipe_);
    ::sigaction(SIGXFSZ, &ignore, &size_);
  }
  ~NoWriteSignals() {
    ::sigaction(SIGPIPE, &pipe_, nullptr);
    ::sigaction(SIGXFSZ, &size_, nullptr);
  }
  NoWriteSignals(const NoWriteSignals&) = delete;
  NoWriteSignals& operator=(const NoWriteSignals&) = delete;

 private:
  struct sigaction pipe_ {
  }, size_{};
};

// Straight to a descriptor: no buffer that execve(2) could lose, and a log file that was opened
// without following a symlink that the image planted.
class DescriptorSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit DescriptorSink(int fd) : fd_(fd) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    const NoWriteSignals no_signals;
    // Where that fails, nowhere is left to say so.
    static_cast<void>(sys::write_all(fd_, {line.data(), line.size()}));
  }
  void flush_() override {}

 private:
  int fd_;
};

struct Settings {
  LogLevel level = LogLevel::warning;
  bool json = false;
  std::vector<int> fds = {STDERR_FILENO};
};

Settings& settings() {
  static Settings current;
  return current;
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      break;
  }
  return spdlog::level::err;
}

}  // namespace

int configure_log(const Options& options, LogFile file) {
  settings().level = options.log_level;
  settings().json = options.log_json;
  if (!options.log_file) return STDERR_FILENO;
  // Doors run in directories of the engine's choice, and hand the path on to hooks in others.
  if (file == LogFile::besides_stderr && !options.log_file->starts_with('/'))
    refuse("--log-file " + *options.log_file, "a door takes an absolute path");
  // RESOLVE_NO_SYMLINKS: a directory on the way may be the app's, from the last start.
  open_how how{};
  how.flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  how.mode = 0640;
  how.resolve = RESOLVE_NO_SYMLINKS;
  // Kept until execve(2) closes it.
  const auto fd = static_cast<int>(
      ::syscall(SYS_openat2, AT_FDCWD, options.log_file->c_str(), &how, sizeof how));
  const std::string step = "--log-file " + *options.log_file;
  if (fd < 0)
    throw_errno(step, "openat2(2)",
                errno == ELOOP ? "a symbolic link is on the way: name what it stands for" : "",
                errno == EACCES
                    ? "name a file that the caller may write"
                    : "name a file in a directory that exists; without --log-file messages go to "
                      "stderr");
  // A door's own descriptors aren't those of the app that --keep-fd speaks of.
  if (file == LogFile::instead_of_stderr) {
    const std::vector<int>& kept = options.keep_fds;
    if (std::find(kept.begin(), kept.end(), fd) != kept.end())
      refuse("descriptors", "descriptor " + std::to_string(fd) + " is not open (--keep-fd)");
    settings().fds.clear();
  }
  settings().fds.push_back(fd);
  return fd;
}

void spare_appended_stderr() {
  struct stat status {};
  const int flags = ::fcntl(STDERR_FILENO, F_GETFL);
  if (flags >= 0 && (flags & O_APPEND) != 0 && ::fstat(STDERR_FILENO, &status) == 0 &&
      (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode)))
    settings().fds.clear();
}

void write_log(LogLevel level, std::string_view text) {
  const Settings& current = settings();
  if (level < current.level) return;
  std::vector<spdlog::sink_ptr> sinks;
  for (const int fd : current.fds) sinks.push_back(std::make_shared<DescriptorSink>(fd));
  spdlog::logger logger("stepdown", sinks.begin(), sinks.end());
  logger.set_level(spdlog::level::trace);
  if (!current.json) {
    logger.set_pattern("stepdown: %v");
    logger.log(spdlog_level(level), sys::printable(text, true));
    return;
  }
  logger.set_pattern(R"({"time":")" + sys::utc_now() + R"(","level":"%l","msg":%v})");
  logger.log(spdlog_level(level),
             nlohmann::ordered_json(text).dump(-1, ' ', true,
                                               nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace stepdown::cli
