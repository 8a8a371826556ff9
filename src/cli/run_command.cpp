#include "cli/commands.h"
#include "cli/launching.h"
#include "cli/parser.h"

namespace stepdown::cli {

int run_command(const Words& words) {
  const std::optional<ParsedWords> parsed = parse_words(words, false);
  if (!parsed) return 0;
  launch_app(prepare(parsed->options));
}

}  // namespace stepdown::cli
