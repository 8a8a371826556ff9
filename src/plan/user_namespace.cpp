#include "plan/user_namespace.h"

#include <algorithm>

#include "stepdown/error.h"

namespace stepdown {

namespace {

using Map = std::vector<IdMapping>;
using Ranges = std::vector<SubordinateRange>;

constexpr std::uint32_t no_id = 0xffffffff;  // (uid_t)-1
constexpr Gid overflow_gid{65534};           // /proc/sys/kernel/overflowgid

// One side, uids or gids, of what the two maps have in common.
struct Side {
  const char* option;  // "--uid-map"
  const char* id;      // "uid"
  std::uint32_t target;
  const Map& by_hand;
};

// The ids that newuidmap(1) would add, from inside 1 on.
void append(Map& map, const Ranges& ranges) {
  std::uint64_t next = 1;
  for (const SubordinateRange& range : ranges) {
    if (next + range.count > no_id)
      refuse("--userns", "the subordinate ranges of the user hold more ids than there are");
    map.push_back({static_cast<std::uint32_t>(next), range.first, range.count});
    next += range.count;
  }
}

Map map_of(const Side& side, Userns mode, const Ranges& ranges) {
  if (!side.by_hand.empty()) return side.by_hand;
  Map map{{mode == Userns::keep ? side.target : 0, side.target, 1}};
  append(map, ranges);
  return map;
}

std::string how_to_name(const Side& side, const Map& map, Userns mode) {
  const std::uint32_t wanted = mode == Userns::keep ? side.target : 0;
  const auto taken = std::find_if(map.begin(), map.end(), [wanted](const IdMapping& other) {
    return wanted >= other.inside && wanted - other.inside < other.length;
  });
  return (taken == map.end()
              ? "add "
              : "in the place of the line that names " + std::to_string(wanted) + ": ") +
         std::string(side.option) + " " + std::to_string(wanted) + ":" +
         std::to_string(side.target) + ":1 (INSIDE:OUTSIDE:LENGTH)";
}

// What the app is called inside.
std::uint32_t name_inside(const Side& side, const Map& map, Userns mode) {
  const auto inside = inside_id(map, side.target);
  if (!inside)
    refuse(side.option,
           std::string("the ") + side.id + " " + std::to_string(side.target) +
               ", which the app has outside, has no name inside",
           how_to_name(side, map, mode));
  const std::uint32_t wanted = mode == Userns::keep ? side.target : 0;
  if (mode != Userns::none && *inside != wanted)
    refuse(side.option,
           std::string("it calls the app's ") + side.id + " " + std::to_string(*inside) +
               " inside, and --userns=" + (mode == Userns::keep ? "keep" : "root") + " " +
               std::to_string(wanted),
           "leave out --userns, which maps by hand don't need, or the map");
  return *inside;
}

// A name for root inside would be root's files for whoever may take that name there.
void refuse_outer_root(const Side& side, const Map& map, bool consent, const char* flag) {
  if (side.target == 0 || consent || !maps_outside(map, 0)) return;
  refuse(side.option,
         std::string("it gives the namespace ") + side.id + " 0 of the outside: root itself",
         std::string("map another range; or, where that is really meant, add ") + flag);
}

// What a process may map of itself once it has become the target.
bool is_target_alone(const Side& side, const Map& map) {
  return map.size() == 1 && map.front().length == 1 && map.front().outside == side.target;
}

std::string join_notes(const std::string& first, const std::string& second) {
  return first.empty() || second.empty() ? first + second : first + "; " + second;
}

}  // namespace

bool wants_user_namespace(const Options& options) {
  return options.userns != Userns::none || !options.uid_map.empty() || !options.gid_map.empty();
}

std::optional<UserNamespace> plan_user_namespace(const Identity& target, const Options& options,
                                                 const AccountFiles& accounts, const Caller& caller,
                                                 const Host& host) {
  if (!wants_user_namespace(options)) return std::nullopt;
  if (options.userns == Userns::none && (options.uid_map.empty() || options.gid_map.empty()))
    refuse(options.uid_map.empty() ? "--gid-map" : "--uid-map",
           std::string("without ") + (options.uid_map.empty() ? "--uid-map" : "--gid-map") +
               " the namespace would have half a map",
           "give both, or --userns=root or --userns=keep for the other half");
  const Credentials& me = caller.credentials;
  const Side uids{"--uid-map", "uid", raw(target.uid), options.uid_map};
  const Side gids{"--gid-map", "gid", raw(target.gid), options.gid_map};
  const bool privileged =
      me.capabilities.effective.contains({Capability::setuid, Capability::setgid});
  // A setuid program gains nothing under no_new_privs, and for root it has nothing to add.
  const bool newidmap = host.newidmap_installed && !me.no_new_privs &&
                        me.uid.effective != root_uid && me.uid.effective == target.uid;

  UserNamespace made;
  made.full = host.kernel_capabilities;
  Ranges more_uids;
  Ranges more_gids;
  if (options.userns == Userns::root && options.uid_map.empty() && options.gid_map.empty()) {
    more_uids = subordinate_ranges(accounts.subuid, accounts.subuid_path, target.user, target.uid);
    more_gids = subordinate_ranges(accounts.subgid, accounts.subgid_path, target.user, target.uid);
    if (!privileged && !newidmap && !(more_uids.empty() && more_gids.empty())) {
      more_uids.clear();
      more_gids.clear();
      made.note =
          "the user's subordinate ids are left out: neither CAP_SETUID and CAP_SETGID nor "
          "newuidmap(1) and newgidmap(1) can be had";
    }
  }
  made.uid_map = map_of(uids, options.userns, more_uids);
  made.gid_map = map_of(gids, options.userns, more_gids);
  check_id_map(uids.option, made.uid_map);
  check_id_map(gids.option, made.gid_map);
  made.uid = Uid{name_inside(uids, made.uid_map, options.userns)};
  made.gid = Gid{name_inside(gids, made.gid_map, options.userns)};
  if (options.allow_new_privs && made.uid == root_uid)
    refuse("--allow-new-privs",
           "uid 0 inside the user namespace would have every capability there back at execve",
           "leave it out, or use --userns=keep; single capabilities are kept with --keep-cap");
  refuse_outer_root(uids, made.uid_map, options.allow_root, "--allow-root");
  refuse_outer_root(gids, made.gid_map, options.allow_root_group, "--allow-root-group");

  const bool drops =
      options.keep_caps.has(Capability::setuid) || options.keep_caps.has(Capability::setgid);
  const auto one_id = [](const Map& map) { return map.size() == 1 && map.front().length == 1; };
  if (drops && (one_id(made.uid_map) || one_id(made.gid_map)))
    made.note = join_notes(made.note,
                           "nobody but the app itself exists inside, so nothing can drop to "
                           "another user there: give the user a line in " +
                               accounts.subuid_path + " and " + accounts.subgid_path +
                               ", or map ids with --uid-map and --gid-map");
  std::vector<Gid> unnamed;
  for (const Gid group : target.groups) {
    const auto inside = inside_id(made.gid_map, raw(group));
    made.groups.push_back(inside ? Gid{*inside} : overflow_gid);
    if (!inside) unnamed.push_back(group);
  }
  if (!unnamed.empty()) {
    std::string text = "groups without a name inside, which count all the same:";
    for (const Gid group : unnamed) text += " " + std::to_string(raw(group));
    made.note = join_notes(made.note, text);
  }

  const bool alone = is_target_alone(uids, made.uid_map) && is_target_alone(gids, made.gid_map);
  if (!privileged && alone)
    made.writer = MapWriter::self;
  else if (!privileged && newidmap)
    made.writer = MapWriter::newidmap;
  return made;
}

}  // namespace stepdown
