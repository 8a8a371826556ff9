// Landlock as the kernel has it (include/uapi/linux/landlock.h), beyond what the header that this
// is built with may know: Debian 12's ends with ABI 1 or 2.
#pragma once

#include <linux/landlock.h>

#include <cstdint>

namespace stepdown::landlock {

constexpr std::uint64_t access_fs_refer = 1ULL << 13;            // Linux 5.19, ABI 2
constexpr std::uint64_t access_fs_truncate = 1ULL << 14;         // Linux 6.2, ABI 3
constexpr std::uint64_t access_net_bind_tcp = 1ULL << 0;         // Linux 6.7, ABI 4
constexpr std::uint64_t access_fs_ioctl_dev = 1ULL << 15;        // Linux 6.10, ABI 5
constexpr std::uint64_t scope_abstract_unix_socket = 1ULL << 0;  // Linux 6.12, ABI 6
constexpr std::uint64_t scope_signal = 1ULL << 1;                // Linux 6.12, ABI 6
constexpr unsigned restrict_self_log_new_exec_on = 1U << 1;      // Linux 6.15, ABI 7

constexpr int rule_path_beneath = 1;
constexpr int rule_net_port = 2;  // Linux 6.7, ABI 4

// struct landlock_ruleset_attr of ABI 6. An older kernel takes what it doesn't know if that is 0.
struct RulesetAttributes {
  std::uint64_t handled_access_fs;
  std::uint64_t handled_access_net;
  std::uint64_t scoped;
};

// struct landlock_net_port_attr, ABI 4.
struct PortAttributes {
  std::uint64_t allowed_access;
  std::uint64_t port;
};

}  // namespace stepdown::landlock
