// User and group ids as types that can't be mistaken for each other.
//
// The kernel stores both as 32 bits and reads (uid_t)-1 as "leave unchanged" (setresuid(2)), which
// is why no id that stepdown accepts from the outside exceeds largest_id (Docker's limit, too).
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace stepdown {

enum class Uid : std::uint32_t {};
enum class Gid : std::uint32_t {};

constexpr std::uint32_t largest_id = 2147483647;  // 2^31 - 1
constexpr Uid root_uid{0};
constexpr Gid root_gid{0};
// /proc/sys/kernel/overflowuid: what an id without a mapping looks like (user_namespaces(7)).
constexpr Uid overflow_uid{65534};

constexpr std::uint32_t raw(Uid id) {
  return static_cast<std::uint32_t>(id);
}
constexpr std::uint32_t raw(Gid id) {
  return static_cast<std::uint32_t>(id);
}

// A line of uid_map or gid_map (user_namespaces(7)): `length` ids from `inside` on are those from
// `outside` on of the parent namespace.
struct IdMapping {
  std::uint32_t inside = 0, outside = 0, length = 0;
  friend bool operator==(const IdMapping&, const IdMapping&) = default;
};

}  // namespace stepdown
