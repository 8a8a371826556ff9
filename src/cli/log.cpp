#include "cli/log.h"

#include <fcntl.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "stepdown/error.h"
#include "sys/text.h"

namespace stepdown::cli {

namespace {

// Straight to a descriptor: no buffer that execve(2) could lose, and a log file that was opened
// without following a symlink that the image planted.
class DescriptorSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit DescriptorSink(int fd) : fd_(fd) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    for (std::size_t at = 0; at < line.size();) {
      const ssize_t written = ::write(fd_, line.data() + at, line.size() - at);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;  // nowhere is left to say so
      at += static_cast<std::size_t>(written);
    }
  }
  void flush_() override {}

 private:
  int fd_;
};

struct Settings {
  LogLevel level = LogLevel::warning;
  bool json = false;
  int fd = STDERR_FILENO;
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

void configure_log(const Options& options) {
  settings().level = options.log_level;
  settings().json = options.log_json;
  if (!options.log_file) return;
  // Kept until execve(2) closes it.
  settings().fd =
      ::open(options.log_file->c_str(),
             O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK, 0640);
  if (settings().fd >= 0) return;
  settings().fd = STDERR_FILENO;
  throw_errno("--log-file " + *options.log_file, "open(2)",
              errno == ELOOP ? "a symbolic link is never followed" : "",
              "name a file in a directory that exists; without --log-file messages go to stderr");
}

void write_log(LogLevel level, std::string_view text) {
  const Settings& current = settings();
  if (level < current.level) return;
  spdlog::logger logger("stepdown", std::make_shared<DescriptorSink>(current.fd));
  logger.set_level(spdlog::level::trace);
  if (!current.json) {
    logger.set_pattern("stepdown: %v");
    logger.log(spdlog_level(level), sys::escaped(text, true));
    return;
  }
  logger.set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","msg":%v})");
  logger.log(spdlog_level(level),
             nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace stepdown::cli
