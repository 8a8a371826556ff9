#include "seccomp/notifying.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <vector>

#include "seccomp/evaluate.h"
#include "seccomp/program.h"
#include "stepdown/error.h"

namespace stepdown::seccomp {

namespace {

constexpr const char* step = "seccomp";

constexpr std::uint32_t no_file = 0xffffffff;
constexpr std::uint32_t no_call = 0xffffffff;
constexpr std::uint32_t knock_request = 0x53444b4e;

constexpr std::uint64_t line(unsigned code, std::size_t k, std::uint8_t otherwise = 0) {
  return std::bit_cast<std::uint64_t>(
      sock_filter{static_cast<__u16>(code), 0, otherwise, static_cast<__u32>(k)});
}
constexpr unsigned fetch = BPF_LD | BPF_W | BPF_ABS;
constexpr unsigned compare = BPF_JMP | BPF_JEQ | BPF_K;  // else jump over so many lines

// is_knock, in front of a program; the 32 bits of an argument that the kernel reads come first, on
// machines that are little-endian. The number -1 is what a tracer makes of a call that it answers
// itself (seccomp(2), SECCOMP_RET_TRACE): nobody has to be asked about that.
constexpr std::array asks_for_knock = {
    line(fetch, offsetof(seccomp_data, arch)),         line(compare, native_architecture, 9),
    line(fetch, offsetof(seccomp_data, nr)),           line(compare, no_call, 1),
    line(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS), line(compare, SYS_ioctl, 5),
    line(fetch, offsetof(seccomp_data, args[0])),      line(compare, no_file, 3),
    line(fetch, offsetof(seccomp_data, args[1])),      line(compare, knock_request, 1),
    line(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)};

int load_with(const FilterProgram& program, unsigned flags) {
  std::vector<sock_filter> instructions;
  instructions.reserve(program.code.size());
  for (const std::uint64_t each : program.code)
    instructions.push_back(std::bit_cast<sock_filter>(each));
  const int answer = load(instructions, program.flags | flags);
  if (answer < 0) throw_errno(step, "seccomp(2)");
  return answer;
}

// The terminal filter says EPERM where this one, the later of two that refuse, says EBADF
// (compile.h). Success of seccomp(2) may have been somebody else's filter's answer.
void must_be_there() {
  if (::ioctl(-1, TIOCSTI, nullptr) != -1 || errno != EBADF)
    refuse(step, "seccomp(2) returned success and the policy's filter is not there");
}

}  // namespace

std::uint32_t verdict_of(const FilterProgram& program, long number,
                         const std::array<std::uint64_t, 6>& arguments) {
  seccomp_data call{};
  call.nr = static_cast<int>(number);
  call.arch = native_architecture;
  std::copy(arguments.begin(), arguments.end(), std::begin(call.args));
  return evaluate(program, call);
}

bool allows(const FilterProgram& program, long number,
            const std::array<std::uint64_t, 6>& arguments) {
  const std::uint32_t action = verdict_of(program, number, arguments) & SECCOMP_RET_ACTION_FULL;
  return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

bool always_allows(const FilterProgram& program, long number) {
  return allows(program, number) &&
         !looks_at_arguments(program, native_architecture, static_cast<int>(number));
}

bool is_knock(const seccomp_data& call) {
  return call.arch == native_architecture && call.nr == SYS_ioctl &&
         static_cast<std::uint32_t>(call.args[0]) == no_file &&
         static_cast<std::uint32_t>(call.args[1]) == knock_request;
}

void knock() {
  if (::ioctl(-1, knock_request, nullptr) != -1 || errno != answer_to_knock)
    throw_errno(step, "ioctl(2)", "the supervisor does not answer what the policy refuses");
}

FilterProgram notifying(const FilterProgram& program) {
  FilterProgram result = program;
  result.code.insert(result.code.begin(), asks_for_knock.begin(), asks_for_knock.end());
  result.terminal_part += static_cast<std::uint32_t>(asks_for_knock.size());
  for (std::size_t index = result.terminal_part; index < result.code.size(); ++index) {
    auto line = std::bit_cast<sock_filter>(result.code[index]);
    if (line.code != (BPF_RET | BPF_K) || (line.k & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ERRNO)
      continue;
    line.k = SECCOMP_RET_USER_NOTIF;
    result.code[index] = std::bit_cast<std::uint64_t>(line);
  }
  return result;
}

bool fits_notifying(const FilterProgram& program) {
  return program.code.size() + asks_for_knock.size() <= BPF_MAXINSNS;
}

void load_policy(const FilterProgram& program) {
  load_with(program, 0);
  must_be_there();
}

sys::Fd load_notifying_policy(const FilterProgram& program) {
  sys::Fd listener(load_with(notifying(program), SECCOMP_FILTER_FLAG_NEW_LISTENER |
                                                     SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV));
  must_be_there();
  return listener;
}

}  // namespace stepdown::seccomp
