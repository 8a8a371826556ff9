// A supervisor's end of a filter of supervised_filter.h: the calls that wait there
// (seccomp_unotify(2)).
#pragma once

#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "sys/fd.h"

namespace stepdown::seccomp {

// For one thread at a time.
class Listener {
 public:
  // Asks the kernel to wake on the same CPU where it can (SYNC_WAKE_UP, 6.6). Error, step
  // "supervisor".
  explicit Listener(sys::Fd fd);

  // The next call, as the kernel describes it (`pid` is the thread that waits, 0 when it has no
  // number here; the arguments of a 32-bit call are cut to that); waits for one.
  // nullopt: there will be none any more. Before 6.11 the kernel doesn't tell, and the wait ends
  // with the process. Error, step "supervisor".
  [[nodiscard]] std::optional<seccomp_notif> next() const;

  // The thread still waits for its answer: what was read from its memory was its own.
  [[nodiscard]] bool still_waits(const seccomp_notif& call) const;

  // Ends the call with this value; `error` is a positive errno. To one that has gone, nothing.
  // Error, step "supervisor".
  void answer(const seccomp_notif& call, std::int64_t value) const;
  void fail(const seccomp_notif& call, int error) const;
  // The kernel does the call itself, by the app's own rights.
  void let_through(const seccomp_notif& call) const;

 private:
  void send(const seccomp_notif_resp& response) const;

  sys::Fd fd_;
  // Room for the kernel's own idea of the two structures, which may be longer than ours.
  seccomp_notif_sizes sizes_{};
  std::unique_ptr<std::byte[]> call_, response_;
};

}  // namespace stepdown::seccomp
