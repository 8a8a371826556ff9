#include <linux/securebits.h>

#include <algorithm>

#include "plan/contradictions.h"
#include "plan/environment.h"
#include "plan/ports.h"
#include "plan/seccomp.h"
#include "plan/user_namespace.h"
#include "stepdown/error.h"
#include "stepdown/plan.h"

namespace stepdown {

namespace {

bool contains(const std::vector<Gid>& groups, Gid gid) {
  return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

void add_group(std::vector<Gid>& groups, Gid gid) {
  if (!contains(groups, gid)) groups.push_back(gid);
}

std::vector<Gid> without(const std::vector<Gid>& groups, const std::vector<Gid>& taken) {
  std::vector<Gid> rest;
  for (const Gid gid : groups)
    if (!contains(taken, gid)) rest.push_back(gid);
  return rest;
}

std::string text(Uid uid, Gid gid) {
  return std::to_string(raw(uid)) + ":" + std::to_string(raw(gid));
}

std::optional<Identity> from_user(const Options& options, const AccountFiles& accounts,
                                  const Caller& caller) {
  if (!options.user) return std::nullopt;
  if (options.user->empty() && options.manners == Manners::stepdown)
    refuse("--user", "it is empty (a variable that is not set?)", "--user USER[:GROUP]");
  const Credentials& me = caller.credentials;
  return resolve_identity(
      accounts, parse_user_spec(*options.user), me.uid.effective, me.gid.effective,
      options.manners == Manners::gosu ? MissingGroup::use_callers : MissingGroup::refuse);
}

// An identity by number: name and home come from the uid's entry, else from --user's.
Identity by_number(const AccountFiles& accounts, Uid uid, std::optional<Gid> gid,
                   const std::optional<Identity>& fallback, const std::string& step) {
  Identity identity;
  identity.uid = uid;
  const std::optional<Account> account = find_account(accounts, uid);
  if (account) {
    identity.user = account->name;
    identity.home = account->home.empty() ? "/" : account->home;
  } else {
    identity.user = fallback ? fallback->user : "";
    identity.home = fallback ? fallback->home : "/";
  }
  if (!gid && !account && !fallback)
    refuse(step, "uid " + std::to_string(raw(uid)) + " has no entry in " + accounts.passwd_path +
                     ", so its group must be given");
  identity.gid = gid ? *gid : account ? account->gid : fallback->gid;
  identity.groups = {identity.gid};
  if (!gid && account)
    for (const Gid group : groups_of(accounts, account->name)) add_group(identity.groups, group);
  return identity;
}

Identity from_owner(const Options& options, const AccountFiles& accounts, const Host& host,
                    const std::optional<Identity>& fallback) {
  const std::string step = "--user-of " + *options.user_of;
  const Owner owner = host.user_of_owner.value();
  // In a namespace with a map of its own it stands for everybody who is not in the map, whatever
  // the image's account files call it.
  const bool overflow = owner.uid == overflow_uid &&
                        (host.mapped_user_namespace || !find_account(accounts, owner.uid));
  if (owner.uid != root_uid && !overflow)
    return by_number(accounts, owner.uid, owner.gid, fallback, step);
  if (fallback) return *fallback;
  if (overflow && host.mapped_user_namespace)
    refuse(step, "its owner has no id in this user namespace (a rootless engine)",
           "podman: --userns=keep-id; or name the user as well: --user USER");
  refuse(step, overflow ? "its owner is the overflow uid 65534, which is nobody" : "root owns it",
         "name the user to fall back to: --user USER");
}

// environ(7): letters, digits and underscores, no digit first.
bool is_variable_name(const std::string& name) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
  constexpr std::string_view digits = "0123456789";
  return !name.empty() && digits.find(name.front()) == std::string_view::npos &&
         std::all_of(name.begin(), name.end(), [&](char letter) {
           return letters.find(letter) != std::string_view::npos ||
                  digits.find(letter) != std::string_view::npos;
         });
}

std::optional<std::uint32_t> id_variable(const Environment& environment, const std::string& name) {
  const auto value = variable(environment, name);
  if (!value || value->empty()) return std::nullopt;
  const std::string step = "--user-env " + name + "=" + std::string(*value);
  const auto id = parse_id(step, *value);
  if (!id) refuse(step, "not an id: digits alone, 0 to 2147483647");
  return id;
}

Identity from_environment(const Options& options, const AccountFiles& accounts,
                          const Caller& caller, const std::optional<Identity>& fallback) {
  const UserSpec names = parse_user_spec(*options.user_env);
  const std::string step = "--user-env " + *options.user_env;
  if (!is_variable_name(names.user) || !(names.group.empty() || is_variable_name(names.group)))
    refuse(step, "it takes names of variables, not their values: UIDVAR[:GIDVAR]",
           "for example --user-env PUID:PGID");
  const auto uid = id_variable(caller.environment, names.user);
  const auto gid =
      names.group.empty() ? std::nullopt : id_variable(caller.environment, names.group);
  if (uid)
    return by_number(accounts, Uid{*uid}, gid ? std::optional<Gid>(Gid{*gid}) : std::nullopt,
                     fallback, step);
  if (fallback) return *fallback;
  refuse(step, "the variable " + names.user + " is not set",
         "set it, or name the user to fall back to: --user USER");
}

Identity wanted_identity(const Options& options, const AccountFiles& accounts, const Caller& caller,
                         const Host& host) {
  const std::optional<Identity> user = from_user(options, accounts, caller);
  if (options.user_of) return from_owner(options, accounts, host, user);
  if (options.user_env) return from_environment(options, accounts, caller, user);
  if (user) return *user;
  refuse("words", "no user was given",
         options.profile ? "with --profile all words are the command: name it with --user "
                           "USER[:GROUP]"
                         : "name it first: stepdown USER[:GROUP] COMMAND, or --user");
}

// Docker --group-add, Kubernetes fsGroup: groups that the caller has and its account does not
// explain. Never gid 0, which a container's root has without anybody having asked for it.
std::vector<Gid> engine_groups(const AccountFiles& accounts, const Credentials& caller) {
  std::vector<Gid> explained{root_gid, caller.gid.effective};
  if (const auto account = find_account(accounts, caller.uid.effective)) {
    add_group(explained, account->gid);
    for (const Gid group : groups_of(accounts, account->name)) add_group(explained, group);
  }
  return without(caller.groups, explained);
}

void refuse_root(const Options& options, const Identity& identity,
                 const std::vector<Gid>& explicit_groups) {
  if (options.manners == Manners::gosu) return;
  if (identity.uid == root_uid) {
    if (!options.allow_root)
      refuse("user", "the user is root (uid 0)",
             "name another user; or, where uid 0 is really meant, add --allow-root");
    if (options.allow_new_privs)
      refuse("--allow-new-privs", "uid 0 would have every capability back at execve",
             "leave out one of --allow-root and --allow-new-privs");
    return;
  }
  if (options.allow_root_group) return;
  const bool primary = identity.gid == root_gid && !identity.explicit_group;
  const bool supplementary = identity.gid != root_gid && contains(identity.groups, root_gid) &&
                             !contains(explicit_groups, root_gid);
  if (primary || supplementary)
    refuse("user", "the root group (gid 0) comes with this user",
           "give the group: --user USER:GROUP; or, where gid 0 is really meant, add "
           "--allow-root-group");
}

bool may_become(const Credentials& me, Uid uid) {
  return me.capabilities.effective.has(Capability::setuid) || me.uid.real == uid ||
         me.uid.effective == uid || me.uid.saved == uid;
}

bool may_become(const Credentials& me, Gid gid) {
  return me.capabilities.effective.has(Capability::setgid) || me.gid.real == gid ||
         me.gid.effective == gid || me.gid.saved == gid;
}

// What can't be changed is accepted, and told.
void stay_in_groups(Plan& plan, const Credentials& me) {
  std::vector<Gid> present{plan.identity.gid};
  for (const Gid gid : me.groups) add_group(present, gid);
  plan.undroppable_groups = without(present, plan.identity.groups);
  plan.missing_groups = without(plan.identity.groups, present);
  plan.identity.groups = present;
}

// A caller who is not root and can't change its ids is one that an operator chose (docker run
// --user, OpenShift): it stays who it is, unless --exact-user says otherwise.
void fit_to_caller(Plan& plan, const Options& options, const AccountFiles& accounts,
                   const Caller& caller, const std::vector<Gid>& explicit_groups) {
  const Credentials& me = caller.credentials;
  Identity& identity = plan.identity;
  if (me.uid.effective == root_uid) {
    if (caller.pretended) stay_in_groups(plan, me);
    return;
  }
  const bool exact = options.exact_user || options.manners == Manners::gosu;
  if (!(may_become(me, identity.uid) && may_become(me, identity.gid))) {
    if (exact) return;  // the uid and gid steps are blocked and say so
    plan.keeps_caller = true;
    plan.identity_note = "started as " + text(me.uid.effective, me.gid.effective) +
                         ", which can't become " + text(identity.uid, identity.gid) +
                         ": it stays who it is (--exact-user refuses that)";
    const auto account = find_account(accounts, me.uid.effective);
    identity = Identity{};
    identity.user = account ? account->name : "";
    identity.uid = me.uid.effective;
    identity.gid = me.gid.effective;
    identity.home = account && !account->home.empty() ? account->home : "/";
    identity.groups = {identity.gid};
    for (const Gid gid : explicit_groups) add_group(identity.groups, gid);
  }
  if (me.capabilities.effective.has(Capability::setgid)) return;
  std::vector<Gid> present{identity.gid};
  for (const Gid gid : me.groups) add_group(present, gid);
  if (!without(explicit_groups, present).empty()) return;  // the groups step is blocked
  stay_in_groups(plan, me);
}

void plan_environment(Plan& plan, const Options& options, const AccountFiles& accounts,
                      const Caller& caller) {
  plan.environment = caller.environment;
  if (options.manners == Manners::stepdown) {
    std::optional<std::optional<Account>> starter;
    for (const char* name : {"USER", "LOGNAME"}) {
      const auto value = variable(plan.environment, name);
      if (!value) continue;
      if (!starter) starter = find_account(accounts, caller.credentials.uid.effective);
      if (!*starter || (*starter)->name != *value) continue;
      if (plan.identity.user.empty())
        remove_variable(plan.environment, name);
      else
        set_variable(plan.environment, name, plan.identity.user);
    }
  }
  set_variable(plan.environment, "HOME", plan.identity.home);
  for (const auto& [name, value] : options.environment) set_variable(plan.environment, name, value);
}

void plan_landlock(Plan& plan, const Options& options) {
  plan.read_only = options.read_only;
  plan.only_ports = options.only_ports;
  plan.landlock_required = options.landlock_required;
  if (plan.landlock_required && !plan.read_only && !plan.only_ports)
    refuse("--landlock require", "there is nothing that Landlock should do",
           "add --read-only, --only-ports, or both");
}

void plan_fds(Plan& plan, const Options& options, const Caller& caller) {
  plan.keep_all_fds = options.manners == Manners::gosu;
  plan.keep_fds = options.keep_fds;
  plan.keep_fds.insert(plan.keep_fds.end(), caller.listen_fds.begin(), caller.listen_fds.end());
  std::sort(plan.keep_fds.begin(), plan.keep_fds.end());
  plan.keep_fds.erase(std::unique(plan.keep_fds.begin(), plan.keep_fds.end()), plan.keep_fds.end());
}

}  // namespace

bool can_lock(const Standing& standing) {
  return standing.credentials.capabilities.effective.has(Capability::setpcap);
}

bool is_supervised(const Plan& plan) {
  return plan.pretend_root == PretendRoot::supervised || binds_from_outside(plan);
}

bool binds_from_outside(const Plan& plan) {
  return std::any_of(plan.ports.begin(), plan.ports.end(),
                     [](const PortUse& use) { return use.way == PortWay::supervisor; });
}

bool same_groups(const std::vector<Gid>& a, const std::vector<Gid>& b, Gid primary) {
  const auto within = [primary](const std::vector<Gid>& some, const std::vector<Gid>& all) {
    return std::all_of(some.begin(), some.end(),
                       [&](Gid gid) { return gid == primary || contains(all, gid); });
  };
  return within(a, b) && within(b, a);
}

Plan make_plan(const Options& options, const AccountFiles& accounts, const Caller& caller,
               const Host& host) {
  if (options.command.empty()) refuse("No command", "there is nothing to run", no_command_hint);
  for (const Contradiction refuse_one : contradictions()) refuse_one(options);
  Plan plan;
  plan.command = options.command;
  plan.identity = wanted_identity(options, accounts, caller, host);

  std::vector<Gid> explicit_groups;
  for (const std::string& word : options.group_add)
    add_group(explicit_groups, resolve_group(accounts, "--group-add", word));
  refuse_root(options, plan.identity, explicit_groups);
  for (const Gid gid : explicit_groups) add_group(plan.identity.groups, gid);
  if (options.keep_groups)
    for (const Gid gid : engine_groups(accounts, caller.credentials))
      add_group(plan.identity.groups, gid);
  fit_to_caller(plan, options, accounts, caller, explicit_groups);

  plan.own = options.own;
  for (const OwnedPath& own : plan.own) plan.writable.push_back(own.path);
  for (const std::string& path : options.writable)
    if (std::find(plan.writable.begin(), plan.writable.end(), path) == plan.writable.end())
      plan.writable.push_back(path);
  plan.readable = options.readable;
  plan.own_stdio = options.own_stdio;

  plan.drop_privileges = !(options.manners == Manners::gosu && plan.identity.uid == root_uid);
  plan.no_new_privs = plan.drop_privileges && !options.allow_new_privs;
  plan.filter_required = options.manners != Manners::gosu;
  plan.pretend_root = options.pretend_root;
  plan.user_namespace = plan_user_namespace(plan.identity, options, accounts, caller, host);
  plan_ports_and_capabilities(plan, options, caller, host);
  plan_landlock(plan, options);
  plan_seccomp(plan, options, host);

  plan_environment(plan, options, accounts, caller);
  plan.init = options.init;
  if (plan.init == Init::none && is_supervised(plan)) plan.init = Init::process;
  plan.directory = options.directory;
  plan.umask = options.umask;
  plan_fds(plan, options, caller);
  return plan;
}

Standing standing_before_drop(const Plan& plan, const Caller& caller) {
  Standing now{caller.credentials, caller.securebits};
  if (!plan.user_namespace) return now;
  const UserNamespace& inside = *plan.user_namespace;
  const CapabilitySet all = inside.full;
  now.credentials.capabilities = {{}, all, all, all, {}};
  now.securebits = SECUREBITS_DEFAULT;
  return now;
}

Standing end_state(const Plan& plan, const Caller& caller) {
  Standing end = standing_before_drop(plan, caller);
  const bool lock = plan.no_new_privs && can_lock(end);
  const Uid uid = plan.user_namespace ? plan.user_namespace->uid : plan.identity.uid;
  const Gid gid = plan.user_namespace ? plan.user_namespace->gid : plan.identity.gid;
  end.credentials.uid = {uid, uid, uid, uid};
  end.credentials.gid = {gid, gid, gid, gid};
  end.credentials.groups = plan.user_namespace ? plan.user_namespace->groups : plan.identity.groups;
  end.credentials.no_new_privs = end.credentials.no_new_privs || plan.no_new_privs;
  if (!plan.drop_privileges) return end;
  CapabilityState& capabilities = end.credentials.capabilities;
  capabilities.permitted = plan.keep;
  capabilities.effective = plan.keep;
  capabilities.inheritable = plan.keep;
  capabilities.ambient = plan.keep;
  if (!lock) return end;
  capabilities.bounding = capabilities.bounding & plan.bounding;
  end.securebits |= SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                    SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  end.securebits &= ~static_cast<unsigned>(SECBIT_KEEP_CAPS);
  // It would leave capabilities to a child that drops root; only who locked it can mean that.
  if ((end.securebits & SECBIT_NO_SETUID_FIXUP_LOCKED) == 0)
    end.securebits &= ~static_cast<unsigned>(SECBIT_NO_SETUID_FIXUP);
  return end;
}

}  // namespace stepdown
