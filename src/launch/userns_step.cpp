#include "capability/apply.h"
#include "launch/id_maps.h"
#include "launch/steps.h"
#include "userns/enter.h"

namespace stepdown::steps {

namespace {

// "0:1000:1 1:100000:65536", as --uid-map takes them.
std::string text(const std::vector<IdMapping>& map) {
  constexpr std::size_t shown = 4;
  std::string words;
  for (std::size_t at = 0; at < map.size() && at < shown; ++at) {
    const IdMapping& line = map[at];
    words += (at == 0 ? "" : " ") + std::to_string(line.inside) + ":" +
             std::to_string(line.outside) + ":" + std::to_string(line.length);
  }
  if (map.size() > shown) words += " and " + std::to_string(map.size() - shown) + " more";
  return words;
}

// What the helper that writes the maps must hold (user_namespaces(7)).
CapabilitySet to_write(const UserNamespace& wanted) {
  if (wanted.writer != MapWriter::helper) return {};
  // The launcher's files in /proc are root's: it lets nobody of the app's uid look into it.
  CapabilitySet needed{Capability::setuid, Capability::setgid, Capability::dac_override};
  // Whoever maps root could otherwise make files that give root capabilities (since 5.12).
  if (maps_outside(wanted.uid_map, 0)) needed = needed | CapabilitySet{Capability::setfcap};
  return needed;
}

std::string obstacle(const Launch& launch) {
  const UserNamespace& wanted = *launch.plan.user_namespace;
  std::string found = launch.explains || leaves_traces(launch) ? userns::obstacle_by_trial()
                                                               : userns::filter_obstacle();
  if (!found.empty()) return found;
  if (const auto missing = unmapped("/proc/self/uid_map", wanted.uid_map)) return *missing;
  return unmapped("/proc/self/gid_map", wanted.gid_map).value_or(std::string());
}

}  // namespace

void examine_userns(const Launch& launch, Findings& findings) {
  if (!launch.plan.user_namespace) return;
  const UserNamespace& wanted = *launch.plan.user_namespace;
  StepFinding finding{
      .name = "userns",
      .detail = "a user namespace: uids " + text(wanted.uid_map) + ", gids " + text(wanted.gid_map),
      .reason = wanted.note,
      .syscall = "unshare(2)"};
  const CapabilitySet missing = to_write(wanted) - launch.caller.credentials.capabilities.effective;
  const std::string found = obstacle(launch);
  if (!found.empty()) {
    finding.state = StepState::blocked;
    finding.reason = found;
  } else if (!missing.empty()) {
    finding.state = StepState::blocked;
    finding.reason = "these maps need " + list(missing) +
                     ", or newuidmap(1) and newgidmap(1), installed and without no_new_privs";
    for (const Capability member : missing.members())
      finding.needs.push_back(capability_flag(member));
  } else if (wanted.writer != MapWriter::helper && !launch.plan.undroppable_groups.empty()) {
    finding.state = StepState::blocked;
    finding.reason = "the groups " + list(launch.plan.undroppable_groups) +
                     " could never be dropped inside, and are more than planned: start with "
                     "CAP_SETGID, or accept them with --keep-groups or --group-add";
  }
  findings.push_back(std::move(finding));
}

void apply_userns(const Launch& launch) {
  const UserNamespace& wanted = *launch.plan.user_namespace;
  // The helper, who is a child of this process, holds these and nothing else.
  const CapabilitySet needed = to_write(wanted);
  capability::set_process(needed, needed, {});
  userns::enter(wanted);
}

}  // namespace stepdown::steps
