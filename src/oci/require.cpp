#include <algorithm>
#include <optional>

#include "oci/rewrite.h"
#include "stepdown/error.h"
#include "stepdown/inspect.h"

namespace stepdown::oci {

namespace {

using Kind = Rule::Kind;

// What its first process will be, as far as the configuration says.
ProcessState state_of(const Container& container) {
  const Process& process = container.process;
  ProcessState state;
  Credentials& credentials = state.credentials;
  credentials.uid = {process.uid, process.uid, process.uid, process.uid};
  credentials.gid = {process.gid, process.gid, process.gid, process.gid};
  credentials.groups = process.groups;
  credentials.capabilities = process.capabilities;
  credentials.no_new_privs = process.no_new_privs;
  state.seccomp_mode = container.seccomp ? 2 : 0;
  state.own_user_namespace = container.own_user_namespace;
  state.uid_map = container.uid_map;
  return state;
}

// Whether the id is the host's 0, as far as maps say: a path may name the namespace.
bool is_roots(std::uint32_t id, const std::vector<IdMapping>& map,
              const std::vector<IdMapping>& runtime) {
  const std::optional<std::uint32_t> parents = outside(map, true, id);
  return parents && outside(runtime, !runtime.empty(), *parents) == 0U;
}

std::string roots_outside(const Rule& rule, const Container& container, const IdMaps& runtime) {
  if (!container.own_user_namespace) return {};
  const auto words = [](const char* kind, std::uint32_t id) {
    return kind + std::to_string(id) + " is 0 outside its user namespace";
  };
  const Process& process = container.process;
  const std::uint32_t uid = raw(process.uid);
  if (rule.kind == Kind::non_root && is_roots(uid, container.uid_map, runtime.uid))
    return words("uid ", uid);
  if (rule.kind != Kind::no_root_group) return {};  // other numbers are the container's own
  std::vector<Gid> groups = process.groups;
  groups.push_back(process.gid);
  for (const Gid gid : groups)
    if (is_roots(raw(gid), container.gid_map, runtime.gid)) return words("gid ", raw(gid));
  return {};
}

const char* const other_user =
    "docker, podman: --user 1000:1000, or USER 1000:1000 in the Dockerfile; Kubernetes: "
    "securityContext.runAsUser: 1000, runAsGroup: 1000";
const char* const no_capabilities =
    "docker, podman: --cap-drop ALL; Kubernetes: securityContext.capabilities.drop: [ALL]";
const char* const no_new_privs =
    "docker, podman: --security-opt no-new-privileges; Kubernetes: "
    "securityContext.allowPrivilegeEscalation: false";
const char* const seccomp =
    "docker, podman: without --security-opt seccomp=unconfined and --privileged; Kubernetes: "
    "securityContext.seccompProfile.type: RuntimeDefault";
const char* const own_users =
    "docker: \"userns-remap\" in daemon.json; podman: --userns=auto; Kubernetes: hostUsers: false";

std::string groups_by_number(const Rule& rule) {
  std::string flags;
  std::string list;
  for (const std::uint32_t id : rule.ids) {
    flags += " --group-add " + std::to_string(id);
    list += (list.empty() ? "" : ", ") + std::to_string(id);
  }
  return "docker, podman:" + flags +
         ", and no other group; Kubernetes: "
         "securityContext.supplementalGroups: [" +
         list + "]";
}

std::string remedy(const Rule& rule) {
  switch (rule.kind) {
    case Kind::non_root:
    case Kind::no_root_group:
      return other_user;
    case Kind::no_capabilities:
      return no_capabilities;
    case Kind::only_capability: {
      const std::string name = capability_flag(rule.capability.value());
      return "docker, podman: --cap-drop ALL, at most with --cap-add " + name +
             "; Kubernetes: securityContext.capabilities.drop: [ALL], at most with add: [" + name +
             "]";
    }
    case Kind::no_new_privs:
      return no_new_privs;
    case Kind::seccomp:
      return seccomp;
    case Kind::uid:
      return "docker, podman: --user " + std::to_string(rule.ids.at(0)) +
             "; Kubernetes: securityContext.runAsUser: " + std::to_string(rule.ids.at(0));
    case Kind::gid:
      return "docker, podman: --user UID:" + std::to_string(rule.ids.at(0)) +
             "; Kubernetes: securityContext.runAsGroup: " + std::to_string(rule.ids.at(0));
    case Kind::groups:
      return groups_by_number(rule);
    case Kind::user_namespace:
      return own_users;
    case Kind::restricted:
      break;
  }
  return {};  // its parts have theirs
}

void append(std::string& text, const char* separator, const std::string& more) {
  text += (text.empty() ? "" : separator) + more;
}

void refuse_unmapped(const char* kind, std::uint32_t id, const std::vector<IdMapping>& map) {
  if (map.empty() || outside(map, true, id)) return;
  refuse("user namespace",
         std::string(kind) + " " + std::to_string(id) +
             " of the container has no name outside: its map leaves it out",
         "podman: --userns=auto:size=65536; or a --user within the map");
}

}  // namespace

void refuse_outside_maps(const Identity& identity, const Container& container,
                         const IdMaps& runtime, bool allow_root) {
  if (!container.own_user_namespace) return;
  const std::uint32_t uid = raw(identity.uid);
  refuse_unmapped("uid", uid, container.uid_map);
  refuse_unmapped("gid", raw(identity.gid), container.gid_map);
  if (!allow_root && is_roots(uid, container.uid_map, runtime.uid))
    refuse("user namespace", "uid " + std::to_string(uid) + " is 0 outside its user namespace",
           own_users);
}

void require(const std::vector<std::string>& rules, const Container& container,
             const IdMaps& runtime) {
  const ProcessState state = state_of(container);
  std::string causes;
  std::vector<std::string> hints;
  const auto examine = [&](const Rule& rule) {
    std::string broken;
    for (const Rule& part : parts_of(rule)) {
      const Finding finding = judge(part, state);
      const std::string detail =
          finding.ok ? roots_outside(part, container, runtime) : finding.detail;
      if (detail.empty()) continue;
      append(broken, "; ", detail);
      std::string line = finding.ok ? own_users : remedy(part);
      if (std::find(hints.begin(), hints.end(), line) == hints.end())
        hints.push_back(std::move(line));
    }
    if (!broken.empty()) append(causes, "; ", rule.text + " doesn't hold: " + broken);
  };
  for (const std::string& words : rules)
    for (const Rule& rule : parse_rules(words)) examine(rule);
  if (causes.empty()) return;
  ErrorDetails details;
  details.step = "--require";
  details.cause = std::move(causes);
  for (const std::string& line : hints) append(details.hint, "\n  ", line);
  details.status = 1;
  throw Error(std::move(details));
}

}  // namespace stepdown::oci
