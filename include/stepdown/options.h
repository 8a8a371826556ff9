// What the user asked for, before anything is looked up, and the one table of options from which
// the command line takes its grammar and its help.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stepdown/capability_set.h"
#include "stepdown/ids.h"
#include "stepdown/log.h"
#include "stepdown/ownership.h"

namespace stepdown {

enum class Protocol { tcp, udp };

struct PortRequest {
  std::uint16_t number = 0;  // 1…65535
  Protocol protocol = Protocol::tcp;
  friend bool operator==(const PortRequest&, const PortRequest&) = default;
};

// Which program's manners to keep. The names gosu and su-exec promise their callers a looser
// contract (design: "Under the name gosu or su-exec"), so that they can be replaced by a link.
enum class Manners { stepdown, gosu };

// Whether stepdown stays as the app's parent (--init), and to whom it forwards signals.
enum class Init { none, process, group };

// --userns: what the app is called in a user namespace of its own.
enum class Userns { none, root, keep };

// --pretend-root: who answers getuid(2) and its kin as root would see them.
enum class PretendRoot {
  none,
  supervised,  // a supervisor, which keeps an identity for each process
  fixed,       // =static: a filter that always says 0
};

// What the doors of an OCI runtime do besides (stepdown-hook(8)): the hooks, podman's precreate,
// the runtime door. A launcher refuses these.
struct DoorOptions {
  std::vector<std::string> require;  // words of --require, as parse_rules takes them
  std::vector<std::string> idmap;    // absolute paths in the container
  bool idmap_root = false;
  bool idmap_only = false;
  std::optional<std::uint32_t> unprivileged_ports;  // ip_unprivileged_port_start, 0…65535
  bool user_always = false;
  bool inject = false;
  bool allow_root_exec = false;
  bool allow_restore = false;
  std::vector<std::string> allow_annotations;  // long names of options: "user"
  std::optional<std::string> runtime_path;
  friend bool operator==(const DoorOptions&, const DoorOptions&) = default;
};

struct Options {
  std::optional<std::string> user;      // USER[:GROUP]
  std::optional<std::string> user_of;   // PATH
  std::optional<std::string> user_env;  // UIDVAR[:GIDVAR]
  std::optional<std::string> profile;   // the name of a built-in one, or a path
  bool exact_user = false;
  std::vector<std::string> group_add;
  bool keep_groups = false;
  bool allow_root = false;
  bool allow_root_group = false;

  std::vector<OwnedPath> own;
  std::vector<std::string> writable;
  std::vector<std::string> readable;
  bool own_stdio = true;

  std::vector<PortRequest> ports;
  CapabilitySet keep_caps;
  bool allow_new_privs = false;

  bool read_only = false;
  bool only_ports = false;
  bool landlock_required = false;  // --landlock require

  // --seccomp: the name of a built-in policy, a path, or none, which is no policy over a profile's.
  std::optional<std::string> seccomp;
  bool seccomp_log = false;

  Userns userns = Userns::none;
  std::vector<IdMapping> uid_map;  // --uid-map, in order; either map asks for a namespace by itself
  std::vector<IdMapping> gid_map;
  PretendRoot pretend_root = PretendRoot::none;

  std::vector<std::pair<std::string, std::string>> environment;  // --env K=V, in order
  std::optional<std::string> directory;
  std::optional<mode_t> umask;
  std::vector<int> keep_fds;

  Init init = Init::none;

  LogLevel log_level = LogLevel::warning;
  bool log_json = false;
  std::optional<std::string> log_file;

  DoorOptions door;

  Manners manners = Manners::stepdown;
  std::vector<std::string> command;
};

struct OptionRow {
  enum class Kind {
    flag,   // no value
    mode,   // a flag, or --name=VALUE (with the sign alone)
    value,  // one value; given twice is an error
    list,   // one value each time; may be repeated
  };
  // Who understands it: `launcher` is run and plan, `doors` those of an OCI runtime.
  enum class Place { both, launcher, doors };
  std::string_view name;     // without the dashes; also the key of a profile file
  std::string_view metavar;  // what --help calls the value
  Kind kind;
  bool common;  // shown by --help; the others by --help-all
  std::string_view help;
  // Reads `value` into the options. Error: a value out of range or malformed.
  void (*set)(Options& options, std::string_view value);
  Place place = Place::both;
};

// In the order in which --help-all shows them.
std::span<const OptionRow> option_table();

// nullptr: there is no option of that name, without the dashes.
const OptionRow* find_option(std::string_view name);

// `place` is launcher or doors.
constexpr bool is_understood(const OptionRow& row, OptionRow::Place place) {
  return row.place == OptionRow::Place::both || row.place == place;
}

}  // namespace stepdown
