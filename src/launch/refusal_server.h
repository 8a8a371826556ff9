// The supervisor's part in --seccomp-log: what the app's policy answers with an errno, it answers,
// and tells of each such call once. It lets nothing through; when it is no more, the calls fail.
#pragma once

#include "stepdown/log.h"
#include "stepdown/seccomp.h"
#include "sys/fd.h"

namespace stepdown {

// Whose calls are refused, and by what.
struct RefusedApp {
  const ReadyFilter& filter;
  FilterSituation situation;  // that the filter was made for
  int log_descriptor = 2;     // where the log writes
};

// Answers until nobody is left to ask, each call with the errno of the policy's own program. Told
// of are a few hundred different calls: an app that makes refused ones of every number it can
// think of fills no disk. Error, step "supervisor": the listener is broken; the calls then fail.
void serve_refusals(sys::Fd listener, const RefusedApp& app, const Log& log);

}  // namespace stepdown
