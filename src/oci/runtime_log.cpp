#include <fcntl.h>
#include <unistd.h>

#include "oci/runtime.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/files.h"
#include "sys/text.h"

namespace stepdown::oci {

namespace {

std::string in_quotes(std::string_view text) {
  return json::Json(text).dump(-1, ' ', true, json::Json::error_handler_t::replace);
}

}  // namespace

void append_runtime_log(const RuntimeLog& log, std::string_view message) {
  if (log.path.empty()) return;
  const std::string text = in_quotes("stepdown: " + sys::printable(message, true));
  // The keys and their order are logrus's, which both runtimes keep to.
  const std::string line =
      log.json ? R"({"level":"error","msg":)" + text + R"(,"time":")" + sys::utc_now() + "\"}\n"
               : "time=\"" + sys::utc_now() + "\" level=error msg=" + text + "\n";
  // O_NONBLOCK: a FIFO that nobody reads must not hold the refusal up.
  const sys::Fd file(::open(
      log.path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644));
  // Where that fails, it is on stderr as well.
  if (file) static_cast<void>(sys::write_all(file.get(), line));
}

}  // namespace stepdown::oci
