// The lines of passwd(5), group(5), subuid(5) and subgid(5), and what is wrong with one that is
// used.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace stepdown::identity {

// A line cut into its fields, as views into the file's text.
struct Line {
  std::size_t number = 0;  // from 1
  std::string_view text;   // without leading blanks
  std::array<std::string_view, 7> fields;
  std::size_t count = 0;  // of the fields that are there, at most 7

  [[nodiscard]] std::string_view name() const { return fields[0]; }
};

// Walks over the lines that are entries.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}

  bool next();
  [[nodiscard]] const Line& line() const { return line_; }

 private:
  void cut(std::string_view text);

  std::string_view rest_;
  Line line_;
};

// The file that a line came from, as messages need it.
struct Source {
  const std::string& path;
  std::string_view form;
};

[[noreturn]] void malformed(const Source& source, const Line& line, std::string_view cause);

// What every used line must have.
void require_readable(const Source& source, const Line& line);

}  // namespace stepdown::identity
