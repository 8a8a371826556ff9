// The interpreter of filter programs (seccomp/evaluate.h) against the kernel's: forked children
// load programs and make calls, by each way into an x86_64 kernel, and must hear what it says.
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "seccomp/compile.h"
#include "seccomp/evaluate.h"
#include "seccomp/program.h"
#include "stepdown/error.h"

namespace stepdown::seccomp {
namespace {

using Arguments = std::array<std::uint64_t, 6>;

constexpr KernelVersion now{6, 1};
constexpr std::uint64_t bit_32 = 0x100000000;

struct Call {
  std::uint32_t architecture = AUDIT_ARCH_X86_64;
  int number = 0;
  Arguments arguments{};
};

std::string show(const Call& call) {
  std::ostringstream text;
  text << (call.architecture == AUDIT_ARCH_I386 ? "int 0x80 " : "syscall ") << call.number
       << std::hex;
  for (const std::uint64_t argument : call.arguments) text << " " << argument;
  return text.str();
}

seccomp_data described(const Call& call) {
  seccomp_data data{};
  data.nr = call.number;
  data.arch = call.architecture;
  std::copy(call.arguments.begin(), call.arguments.end(), std::begin(data.args));
  return data;
}

// What the kernel leaves in the register: a negative errno, or the result.
long make(const Call& call) {
  const Arguments& a = call.arguments;
  long result = call.number;
  if (call.architecture == AUDIT_ARCH_I386) {
    // The sixth is in the frame pointer, which the compiler keeps for itself.
    asm volatile("int $0x80"
                 : "+a"(result)
                 : "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
                 : "memory", "r8", "r9", "r10", "r11");
    return static_cast<int>(result);
  }
  register std::uint64_t fourth asm("r10") = a[3];
  register std::uint64_t fifth asm("r8") = a[4];
  register std::uint64_t sixth asm("r9") = a[5];
  asm volatile("syscall"
               : "+a"(result)
               : "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(fourth), "r"(fifth), "r"(sixth)
               : "memory", "rcx", "r11");
  return result;
}

// Numbers of processes and files differ from call to call.
long comparable(long result) {
  return result > 0 ? 1 : result;
}

struct Answers {
  std::atomic<bool> ended;
  std::array<long, 8192> before, after;
};

class Child {
 public:
  // Makes the calls without the program, then with it. It needn't be let end by itself.
  Child(const FilterProgram& program, const std::vector<Call>& calls) {
    if (calls.size() > answers().before.size()) throw std::length_error("too many calls");
    answers().ended = false;
    std::vector<sock_filter> code;
    for (const std::uint64_t line : program.code) code.push_back(std::bit_cast<sock_filter>(line));
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    Answers& answers = Child::answers();
    for (std::size_t i = 0; i < calls.size(); ++i)
      answers.before[i] = is_harmless(calls[i]) ? make(calls[i]) : 0;
    if (load(code, 0) != 0) ::_exit(1);
    for (std::size_t i = 0; i < calls.size(); ++i) answers.after[i] = make(calls[i]);
    answers.ended = true;
    while (true) asm volatile("pause");
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { wait(); }

  // Its status (wait(2)), once it has ended or made all calls.
  int wait() {
    for (int i = 0; pid_ > 0; ++i) {
      if (answers().ended || i > 20000) ::kill(pid_, SIGKILL);
      if (::waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = -1;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return status_;
  }

  static Answers& answers() {
    static Answers& shared = *static_cast<Answers*>(::mmap(
        nullptr, sizeof(Answers), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    return shared;
  }

  // Changes nothing, and answers the same each time.
  static bool is_harmless(const Call& call) {
    if (call.architecture == AUDIT_ARCH_I386) {
      for (const int number : {20, 24, 64, 65})
        if (call.number == number) return true;
      return call.number == 54 && static_cast<int>(call.arguments[0]) == -1;
    }
    for (const int number : {SYS_getpid, SYS_getppid, SYS_getuid, SYS_getpgrp})
      if (call.number == number) return true;
    return call.number == SYS_ioctl && static_cast<int>(call.arguments[0]) == -1;
  }

 private:
  pid_t pid_ = -1;
  int status_ = 0;
};

bool is_deadly(std::uint32_t verdict) {
  const std::uint32_t action = verdict & SECCOMP_RET_ACTION_FULL;
  return action == SECCOMP_RET_KILL_PROCESS || action == SECCOMP_RET_KILL_THREAD ||
         action == SECCOMP_RET_TRAP;
}

// `before` is the kernel's own answer.
long expected(std::uint32_t verdict, long before) {
  switch (verdict & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ERRNO:
      return -static_cast<long>(verdict & SECCOMP_RET_DATA);
    case SECCOMP_RET_TRACE:
      return -ENOSYS;  // there is no tracer
    default:
      return before;
  }
}

void expect_the_kernel_agrees(const FilterProgram& program, const std::vector<Call>& calls) {
  std::vector<Call> survivable;
  for (const Call& call : calls) {
    const std::uint32_t verdict = evaluate(program, described(call));
    if (!is_deadly(verdict)) {
      survivable.push_back(call);
      continue;
    }
    const int status = Child(program, {call}).wait();
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) << show(call) << ": " << status;
  }
  Child child(program, survivable);
  child.wait();
  ASSERT_TRUE(Child::answers().ended) << "the child died";
  for (std::size_t i = 0; i < survivable.size(); ++i) {
    const std::uint32_t verdict = evaluate(program, described(survivable[i]));
    EXPECT_EQ(comparable(Child::answers().after[i]),
              comparable(expected(verdict, Child::answers().before[i])))
        << show(survivable[i]) << ", the interpreter says " << std::hex << verdict;
  }
}

Policy policy_with(const std::vector<Rule>& rules, Verdict standard) {
  Policy policy;
  policy.name = "p";
  policy.standard = standard;
  policy.other_architectures = {SCMP_ARCH_X86, SCMP_ARCH_X32};
  policy.rules = rules;
  return policy;
}

std::vector<Call> terminal_calls() {
  std::vector<Call> calls;
  for (const std::uint64_t request :
       {std::uint64_t{TIOCSTI}, std::uint64_t{TIOCLINUX}, bit_32 + TIOCSTI,
        (bit_32 << 31U) + TIOCSTI, std::uint64_t{TCGETS}, bit_32 + TIOCLINUX}) {
    for (const std::uint64_t descriptor : {UINT64_MAX, UINT64_MAX >> 32U}) {
      calls.push_back({AUDIT_ARCH_X86_64, SYS_ioctl, {descriptor, request}});
      calls.push_back({AUDIT_ARCH_I386, 54, {descriptor, request}});
    }
  }
  return calls;
}

const std::array<std::uint64_t, 10> values{
    0, 1, 2, 3, 0xffffffff, bit_32, bit_32 + 1, bit_32 + 2, std::uint64_t{1} << 63U, UINT64_MAX};

Rule random_rule(std::mt19937& random, const std::string& call) {
  constexpr std::array verdicts{Verdict{Action::allow, 0}, Verdict{Action::error, 5},
                                Verdict{Action::error, 0}, Verdict{Action::trace, 3},
                                Verdict{Action::log, 0}};
  Rule rule;
  rule.calls = {call};
  rule.place = "here";
  rule.verdict = verdicts[random() % verdicts.size()];
  for (unsigned argument = 0; argument < 5; ++argument) {
    if (random() % 2 == 0) continue;
    ArgumentTest test{argument, static_cast<Comparison>(random() % 7),
                      values[random() % values.size()]};
    if (test.comparison == Comparison::masked_eq) test.mask = values[random() % values.size()];
    rule.tests.push_back(test);
  }
  return rule;
}

TEST(SeccompKernel, AgreesOnRulesThatTestArguments) {
  std::mt19937 random(5);
  int compiled = 0;
  for (int round = 0; round < 60; ++round) {
    Policy policy = policy_with(
        {}, random() % 2 == 0 ? Verdict{Action::error, EPERM} : Verdict{Action::allow, 0});
    for (const char* call : {"getpid", "getppid", "getuid", "getpgrp"})
      for (std::size_t rules = random() % 3; rules > 0; --rules)
        policy.rules.push_back(random_rule(random, call));
    std::vector<Call> calls = terminal_calls();
    for (int i = 0; i < 200; ++i) {
      const bool i386 = random() % 3 == 0;
      constexpr std::array i386_numbers{20, 64, 24, 65};
      constexpr std::array numbers{SYS_getpid, SYS_getppid, SYS_getuid, SYS_getpgrp};
      Call call{i386 ? std::uint32_t{AUDIT_ARCH_I386} : std::uint32_t{AUDIT_ARCH_X86_64},
                static_cast<int>(i386 ? i386_numbers[random() % 4] : numbers[random() % 4])};
      for (std::size_t argument = 0; argument < 5; ++argument)
        call.arguments[argument] = values[random() % values.size()];
      calls.push_back(call);
    }
    try {
      compile(policy, {{}, now});
    } catch (const Error&) {
      continue;  // contradictory
    }
    ++compiled;
    expect_the_kernel_agrees(compile(policy, {{}, now}).program, calls);
  }
  EXPECT_GT(compiled, 20);
}

Rule always(const char* name, Action action) {
  Rule rule;
  rule.calls = {name};
  rule.verdict.action = action;
  return rule;
}

TEST(SeccompKernel, AgreesOnWhatKills) {
  const Policy policy =
      policy_with({always("getpid", Action::kill_process), always("getppid", Action::kill_thread),
                   always("getuid", Action::trap)},
                  {Action::allow, 0});
  Policy narrow = policy;
  narrow.other_architectures.clear();
  expect_the_kernel_agrees(compile(policy, {{}, now}).program, {{AUDIT_ARCH_X86_64, SYS_getpid},
                                                                {AUDIT_ARCH_X86_64, SYS_getppid},
                                                                {AUDIT_ARCH_X86_64, SYS_getuid},
                                                                {AUDIT_ARCH_X86_64, SYS_getpgrp},
                                                                {AUDIT_ARCH_I386, 20}});
  expect_the_kernel_agrees(compile(narrow, {{}, now}).program,
                           {{AUDIT_ARCH_I386, 65}, {AUDIT_ARCH_X86_64, 0x40000000 + SYS_getpgrp}});
}

// Every call that a policy refuses, by its number; those that it lets through could do anything.
std::vector<Call> refused_calls(const FilterProgram& program) {
  std::vector<Call> calls;
  std::vector<int> numbers{-1, -2, 0x7fffffff, 0x3fffffff};
  for (int number = 0; number < 600; ++number) {
    // uretprobe and uprobe: the kernel's own trampolines call them, and it asks no filter.
    if (number == 335 || number == 336) continue;
    for (const int bit : {0, 0x40000000}) numbers.push_back(number + bit);
  }
  for (const std::uint32_t architecture :
       {std::uint32_t{AUDIT_ARCH_X86_64}, std::uint32_t{AUDIT_ARCH_I386}}) {
    for (const int number : numbers) {
      Call call{architecture, number};
      call.arguments.fill(UINT64_MAX);
      const std::uint32_t verdict = evaluate(program, described(call));
      if ((verdict & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO) calls.push_back(call);
    }
  }
  return calls;
}

void expect_agreement_on_refusals(const Policy& policy, std::size_t at_least) {
  const FilterProgram program = compile(policy, {{}, now}).program;
  std::vector<Call> calls = refused_calls(program);
  EXPECT_GT(calls.size(), at_least);
  for (const Call& call : terminal_calls()) calls.push_back(call);
  expect_the_kernel_agrees(program, calls);
}

TEST(SeccompKernel, AgreesOnWhatTheBuiltInDefaultRefuses) {
  expect_agreement_on_refusals(read_policy(built_in_policy("default").text, "default"), 100);
}

TEST(SeccompKernel, AgreesOnWhatPodmansDefaultRefuses) {
  std::ifstream file("/usr/share/containers/seccomp.json");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  expect_agreement_on_refusals(read_policy(text, "podman's"), 500);
}

// Both forms of each instruction that compiled policies don't use.
TEST(SeccompKernel, AgreesOnEveryInstruction) {
  const auto line = [](unsigned code, std::uint32_t k = 0, std::uint8_t jt = 0,
                       std::uint8_t jf = 0) {
    return sock_filter{static_cast<std::uint16_t>(code), jt, jf, k};
  };
  std::mt19937 generator(9);
  const auto random = [&generator] { return static_cast<std::uint32_t>(generator()); };
  constexpr std::array operations{BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_AND,
                                  BPF_OR,  BPF_XOR, BPF_LSH, BPF_RSH};
  constexpr std::array comparisons{BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
  for (int round = 0; round < 40; ++round) {
    // A number out of getpid's first argument and constants, whose lower bits become an errno.
    std::vector<sock_filter> code{line(BPF_LD | BPF_W | BPF_ABS, 0),
                                  line(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpid, 1, 0),
                                  line(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                                  line(BPF_LD | BPF_W | BPF_ABS, 16),
                                  line(BPF_ST, 3),
                                  line(BPF_LDX | BPF_IMM, random())};
    for (int i = 0; i < 8; ++i) {
      const unsigned operation = static_cast<unsigned>(operations[random() % operations.size()]);
      const bool shifts = operation == BPF_LSH || operation == BPF_RSH;
      if (random() % 2 == 0 || operation == BPF_DIV)
        code.push_back(line(BPF_ALU | operation | BPF_X));
      else
        code.push_back(line(BPF_ALU | operation | BPF_K, shifts ? random() % 32 : random()));
      const unsigned comparison = static_cast<unsigned>(comparisons[random() % 4]);
      code.push_back(line(BPF_JMP | comparison | BPF_X, 0, 0, 1));
      code.push_back(line(BPF_ALU | BPF_NEG));
      code.push_back(line(BPF_JMP | comparison | BPF_K, random(), 1, 0));
      code.push_back(line(BPF_MISC | BPF_TAX));
      code.push_back(line(BPF_STX, 4));
      code.push_back(line(BPF_LD | BPF_MEM, 3 + random() % 2));
      code.push_back(line(BPF_ALU | BPF_XOR | BPF_X));
    }
    code.push_back(line(BPF_LDX | BPF_W | BPF_LEN));
    code.push_back(line(BPF_ALU | BPF_ADD | BPF_X));
    code.push_back(line(BPF_ALU | BPF_AND | BPF_K, 0xfff));
    code.push_back(line(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO));
    code.push_back(line(BPF_RET | BPF_A));
    FilterProgram program;
    for (const sock_filter& one : code) program.code.push_back(std::bit_cast<std::uint64_t>(one));
    std::vector<Call> calls;
    for (int i = 0; i < 20; ++i)
      calls.push_back({AUDIT_ARCH_X86_64, SYS_getpid, {random(), random()}});
    expect_the_kernel_agrees(program, calls);
  }
}

}  // namespace
}  // namespace stepdown::seccomp
