#include "oci/rewrite.h"

#include "oci/injection.h"
#include "oci/members.h"
#include "plan/seccomp.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

using Words = std::vector<std::string>;

Words capability_names(CapabilitySet set) {
  Words names;
  for (const Capability member : set.members()) names.push_back("CAP_" + capability_flag(member));
  return names;
}

std::vector<Gid> groups_in(const json::Json& user) {
  std::vector<Gid> groups;
  const auto member = user.find("additionalGids");
  if (member == user.end() || !member->is_array()) return groups;
  for (const json::Json& group : *member) groups.push_back(Gid{group.get<std::uint32_t>()});
  return groups;
}

void rewrite_user(json::Json& process, const Options& options, const Identity& identity) {
  json::Json& user = object_in(process, "user", "process.user");
  const std::vector<Gid> before = groups_in(user);
  user["uid"] = raw(identity.uid);
  user["gid"] = raw(identity.gid);
  if (!same_groups(before, identity.groups, identity.gid)) {
    json::Json groups = json::Json::array();
    for (const Gid group : identity.groups) groups.push_back(raw(group));
    user["additionalGids"] = std::move(groups);
  }
  if (options.umask) user["umask"] = *options.umask;
}

void rewrite_privileges(json::Json& process, const Plan& plan) {
  json::Json& sets = object_in(process, "capabilities", "process.capabilities");
  const Words kept = capability_names(plan.keep);
  for (const char* set : {"effective", "permitted", "inheritable", "ambient"}) sets[set] = kept;
  // --allow-new-privs: setuid programs need the bounding set.
  if (!plan.no_new_privs) return;
  sets["bounding"] = capability_names(plan.bounding);
  process["noNewPrivileges"] = true;
}

void rewrite_environment(json::Json& process, const Plan& plan) {
  if (plan.environment.empty()) return;
  json::Json& environment = array_in(process, "env", "process.env");
  if (environment != plan.environment) environment = plan.environment;
}

void rewrite_credentials(json::Json& process, const Options& options, const Plan& plan) {
  rewrite_user(process, options, plan.identity);
  rewrite_privileges(process, plan);
  rewrite_environment(process, plan);
}

void refuse_without_injection(const Options& options) {
  if (options.door.inject) return;
  const Words needing = options_for_the_launcher(options);
  if (needing.empty()) return;
  std::string all;
  for (const std::string& option : needing) all += (all.empty() ? "" : ", ") + option;
  refuse(all, "only the launcher inside the container can do that",
         "add --inject, which mounts it there; or leave it out");
}

void refuse_root_injection(const Plan& plan) {
  if (plan.identity.uid != root_uid) return;
  // Without CAP_SETPCAP, which the container's process doesn't keep, the launcher can't lock root.
  refuse("--inject", "the launcher inside can't hold down uid 0 without capabilities",
         "name another user, or leave out --inject: --allow-root works without it");
}

// The image could have anything at that place.
void refuse_missing_launcher(const Container& container) {
  for (const Mount& mount : container.mounts)
    if (mount.destination == injected_launcher) return;
  refuse("--inject", "the container was started without it, and has no launcher to limit an exec",
         "start the container again through this door");
}

Words hook_words(const Options& options) {
  Words words{"stepdown", "hook", "create-runtime"};
  const auto add = [&words](const char* option, const std::string& value) {
    words.emplace_back(option);
    words.push_back(value);
  };
  for (const OwnedPath& own : options.own) add("--own", own.path + (own.recursive ? "" : ":top"));
  for (const std::string& path : options.door.idmap) add("--idmap", path);
  if (options.door.idmap_root) words.emplace_back("--idmap-root");
  if (options.door.idmap_only) words.emplace_back("--idmap-only");
  if (options.allow_root) words.emplace_back("--allow-root");
  if (options.door.unprivileged_ports)
    add("--unprivileged-ports", std::to_string(*options.door.unprivileged_ports));
  add_log_words(words, options);
  if (options.log_file) add("--log-file", *options.log_file);
  return words;
}

void add_hook(json::Json& config, const Options& options, const std::string& launcher) {
  if (options.own.empty() && options.door.idmap.empty() && !options.door.unprivileged_ports) return;
  json::Json hook = json::Json::object();
  hook["path"] = launcher;
  hook["args"] = hook_words(options);
  // No timeout: a walk that it cut short would leave a volume half handed over.
  // Without an environment, runc 1.1 would hand the hook the environment of the image
  // (CVE-2025-23266).
  hook["env"] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  json::Json& hooks =
      array_in(object_in(config, "hooks", "hooks"), "createRuntime", "hooks.createRuntime");
  for (const json::Json& other : hooks)
    if (other == hook) return;
  hooks.push_back(std::move(hook));
}

}  // namespace

void rewrite_container(json::Json& config, const Options& options, const Plan& plan,
                       const std::string& launcher) {
  refuse_without_injection(options);
  json::Json& process = object_in(config, "process", "process");
  rewrite_credentials(process, options, plan);
  if (plan.directory) process["cwd"] = *plan.directory;
  if (options.door.inject) {
    refuse_root_injection(plan);
    inject_launcher(config, injected_words(options, plan, Injection::container), launcher);
  }
  add_hook(config, options, launcher);
}

void rewrite_process(json::Json& process, const Container& container, const Options& options,
                     const Plan& plan) {
  rewrite_credentials(process, options, plan);
  process["capabilities"]["bounding"] = capability_names(plan.bounding);
  // --allow-root-exec: the launcher has no hold on root, and its limits are those of the app.
  const bool limits_the_app = options.read_only || options.only_ports || names_policy(options);
  if (!options.door.inject || !limits_the_app || plan.identity.uid == root_uid) return;
  refuse_missing_launcher(container);
  put_in_front(process, injected_words(options, plan, Injection::exec));
}

}  // namespace stepdown::oci
