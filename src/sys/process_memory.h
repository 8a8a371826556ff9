// Another process's memory through /proc/PID/mem (proc(5)), which no usual container filter
// forbids, where process_vm_readv(2) is often refused. Needs what ptrace(2) calls
// PTRACE_MODE_ATTACH.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "sys/fd.h"

namespace stepdown::sys {

class ProcessMemory {
 public:
  // Of the process that the thread `tid` belongs to; false in a bool context when it can't be had
  // (errno). Who relies on its being that thread's asks afterwards whether the thread still waits.
  explicit ProcessMemory(pid_t tid);
  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(fd_); }

  // true: all of it. false (errno EFAULT): a part isn't mapped or may not be touched, or the
  // process has ended; what comes before that part may have been read, or written. Asks the kernel
  // once: what was read stays as it was, whatever the process does next.
  [[nodiscard]] bool read(std::uint64_t address, std::span<std::byte> into) const;
  [[nodiscard]] bool write(std::uint64_t address, std::span<const std::byte> from) const;

 private:
  Fd fd_;
};

}  // namespace stepdown::sys
