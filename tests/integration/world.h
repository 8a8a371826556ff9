// The world of the integration tests: a place with account files, programs and directories of its
// own, in which the real binary is started from any state a container engine may start it in, and
// what came out of it is read back.
//
// The machine's files stay as they are: the test process moves into a mount namespace of its own
// (mount_namespaces(7)) when the first World is made, and all that a test makes lives on a tmpfs
// that is mounted over /srv there. It needs root, and fails without.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace stepdown::world {

// Bit n is capability n, as in /proc/PID/status.
using Caps = std::uint64_t;
Caps caps(std::initializer_list<int> members);
// "NET_BIND_SERVICE", as container engines write it.
Caps caps_named(const std::vector<std::string>& flags);
// What Docker leaves to root: 00000000a80425fb.
extern const Caps docker_default;

// SECBIT_NOROOT, SECBIT_NO_CAP_AMBIENT_RAISE and the locks of both.
constexpr unsigned noroot_and_no_ambient_raise_locked = 0xC3;

// A system call that a seccomp filter of the caller answers with `error` instead of doing it; 0
// pretends success.
struct FilteredCall {
  long number = 0;
  int error = 0;
  std::optional<std::uint32_t> first_argument = std::nullopt;  // only with this first argument
};

// In what state the binary is started.
struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups = {0};
  std::optional<uid_t> real_uid = std::nullopt;  // where it differs from the effective one
  Caps bounding = docker_default;
  // uid 0 gets its bounding set at execve(2); any other uid keeps what is ambient.
  Caps ambient = 0;
  Caps inheritable = 0;
  unsigned securebits = 0;
  bool no_new_privs = false;
  std::vector<FilteredCall> filter = {};
};
// Root in a container with these capabilities and no others.
Caller root_with(Caps held);
Caller root_with_docker_default();
// `docker run --user UID:GID`: nothing held, the default bounding set.
Caller user(uid_t uid, gid_t gid, std::vector<gid_t> groups);
// The same in a pod under Kubernetes' "restricted": nothing in any set, no_new_privs, a filter.
Caller restricted_user(uid_t uid, gid_t gid, std::vector<gid_t> groups);

enum class Stdio {
  capture,    // a pipe owned by root; what is written comes back in the Outcome
  closed,     // not open at all
  null,       // a null device of the world's own
  file,       // a regular file of root's, mode 0600, /srv/stdio-N
  users_pipe  // a pipe owned by 1001:1001; what is written comes back in the Outcome
};

enum class Terminal { none, led, borrowed };
enum class UserNamespace { none, with_parents_network, with_own_network };

struct Start {
  std::vector<std::string> words;  // after the name
  Caller caller = {};
  std::string binary = "/srv/bin/stepdown";
  std::string name = "stepdown";  // argv[0]
  // "@PID@" in a value becomes the pid that the binary is started with.
  std::vector<std::string> environment = {
      "PATH=/srv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"};
  std::string cwd = "/";
  mode_t umask = 022;
  std::vector<int> open_fds = {};  // opened on /srv/extra
  std::vector<int> blocked_signals = {}, ignored_signals = {};
  Stdio in = Stdio::null, out = Stdio::capture, err = Stdio::capture;
  // fds 0 to 2 are a terminal whose session the binary leads or not; its output is Outcome::out.
  Terminal terminal = Terminal::none;
  // A network namespace of its own, with this net.ipv4.ip_unprivileged_port_start.
  std::optional<int> unprivileged_port_start = std::nullopt;
  UserNamespace user_namespace = UserNamespace::none;
  bool pid_namespace = false;  // the binary is PID 1, with a /proc of its own
  std::string root = {};       // chroot(2) to this directory
  // In the process that becomes the binary, in all its namespaces and with every capability there,
  // before it is the Caller.
  std::function<void()> prepare = {};
  // In the test process, while the app of "+hold=stdin" and "+report=/srv/out/report" waits after
  // its report; with the pid of the binary as this process sees it. Not called when no app runs.
  std::function<void(pid_t)> watch = {};
};

