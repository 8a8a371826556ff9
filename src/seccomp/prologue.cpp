#include "seccomp/prologue.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <functional>

#include "seccomp/assembler.h"

namespace stepdown::seccomp {

namespace {

constexpr std::uint32_t x32_bit = 0x40000000;
constexpr std::uint32_t no_call = 0xffffffff;  // -1: a tracer's way to skip the call (ptrace(2))

constexpr std::size_t lower_half_of(unsigned argument) {
  return offsetof(seccomp_data, args) + argument * sizeof(std::uint64_t) +
         (std::endian::native == std::endian::little ? 0 : sizeof(std::uint32_t));
}

// x32's calls come under x86_64's name, and their numbers tell them apart.
bool is_x32(const Way& way) {
  return way.architecture == std::uint32_t{SCMP_ARCH_X32};
}

bool covers_x32(const std::vector<Way>& ways) {
  return std::any_of(ways.begin(), ways.end(), is_x32);
}

// For each way into the kernel, `part` writes what follows its name; it must not fall through.
void each_way(Assembler& code, const std::vector<Way>& ways, Assembler::Label end,
              const std::function<void(const Way&)>& part) {
  std::vector<Way> named = ways;
  std::erase_if(named, is_x32);
  std::vector<Assembler::Label> starts;
  code.load(offsetof(seccomp_data, arch));
  for (const Way& way : named) {
    starts.push_back(code.label());
    const bool last = starts.size() == named.size();
    code.jump_if(BPF_JEQ, way.architecture, starts.back(), last ? end : Assembler::next);
  }
  for (std::size_t i = 0; i < named.size(); ++i) {
    code.place(starts[i]);
    code.load(offsetof(seccomp_data, nr));
    part(named[i]);
  }
}

// Every number under which a kernel has had ioctl(2).
std::vector<std::uint32_t> numbers_of_ioctl(const Way& way) {
  std::vector<std::uint32_t> numbers{
      static_cast<std::uint32_t>(seccomp_syscall_resolve_name_arch(way.architecture, "ioctl"))};
  // Before 5.4 x86_64 took x32's own numbers without their bit as well, and its own with it.
  if (way.architecture == AUDIT_ARCH_X86_64)
    numbers.push_back(
        static_cast<std::uint32_t>(seccomp_syscall_resolve_name_arch(SCMP_ARCH_X32, "ioctl")) &
        ~x32_bit);
  return numbers;
}

}  // namespace

std::vector<sock_filter> refusing_terminal_injection(const std::vector<Way>& ways) {
  Assembler code;
  const Assembler::Label ioctl = code.label(), refused = code.label(), bad = code.label(),
                         end = code.label();
  each_way(code, ways, end, [&](const Way& way) {
    if (way.architecture == AUDIT_ARCH_X86_64 && covers_x32(ways)) code.mask(~x32_bit);
    const std::vector<std::uint32_t> numbers = numbers_of_ioctl(way);
    for (const std::uint32_t& number : numbers)
      code.jump_if(BPF_JEQ, number, ioctl, &number == &numbers.back() ? end : Assembler::next);
  });
  code.place(ioctl);
  code.load(lower_half_of(1));
  code.jump_if(BPF_JEQ, TIOCSTI, refused, Assembler::next);
  code.jump_if(BPF_JEQ, TIOCLINUX, refused, end);
  code.place(refused);
  code.load(lower_half_of(0));
  code.jump_if(BPF_JEQ, UINT32_MAX, bad, Assembler::next);
  code.answer(SECCOMP_RET_ERRNO | EPERM);
  code.place(bad);
  code.answer(SECCOMP_RET_ERRNO | EBADF);
  code.place(end);
  return code.code();
}

bool answers_newer_calls(const Verdict& standard) {
  switch (standard.action) {
    case Action::allow:
    case Action::log:
    case Action::trace:
      return false;
    case Action::error:
      return standard.data != ENOSYS;
    default:
      return true;
  }
}

std::uint32_t end_of_sequence(std::uint32_t architecture) {
  switch (architecture) {
    case AUDIT_ARCH_X86_64:
      return x32_bit;
    case SCMP_ARCH_X32:
      // 512 to 547 are its own old calls; what is new has the number that it has on x86_64.
      return x32_bit + 512;
    case AUDIT_ARCH_ARM:
      return 0x0f0000;  // the private calls, cacheflush and its kin
    default:
      return no_call;
  }
}

std::vector<sock_filter> answering_newer_calls(const std::vector<Way>& ways) {
  Assembler code;
  const Assembler::Label absent = code.label(), end = code.label();
  const auto answer_newer = [&](const Way& way, Assembler::Label beyond) {
    if (!way.newest) {
      code.jump_if(BPF_JGE, end_of_sequence(way.architecture), beyond, end);
      return;
    }
    code.jump_if(BPF_JGT, static_cast<std::uint32_t>(*way.newest), Assembler::next, end);
    code.jump_if(BPF_JGE, end_of_sequence(way.architecture), beyond, absent);
  };
  each_way(code, ways, end, [&](const Way& way) {
    const auto x32 = std::find_if(ways.begin(), ways.end(), is_x32);
    if (way.architecture != AUDIT_ARCH_X86_64 || x32 == ways.end()) {
      answer_newer(way, end);
      return;
    }
    const Assembler::Label beyond = code.label();
    answer_newer(way, beyond);
    code.place(beyond);
    answer_newer(*x32, end);
  });
  code.place(absent);
  code.answer(SECCOMP_RET_ERRNO | ENOSYS);
  code.place(end);
  return code.code();
}

}  // namespace stepdown::seccomp
