// What the doors read: the state on stdin, a bundle's config.json, the process of an exec (OCI
// runtime-spec, "State", "Configuration"). Checked as far as anything here looks at it; the rest
// passes through as it came.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "json/strict_json.h"
#include "stepdown/inspect.h"
#include "stepdown/user_namespace.h"

namespace stepdown::oci {

// Of a config.json: real ones have 10 to 100 KB, and a seccomp section 8 levels down.
// runc takes "USER" for "user", and crun doesn't: such keys are refused.
extern const json::Limits limits;

struct State {
  std::string id;
  pid_t pid = 0;       // 0 where the runtime gives none
  std::string bundle;  // absolute
  std::string status;
};
// Error, step "state" or "state: PLACE".
State read_state(std::string_view text);

struct Process {
  Uid uid{};
  Gid gid{};
  std::vector<Gid> groups;  // additionalGids
  CapabilityState capabilities;
  bool no_new_privs = false;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "K=V"
  std::string directory;
};
// `value` is config.json's "process", or what `exec --process` names. Ids 0…4294967294 (0 where
// they are missing, as runc and crun take it), all capability names known (CAP_…, in any case, as
// runc takes them; none where there are none), arguments not empty, no NUL. Error, step "NAME:
// PLACE".
Process read_process(const json::Value& value);

struct Mount {
  std::string destination;  // absolute, as it stands there
  std::string type;
  std::string source;
  std::vector<std::string> options;
};

struct Container {
  Process process;
  std::string root;  // root.path; relative to the bundle where it is
  std::vector<Mount> mounts;
  bool own_user_namespace = false;                       // a new one, or one that a path names
  std::vector<IdMapping> uid_map, gid_map;               // empty where a path names the namespace
  bool own_network_namespace = false;                    // a new one, or one that a path names
  std::string network_path;                              // that path; empty without one
  std::optional<std::uint32_t> unprivileged_port_start;  // linux.sysctl
  bool seccomp = false;
  // A Kubernetes pod's first container, which has its namespaces and none of its volumes.
  bool sandbox = false;
  // Those whose keys begin with annotation_prefix, without it: what a container may ask of the door
  // where --allow-annotations says so.
  std::vector<std::pair<std::string, std::string>> annotations;
};
constexpr std::string_view annotation_prefix = "stepdown.";
// Error, step "NAME: PLACE": also for annotations by which crun starts something else than what
// stands in the configuration.
Container read_container(const json::Value& config);

// As the runtime's namespaces see an id of the container; nullopt: it isn't mapped. The identity
// without a user namespace.
std::optional<std::uint32_t> outside(const std::vector<IdMapping>& map, bool own_user_namespace,
                                     std::uint32_t inside);

// The two maps of a user namespace, as ids of the one around it.
struct IdMaps {
  std::vector<IdMapping> uid, gid;
};

}  // namespace stepdown::oci
