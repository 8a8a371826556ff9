#include <algorithm>

#include "cli/plan_report.h"
#include "sys/text.h"

namespace stepdown::cli {

namespace {

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

}  // namespace

std::string plan_table(const Launch& launch, const std::vector<StepFinding>& findings) {
  const Plan& plan = launch.plan;
  const Identity& identity = plan.identity;
  std::string text = "app:";
  for (const std::string& argument : plan.command) text += " " + sys::escaped(argument);
  text += "\nas:  " + (identity.user.empty() ? std::string() : identity.user + " ") +
          std::to_string(raw(identity.uid)) + ":" + std::to_string(raw(identity.gid)) + ", groups";
  for (const Gid gid : identity.groups) text += " " + std::to_string(raw(gid));
  text += ", home " + identity.home + "\n";
  std::size_t name_width = 0;
  for (const StepFinding& finding : findings)
    name_width = std::max(name_width, finding.name.size());
  for (const StepFinding& finding : findings) {
    text += "  " + padded(std::string(state_name(finding.state)), 7) + "  " +
            padded(finding.name, name_width) + "  " + finding.detail;
    if (!finding.reason.empty()) text += " (" + sys::escaped(finding.reason) + ")";
    text += "\n";
  }
  if (is_blocked(findings)) text += blocked_message(findings, identity, launch.caller) + "\n";
  return text;
}

}  // namespace stepdown::cli
