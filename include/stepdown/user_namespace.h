// The user namespace that --userns gives the app: what its maps say, and what of them is refused
// (user_namespaces(7)). Pure; src/userns makes it so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/capability_set.h"
#include "stepdown/ids.h"

namespace stepdown {

// The kernel's UID_GID_MAP_MAX_EXTENTS: more lines than that in one map are EINVAL.
constexpr std::size_t largest_id_map = 340;

// "IN:OUT:LEN", three decimal numbers. `option` names it in messages ("--uid-map"). Error: anything
// else, LEN 0, or a range that reaches 4294967295, which is no id (uid_map accepts none such).
IdMapping parse_id_mapping(std::string_view option, std::string_view word);

// The lines as uid_map takes them, the last one without a newline.
std::string id_map_text(const std::vector<IdMapping>& map);

// Error: no line, more than largest_id_map, a text of 4096 bytes or more, a line that
// parse_id_mapping would refuse, or two lines that share an id on one side.
void check_id_map(std::string_view option, const std::vector<IdMapping>& map);

// What an id of the parent namespace is called inside; nullopt when it has no name there.
std::optional<std::uint32_t> inside_id(const std::vector<IdMapping>& map, std::uint32_t outside);
// A line maps `outside`.
bool maps_outside(const std::vector<IdMapping>& map, std::uint32_t outside);

// Who may write the maps (user_namespaces(7), "Defining user and group ID mappings").
enum class MapWriter {
  helper,    // a child left in the parent namespace, with CAP_SETUID and CAP_SETGID there
  self,      // the process itself: one line, its own ids, setgroups(2) forbidden for ever
  newidmap,  // newuidmap(1) and newgidmap(1), within /etc/subuid and /etc/subgid
};

struct UserNamespace {
  std::vector<IdMapping> uid_map, gid_map;
  MapWriter writer = MapWriter::helper;
  // The app in the words of its namespace. Groups without a name there read as 65534 and count all
  // the same.
  Uid uid{};
  Gid gid{};
  std::vector<Gid> groups;
  // Every capability of the running kernel: what the namespace's first process holds in it.
  CapabilitySet full;
  std::string note;  // in words, what there is to tell of the maps; may be empty
  friend bool operator==(const UserNamespace&, const UserNamespace&) = default;
};

}  // namespace stepdown
