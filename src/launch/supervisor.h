// The process that stays behind as the app's parent: --init, and whoever answers the app's calls.
#pragma once

#include <functional>

#include "stepdown/launch.h"
#include "sys/fd.h"

namespace stepdown {

struct SupervisorsPart {
  // In the supervisor, before the app's process may go on: what it gives up and checks. Error: the
  // app does not start.
  std::function<void()> settle;
  // In a thread of the supervisor: answers the calls that wait at the listener that
  // hand_listener_over sends. Empty: nobody does.
  std::function<void(sys::Fd listener)> serve;
  bool forwards_to_group = false;  // signals go to the app's process group
  int log_descriptor = 2;          // stays open
};

// Forks. The parent becomes the supervisor and ends as the app ends; the child returns, when the
// supervisor has settled, to become the app. Error, step "init".
void leave_supervisor_behind(const Log& log, const SupervisorsPart& part);

// In a supervisor: it holds `needed`, and since it executes nothing, nothing is there to be
// inherited. Error, step "init": the kernel left it more.
void hold_only(CapabilitySet needed);

// In the app's process: there is a supervisor that waits for a listener to serve.
bool supervisor_waits_for_listener();

// In the app's process: the supervisor serves this listener from now on. When it returns or throws,
// this process has it no more; before, it makes the calls sendmsg(2) and close(2) alone. Error,
// step "supervised".
void hand_listener_over(sys::Fd listener);

}  // namespace stepdown
