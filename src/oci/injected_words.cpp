#include <algorithm>

#include "oci/injection.h"
#include "oci/rewrite.h"
#include "plan/environment.h"
#include "plan/seccomp.h"

namespace stepdown::oci {

namespace {

using Words = std::vector<std::string>;

void add(Words& words, const char* option, std::string value) {
  words.emplace_back(option);
  words.push_back(std::move(value));
}

std::string word_of(const IdMapping& map) {
  return std::to_string(map.inside) + ":" + std::to_string(map.outside) + ":" +
         std::to_string(map.length);
}

// By number: the launcher inside must not resolve names by the image's account files once more.
void add_user(Words& words, const Identity& identity) {
  add(words, "--user", std::to_string(raw(identity.uid)) + ":" + std::to_string(raw(identity.gid)));
  for (const Gid group : identity.groups)
    if (group != identity.gid) add(words, "--group-add", std::to_string(raw(group)));
}

void add_ports(Words& words, const std::vector<PortRequest>& ports) {
  for (const PortRequest& port : ports)
    add(words, "--port",
        std::to_string(port.number) + (port.protocol == Protocol::udp ? "/udp" : ""));
}

void add_capabilities(Words& words, CapabilitySet capabilities) {
  for (const Capability member : capabilities.members())
    add(words, "--keep-cap", capability_flag(member));
}

// What the hook hands over is the app's to write: checked as the app, and --read-only leaves it.
void add_writable(Words& words, const Options& options) {
  for (const OwnedPath& own : options.own) add(words, "--writable", own.path);
  for (const std::string& path : options.door.idmap) add(words, "--writable", path);
  for (const std::string& path : options.writable) add(words, "--writable", path);
}

void add_landlock(Words& words, const Options& options) {
  if (options.read_only) words.emplace_back("--read-only");
  if (options.only_ports) words.emplace_back("--only-ports");
  if (options.landlock_required) add(words, "--landlock", "require");
}

void add_seccomp(Words& words, const Options& options) {
  if (options.seccomp) add(words, "--seccomp", *options.seccomp);
  if (options.seccomp_log) words.emplace_back("--seccomp-log");
}

void add_user_namespace(Words& words, const Options& options) {
  if (options.userns == Userns::root) words.emplace_back("--userns=root");
  if (options.userns == Userns::keep) words.emplace_back("--userns=keep");
  for (const IdMapping& map : options.uid_map) add(words, "--uid-map", word_of(map));
  for (const IdMapping& map : options.gid_map) add(words, "--gid-map", word_of(map));
}

void add_modes(Words& words, const Options& options) {
  if (options.pretend_root == PretendRoot::supervised) words.emplace_back("--pretend-root");
  if (options.pretend_root == PretendRoot::fixed) words.emplace_back("--pretend-root=static");
  if (options.init == Init::process) words.emplace_back("--init");
  if (options.init == Init::group) words.emplace_back("--init=group");
}

// The launcher would take HOME from the account of the user: where the container has one, that
// counts.
void add_home(Words& words, const Plan& plan) {
  if (const auto home = variable(plan.environment, "HOME"))
    add(words, "--env", "HOME=" + std::string(*home));
}

}  // namespace

void add_log_words(Words& words, const Options& options) {
  if (options.log_level == LogLevel::debug) add(words, "--log-level", "debug");
  if (options.log_level == LogLevel::info) add(words, "--log-level", "info");
  if (options.log_level == LogLevel::error) add(words, "--log-level", "error");
  if (options.log_json) add(words, "--log-format", "json");
}

std::vector<std::string> injected_words(const Options& options, const Plan& plan,
                                        Injection injection) {
  Words words{injected_launcher};
  add_user(words, plan.identity);
  if (injection == Injection::container) {
    add_capabilities(words, options.keep_caps);
    add_ports(words, options.ports);
    add_writable(words, options);
    for (const std::string& path : options.readable) add(words, "--readable", path);
    for (const int fd : options.keep_fds) add(words, "--keep-fd", std::to_string(fd));
    add_user_namespace(words, options);
    add_modes(words, options);
  } else {
    add_capabilities(words, plan.keep);
    if (options.only_ports) add_ports(words, options.ports);
    if (options.read_only) add_writable(words, options);
  }
  if (!plan.no_new_privs) words.emplace_back("--allow-new-privs");
  if (!options.own_stdio) add(words, "--own-stdio", "never");
  add_landlock(words, options);
  add_seccomp(words, options);
  add_home(words, plan);
  add_log_words(words, options);
  words.emplace_back("--");
  return words;
}

std::vector<std::string> options_for_the_launcher(const Options& options) {
  Words names;
  const auto given = [&names](bool is_given, const char* name) {
    if (is_given) names.emplace_back(name);
  };
  given(!options.writable.empty(), "--writable");
  given(!options.readable.empty(), "--readable");
  given(options.userns != Userns::none, "--userns");
  given(!options.uid_map.empty(), "--uid-map");
  given(!options.gid_map.empty(), "--gid-map");
  given(options.pretend_root != PretendRoot::none, "--pretend-root");
  given(options.read_only, "--read-only");
  given(options.only_ports, "--only-ports");
  given(options.landlock_required, "--landlock");
  given(names_policy(options), "--seccomp");
  given(options.seccomp_log, "--seccomp-log");
  given(!options.keep_fds.empty(), "--keep-fd");
  given(options.init != Init::none, "--init");
  return names;
}

}  // namespace stepdown::oci
