// net.ipv4.ip_unprivileged_port_start of the network namespace that this process is in.
#pragma once

#include <cstdint>

#include "sys/fd.h"

namespace stepdown::oci {

class PortStart {
 public:
  // Pins it, so that it can be set when /proc is out of reach. Error (step "--unprivileged-ports").
  PortStart();

  // Error: the kernel refuses the number, or says another one afterwards.
  void set(std::uint32_t first) const;

 private:
  [[nodiscard]] std::uint32_t value() const;

  sys::Fd file_;
};

}  // namespace stepdown::oci
