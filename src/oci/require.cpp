#include <algorithm>

#include "oci/rewrite.h"
#include "stepdown/error.h"
#include "stepdown/inspect.h"

namespace stepdown::oci {

namespace {

using Kind = Rule::Kind;
using Lines = std::vector<std::string>;

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

Lines remedies(const Rule& rule) {
  switch (rule.kind) {
    case Kind::non_root:
    case Kind::no_root_group:
      return {other_user};
    case Kind::no_capabilities:
      return {no_capabilities};
    case Kind::only_capability: {
      const std::string name = capability_flag(rule.capability.value());
      return {"docker, podman: --cap-drop ALL --cap-add " + name +
              "; Kubernetes: securityContext.capabilities: {drop: [ALL], add: [" + name + "]}"};
    }
    case Kind::no_new_privs:
      return {no_new_privs};
    case Kind::seccomp:
      return {seccomp};
    case Kind::uid:
      return {"docker, podman: --user " + std::to_string(rule.ids.at(0)) +
              "; Kubernetes: securityContext.runAsUser: " + std::to_string(rule.ids.at(0))};
    case Kind::gid:
      return {"docker, podman: --user UID:" + std::to_string(rule.ids.at(0)) +
              "; Kubernetes: securityContext.runAsGroup: " + std::to_string(rule.ids.at(0))};
    case Kind::groups:
      return {groups_by_number(rule)};
    case Kind::user_namespace:
      return {own_users};
    case Kind::restricted:
      break;
  }
  return {other_user, no_capabilities, no_new_privs, seccomp};
}

void append(std::string& text, const char* separator, const std::string& more) {
  text += (text.empty() ? "" : separator) + more;
}

}  // namespace

void require(const std::vector<std::string>& rules, const Container& container) {
  const ProcessState state = state_of(container);
  std::string causes;
  Lines hints;
  for (const std::string& words : rules) {
    for (const Rule& rule : parse_rules(words)) {
      const Finding finding = judge(rule, state);
      if (finding.ok) continue;
      append(causes, "; ", finding.rule + " doesn't hold: " + finding.detail);
      for (std::string& line : remedies(rule))
        if (std::find(hints.begin(), hints.end(), line) == hints.end())
          hints.push_back(std::move(line));
    }
  }
  if (causes.empty()) return;
  ErrorDetails details;
  details.step = "--require";
  details.cause = std::move(causes);
  for (const std::string& line : hints) append(details.hint, "\n  ", line);
  details.status = 1;
  throw Error(std::move(details));
}

}  // namespace stepdown::oci
