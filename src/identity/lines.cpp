#include "identity/lines.h"

#include <algorithm>

#include "identity/words.h"
#include "stepdown/error.h"

namespace stepdown::identity {

namespace {

// '+' and '-' begin an instruction to nss_compat (nsswitch.conf(5)), which getpwnam(3) never
// takes for an account either: "-app" even means that app is to be left out.
bool is_entry(char first) {
  return first != '#' && first != '+' && first != '-';
}

}  // namespace

bool Lines::next() {
  while (!rest_.empty()) {
    const std::size_t end = std::min(rest_.find('\n'), rest_.size());
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    ++line_.number;
    // Docker and glibc skip leading blanks, too.
    const std::size_t start = text.find_first_not_of(blanks);
    if (start == std::string_view::npos || !is_entry(text[start])) continue;
    cut(text.substr(start));
    return true;
  }
  return false;
}

void Lines::cut(std::string_view text) {
  line_.text = text;
  line_.fields.fill({});
  line_.count = 0;
  while (line_.count < line_.fields.size()) {
    const std::size_t end = text.find(':');
    line_.fields[line_.count++] = text.substr(0, end);
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

void malformed(const Source& source, const Line& line, std::string_view cause) {
  std::string hint = "correct that line: ";
  hint += source.form;
  if (line.text.ends_with('\r')) {
    hint += "\n  it ends in a carriage return: convert the file to Unix line ends";
  }
  refuse(source.path + ":" + std::to_string(line.number), cause, hint);
}

void require_readable(const Source& source, const Line& line) {
  if (line.text.find('\0') != std::string_view::npos) {
    malformed(source, line, "the line contains a NUL byte");
  }
  if (line.name().empty()) malformed(source, line, "the entry has no name");
}

}  // namespace stepdown::identity
