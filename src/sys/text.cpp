#include "sys/text.h"

namespace stepdown::sys {

std::string printable(std::string_view message, bool keep_lines) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string safe;
  for (const char character : message) {
    const auto byte = static_cast<unsigned char>(character);
    if ((byte >= 0x20 && byte < 0x7f) || (keep_lines && character == '\n')) {
      safe += character;
    } else {
      safe += "\\x";
      safe += digits[byte >> 4U];
      safe += digits[byte & 0xfU];
    }
  }
  return safe;
}

std::string escaped(std::string_view text, bool keep_lines) {
  std::string doubled;
  for (const char character : text) doubled.append(character == '\\' ? 2 : 1, character);
  return printable(doubled, keep_lines);
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string indented(std::string_view text, std::string_view margin) {
  std::string result;
  for (const char character : text) {
    result += character;
    if (character == '\n') result += margin;
  }
  return result;
}

}  // namespace stepdown::sys
