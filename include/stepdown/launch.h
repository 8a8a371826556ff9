// From a Plan to the app: the sequence of steps, what each of them would have to do here, and doing
// it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/error.h"
#include "stepdown/log.h"
#include "stepdown/plan.h"

namespace stepdown {

enum class StepState { already, to_do, moot, blocked };
// "already", "to-do", "moot", "blocked".
std::string_view state_name(StepState state);

// What the examination of a step found. `plan --json` shows it as it is.
struct StepFinding {
  std::string name = {};    // "groups", "own /data"
  std::string detail = {};  // "set the groups [1000]"
  StepState state = StepState::to_do;
  std::vector<std::string> needs = {};  // capabilities, as "SETGID", when blocked for want of them
  std::string reason = {};              // why it is moot or blocked
  std::string syscall = {};             // "setgroups(2)", for the message
  int status = exit_status::failed;     // what a launch that is blocked here exits with
};

// Everything a step may look at.
struct Launch {
  Plan plan;
  Caller caller;
  CommandLookup command;
  bool explains = false;  // for `plan`: look at everything, whatever it costs
  Log log;
  int log_descriptor = 2;  // where `log` writes: a supervisor that has to log keeps it open
};

struct Step {
  const char* name;
  // Looks, changes nothing. Adds one finding, or one for each path or port, or none where the plan
  // asks for nothing.
  void (*examine)(const Launch& launch, std::vector<StepFinding>& findings);
  // Makes it true, or throws. Called only when the examination found something to do.
  void (*apply)(const Launch& launch);
};

// The steps in the only correct order (src/launch/sequence.cpp).
std::span<const Step> sequence();

// Who started this process: system calls and the environment, no /proc.
Caller survey_caller(char** environment);
// What make_plan has to know of the machine for these options.
Host survey_host(const Options& options, const Caller& caller);

// The findings of all steps, in order.
std::vector<StepFinding> examine(const Launch& launch);
bool is_blocked(const std::vector<StepFinding>& findings);
// The message for a blocked plan: every blocked step, and lines to paste. Pure.
std::string blocked_message(const std::vector<StepFinding>& findings, const Identity& identity,
                            const Caller& caller);

// Examines, refuses as a whole if any step is blocked, else applies every step; the last one
// becomes the app. Error: whatever went wrong; the app was not started.
[[noreturn]] void launch_app(const Launch& launch);

}  // namespace stepdown
