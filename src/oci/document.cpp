#include "oci/document.h"

#include <linux/limits.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

constexpr std::uint64_t largest_number = 0xfffffffe;  // (uid_t)-1 means "unchanged", and is no id
constexpr std::uint64_t largest_pid = std::numeric_limits<pid_t>::max();
constexpr std::uint64_t largest_port_start = 65535;
constexpr std::size_t most_annotations = 64;  // with our prefix; there are fewer options

constexpr std::size_t most_groups = NGROUPS_MAX;

// All that the doors read or write.
constexpr auto names = std::to_array<std::string_view>({
    "additionalGids",
    "ambient",
    "annotations",
    "args",
    "bounding",
    "bundle",
    "capabilities",
    "containerID",
    "createContainer",
    "createRuntime",
    "cwd",
    "defaultAction",
    "destination",
    "effective",
    "env",
    "gid",
    "gidMappings",
    "hooks",
    "hostID",
    "id",
    "inheritable",
    "linux",
    "mounts",
    "namespaces",
    "noNewPrivileges",
    "options",
    "path",
    "permitted",
    "pid",
    "poststart",
    "poststop",
    "prestart",
    "process",
    "root",
    "seccomp",
    "size",
    "source",
    "startContainer",
    "status",
    "sysctl",
    "timeout",
    "type",
    "uid",
    "uidMappings",
    "umask",
    "user",
});
// Those of runtime-spec's config.go.
constexpr auto maps = std::to_array<std::string_view>(
    {"annotations", "netDevices", "rdma", "sysctl", "timeOffsets", "unified"});

// crun(1), "Extensions to OCI". Engines copy annotations of images, and crun acts on these as root
// of the host: it opens files, loads libraries, connects, mounts, leaves the container's cgroup,
// and sets aside what was judged. Those that can do nothing of it:
constexpr std::string_view cruns_prefix = "run.oci.";
constexpr auto harmless = std::to_array<std::string_view>({
    "run.oci.seccomp_fail_unknown_syscall",  // only refuses more
    "run.oci.timens_offset",                 // the clocks of the container's own time namespace
});
constexpr std::string_view keep_groups = "run.oci.keep_original_groups";
constexpr std::string_view subgroup = "run.oci.systemd.subgroup";

// The annotations by which engines tell a pod's sandbox from its containers (containerd, CRI-O).
constexpr auto container_type = std::to_array<std::string_view>(
    {"io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"});

constexpr const char* port_start_key = "net.ipv4.ip_unprivileged_port_start";

std::string optional_string(const json::Value& object, std::string_view key) {
  return object.has(key) ? object.at(key).string() : std::string();
}

std::vector<std::string> optional_strings(const json::Value& object, std::string_view key) {
  return object.has(key) ? object.at(key).strings() : std::vector<std::string>();
}

std::string absolute_path(const json::Value& value) {
  const std::string& path = value.string();
  if (!path.starts_with('/')) value.refuse("an absolute path is expected");
  return path;
}

std::uint32_t id(const json::Value& value) {
  return static_cast<std::uint32_t>(value.number(0, largest_number));
}

CapabilitySet capability_set(const json::Value& sets, std::string_view key) {
  CapabilitySet set;
  if (!sets.has(key)) return set;
  for (const json::Value& element : sets.at(key).elements()) {
    const std::string& name = element.string();
    const std::optional<Capability> capability = capability_from_name(name);
    const bool prefixed = name.starts_with("CAP_") || name.starts_with("cap_");
    if (!capability || !prefixed)
      element.refuse("not the name of a capability: " + json::shown(name),
                     "names are those of capabilities(7), as CAP_NET_BIND_SERVICE");
    set = set | CapabilitySet{*capability};
  }
  return set;
}

CapabilityState capability_state(const json::Value& sets) {
  CapabilityState state;
  state.inheritable = capability_set(sets, "inheritable");
  state.permitted = capability_set(sets, "permitted");
  state.effective = capability_set(sets, "effective");
  state.bounding = capability_set(sets, "bounding");
  state.ambient = capability_set(sets, "ambient");
  return state;
}

void read_user(const json::Value& user, Process& process) {
  if (user.has("uid")) process.uid = Uid{id(user.at("uid"))};
  if (user.has("gid")) process.gid = Gid{id(user.at("gid"))};
  if (!user.has("additionalGids")) return;
  const json::Value groups = user.at("additionalGids");
  for (const json::Value& group : groups.elements()) process.groups.push_back(Gid{id(group)});
  // They are compared with each other.
  if (process.groups.size() > most_groups)
    groups.refuse("more than 65536, which no process has: setgroups(2)");
}

std::vector<IdMapping> id_map(const json::Value& linux, std::string_view key) {
  std::vector<IdMapping> map;
  if (!linux.has(key)) return map;
  const json::Value lines = linux.at(key);
  for (const json::Value& line : lines.elements()) {
    const IdMapping mapping{id(line.at("containerID")), id(line.at("hostID")),
                            static_cast<std::uint32_t>(line.at("size").number(1, largest_number))};
    for (const std::uint32_t first : {mapping.inside, mapping.outside})
      if (std::uint64_t{first} + mapping.length > largest_number + 1)
        line.refuse("more ids than there are: they end at 4294967294");
    map.push_back(mapping);
  }
  if (map.size() > largest_id_map)
    lines.refuse("more than " + std::to_string(largest_id_map) + " lines, which no id map has");
  return map;
}

