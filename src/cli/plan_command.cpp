#include "cli/commands.h"
#include "cli/launching.h"
#include "cli/output.h"
#include "cli/parser.h"
#include "cli/plan_report.h"

namespace stepdown::cli {

int plan_command(const Words& words) {
  const std::optional<ParsedWords> parsed = parse_words(words, true);
  if (!parsed) return 0;
  Options options = parsed->options;
  options.log_file.reset();  // it does nothing: it creates no file either
  Launch launch = prepare(options);
  launch.explains = true;
  const std::vector<StepFinding> findings = examine(launch);
  write_out(parsed->json ? plan_json(launch.plan, findings) : plan_table(launch, findings));
  return is_blocked(findings) ? 1 : 0;
}

}  // namespace stepdown::cli
