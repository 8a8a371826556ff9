#include "launch/identity_server.h"

#include <grp.h>
#include <linux/audit.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <functional>
#include <span>
#include <string_view>
#include <utility>

#include "launch/pretended_identity.h"
#include "seccomp/listener.h"
#include "stepdown/error.h"
#include "sys/files.h"
#include "sys/process_memory.h"

namespace stepdown {

namespace {

// ---- what a process carries: 16 bits to know it by, 32 of the program, 16 of the number ----

constexpr rlim_t ours = 0x5d50;
static_assert(sizeof(rlim_t) == 8 && IdentityTable::largest == 0x10000);

// ---- the calls ----

// What PR_SET_KEEPCAPS says about a process is the only prctl(2) that comes here.
enum class Whose { user, group };
enum class Does { tell_real, tell_effective, tell_all, set_one, set_two, set_three, prctl };

struct IdentityCall {
  int number;
  Whose whose;
  Does does;
  bool narrow = false;  // one of the old names, whose ids have 16 bits
};

constexpr std::array native_calls = {
    IdentityCall{SYS_getuid, Whose::user, Does::tell_real},
    IdentityCall{SYS_getgid, Whose::group, Does::tell_real},
    IdentityCall{SYS_geteuid, Whose::user, Does::tell_effective},
    IdentityCall{SYS_getegid, Whose::group, Does::tell_effective},
    IdentityCall{SYS_getresuid, Whose::user, Does::tell_all},
    IdentityCall{SYS_getresgid, Whose::group, Does::tell_all},
    IdentityCall{SYS_setuid, Whose::user, Does::set_one},
    IdentityCall{SYS_setgid, Whose::group, Does::set_one},
    IdentityCall{SYS_setreuid, Whose::user, Does::set_two},
    IdentityCall{SYS_setregid, Whose::group, Does::set_two},
    IdentityCall{SYS_setresuid, Whose::user, Does::set_three},
    IdentityCall{SYS_setresgid, Whose::group, Does::set_three},
    // The filesystem ids follow the effective ones, which is all that is pretended of them.
    IdentityCall{SYS_setfsuid, Whose::user, Does::tell_effective},
    IdentityCall{SYS_setfsgid, Whose::group, Does::tell_effective},
    IdentityCall{SYS_prctl, Whose::user, Does::prctl},
};

// The 32-bit callers of both machines have the same numbers for these.
#if defined(__x86_64__)
constexpr std::uint32_t native_machine = AUDIT_ARCH_X86_64, small_machine = AUDIT_ARCH_I386;
#elif defined(__aarch64__)
constexpr std::uint32_t native_machine = AUDIT_ARCH_AARCH64, small_machine = AUDIT_ARCH_ARM;
#endif
constexpr std::array small_calls = {
    IdentityCall{24, Whose::user, Does::tell_real, true},
    IdentityCall{47, Whose::group, Does::tell_real, true},
    IdentityCall{49, Whose::user, Does::tell_effective, true},
    IdentityCall{50, Whose::group, Does::tell_effective, true},
    IdentityCall{165, Whose::user, Does::tell_all, true},
    IdentityCall{171, Whose::group, Does::tell_all, true},
    IdentityCall{23, Whose::user, Does::set_one, true},
    IdentityCall{46, Whose::group, Does::set_one, true},
    IdentityCall{70, Whose::user, Does::set_two, true},
    IdentityCall{71, Whose::group, Does::set_two, true},
    IdentityCall{164, Whose::user, Does::set_three, true},
    IdentityCall{170, Whose::group, Does::set_three, true},
    IdentityCall{199, Whose::user, Does::tell_real},
    IdentityCall{200, Whose::group, Does::tell_real},
    IdentityCall{201, Whose::user, Does::tell_effective},
    IdentityCall{202, Whose::group, Does::tell_effective},
    IdentityCall{209, Whose::user, Does::tell_all},
    IdentityCall{211, Whose::group, Does::tell_all},
    IdentityCall{213, Whose::user, Does::set_one},
    IdentityCall{214, Whose::group, Does::set_one},
    IdentityCall{203, Whose::user, Does::set_two},
    IdentityCall{204, Whose::group, Does::set_two},
    IdentityCall{208, Whose::user, Does::set_three},
    IdentityCall{210, Whose::group, Does::set_three},
    IdentityCall{138, Whose::user, Does::tell_effective, true},
    IdentityCall{139, Whose::group, Does::tell_effective, true},
    IdentityCall{215, Whose::user, Does::tell_effective},
    IdentityCall{216, Whose::group, Does::tell_effective},
    IdentityCall{172, Whose::user, Does::prctl},
};

const IdentityCall* identity_call(const seccomp_data& data) {
  std::span<const IdentityCall> calls;
  if (data.arch == native_machine) calls = native_calls;
  if (data.arch == small_machine) calls = small_calls;
  const auto found = std::ranges::find(calls, data.nr, &IdentityCall::number);
  return found == calls.end() ? nullptr : &*found;
}

// ---- its arguments and answers ----

// The kernel takes 32 bits of a register for an id, and 16 by the old names, where all ones leave
// an id as well.
std::uint32_t id_argument(const IdentityCall& asked, std::uint64_t argument) {
  const auto id = static_cast<std::uint32_t>(argument);
  if (!asked.narrow) return id;
  const auto low = static_cast<std::uint16_t>(id);
  return low == 0xffff ? static_cast<std::uint32_t>(-1) : low;
}

// An id that is too large for an old name shows as the overflow id.
std::uint32_t told(const IdentityCall& asked, std::uint32_t id) {
  return asked.narrow && id > 0xffff ? raw(overflow_uid) : id;
}

std::array<std::uint32_t, 3> ids_of(const PretendedIdentity& identity, Whose whose) {
  const auto three = [](const auto& ids) {
    return std::array{raw(ids.real), raw(ids.effective), raw(ids.saved)};
  };
  return whose == Whose::user ? three(identity.uid) : three(identity.gid);
}

// A set call of three, two or one ids: those that it doesn't have aren't looked at.
int set(PretendedIdentity& identity, const IdentityCall& asked, const seccomp_data& data) {
  const bool user = asked.whose == Whose::user;
  const std::uint32_t first = id_argument(asked, data.args[0]);
  const std::uint32_t second = id_argument(asked, data.args[1]);
  const std::uint32_t third = id_argument(asked, data.args[2]);
  if (asked.does == Does::set_one)
    return user ? pretend_setuid(identity, first) : pretend_setgid(identity, first);
  if (asked.does == Does::set_two)
    return user ? pretend_setreuid(identity, first, second)
                : pretend_setregid(identity, first, second);
  return user ? pretend_setresuid(identity, first, second, third)
              : pretend_setresgid(identity, first, second, third);
}

// ---- execve(2) ----

bool execve_would_change(const PretendedIdentity& identity) {
  PretendedIdentity after = identity;
  pretend_execve(after);
  return after != identity;
}

// Of the program that the thread runs; 0 when it isn't to be had.
std::uint32_t mark_of_program(pid_t tid) {
  const sys::Fd file = sys::open_procfs(("/proc/" + std::to_string(tid) + "/auxv").c_str());
  std::array<char, 1024> vector{};
  const ssize_t length = file ? ::read(file.get(), vector.data(), vector.size()) : 0;
  if (length <= 0) return 0;
  const std::size_t hash =
      std::hash<std::string_view>{}({vector.data(), static_cast<std::size_t>(length)});
  return std::max<std::uint32_t>(1, static_cast<std::uint32_t>(hash));
}

// ---- the server ----

class IdentityServer {
 public:
  explicit IdentityServer(sys::Fd listener) : listener_(std::move(listener)) {}

