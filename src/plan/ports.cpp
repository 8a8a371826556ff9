#include "plan/ports.h"

#include <algorithm>

namespace stepdown {

namespace {

constexpr CapabilitySet net_bind{Capability::net_bind_service};
constexpr std::uint32_t kernel_default_start = 1024;
constexpr std::string_view not_held = "CAP_NET_BIND_SERVICE is not held";

std::string flags(CapabilitySet set, const char* separator) {
  std::string text;
  for (const Capability member : set.members()) {
    if (!text.empty()) text += separator;
    text += capability_flag(member);
  }
  return text;
}

// Why the capability can't be had for a low port, and the exact thing to do; empty when it can.
std::string obstacle(const Plan& plan, const Caller& caller, const Host& host) {
  const std::string sysctl =
      "docker: --sysctl net.ipv4.ip_unprivileged_port_start=0; a pod: securityContext.sysctls with "
      "that name";
  if (host.foreign_network_namespace)
    return "CAP_NET_BIND_SERVICE of a user namespace does not count in its parent's network "
           "namespace; give the container a network of its own, or lower "
           "net.ipv4.ip_unprivileged_port_start there";
  if (plan.user_namespace && !plan.no_new_privs)
    return "inside a user namespace a supervisor would have to bind it, whose filter needs "
           "no_new_privs; leave out --allow-new-privs, or " +
           sysctl;
  if (caller.credentials.capabilities.permitted.contains(net_bind)) return {};
  if (raw(caller.credentials.uid.effective) != 0)
    return "a process that starts as uid " + std::to_string(raw(caller.credentials.uid.effective)) +
           " gets no capability from cap_add (it ends up in the bounding set alone); " + sysctl;
  return std::string(not_held) + "; add it, or " + sysctl;
}

}  // namespace

void plan_ports_and_capabilities(Plan& plan, const Options& options, const Caller& caller,
                                 const Host& host) {
  plan.keep = options.keep_caps;
  const std::uint32_t start = host.unprivileged_port_start.value_or(kernel_default_start);
  const std::string start_text =
      host.unprivileged_port_start
          ? "net.ipv4.ip_unprivileged_port_start is " + std::to_string(start)
          : "without /proc the kernel's default of 1024 is assumed";

  for (const PortRequest& request : options.ports) {
    PortUse use{request.number, request.protocol, PortWay::unprivileged, start_text};
    const auto same = [&](const PortUse& other) {
      return other.number == use.number && other.protocol == use.protocol;
    };
    if (std::any_of(plan.ports.begin(), plan.ports.end(), same)) continue;
    if (request.number < start) {
      const std::string reason = obstacle(plan, caller, host);
      if (!reason.empty()) {
        use.way = PortWay::blocked;
        use.reason = reason;
        use.capability_missing = reason.starts_with(not_held);
      } else if (plan.user_namespace) {
        use.way = PortWay::supervisor;
        use.reason =
            "the supervisor outside binds it: CAP_NET_BIND_SERVICE does not count inside the user "
            "namespace";
      } else {
        use.way = PortWay::ambient;
        plan.keep = plan.keep | net_bind;
      }
    }
    plan.ports.push_back(std::move(use));
  }
  plan.bounding = plan.keep;
  if (!plan.drop_privileges || !host.command_capabilities) return;

  // The command carries file capabilities. A "+ep" one must be in the bounding set or execve fails,
  // whatever the port; and any at all clear the ambient set.
  const FileCapabilities& file = *host.command_capabilities;
  if (file.effective) plan.bounding = plan.bounding | (file.permitted & net_bind);
  const Standing standing = standing_before_drop(plan, caller);
  const CapabilitySet bounding = standing.credentials.capabilities.bounding;
  CapabilityState before{plan.keep, plan.keep, plan.keep, bounding, plan.keep};
  if (plan.no_new_privs && can_lock(standing)) before.bounding = bounding & plan.bounding;
  const ExecOutcome after =
      exec_outcome(before, plan.no_new_privs || caller.credentials.no_new_privs, file);

  if (after.refused) {
    const CapabilitySet missing = file.permitted - before.bounding;
    plan.command_refusal =
        host.command_file + " has file capabilities (" + flags(missing, ", ") +
        ", +ep) that the bounding set will not hold: execve would fail with " + "EPERM; " +
        (bounding.contains(missing)
             ? "keep them with --keep-cap " + flags(missing, " --keep-cap ")
             : "give them with docker: --cap-add " + flags(missing, " --cap-add ")) +
        ", or remove them with: setcap -r " + host.command_file;
    return;
  }
  for (PortUse& use : plan.ports) {
    if (use.number >= start || use.way == PortWay::supervisor) continue;
    if (after.effective.contains(net_bind)) {
      use.way = PortWay::file_capability;
      use.capability_missing = false;
      use.reason = "through the file capabilities of " + host.command_file +
                   "; its child processes will not have it";
    } else if (use.way == PortWay::ambient) {
      use.way = PortWay::blocked;
      use.reason = "the file capabilities of " + host.command_file +
                   " clear the ambient set and don't give NET_BIND_SERVICE back: setcap " +
                   "cap_net_bind_service+ep " + host.command_file + ", or setcap -r " +
                   host.command_file;
    }
  }
  const CapabilitySet lost = options.keep_caps - after.effective;
  if (!lost.empty())
    plan.command_refusal = "the file capabilities of " + host.command_file +
                           " clear the ambient set: " + flags(lost, ", ") +
                           " would be lost; setcap -r " + host.command_file;
}

}  // namespace stepdown