// What the probe told about itself.
struct Report {
  pid_t pid = 0, sid = 0;
  std::vector<std::uint32_t> uids, gids;  // real, effective, saved, filesystem
  std::vector<std::uint32_t> groups;      // ascending
  Caps inheritable = 0, permitted = 0, effective = 0, bounding = 0, ambient = 0;
  bool no_new_privs = false;
  unsigned securebits = 0;
  int seccomp = 0;
  mode_t umask = 0;
  std::string cwd;
  std::map<int, std::string> fds;  // number → "device:inode"
  std::vector<std::string> argv, environment;
  std::vector<int> blocked, ignored;
  std::map<std::string, std::string> results;  // all else: "tiocsti" → "EPERM", "+tcp=80" → "ok"

  // The value of every entry of that name.
  [[nodiscard]] std::vector<std::string> values_of(const std::string& variable) const;
  // As values_of, for one that is there once; throws otherwise.
  [[nodiscard]] std::string value_of(const std::string& variable) const;
  [[nodiscard]] std::vector<int> fd_numbers() const;
  // The supplementary groups and the primary one, which the kernel's list may leave out.
  [[nodiscard]] std::vector<std::uint32_t> memberships() const;
  // Throws when the probe said nothing of the kind.
  [[nodiscard]] const std::string& result(const std::string& of) const;
};

struct Owned {
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t mode = 0;  // permission bits
  friend bool operator==(const Owned&, const Owned&) = default;
};
void PrintTo(const Owned& owned, std::ostream* stream);

struct Outcome {
  int status = 0;  // exit status, or minus the signal that killed it
  pid_t pid = 0;   // with which the binary was started
  std::string out, err;
  std::optional<Report> report;
  Owned terminal_before, terminal_after;  // the terminal's device file, where there was a terminal

  [[nodiscard]] bool app_ran() const { return report.has_value(); }
  // Throws, with what stepdown said, when the app did not run.
  [[nodiscard]] const Report& app() const;
  [[nodiscard]] bool says(const std::string& text) const;  // on stderr
};

class World {
 public:
  // /srv/bin/stepdown, /srv/bin/probe, /srv/out (anybody may write), /srv/null, account files.
  World();
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  std::string passwd;  // what /etc/passwd and /etc/group are for the binary
  std::string group;
  std::string passwd_file = {};  // where not empty: this file is /etc/passwd instead
  std::string subuid = {};       // what /etc/subuid and /etc/subgid are for the binary
  std::string subgid = {};

  Outcome run(const Start& start) const;
  // The usual one: root with Docker's default capabilities.
  Outcome run(const std::vector<std::string>& words) const;
  Outcome run(const Caller& caller, const std::vector<std::string>& words) const;

  // Makers, all beneath /srv, with missing parents.
  void directory(const std::string& path, uid_t uid, gid_t gid, mode_t mode) const;
  void file(const std::string& path, const std::string& text, uid_t uid, gid_t gid,
            mode_t mode) const;
  void program(const std::string& path, const std::string& text) const;  // mode 0755
  void copy(const std::string& from, const std::string& to, mode_t mode = 0755) const;
  void symlink(const std::string& target, const std::string& path) const;
  void fifo(const std::string& path) const;
  void read_only_mount(const std::string& path) const;
  void file_capabilities(const std::string& path, Caps permitted, bool effective) const;
  // A root directory at `path` with `binary`, /probe and nothing else but, where the binary is
  // linked dynamically (a build for tests), its libraries and a /proc that the sanitizers read.
  void bare_root(const std::string& path) const;
};

bool exists(const std::string& path);
Owned owner_of(const std::string& path);
// Changes whenever the inode does.
std::string change_stamp(const std::string& path);
std::string read_file(const std::string& path);

}  // namespace stepdown::world
