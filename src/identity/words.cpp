#include "identity/words.h"

#include <cstddef>

namespace stepdown::identity {

std::optional<std::uint64_t> decimal(std::string_view word) {
  constexpr std::uint64_t ceiling = std::uint64_t{1} << 32;
  if (word.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char character : word) {
    if (character < '0' || character > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(character - '0');
    if (value > ceiling) value = ceiling;
  }
  return value;
}

std::string quoted(std::string_view word) {
  constexpr std::string_view hex = "0123456789abcdef";
  constexpr std::size_t longest = 64;
  std::string text = "'";
  for (const char character : word.substr(0, longest)) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte >= 0x20 && byte < 0x7f) {
      text += character;
    } else {
      text += "\\x";
      text += hex[byte >> 4U];
      text += hex[byte & 0xfU];
    }
  }
  text += word.size() > longest ? "...'" : "'";
  return text;
}

}  // namespace stepdown::identity
