// The security state of a process, read from the kernel, and the rules of `stepdown check`.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/capability_set.h"
#include "stepdown/ids.h"

namespace stepdown {

template <typename Id>
struct IdQuad {
  Id real{}, effective{}, saved{}, filesystem{};
  [[nodiscard]] bool all_are(Id id) const {
    return real == id && effective == id && saved == id && filesystem == id;
  }
  [[nodiscard]] bool any_is(Id id) const {
    return real == id || effective == id || saved == id || filesystem == id;
  }
  friend bool operator==(const IdQuad&, const IdQuad&) = default;
};

// What decides over a thread's privileges (credentials(7), capabilities(7)).
struct Credentials {
  IdQuad<Uid> uid;
  IdQuad<Gid> gid;
  std::vector<Gid> groups;  // supplementary, in the kernel's order
  CapabilityState capabilities;
  bool no_new_privs = false;
  friend bool operator==(const Credentials&, const Credentials&) = default;
};

// This thread's own, asked from the kernel by system calls alone: /proc may be missing or a fake.
Credentials own_credentials();
// prctl(PR_GET_SECUREBITS); there is no way to read another process's.
unsigned own_securebits();
// The highest capability the running kernel knows (PR_CAPBSET_READ until EINVAL), e.g. 40.
unsigned last_capability();

struct ProcessState {
  pid_t pid = 0;
  pid_t parent = 0;
  std::string command;  // the command line, arguments joined by spaces; or "[comm]" without one
  Credentials credentials;
  int seccomp_mode = 0;             // 0 none, 1 strict, 2 filter
  int seccomp_filters = 0;          // how many (5.9 and newer; else 0)
  bool own_user_namespace = false;  // not the reader's, or one whose uid_map isn't the identity
  std::vector<IdMapping> uid_map;
  // The reader's user namespace does not map every id: 65534 may then be anybody, root included.
  bool ids_may_be_hidden = false;
  // Threads whose credentials, no_new_privs or seccomp differ from the leader's: an escape hatch
  // that a look at the leader alone would miss. Each is a full state with the thread's id as pid.
  std::vector<ProcessState> differing_threads;
};

// The text of /proc/PID/status. Pure. Error: a field that stepdown needs is missing, there twice or
// malformed. No Seccomp line means mode 0: the kernel has no seccomp.
ProcessState parse_status(std::string_view step, std::string_view text);

// Error: no such process (a zombie is none, but one whose leader alone has ended is one), the
// number of a thread, unreadable (exit status 125), or /proc isn't a procfs.
ProcessState read_process(pid_t pid);
// Every process of the PID namespace but this one, zombies and kernel threads; ascending pid. One
// that ends while it is read is left out. Error: as read_process, or /proc hides processes
// (hidepid).
std::vector<ProcessState> read_all_processes();
// `root` and everything below it. Error: as read_process for `root`.
std::vector<ProcessState> read_process_tree(pid_t root);

// One rule of --require.
struct Rule {
  enum class Kind {
    non_root,         // no uid is 0
    no_root_group,    // no gid and no supplementary group is 0
    no_capabilities,  // all five sets empty (bounding: empty or moot)
    only_capability,  // at most `capability` in any set (bounding: likewise or moot)
    no_new_privs,
    seccomp,  // mode 2
    uid,      // all four are `ids[0]`
    gid,      // all four are `ids[0]`
    groups,   // supplementary groups as a set, the primary gid always counted in
    user_namespace,
    restricted,  // Kubernetes' "restricted" as seen from inside (facts.md)
  };
  Kind kind{};
  std::string text;  // as the user wrote it: "uid=1000"
  std::optional<Capability> capability;
  std::vector<std::uint32_t> ids;
  friend bool operator==(const Rule&, const Rule&) = default;
};

// "non-root,uid=1000,groups=1000:2000". Error: unknown rule, missing or malformed value.
std::vector<Rule> parse_rules(std::string_view words);

// What holds where all of these hold: the parts of `restricted`, of others the rule itself.
std::vector<Rule> parts_of(const Rule& rule);

struct Finding {
  std::string rule;
  bool ok = false;
  std::string detail;  // what was found, in words, whether ok or not
  friend bool operator==(const Finding&, const Finding&) = default;
};
// Judges the process and every thread that differs from its leader. Pure.
Finding judge(const Rule& rule, const ProcessState& process);

}  // namespace stepdown
