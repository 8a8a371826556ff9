// The text of a profile as settings, one for each value, with their places. toml++ lives behind
// this alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/error.h"
#include "stepdown/options.h"

namespace stepdown {

struct ProfileSetting {
  const OptionRow* option = nullptr;
  std::string value;  // as OptionRow::set takes it, which has accepted it
  std::string place;  // FILE:LINE:COLUMN
};

struct ProfileExtends {
  std::string name;
  std::string place;
};

struct ProfileText {
  std::vector<ProfileSetting> settings;
  std::vector<const OptionRow*> taken_back;  // `flag = false`
  std::optional<ProfileExtends> extends;
  std::vector<ErrorDetails> problems;  // from the top of the file down
};

// `file` is what messages call it.
ProfileText parse_profile(const std::string& file, std::string_view text);

// What a message about `key` begins with.
std::string problem_step(const std::string& place, std::string_view key);

}  // namespace stepdown
