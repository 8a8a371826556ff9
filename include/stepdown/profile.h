// Profiles: options by the name of a set, or out of a TOML file whose keys are the long names of
// the options (stepdown-profile(5)).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/error.h"
#include "stepdown/options.h"

namespace stepdown {

constexpr std::size_t largest_profile = std::size_t{1} << 20U;  // bytes of a file
constexpr std::size_t deepest_profile = 8;                      // files and names that extend

struct BuiltInProfile {
  std::string_view name;
  std::string_view text;  // TOML, beginning with a comment that says what it is for
};
// By name, ascending.
std::span<const BuiltInProfile> built_in_profiles();
// Error: no such profile; those that there are.
const BuiltInProfile& built_in_profile(const std::string& name);
// The first line of the text, without the sign of a comment.
std::string_view summary(const BuiltInProfile& profile);

// What the profile asks for: a built-in name, or a file where a slash is in it. Error: none such,
// or the first of its problems, as FILE:LINE:COLUMN; an option that `reader` (launcher or doors)
// doesn't understand is one.
Options profile_options(const std::string& name_or_path,
                        OptionRow::Place reader = OptionRow::Place::launcher);

// Everything that is wrong with a file and those that it extends, whoever reads it; `step` is
// FILE:LINE:COLUMN, and the key. Error: the file itself can't be read.
std::vector<ErrorDetails> profile_problems(const std::string& path);

}  // namespace stepdown