std::uint32_t port_start(const json::Value& value) {
  const std::string& digits = value.string();
  std::uint32_t start = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, failure] = std::from_chars(digits.data(), end, start);
  if (failure != std::errc{} || stop != end || start > largest_port_start)
    value.refuse("a number from 0 to 65535 is expected, in quotes, not " + json::shown(digits));
  return start;
}

// An object, or null, which Go writes where there is nothing.
bool has_seccomp(const json::Value& linux) {
  if (!linux.has("seccomp")) return false;
  const json::Value seccomp = linux.at("seccomp");
  return seccomp.has("defaultAction") && !seccomp.at("defaultAction").string().empty();
}

void read_linux(const json::Value& linux, Container& container) {
  if (linux.has("namespaces")) {
    for (const json::Value& entry : linux.at("namespaces").elements()) {
      const std::string& type = entry.at("type").string();
      if (type == "user") container.own_user_namespace = true;
      if (type != "network") continue;
      container.own_network_namespace = true;
      container.network_path = optional_string(entry, "path");
    }
  }
  container.uid_map = id_map(linux, "uidMappings");
  container.gid_map = id_map(linux, "gidMappings");
  if (linux.has("sysctl") && linux.at("sysctl").has(port_start_key))
    container.unprivileged_port_start = port_start(linux.at("sysctl").at(port_start_key));
  container.seccomp = has_seccomp(linux);
}

Mount read_mount(const json::Value& value) {
  return {absolute_path(value.at("destination")), optional_string(value, "type"),
          optional_string(value, "source"), optional_strings(value, "options")};
}

void judge_cruns(std::string_view key, const json::Value& value) {
  if (key == keep_groups)
    value.refuse(
        "crun would leave the process the engine's groups, whatever stands in process.user",
        "podman: without --group-add keep-groups; name the groups by number");
  if (std::find(harmless.begin(), harmless.end(), key) != harmless.end()) return;
  // Empty it is common with CRI-O; other values are paths, upwards as well.
  if (key == subgroup && value.string().empty()) return;
  value.refuse("crun would act on it as root of the host, and an image may have brought it",
               "take the annotation away");
}

void read_annotations(const json::Value& annotations, Container& container) {
  static_cast<void>(annotations.has(""));  // an object
  for (const std::string_view each : container_type)
    if (annotations.json().contains(each) && annotations.at(each).string() == "sandbox")
      container.sandbox = true;
  for (const auto& [key, value] : annotations.json().items()) {
    if (key.starts_with(cruns_prefix)) judge_cruns(key, annotations.at(key));
    if (!key.starts_with(annotation_prefix)) continue;
    // Each is looked up among all of them, of which 16 MiB have room for a million.
    if (container.annotations.size() == most_annotations)
      annotations.refuse("more than " + std::to_string(most_annotations) + " of them begin with " +
                         std::string(annotation_prefix));
    container.annotations.emplace_back(key.substr(annotation_prefix.size()),
                                       annotations.at(key).string());
  }
}

}  // namespace

constinit const json::Limits limits{
    .bytes = std::size_t{16} << 20U, .depth = 64, .go = {.names = names, .maps = maps}};

State read_state(std::string_view text) {
  const std::string name = "state";
  const json::Json document = json::parse(text, name, limits);
  const json::Value value(document, name);
  State state;
  state.id = value.at("id").string();
  if (state.id.empty()) value.at("id").refuse("it is empty");
  if (value.has("pid")) state.pid = static_cast<pid_t>(value.at("pid").number(0, largest_pid));
  state.bundle = absolute_path(value.at("bundle"));
  state.status = value.at("status").string();
  return state;
}

Process read_process(const json::Value& value) {
  Process process;
  if (value.has("user")) read_user(value.at("user"), process);
  if (value.has("capabilities")) process.capabilities = capability_state(value.at("capabilities"));
  if (value.has("noNewPrivileges")) process.no_new_privs = value.at("noNewPrivileges").boolean();
  process.arguments = value.at("args").strings();
  if (process.arguments.empty() || process.arguments.front().empty())
    value.at("args").refuse("there is nothing to run");
  process.environment = optional_strings(value, "env");
  process.directory = absolute_path(value.at("cwd"));
  return process;
}

Container read_container(const json::Value& config) {
  Container container;
  container.process = read_process(config.at("process"));
  const json::Value root = config.at("root").at("path");
  container.root = root.string();
  if (container.root.empty()) root.refuse("it is empty");
  if (config.has("mounts"))
    for (const json::Value& mount : config.at("mounts").elements())
      container.mounts.push_back(read_mount(mount));
  if (config.has("linux")) read_linux(config.at("linux"), container);
  if (config.has("annotations")) read_annotations(config.at("annotations"), container);
  return container;
}

std::optional<std::uint32_t> outside(const std::vector<IdMapping>& map, bool own_user_namespace,
                                     std::uint32_t inside) {
  if (!own_user_namespace) return inside;
  for (const IdMapping& line : map)
    if (inside >= line.inside && inside - line.inside < line.length)
      return line.outside + (inside - line.inside);
  return std::nullopt;
}

}  // namespace stepdown::oci
