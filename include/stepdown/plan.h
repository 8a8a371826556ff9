// The Plan: what shall be true when the app starts. A plain value, made by a pure function from
// what was asked, the account files, the caller and a few facts of the host. Every door produces
// one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/file_capabilities.h"
#include "stepdown/identity.h"
#include "stepdown/inspect.h"
#include "stepdown/options.h"
#include "stepdown/seccomp.h"
#include "stepdown/user_namespace.h"

namespace stepdown {

// What tells one inode from another (inode(7)).
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

// Who started stepdown, and with what.
struct Caller {
  Credentials credentials;
  unsigned securebits = 0;  // prctl(2), PR_GET_SECUREBITS
  mode_t umask = 022;
  FileIdentity directory;                // the current one
  pid_t pid = 0;                         // who LISTEN_PID must name
  std::vector<std::string> environment;  // "K=V", in the order they came
  // Its ids are what a supervisor says (--pretend-root): the set calls need no capability and move
  // what is said, the groups are the kernel's and stay.
  bool pretended = false;
  std::vector<int> listen_fds;  // open fds that LISTEN_FDS names, when LISTEN_PID is this process
};

// What a search for the command found, as far as this process can see.
struct CommandLookup {
  std::optional<std::string> file;     // what execvp(3) would execute
  bool exists = false;                 // a file of that name is there, executable or not
  bool for_everybody = false;          // everybody may execute `file`
  bool hidden = false;                 // a directory could not be searched: there may be more
  std::optional<std::string> missing;  // what `file` needs to start and is not there, in words
};

// What has to be known of the machine.
struct Host {
  // net.ipv4.ip_unprivileged_port_start; nullopt without /proc (then 1024 is assumed).
  std::optional<std::uint32_t> unprivileged_port_start;
  CommandLookup command;
  // The command's, or those of its interpreter where it is a script.
  std::optional<FileCapabilities> command_capabilities;
  std::string command_file;            // the file that carries them
  std::optional<Owner> user_of_owner;  // of --user-of's path
  // The uid map of this process is not the identity: ids seen as 65534 belong to nobody in here.
  bool mapped_user_namespace = false;
  // The network namespace belongs to a parent user namespace: CAP_NET_BIND_SERVICE is worthless.
  bool foreign_network_namespace = false;
  // For a user namespace: every capability that the running kernel knows, and whether newuidmap(1)
  // and newgidmap(1) are installed.
  CapabilitySet kernel_capabilities;
  bool newidmap_installed = false;
  std::optional<PolicySource> seccomp_policy;  // --seccomp's
  KernelVersion kernel;                        // which the conditions of a policy look at
};

enum class PortWay {
  unprivileged,     // at or above ip_unprivileged_port_start: nothing to keep
  ambient,          // CAP_NET_BIND_SERVICE is kept, ambient
  file_capability,  // the command's own "+ep" gives it back, within the bounding set
  supervisor,       // bound on the app's behalf, from outside its user namespace
  blocked,
};
struct PortUse {
  std::uint16_t number = 0;
  Protocol protocol = Protocol::tcp;
  PortWay way = PortWay::unprivileged;
  std::string reason;               // why this way; where blocked: what to do about it
  bool capability_missing = false;  // blocked, and CAP_NET_BIND_SERVICE is all that it needs
  friend bool operator==(const PortUse&, const PortUse&) = default;
};

struct Plan {
  Identity identity;                    // `groups` are those the app will have
  bool keeps_caller = false;            // the caller can't change ids and stays who it is
  std::string identity_note;            // why, in words; empty when there is nothing to tell
  std::vector<Gid> undroppable_groups;  // more than planned, accepted: a non-root caller's
  std::vector<Gid> missing_groups;      // fewer than the account has, accepted likewise

  std::vector<OwnedPath> own;
  std::vector<std::string> writable;  // the owned paths included
  std::vector<std::string> readable;
  bool own_stdio = true;

  std::vector<PortUse> ports;
  CapabilitySet keep;      // permitted, effective, inheritable and ambient of the app
  CapabilitySet bounding;  // what the bounding set may keep: `keep`, and what the file must have
  std::string command_refusal;  // the command's file capabilities can't work: why, and what to do

  // false: uid 0 under the name gosu: capabilities, securebits, no_new_privs and filters stay.
  bool drop_privileges = true;
  // false (--allow-new-privs): no_new_privs, bounding set, securebits stay, and with them no
  // filter.
  bool no_new_privs = true;
  // Where the kernel has no seccomp at all: false makes the filter moot, true blocks the plan.
  bool filter_required = true;

  // What Landlock limits: writing to the writable paths, binding TCP to the ports. Where the kernel
  // can't do all of that: false makes it weaker or moot, and tells; true blocks the plan.
  bool read_only = false;
  bool only_ports = false;
  bool landlock_required = false;

  // What the app's system calls are judged by, beside the filter against terminal injection.
  std::optional<ReadyFilter> seccomp;
  bool seccomp_log = false;  // what it refuses is logged

  std::optional<UserNamespace> user_namespace;
  PretendRoot pretend_root = PretendRoot::none;

  std::vector<std::string> command;
  std::vector<std::string> environment;
  std::optional<std::string> directory;
  std::optional<mode_t> umask;
  bool keep_all_fds = false;
  std::vector<int> keep_fds;  // above 2, ascending
  Init init = Init::none;

  friend bool operator==(const Plan&, const Plan&) = default;
};

// What a new ENTRYPOINT does to CMD, for whoever has no command.
constexpr std::string_view no_command_hint =
    "a new ENTRYPOINT empties the CMD that the base image had: repeat it in the Dockerfile, "
    "CMD [\"program\", \"argument\"], or give it to docker run";

// Error: words that contradict each other, an identity that is refused or does not resolve.
Plan make_plan(const Options& options, const AccountFiles& accounts, const Caller& caller,
               const Host& host);

// Where a process stands.
struct Standing {
  Credentials credentials;
  unsigned securebits = 0;
  friend bool operator==(const Standing&, const Standing&) = default;
};
// As the steps that give up capabilities find it: the caller's own, or what the first process of a
// new user namespace has in there (user_namespaces(7), "Capabilities").
Standing standing_before_drop(const Plan& plan, const Caller& caller);
// What the kernel must answer once the Plan is carried out: the reference of verify and of `plan`.
Standing end_state(const Plan& plan, const Caller& caller);

// CAP_SETPCAP is effective: bounding set and securebits can be changed.
bool can_lock(const Standing& standing);

// Some call of the app is answered by a supervisor, which --init then is; it binds low ports from
// outside the app's user namespace.
bool is_supervised(const Plan& plan);
bool binds_from_outside(const Plan& plan);

// Group lists are sets, with the primary gid always counted in.
bool same_groups(const std::vector<Gid>& a, const std::vector<Gid>& b, Gid primary);

}  // namespace stepdown
