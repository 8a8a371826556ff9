#include "cli/launching.h"

#include <unistd.h>

#include "cli/log.h"

namespace stepdown::cli {

Launch prepare(const Options& options) {
  configure_log(options);
  Launch launch;
  launch.log = write_log;
  launch.caller = survey_caller(environ);
  const Host host = survey_host(options, launch.caller);
  launch.plan = make_plan(options, read_account_files(), launch.caller, host);
  launch.command = host.command;
  return launch;
}

}  // namespace stepdown::cli
