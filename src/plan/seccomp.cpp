#include "plan/seccomp.h"

#include "stepdown/error.h"

namespace stepdown {

bool names_policy(const Options& options) {
  return options.seccomp && *options.seccomp != "none";
}

void plan_seccomp(Plan& plan, const Options& options, const Host& host) {
  // With --seccomp none over a profile that has both, there is nothing to log and nothing wrong.
  if (options.seccomp_log && !options.seccomp)
    refuse("--seccomp-log", "there is no policy that could refuse anything",
           "add one: --seccomp default");
  if (!names_policy(options)) return;
  plan.seccomp = ready_filter(host.seccomp_policy.value(), {plan.keep, host.kernel});
  plan.seccomp_log = options.seccomp_log;
}

}  // namespace stepdown
