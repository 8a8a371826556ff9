// What Landlock can enforce for two wishes, as the kernel's ABI number has it (landlock(7)). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace stepdown::landlock {

// The newest ABI that is known here; a newer kernel is asked for no more.
constexpr int newest_abi = 7;

struct Wishes {
  bool read_only = false;   // write nothing but where it is allowed
  bool only_ports = false;  // bind TCP ports only where it is allowed
};

// In the kernel's own bits.
struct Terms {
  std::uint64_t filesystem = 0;  // rights on files that have to be given
  std::uint64_t network = 0;     // the same for ports
  std::uint64_t scopes = 0;      // what ends at the domain's border
  unsigned flags = 0;            // of landlock_restrict_self(2)
  // What was wished for and can't be had from this kernel, in words, with the Linux that has it.
  std::vector<std::string> missing;
  friend bool operator==(const Terms&, const Terms&) = default;

  [[nodiscard]] bool enforce_nothing() const { return (filesystem | network | scopes) == 0; }
};
Terms terms(int abi, Wishes wishes);

// Of these rights, those that a file can be given; the others are a directory's.
std::uint64_t file_rights(const Terms& terms);

}  // namespace stepdown::landlock
