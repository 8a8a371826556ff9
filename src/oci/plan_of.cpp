#include <algorithm>

#include "oci/rewrite.h"
#include "plan/contradictions.h"
#include "plan/environment.h"
#include "plan/seccomp.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

constexpr CapabilitySet change_ids{Capability::setuid, Capability::setgid};
constexpr std::uint32_t kernel_default_start = 1024;

std::string capability_flags(CapabilitySet set) {
  std::string flags;
  for (const Capability member : set.members())
    flags += (flags.empty() ? "" : ", ") + capability_flag(member);
  return flags;
}

// As resolve_identity takes it: what an engine chose may be beyond what anybody else may choose.
std::string id_word(std::uint32_t id) {
  if (id > largest_id)
    refuse("process.user", std::to_string(id) + " is above 2147483647, the largest id here",
           "choose another --user for the container");
  return std::to_string(id);
}

// The user that the container has, word for word.
void keep_user(Options& options, Uid uid, Gid gid, const std::vector<Gid>& groups) {
  options.user = id_word(raw(uid)) + ":" + id_word(raw(gid));
  std::vector<std::string> words;
  for (const Gid group : groups) words.push_back(id_word(raw(group)));
  options.group_add.insert(options.group_add.begin(), words.begin(), words.end());
}

// The user namespace is the injected launcher's to make, within the container, and the policy its
// to load.
Options without_the_launchers_part(Options options) {
  options.userns = Userns::none;
  options.uid_map.clear();
  options.gid_map.clear();
  options.seccomp.reset();
  options.seccomp_log = false;
  return options;
}

void refuse_policy_file(const Options& options) {
  if (names_policy(options) && options.seccomp->find('/') != std::string::npos)
    refuse(
        "--seccomp " + *options.seccomp, "the file isn't within the container",
        "name a built-in policy (stepdown seccomp list); or give the engine the file: docker run "
        "--security-opt seccomp=FILE");
}

// HOME and its kin are the business of whoever chose the user.
void keep_environment(Plan& plan, const Options& options, const Process& process) {
  plan.environment = process.environment;
  for (const auto& [name, value] : options.environment) set_variable(plan.environment, name, value);
}

void refuse_missing_capabilities(const Options& options, const Process& process) {
  const CapabilitySet missing = options.keep_caps - process.capabilities.bounding;
  if (missing.empty()) return;
  const std::string flags = capability_flags(missing);
  refuse("--keep-cap", "the container's bounding set lacks " + flags,
         "docker, podman: --cap-add for each; Kubernetes: "
         "securityContext.capabilities.add: [" +
             flags + "]; or leave out --keep-cap");
}

void refuse_blocked_ports(const Plan& plan, const Host& host) {
  for (const PortUse& use : plan.ports) {
    if (use.way != PortWay::blocked) continue;
    const std::string step = "--port " + std::to_string(use.number);
    if (host.foreign_network_namespace) refuse(step, use.reason);
    refuse(step, "NET_BIND_SERVICE is not in the container's bounding set",
           "docker, podman: --cap-add NET_BIND_SERVICE, or --sysctl "
           "net.ipv4.ip_unprivileged_port_start=0; Kubernetes: "
           "securityContext.capabilities.add: [NET_BIND_SERVICE]; or, for the door: "
           "--unprivileged-ports " +
               std::to_string(use.number));
  }
}

}  // namespace

Caller caller_of(const Process& process) {
  Caller caller;
  Credentials& me = caller.credentials;
  me.uid = {process.uid, process.uid, process.uid, process.uid};
  me.gid = {process.gid, process.gid, process.gid, process.gid};
  me.groups = process.groups;
  me.no_new_privs = process.no_new_privs;
  me.capabilities = process.capabilities;
  me.capabilities.permitted = process.capabilities.bounding;
  me.capabilities.effective = process.capabilities.bounding | change_ids;
  caller.environment = process.environment;
  return caller;
}

Host host_of(const Container& container, std::optional<std::uint32_t> port_start) {
  Host host;
  host.unprivileged_port_start = port_start;
  if (container.own_network_namespace && container.network_path.empty())
    host.unprivileged_port_start = kernel_default_start;
  if (container.unprivileged_port_start)
    host.unprivileged_port_start = container.unprivileged_port_start;
  host.mapped_user_namespace = container.own_user_namespace;
  host.foreign_network_namespace = container.own_user_namespace && !container.own_network_namespace;
  return host;
}

Plan plan_of(const Options& options, const Container& container, const Process& process,
             const AccountFiles& accounts, std::optional<std::uint32_t> port_start) {
  for (const Contradiction refuse_one : contradictions()) refuse_one(options);
  refuse_policy_file(options);
  if (process.uid == root_uid && !options.user)
    refuse("--user", "the container's process is root (uid 0), and nothing says who it shall be",
           "give the door --user USER[:GROUP]; or give the container one: docker run --user "
           "1000:1000, "
           "USER in the Dockerfile, Kubernetes' runAsUser");
  Options asked = without_the_launchers_part(options);
  asked.command = process.arguments;
  const bool kept = process.uid != root_uid && !(options.door.user_always && options.user);
  if (kept) keep_user(asked, process.uid, process.gid, process.groups);
  refuse_missing_capabilities(asked, process);

  Host host = host_of(container, port_start);
  if (options.door.unprivileged_ports)
    host.unprivileged_port_start = options.door.unprivileged_ports;
  Plan plan = make_plan(asked, accounts, caller_of(process), host);
  refuse_blocked_ports(plan, host);
  if (kept) keep_environment(plan, options, process);
  return plan;
}

Plan plan_of_exec(const Options& options, const Container& container, const Process& process,
                  const AccountFiles& accounts) {
  const Process& first = container.process;
  const bool is_root = process.uid == root_uid;
  const bool becomes = is_root ? !options.door.allow_root_exec : options.door.user_always;
  const Process& user = becomes ? first : process;
  if (first.uid == root_uid && becomes && !options.allow_root)
    refuse("exec", "the container's own process is root (uid 0)",
           "it was started without this door: start it again; or add --allow-root");

  Options asked = without_the_launchers_part(options);
  asked.command = process.arguments;
  asked.group_add.clear();
  asked.keep_groups = false;  // who becomes another has that one's
  keep_user(asked, user.uid, user.gid, user.groups);
  asked.directory.reset();
  asked.ports.clear();
  // What a rewritten process has, it has in these two; what an engine gave besides doesn't count.
  asked.keep_caps =
      first.capabilities.permitted & first.capabilities.ambient & process.capabilities.bounding;
  if (user.uid == root_uid) {
    asked.allow_root = true;
    // With it, execve(2) would give uid 0 the whole bounding set.
    asked.allow_new_privs = false;
  }
  Plan plan = make_plan(asked, accounts, caller_of(process), Host{});
  // What setuid programs can come to have.
  if (!plan.no_new_privs)
    plan.bounding = first.capabilities.bounding & process.capabilities.bounding;
  if (!becomes) keep_environment(plan, options, process);
  return plan;
}

}  // namespace stepdown::oci
