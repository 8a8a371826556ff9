// This thread's own state, by system calls alone: in a container /proc may be missing, and an image
// can fake one.
#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "stepdown/error.h"
#include "stepdown/inspect.h"

namespace stepdown {

namespace {

constexpr std::string_view step = "own credentials";

template <typename Id>
IdQuad<Id> quad(std::uint32_t real, std::uint32_t effective, std::uint32_t saved,
                std::uint32_t filesystem) {
  return {Id{real}, Id{effective}, Id{saved}, Id{filesystem}};
}

// setfsuid(2) and setfsgid(2) answer with the id so far; -1 is no valid id, so it changes nothing.
constexpr std::uint32_t only_ask = 0xffffffff;

IdQuad<Uid> own_uids() {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  if (getresuid(&real, &effective, &saved) != 0) throw_errno(step, "getresuid(2)");
  return quad<Uid>(real, effective, saved, static_cast<std::uint32_t>(setfsuid(only_ask)));
}

IdQuad<Gid> own_gids() {
  gid_t real = 0;
  gid_t effective = 0;
  gid_t saved = 0;
  if (getresgid(&real, &effective, &saved) != 0) throw_errno(step, "getresgid(2)");
  return quad<Gid>(real, effective, saved, static_cast<std::uint32_t>(setfsgid(only_ask)));
}

std::vector<Gid> own_groups() {
  const int count = getgroups(0, nullptr);
  if (count < 0) throw_errno(step, "getgroups(2)");
  std::vector<gid_t> numbers(static_cast<std::size_t>(count));
  const int filled = getgroups(count, numbers.data());
  if (filled < 0) throw_errno(step, "getgroups(2)");
  std::vector<Gid> groups;
  for (int i = 0; i < filled; ++i) groups.push_back(Gid{numbers[static_cast<std::size_t>(i)]});
  return groups;
}

// nullopt past the last capability that the kernel knows (PR_CAPBSET_READ(2const): EINVAL).
std::optional<bool> in_bounding_set(unsigned number) {
  const int answer = prctl(PR_CAPBSET_READ, static_cast<unsigned long>(number), 0UL, 0UL, 0UL);
  if (answer >= 0) return answer == 1;
  if (errno != EINVAL) throw_errno(step, "prctl(PR_CAPBSET_READ)");
  return std::nullopt;
}

bool in_ambient_set(Capability member) {
  const int answer =
      prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, static_cast<unsigned long>(member), 0UL, 0UL);
  if (answer < 0) throw_errno(step, "prctl(PR_CAP_AMBIENT_IS_SET)");
  return answer == 1;
}

CapabilityState own_capabilities() {
  // The 64 bits come as two structs, the low half first (capget(2)).
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> halves{};
  if (syscall(SYS_capget, &header, halves.data()) != 0) throw_errno(step, "capget(2)");
  const auto joined = [&halves](std::uint32_t __user_cap_data_struct::*set) {
    return CapabilitySet::from_bits(std::uint64_t{halves[1].*set} << 32 | halves[0].*set);
  };
  CapabilityState state;
  state.inheritable = joined(&__user_cap_data_struct::inheritable);
  state.permitted = joined(&__user_cap_data_struct::permitted);
  state.effective = joined(&__user_cap_data_struct::effective);
  for (unsigned number = 0; number < 64; ++number) {
    const std::optional<bool> bounding = in_bounding_set(number);
    if (!bounding) break;
    const CapabilitySet one{Capability{number}};
    if (*bounding) state.bounding = state.bounding | one;
  }
  // No capability is ambient that is not both permitted and inheritable (capabilities(7)).
  for (const Capability member : (state.permitted & state.inheritable).members())
    if (in_ambient_set(member)) state.ambient = state.ambient | CapabilitySet{member};
  return state;
}

}  // namespace

Credentials own_credentials() {
  Credentials own;
  own.uid = own_uids();
  own.gid = own_gids();
  own.groups = own_groups();
  own.capabilities = own_capabilities();
  const int no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0UL, 0UL, 0UL, 0UL);
  if (no_new_privs < 0) throw_errno(step, "prctl(PR_GET_NO_NEW_PRIVS)");
  own.no_new_privs = no_new_privs == 1;
  return own;
}

unsigned own_securebits() {
  const int bits = prctl(PR_GET_SECUREBITS, 0UL, 0UL, 0UL, 0UL);
  if (bits < 0) throw_errno(step, "prctl(PR_GET_SECUREBITS)");
  return static_cast<unsigned>(bits);
}

unsigned last_capability() {
  unsigned number = 0;
  while (number < 63 && in_bounding_set(number + 1)) ++number;
  return number;
}

}  // namespace stepdown
