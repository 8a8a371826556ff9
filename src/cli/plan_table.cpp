#include <algorithm>

#include "cli/plan_report.h"
#include "sys/text.h"

namespace stepdown::cli {

namespace {

// Further lines of a reason stand below the first, clear of the state's column.
constexpr std::string_view reason_margin = "          ";

}  // namespace

std::string plan_table(const Launch& launch, const std::vector<StepFinding>& findings) {
  const Plan& plan = launch.plan;
  const Identity& identity = plan.identity;
  std::string text = "app:";
  for (const std::string& argument : plan.command) text += " " + sys::escaped(argument);
  text += "\nas:  " + (identity.user.empty() ? std::string() : sys::escaped(identity.user) + " ") +
          std::to_string(raw(identity.uid)) + ":" + std::to_string(raw(identity.gid)) + ", groups";
  for (const Gid gid : identity.groups) text += " " + std::to_string(raw(gid));
  text += ", home " + sys::escaped(identity.home);
  if (plan.user_namespace)
    text += "; inside its user namespace " + std::to_string(raw(plan.user_namespace->uid)) + ":" +
            std::to_string(raw(plan.user_namespace->gid));
  else if (plan.pretend_root != PretendRoot::none)
    text += "; told that it is 0:0";
  text += "\n";
  std::size_t name_width = 0;
  for (const StepFinding& finding : findings)
    name_width = std::max(name_width, sys::escaped(finding.name).size());
  for (const StepFinding& finding : findings) {
    text += "  " + sys::padded(std::string(state_name(finding.state)), 7) + "  " +
            sys::padded(sys::escaped(finding.name), name_width) + "  " +
            sys::escaped(finding.detail);
    if (!finding.reason.empty())
      text += " (" + sys::indented(sys::printable(finding.reason, true), reason_margin) + ")";
    text += "\n";
  }
  if (is_blocked(findings))
    text += sys::printable(blocked_message(findings, identity, launch.caller), true) + "\n";
  return text;
}

}  // namespace stepdown::cli