  void serve() {
    while (const std::optional<seccomp_notif> call = listener_.next()) serve(*call);
  }

 private:
  void serve(const seccomp_notif& call) {
    const IdentityCall* const asked = identity_call(call.data);
    const auto thread = static_cast<pid_t>(call.pid);
    rlimit limit{};
    // Thread 0 is one that has no number here; prlimit(2) would take it for the supervisor.
    if (asked == nullptr || thread == 0 || ::prlimit(thread, RLIMIT_LOCKS, nullptr, &limit) != 0)
      return listener_.let_through(call);
    const std::optional<Carried> carried = carried_in(limit.rlim_cur);
    std::optional<PretendedIdentity> identity;
    if (carried) identity = identities_.at(carried->number);
    if (!identity) return listener_.let_through(call);

    const auto ids = ids_of(*identity, asked->whose);
    if (asked->does == Does::tell_real) return listener_.answer(call, told(*asked, ids[0]));
    if (asked->does == Does::tell_effective) return listener_.answer(call, told(*asked, ids[1]));

    if (carried->program != 0) {
      const std::uint32_t program = mark_of_program(thread);
      if (program != 0 && program != carried->program) pretend_execve(*identity);
    }
    if (asked->does == Does::tell_all) return tell_all(call, *asked, *identity);

    if (asked->does == Does::prctl) {
      // What else it wants is for the kernel to refuse.
      if (call.data.args[1] <= 1) {
        identity->keeps_capabilities = call.data.args[1] == 1;
        carry(call, *identity, limit);
      }
      return listener_.let_through(call);
    }

    const int error = set(*identity, *asked, call.data);
    if (error != 0) return listener_.fail(call, error);
    if (!carry(call, *identity, limit)) return listener_.fail(call, EAGAIN);
    listener_.answer(call, 0);
  }

