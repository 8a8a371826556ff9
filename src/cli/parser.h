// The words of `run` and `plan`: options first, then the user where no option names one, then the
// command, untouched. CLI11 reads them by the table of options.
#pragma once

#include <optional>

#include "cli/commands.h"
#include "stepdown/options.h"

namespace stepdown::cli {

struct ParsedWords {
  Options options;
  bool json = false;  // plan alone
};

// nullopt: --help, --help-all or --version was asked for and answered.
// Error: an unknown option, a missing or malformed value, an option twice.
std::optional<ParsedWords> parse_words(const Words& words, bool plan);

}  // namespace stepdown::cli
