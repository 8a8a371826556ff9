#include "oci/hook.h"

#include <sched.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "json/strict_json.h"
#include "oci/document.h"
#include "oci/enter.h"
#include "oci/files.h"
#include "oci/init_process.h"
#include "oci/port_start.h"
#include "oci/receiver.h"
#include "oci/rewrite.h"
#include "oci/volume_work.h"
#include "plan/seccomp.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

Container container_of(const State& state) {
  const std::string name = "config.json";
  const json::Json config = json::parse(read_config(state.bundle + "/" + name), name, limits);
  return read_container(json::Value(config, name));
}

bool wants_volumes(const Options& options) {
  return !options.own.empty() || !options.door.idmap.empty();
}

// What a hook can't carry out must not look as if it were done.
void refuse_what_no_hook_can_do(const Options& options) {
  struct Wish {
    bool given;
    const char* name;
  };
  const Wish wishes[] = {
      // Of volumes it says who gets them.
      {options.user.has_value() && !wants_volumes(options), "--user"},
      {options.user_of.has_value(), "--user-of"},
      {options.user_env.has_value(), "--user-env"},
      {options.exact_user, "--exact-user"},
      {options.keep_groups, "--keep-groups"},
      {!options.writable.empty(), "--writable"},
      {!options.readable.empty(), "--readable"},
      {!options.ports.empty(), "--port"},
      {options.keep_caps != CapabilitySet(), "--keep-cap"},
      {options.allow_new_privs, "--allow-new-privs"},
      {options.read_only, "--read-only"},
      {options.only_ports, "--only-ports"},
      {options.landlock_required, "--landlock"},
      {names_policy(options), "--seccomp"},
      {options.seccomp_log, "--seccomp-log"},
      {options.userns != Userns::none, "--userns"},
      {!options.uid_map.empty(), "--uid-map"},
      {!options.gid_map.empty(), "--gid-map"},
      {options.pretend_root != PretendRoot::none, "--pretend-root"},
      {!options.environment.empty(), "--env"},
      {options.directory.has_value(), "--chdir"},
      {options.umask.has_value(), "--umask"},
      {!options.keep_fds.empty(), "--keep-fd"},
      {options.init != Init::none, "--init"},
      {options.door.inject, "--inject"},
      {options.door.user_always, "--user-always"},
      {options.door.allow_root_exec, "--allow-root-exec"},
      {options.door.allow_restore, "--allow-restore"},
      {!options.door.allow_annotations.empty(), "--allow-annotations"},
      {options.door.runtime_path.has_value(), "--runtime-path"},
  };
  for (const Wish& wish : wishes)
    if (wish.given)
      refuse(wish.name, "no hook can change the container's process",
             "stepdown hook precreate (podman) and stepdown runtime (Docker, containerd) can");
}

// The runtime writes the config's sysctls after the hooks.
bool is_port_start_the_configs(const Options& options, const Container& container, const Log& log) {
  if (!container.unprivileged_port_start) return false;
  const std::uint32_t theirs = *container.unprivileged_port_start;
  const std::uint32_t ours = *options.door.unprivileged_ports;
  const std::string text = "the config sets net.ipv4.ip_unprivileged_port_start to " +
                           std::to_string(theirs) + " after the hooks";
  if (theirs > ours)
    refuse("--unprivileged-ports", text, "leave out one of the two: docker run --sysctl");
  if (theirs < ours && log) log(LogLevel::warning, "--unprivileged-ports: " + text);
  return true;
}

void refuse_hosts_network(bool shared) {
  if (shared)
    refuse("--unprivileged-ports", "the container is in the host's network namespace",
           "set the sysctl on the host, or give the container a network of its own");
}

}  // namespace

void shut_out_the_container() {
  become_undumpable();
  if (::clearenv() != 0) refuse("environment", "clearenv(3) failed");
}

void create_runtime(const Options& asked, std::string_view state_text, const Log& log) {
  shut_out_the_container();
  refuse_what_no_hook_can_do(asked);
  const State state = read_state(state_text);
  const Container container = container_of(state);
  const Options options = with_its_volumes(asked, container, log);
  const IdMaps runtime = own_id_maps_for(container);
  require(options.door.require, container, runtime);
  if (!wants_volumes(options) && !options.door.unprivileged_ports) return;

  const InitProcess init(state.pid);
  std::optional<PortStart> port_start;
  if (options.door.unprivileged_ports && !is_port_start_the_configs(options, container, log)) {
    refuse_hosts_network(init.shares("net"));
    init.join(CLONE_NEWNET);
    port_start.emplace();
  }
  std::optional<IdMaps> maps;
  if (!init.shares("user")) maps = IdMaps{init.id_map("uid_map"), init.id_map("gid_map")};
  // Everything is found and judged before anything changes.
  std::optional<VolumeWork> volumes;
  if (wants_volumes(options)) {
    volumes.emplace(options, container, state.bundle);
    const AccountFiles accounts = enter_container(init, state.bundle, container.root);
    volumes->find(options, container,
                  receiver_of(options, container.process, accounts, maps, runtime), log);
  }
  if (port_start) port_start->set(*options.door.unprivileged_ports);
  if (volumes) std::move(*volumes).carry_out(log);
}

void create_container(const Options& asked, std::string_view state_text, const Log& log) {
  shut_out_the_container();
  refuse_what_no_hook_can_do(asked);
  if (!asked.door.idmap.empty())
    refuse("--idmap", "it needs rights over the volume's filesystem, which nobody has in here",
           "give it to a hook of the stage createRuntime");
  const State state = read_state(state_text);
  const Container container = container_of(state);
  const Options options = with_its_volumes(asked, container, log);
  require(options.door.require, container);

  std::optional<PortStart> port_start;
  if (options.door.unprivileged_ports && !is_port_start_the_configs(options, container, log)) {
    // Nobody within a user namespace can look at the runtime, and nobody there can change a network
    // that was made outside (network_namespaces(7)).
    refuse_hosts_network(container.own_user_namespace ? !container.own_network_namespace
                                                      : shared_with_runtime("net"));
    port_start.emplace();
  }
  std::optional<VolumeWork> volumes;
  if (wants_volumes(options)) {
    if (container.own_user_namespace)
      refuse("--own", "the container has a user namespace of its own, where nobody may do that",
             "give it to a hook of the stage createRuntime");
    if (shared_with_runtime("mnt"))
      refuse("linux.namespaces", "the container has no mount namespace of its own",
             "its volumes are the host's own directories: leave out --own");
    volumes.emplace(options, container, state.bundle);
    const AccountFiles accounts = enter_root(state.bundle, container.root);
    volumes->find(options, container,
                  receiver_of(options, container.process, accounts, std::nullopt), log);
  }
  if (port_start) port_start->set(*options.door.unprivileged_ports);
  if (volumes) std::move(*volumes).carry_out(log);
}

}  // namespace stepdown::oci