  void tell_all(const seccomp_notif& call, const IdentityCall& asked,
                const PretendedIdentity& identity) const {
    const sys::ProcessMemory memory(static_cast<pid_t>(call.pid));
    if (!memory) return listener_.let_through(call);
    // Where it has gone, the memory may be a stranger's who got its number.
    if (!listener_.still_waits(call)) return;
    const auto ids = ids_of(identity, asked.whose);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::uint32_t wide = told(asked, ids[i]);
      const auto narrow = static_cast<std::uint16_t>(wide);
      if (!memory.write(call.data.args[i], asked.narrow ? std::as_bytes(std::span(&narrow, 1))
                                                        : std::as_bytes(std::span(&wide, 1))))
        return listener_.fail(call, EFAULT);
    }
    listener_.answer(call, 0);
  }

  // Makes it the identity of the process that called. False: there are too many, or the process has
  // lowered its hard limit.
  bool carry(const seccomp_notif& call, const PretendedIdentity& identity, rlimit limit) {
    const std::optional<std::size_t> number = identities_.number_of(identity);
    if (!number) return false;
    const auto thread = static_cast<pid_t>(call.pid);
    const std::uint32_t program = execve_would_change(identity) ? mark_of_program(thread) : 0;
    limit.rlim_cur = soft_limit({*number, program});
    return listener_.still_waits(call) && ::prlimit(thread, RLIMIT_LOCKS, &limit, nullptr) == 0;
  }

  seccomp::Listener listener_;
  IdentityTable identities_;
};

}  // namespace

rlim_t soft_limit(const Carried& carried) {
  return ours << 48 | rlim_t{carried.program} << 16 | carried.number;
}

std::optional<Carried> carried_in(rlim_t soft) {
  if (soft >> 48 != ours) return std::nullopt;
  return Carried{soft & 0xffff, static_cast<std::uint32_t>(soft >> 16)};
}

std::string carrying_obstacle() {
  // Answers go through /proc/PID/mem, and by the wrong count into a stranger's memory.
  if (!sys::proc_counts_as_we_do())
    return "/proc is missing, or is that of another PID namespace: mount procfs there, as every "
           "container engine does";
  rlimit limit{};
  // The second call changes nothing, and shows a filter that lets nobody change anything.
  if (::getrlimit(RLIMIT_LOCKS, &limit) != 0 || ::setrlimit(RLIMIT_LOCKS, &limit) != 0)
    return std::string("the limit of file locks, in which a process would carry its identity, ") +
           "can't be set: " + std::strerror(errno);
  if (limit.rlim_max < soft_limit({IdentityTable::largest - 1, 0xffff'ffff}))
    return "the hard limit of file locks, in which a process would carry its identity, is " +
           std::to_string(limit.rlim_max) + " instead of unlimited (docker: --ulimit locks=-1)";
  return {};
}

bool carries_identity() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_LOCKS, &limit) != 0 || !carried_in(limit.rlim_cur)) return false;
  // More groups than there can be: the kernel says EINVAL, or EPERM, and changes nothing.
  return ::setgroups(NGROUPS_MAX + 1, nullptr) == 0;
}

void carry_root() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_LOCKS, &limit) != 0) throw_errno("supervised", "getrlimit(2)");
  limit.rlim_cur = soft_limit({});
  if (::setrlimit(RLIMIT_LOCKS, &limit) != 0) throw_errno("supervised", "setrlimit(2)");
}

void serve_identity_calls(sys::Fd listener) {
  IdentityServer(std::move(listener)).serve();
}

}  // namespace stepdown
