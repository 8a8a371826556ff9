#include "stepdown/error.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace stepdown {

namespace {

std::string joined(const ErrorDetails& details, std::string text) {
  const auto add = [&text](std::string_view part) {
    if (part.empty()) return;
    if (!text.empty()) text += ": ";
    text += part;
  };
  add(details.cause);
  add(details.syscall);
  if (details.number != 0) add(std::strerror(details.number));
  if (!details.needs.empty()) {
    text += " (needs";
    for (const std::string& need : details.needs) text += " " + need;
    text += ")";
  }
  return text;
}

std::string compose(const ErrorDetails& details) {
  return joined(details, details.step) + (details.hint.empty() ? "" : "\n  " + details.hint);
}

}  // namespace

Error::Error(ErrorDetails details) : details_(std::move(details)), text_(compose(details_)) {}

std::string Error::reason() const {
  return joined(details_, {}) + (details_.hint.empty() ? "" : "; " + details_.hint);
}

void refuse(std::string_view step, std::string_view cause, std::string_view hint) {
  ErrorDetails details;
  details.step = step;
  details.cause = cause;
  details.hint = hint;
  throw Error(std::move(details));
}

void throw_errno(std::string_view step, std::string_view syscall, std::string_view cause,
                 std::string_view hint) {
  ErrorDetails details;
  details.number = errno;
  details.step = step;
  details.syscall = syscall;
  details.cause = cause;
  details.hint = hint;
  throw Error(std::move(details));
}

}  // namespace stepdown
