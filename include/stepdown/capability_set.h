// Capabilities as values: one capability, and a set of them with set operations and names
// (capabilities(7)). Nothing here changes the process.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stepdown {

// The kernel's number of a capability (linux/capability.h), 0…63.
enum class Capability : unsigned {
  chown = 0,
  dac_override = 1,
  dac_read_search = 2,
  fowner = 3,
  kill = 5,
  setgid = 6,
  setuid = 7,
  setpcap = 8,
  net_bind_service = 10,
  sys_admin = 21,
  setfcap = 31,
};

class CapabilitySet {
 public:
  constexpr CapabilitySet() = default;
  constexpr CapabilitySet(std::initializer_list<Capability> members) {
    for (const Capability member : members) bits_ |= bit(member);
  }
  // `bits` as in /proc/PID/status: bit n is capability n.
  static constexpr CapabilitySet from_bits(std::uint64_t bits) {
    CapabilitySet set;
    set.bits_ = bits;
    return set;
  }

  [[nodiscard]] constexpr std::uint64_t bits() const { return bits_; }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  [[nodiscard]] constexpr bool has(Capability member) const { return (bits_ & bit(member)) != 0; }
  [[nodiscard]] constexpr bool contains(CapabilitySet other) const {
    return (other.bits_ & ~bits_) == 0;
  }
  // In ascending order of their numbers.
  [[nodiscard]] std::vector<Capability> members() const;

  friend constexpr CapabilitySet operator|(CapabilitySet a, CapabilitySet b) {
    return from_bits(a.bits_ | b.bits_);
  }
  friend constexpr CapabilitySet operator&(CapabilitySet a, CapabilitySet b) {
    return from_bits(a.bits_ & b.bits_);
  }
  friend constexpr CapabilitySet operator-(CapabilitySet a, CapabilitySet b) {
    return from_bits(a.bits_ & ~b.bits_);
  }
  friend constexpr bool operator==(CapabilitySet, CapabilitySet) = default;

 private:
  static constexpr std::uint64_t bit(Capability member) {
    return std::uint64_t{1} << static_cast<unsigned>(member);
  }
  std::uint64_t bits_ = 0;
};

// The five sets of a thread (capabilities(7), "Thread capability sets").
struct CapabilityState {
  CapabilitySet inheritable, permitted, effective, bounding, ambient;
  friend bool operator==(const CapabilityState&, const CapabilityState&) = default;
};

// "NET_BIND_SERVICE", "cap_net_bind_service" or any mix of case; nullopt for anything else,
// numbers included.
std::optional<Capability> capability_from_name(std::string_view name);
// "cap_net_bind_service", as in capabilities(7); "cap_63" where libcap knows no name.
std::string capability_name(Capability capability);
// "NET_BIND_SERVICE", as container engines write it.
std::string capability_flag(Capability capability);

}  // namespace stepdown
