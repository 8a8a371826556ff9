#include "identity/words.h"

#include <cstddef>

#include "sys/text.h"

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
  constexpr std::size_t longest = 64;
  return "'" + sys::escaped(word.substr(0, longest)) + (word.size() > longest ? "...'" : "'");
}

}  // namespace stepdown::identity
