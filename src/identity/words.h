// What every file of this room does with a word: read it as a decimal number, show it in a message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stepdown::identity {

constexpr std::string_view id_range = "0 to 2147483647";
constexpr std::string_view blanks = " \t\v\f\r";

// The value of a word that is all digits, with 2^32 standing for everything from there on; nullopt
// for any other word. No strtoul(3): it takes signs, leading blanks and what follows the digits.
std::optional<std::uint64_t> decimal(std::string_view word);

// The word in quotes, fit for a terminal and a log: account files come from images, so control
// characters are shown as \xNN, and what is longer than a line is cut.
std::string quoted(std::string_view word);

}  // namespace stepdown::identity
