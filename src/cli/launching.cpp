#include "cli/launching.h"

#include <unistd.h>

#include "cli/log.h"

namespace stepdown::cli {

Launch prepare(const Options& options) {
  Launch launch;
  launch.log_descriptor = configure_log(options);
  launch.log = write_log;
  launch.caller = survey_caller(environ);
  const Host host = survey_host(options, launch.caller);
  AccountFiles accounts = read_account_files();
  if (options.userns == Userns::root) read_subordinate_files(accounts);
  launch.plan = make_plan(options, accounts, launch.caller, host);
  launch.command = host.command;
  return launch;
}

}  // namespace stepdown::cli
