#include <algorithm>
#include <array>
#include <charconv>
#include <climits>

#include "stepdown/error.h"
#include "stepdown/inspect.h"
#include "stepdown/options.h"
#include "stepdown/user_namespace.h"

namespace stepdown {

namespace {

// Decimal or octal digits alone, within [low, high]; `step` and `meaning` make the message.
unsigned long number(std::string_view step, std::string_view word, int base, unsigned long low,
                     unsigned long high, std::string_view meaning) {
  unsigned long value = 0;
  const char* const end = word.data() + word.size();
  const auto [stop, failure] = std::from_chars(word.data(), end, value, base);
  if (failure != std::errc{} || stop != end || value < low || value > high)
    refuse(std::string(step) + " " + std::string(word), meaning);
  return value;
}

std::string path(std::string_view option, std::string_view word) {
  if (!word.starts_with('/'))
    refuse(std::string(option) + " " + std::string(word), "the path must be absolute");
  return std::string(word);
}

PortRequest port(std::string_view word) {
  PortRequest request;
  std::string_view digits = word;
  if (digits.ends_with("/udp")) request.protocol = Protocol::udp;
  if (digits.ends_with("/udp") || digits.ends_with("/tcp")) digits.remove_suffix(4);
  request.number = static_cast<std::uint16_t>(
      number("--port", digits, 10, 1, 65535, "a port is 1 to 65535, with /tcp or /udp after it"));
  return request;
}

Capability capability(std::string_view word) {
  const auto found = capability_from_name(word);
  if (!found)
    refuse("--keep-cap " + std::string(word), "not the name of a capability",
           "names are those of capabilities(7): --keep-cap NET_BIND_SERVICE");
  return *found;
}

std::pair<std::string, std::string> assignment(std::string_view word) {
  const std::size_t sign = word.find('=');
  if (sign == std::string_view::npos || sign == 0)
    refuse("--env " + std::string(word), "a variable is given as NAME=VALUE");
  return {std::string(word.substr(0, sign)), std::string(word.substr(sign + 1))};
}

LogLevel log_level(std::string_view word) {
  if (word == "debug") return LogLevel::debug;
  if (word == "info") return LogLevel::info;
  if (word == "warning") return LogLevel::warning;
  if (word == "error") return LogLevel::error;
  refuse("--log-level " + std::string(word), "a level is one of debug, info, warning, error");
}

// Where the door itself looks and writes on the host, and what it may be told at all: for its
// arguments and the host's profile alone.
constexpr std::array<std::string_view, 7> not_for_annotations{
    "profile", "log-level", "log-format", "log-file", "runtime-path", "require", "inject"};

std::string annotation(std::string_view word) {
  const std::string step = "--allow-annotations " + std::string(word);
  const OptionRow* row = find_option(word);
  if (row == nullptr || !is_understood(*row, OptionRow::Place::doors))
    refuse(step, "the doors have no such option",
           "it takes the long name of an option without the dashes: --allow-annotations user");
  if (word.starts_with("allow-") ||
      std::find(not_for_annotations.begin(), not_for_annotations.end(), word) !=
          not_for_annotations.end())
    refuse(step, "this option is the host's alone");
  return std::string(word);
}

using Kind = OptionRow::Kind;
using Place = OptionRow::Place;
using View = std::string_view;

constexpr auto table =
    std::to_array<OptionRow>(
        {
            {"user", "USER[:GROUP]", Kind::value, true, "who the app shall be, by name or number",
             [](Options& o, View v) { o.user = v; }},
            {"user-of", "PATH", Kind::value, true, "the owner of PATH; --user where root owns it",
             [](Options& o, View v) { o.user_of = path("--user-of", v); }, Place::launcher},
            {"user-env", "UIDVAR[:GIDVAR]", Kind::value, true,
             "uid and gid from environment variables; --user where they are unset",
             [](Options& o, View v) { o.user_env = v; }, Place::launcher},
            {"exact-user", "", Kind::flag, false,
             "refuse a caller that is someone else and can't become the user",
             [](Options& o, View) { o.exact_user = true; }, Place::launcher},
            {"group-add", "GROUP", Kind::list, false, "another supplementary group",
             [](Options& o, View v) { o.group_add.emplace_back(v); }},
            {"keep-groups", "", Kind::flag, false,
             "keep the groups that the container engine added (--group-add, fsGroup)",
             [](Options& o, View) { o.keep_groups = true; }},
            {"allow-root", "", Kind::flag, false, "let the app be uid 0, without capabilities",
             [](Options& o, View) { o.allow_root = true; }},
            {"allow-root-group", "", Kind::flag, false, "let the account files give the app gid 0",
             [](Options& o, View) { o.allow_root_group = true; }},
            {"own", "PATH[:top]", Kind::list, true,
             "PATH belongs to the app: created, handed over with all below (:top: alone)",
             [](Options& o, View v) { o.own.push_back(parse_owned_path(v)); }},
            {"writable", "PATH", Kind::list, true,
             "the app must be able to write here; never chowned",
             [](Options& o, View v) { o.writable.push_back(path("--writable", v)); }},
            {"readable", "PATH", Kind::list, true, "the app must be able to read all of it",
             [](Options& o, View v) { o.readable.push_back(path("--readable", v)); }},
            {"own-stdio", "auto|never", Kind::value, false,
             "make /dev/stdout usable again after the drop (auto)",
             [](Options& o, View v) {
               if (v != "auto" && v != "never")
                 refuse("--own-stdio " + std::string(v), "it is auto or never");
               o.own_stdio = v == "auto";
             }},
            {"port", "PORT[/tcp|/udp]", Kind::list, true, "the app binds this port",
             [](Options& o, View v) { o.ports.push_back(port(v)); }},
            {"keep-cap", "CAP", Kind::list, false, "keep this capability",
             [](Options& o, View v) { o.keep_caps = o.keep_caps | CapabilitySet{capability(v)}; }},
            {"allow-new-privs", "", Kind::flag, false,
             "leave no_new_privs, bounding set and securebits alone: setuid programs work",
             [](Options& o, View) { o.allow_new_privs = true; }},
            {"userns", "[=root|keep]", Kind::mode, true,
             "a user namespace of its own: uid 0 inside (or its own number), the user outside",
             [](Options& o, View v) {
               if (!v.empty() && v != "root" && v != "keep")
                 refuse("--userns=" + std::string(v),
                        "it is --userns, --userns=root or "
                        "--userns=keep");
               o.userns = v == "keep" ? Userns::keep : Userns::root;
             }},
            {"uid-map", "IN:OUT:LEN", Kind::list, false,
             "LEN uids from IN on in the user namespace are those from OUT on outside",
             [](Options& o, View v) { o.uid_map.push_back(parse_id_mapping("--uid-map", v)); }},
            {"gid-map", "IN:OUT:LEN", Kind::list, false, "the same for gids",
             [](Options& o, View v) { o.gid_map.push_back(parse_id_mapping("--gid-map", v)); }},
            {"pretend-root", "[=static]", Kind::mode, true,
             "answer getuid and its kin as root would see them; the kernel enforces the user",
             [](Options& o, View v) {
               if (!v.empty() && v != "static")
                 refuse("--pretend-root=" + std::string(v),
                        "it is --pretend-root or --pretend-root=static");
               o.pretend_root = v.empty() ? PretendRoot::supervised : PretendRoot::fixed;
             }},
            {"profile", "NAME|FILE", Kind::value, false,
             "options out of a TOML file, or a built-in one: stepdown profile list",
             [](Options& o, View v) { o.profile = v; }},
            {"read-only", "", Kind::flag, false,
             "write only beneath the writable paths and on the usual devices (Landlock)",
             [](Options& o, View) { o.read_only = true; }},
            {"only-ports", "", Kind::flag, false, "bind no other TCP ports than --port (Landlock)",
             [](Options& o, View) { o.only_ports = true; }},
            {"landlock", "best-effort|require", Kind::value, false,
             "where the kernel can't do all of that: say so (the default), or refuse",
             [](Options& o, View v) {
               if (v != "best-effort" && v != "require")
                 refuse("--landlock " + std::string(v), "it is best-effort or require");
               o.landlock_required = v == "require";
             }},
            {"seccomp", "NAME|FILE|none", Kind::value, false,
             "system calls by a policy: a built-in one (stepdown seccomp list), JSON, or compiled",
             [](Options& o, View v) {
               if (v.empty())
                 refuse("--seccomp", "it is empty (a variable that is not set?)",
                        "--seccomp NAME, --seccomp ./FILE or --seccomp none");
               o.seccomp = v;
             }},
            {"seccomp-log", "", Kind::flag, false,
             "log what the policy refuses, and what would allow it",
             [](Options& o, View) { o.seccomp_log = true; }},
            {"env", "K=V", Kind::list, true, "set a variable of the app's environment",
             [](Options& o, View v) { o.environment.push_back(assignment(v)); }},
            {"chdir", "DIR", Kind::value, true, "start the app in DIR",
             [](Options& o, View v) { o.directory = path("--chdir", v); }},
            {"umask", "MODE", Kind::value, false, "file mode creation mask, octal",
             [](Options& o, View v) {
               o.umask = static_cast<mode_t>(
                   number("--umask", v, 8, 0, 0777, "a mask is three octal digits, like 027"));
             }},
            {"keep-fd", "N", Kind::list, false, "leave file descriptor N open",
             [](Options& o, View v) {
               o.keep_fds.push_back(static_cast<int>(number(
                   "--keep-fd", v, 10, 3, INT_MAX, "a descriptor is 3 or more (0 to 2 stay)")));
             }},
            {"init", "[=group]", Kind::mode, true,
             "stay as the app's parent: reap, forward signals (to its process group)",
             [](Options& o, View v) {
               if (!v.empty() && v != "group")
                 refuse("--init=" + std::string(v), "it is --init or --init=group");
               o.init = v.empty() ? Init::process : Init::group;
             }},
            {"require", "RULE[,RULE...]", Kind::list, false,
             "refuse a container that would break one of these rules (as of stepdown check)",
             [](Options& o, View v) {
               parse_rules(v);
               o.door.require.emplace_back(v);
             },
             Place::doors},
            {"idmap", "PATH", Kind::list, false,
             "like --own, by an idmapped mount: no file is touched, whatever their number",
             [](Options& o, View v) { o.door.idmap.push_back(path("--idmap", v)); }, Place::doors},
            {"idmap-root", "", Kind::flag, false, "--idmap: even where root owns the volume",
             [](Options& o, View) { o.door.idmap_root = true; }, Place::doors},
            {"idmap-only", "", Kind::flag, false,
             "--idmap: refuse where the filesystem can't, instead of handing over file by file",
             [](Options& o, View) { o.door.idmap_only = true; }, Place::doors},
            {"unprivileged-ports", "N", Kind::value, false,
             "ports from N on need no capability in the container's network namespace",
             [](Options& o, View v) {
               o.door.unprivileged_ports = static_cast<std::uint32_t>(
                   number("--unprivileged-ports", v, 10, 0, 65535, "it is 0 to 65535"));
             },
             Place::doors},
            {"user-always", "", Kind::flag, false,
             "--user for every container, not only for those that would be root",
             [](Options& o, View) { o.door.user_always = true; }, Place::doors},
            {"inject", "", Kind::flag, false,
             "mount the launcher into the container and start the app through it",
             [](Options& o, View) { o.door.inject = true; }, Place::doors},
            {"allow-root-exec", "", Kind::flag, false,
             "let exec be uid 0, with the capabilities that the container kept",
             [](Options& o, View) { o.door.allow_root_exec = true; }, Place::doors},
            {"allow-restore", "", Kind::flag, false,
             "let the runtime restore checkpoints, which bring their own credentials",
             [](Options& o, View) { o.door.allow_restore = true; }, Place::doors},
            {"allow-annotations", "OPTION", Kind::list, false,
             "let the annotation stepdown.OPTION of a container set this option",
             [](Options& o, View v) { o.door.allow_annotations.push_back(annotation(v)); },
             Place::doors},
            {"runtime-path", "FILE", Kind::value, false,
             "the OCI runtime behind this one (runc, else crun, where the host has them)",
             [](Options& o, View v) { o.door.runtime_path = path("--runtime-path", v); },
             Place::doors},
            {"log-level", "LEVEL", Kind::value, false,
             "debug, info, warning (the default) or error",
             [](Options& o, View v) { o.log_level = log_level(v); }},
            {"log-format", "text|json", Kind::value, false, "how messages are written (text)",
             [](Options& o, View v) {
               if (v != "text" && v != "json")
                 refuse("--log-format " + std::string(v), "it is text or json");
               o.log_json = v == "json";
             }},
            {"log-file", "FILE", Kind::value, false,
             "where messages go instead of stderr (a door: besides)",
             [](Options& o, View v) { o.log_file = v; }},
        });

}  // namespace

std::span<const OptionRow> option_table() {
  return table;
}

const OptionRow* find_option(std::string_view name) {
  for (const OptionRow& row : table)
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace stepdown
