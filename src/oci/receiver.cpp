#include "oci/receiver.h"

#include <algorithm>

#include "oci/init_process.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

// In the words of the container.
struct Inside {
  Uid uid{};
  Gid gid{};
  std::vector<Gid> groups;
  bool explicit_group = true;
};

Inside user_of(const Options& options, const Process& process, const AccountFiles& accounts) {
  if (!options.user) return {process.uid, process.gid, process.groups};
  const Identity identity = resolve_identity(accounts, parse_user_spec(*options.user), process.uid,
                                             process.gid, MissingGroup::refuse);
  return {identity.uid, identity.gid, identity.groups, identity.explicit_group};
}

void refuse_roots_group(const Options& options, const Inside& inside) {
  if (inside.gid != root_gid || inside.explicit_group || options.allow_root_group) return;
  refuse("--user " + *options.user, "its primary group is root's in the image's account files",
         "name a group, --user USER:GROUP, or accept it with --allow-root-group");
}

std::uint32_t outside_or_refuse(const char* kind, const std::vector<IdMapping>& map, bool mapped,
                                std::uint32_t id) {
  const std::optional<std::uint32_t> number = outside(map, mapped, id);
  if (!number)
    refuse("user namespace", std::string(kind) + " " + std::to_string(id) +
                                 " of the container has no name outside: its map leaves it out");
  return *number;
}

}  // namespace

HandOverTarget receiver_of(const Options& options, const Process& process,
                           const AccountFiles& accounts, const std::optional<IdMaps>& maps,
                           const IdMaps& runtime) {
  Inside inside = user_of(options, process, accounts);
  refuse_roots_group(options, inside);
  for (const std::string& word : options.group_add)
    inside.groups.push_back(resolve_group(accounts, "--group-add " + word, word));

  const bool mapped = maps.has_value();
  const IdMaps known = maps.value_or(IdMaps{});
  HandOverTarget target;
  target.owner.uid = Uid{outside_or_refuse("uid", known.uid, mapped, raw(inside.uid))};
  target.owner.gid = Gid{outside_or_refuse("gid", known.gid, mapped, raw(inside.gid))};
  if (is_hosts_root(runtime.uid, raw(target.owner.uid)) && !options.allow_root)
    refuse("--user", "the container's process is root, and nobody is named to own its volumes",
           "name the user that the app steps down to, --user USER, or accept root with "
           "--allow-root");
  for (const Gid group : inside.groups)
    if (const auto number = outside(known.gid, mapped, raw(group)))
      target.groups.push_back(Gid{*number});
  return target;
}

}  // namespace stepdown::oci
