// A small world for plans: account files, callers and hosts as values.
#pragma once

#include <string>
#include <vector>

#include "stepdown/plan.h"

namespace stepdown::test {

constexpr CapabilitySet all_capabilities = CapabilitySet::from_bits((std::uint64_t{1} << 41) - 1);
// What Docker gives a container's root.
constexpr CapabilitySet docker_default = CapabilitySet::from_bits(0xa80425fb);
constexpr CapabilitySet net_bind{Capability::net_bind_service};
constexpr CapabilitySet set_ids{Capability::setuid, Capability::setgid};

inline AccountFiles accounts() {
  AccountFiles files;
  files.passwd =
      "root:x:0:0:root:/root:/bin/sh\n"
      "app:x:1000:1000::/home/app:/bin/sh\n"
      "wheel:x:1001:0::/home/wheel:/bin/sh\n"
      "admin:x:1002:1002::/home/admin:/bin/sh\n";
  files.group =
      "root:x:0:admin\n"
      "app:x:1000:\n"
      "video:x:44:app\n"
      "disk:x:6:root\n";
  return files;
}

inline Caller caller(std::uint32_t uid, std::uint32_t gid, CapabilitySet held,
                     CapabilitySet bounding = docker_default) {
  Caller someone;
  const Uid u{uid};
  const Gid g{gid};
  someone.credentials.uid = {u, u, u, u};
  someone.credentials.gid = {g, g, g, g};
  someone.credentials.groups = {g};
  someone.credentials.capabilities.permitted = held;
  someone.credentials.capabilities.effective = held;
  someone.credentials.capabilities.bounding = bounding;
  someone.pid = 1;
  someone.environment = {"PATH=/usr/bin:/bin", "HOME=/root"};
  return someone;
}

inline Caller container_root() {
  return caller(0, 0, docker_default);
}

inline Options options(const std::string& user) {
  Options words;
  words.user = user;
  words.command = {"app"};
  return words;
}

inline Host host() {
  Host machine;
  machine.unprivileged_port_start = 1024;
  // The built-in profiles ask for it.
  machine.seccomp_policy = read_policy_source("default");
  machine.kernel = {6, 1};
  return machine;
}

inline std::vector<Gid> groups(std::initializer_list<std::uint32_t> ids) {
  std::vector<Gid> list;
  for (const std::uint32_t id : ids) list.push_back(Gid{id});
  return list;
}

}  // namespace stepdown::test
