// net.ipv4.ip_unprivileged_port_start of a network namespace.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sys/fd.h"

namespace stepdown::oci {

// Of the one that this process is in; nullopt without /proc.
std::optional<std::uint32_t> own_port_start();

// Of the one at the path `network`, which is joined for a moment (this process must have one
// thread), or of this process's own where it is empty. nullopt where it can't be joined. Error: the
// way back is shut.
std::optional<std::uint32_t> port_start_in(const std::string& network);

// Of the one that this process is in, to be changed.
class PortStart {
 public:
  // Pins it, so that it can be set when /proc is out of reach. Error (step "--unprivileged-ports").
  PortStart();

  // Nothing where it is as low already. Error: the kernel refuses the number, or says another one
  // afterwards.
  void set(std::uint32_t first) const;

 private:
  [[nodiscard]] std::uint32_t value() const;

  sys::Fd file_;
};

}  // namespace stepdown::oci
