// --pretend-root's rules: what the set and get calls do to an identity that exists on paper only,
// while the kernel's view of the process is and stays the target's. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "stepdown/ids.h"

namespace stepdown {

template <typename Id>
struct IdTriple {
  Id real{}, effective{}, saved{};
  friend bool operator==(const IdTriple&, const IdTriple&) = default;
};

// All zero is root, as which everything begins.
struct PretendedIdentity {
  IdTriple<Uid> uid;
  IdTriple<Gid> gid;
  // PR_SET_KEEPCAPS (prctl(2)) was asked for, and what it kept when the last uid 0 went. setpriv
  // sets its uids before its gids and counts on that. Until execve(2).
  bool keeps_capabilities = false;
  bool kept_setgid = false;
  friend bool operator==(const PretendedIdentity&, const PretendedIdentity&) = default;
};

// The set calls, as the kernel would carry them out for a root with CAP_SETUID and CAP_SETGID,
// which are in force while the effective uid is 0 (credentials(7), setuid(2), setreuid(2),
// setresuid(2)). One who kept capabilities is taken to have raised CAP_SETGID again, and CAP_SETUID
// not. An id of -1 (32 bits) leaves what it stands for. 0, or a positive errno: EINVAL for
// setuid(-1) and setgid(-1), EPERM for what is not allowed; then nothing has changed.
//
// The C library makes a call once for each thread of a process (nptl(7)) and aborts where the
// answers differ. Here all threads share one identity, so a call that succeeded succeeds again; and
// it changes nothing more, but for the setuid(0) that brings root back from the real or saved id,
// which then, as root, sets all three.
int pretend_setuid(PretendedIdentity& identity, std::uint32_t uid);
int pretend_setreuid(PretendedIdentity& identity, std::uint32_t real, std::uint32_t effective);
int pretend_setresuid(PretendedIdentity& identity, std::uint32_t real, std::uint32_t effective,
                      std::uint32_t saved);
int pretend_setgid(PretendedIdentity& identity, std::uint32_t gid);
int pretend_setregid(PretendedIdentity& identity, std::uint32_t real, std::uint32_t effective);
int pretend_setresgid(PretendedIdentity& identity, std::uint32_t real, std::uint32_t effective,
                      std::uint32_t saved);
// execve(2) makes the effective ids the saved ones, and nothing is kept any longer.
void pretend_execve(PretendedIdentity& identity);

// Identities by number, so that a process can carry its own in a word: number 0 is root, and one
// that was seen before has the number it had. Bounded.
class IdentityTable {
 public:
  static constexpr std::size_t largest = 65536;
  IdentityTable();
  [[nodiscard]] std::optional<PretendedIdentity> at(std::size_t number) const;
  // nullopt: the table is full.
  std::optional<std::size_t> number_of(const PretendedIdentity& identity);

 private:
  struct Hash {
    std::size_t operator()(const PretendedIdentity& identity) const;
  };
  std::vector<PretendedIdentity> identities_;
  std::unordered_map<PretendedIdentity, std::size_t, Hash> numbers_;
};

}  // namespace stepdown
