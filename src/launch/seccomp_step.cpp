#include <linux/bpf_common.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "launch/steps.h"
#include "launch/supervisor.h"
#include "seccomp/compile.h"
#include "seccomp/notifying.h"
#include "seccomp/supervised_filter.h"
#include "seccomp/terminal_filter.h"
#include "sys/files.h"

namespace stepdown::steps {

namespace {

constexpr const char* step = "seccomp";

// What may be made after a failed execve(2), to say what the matter was.
constexpr long explaining_calls[] = {
#ifdef SYS_access
    SYS_access,
#else
    SYS_faccessat,
#endif
    SYS_newfstatat, SYS_openat,       SYS_pread64, SYS_close, SYS_write, SYS_lseek,
    SYS_fcntl,      SYS_rt_sigaction, SYS_brk,     SYS_mmap,  SYS_munmap};

bool is_allowed(const FilterProgram& program, long number) {
  return seccomp::allows(program, number);
}

LastWords last_words(const FilterProgram& program) {
  const auto allowed = [&program](long number) { return seccomp::always_allows(program, number); };
  if (std::ranges::all_of(explaining_calls, allowed)) return LastWords::explain;
  return allowed(SYS_write) ? LastWords::say : LastWords::nothing;
}

// "refuses execve (EPERM)", "kills who calls execve"; empty where the program lets it through.
std::string verdict_text(const FilterProgram& program, long number, const std::string& name) {
  if (is_allowed(program, number)) return {};
  const std::uint32_t verdict = seccomp::verdict_of(program, number);
  switch (verdict & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ERRNO: {
      const char* const error = ::strerrorname_np(static_cast<int>(verdict & SECCOMP_RET_DATA));
      return "refuses " + name + (error == nullptr ? "" : " (" + std::string(error) + ")");
    }
    case SECCOMP_RET_TRACE:
      return "leaves " + name + " to a tracer, and there is none";
    default:
      return "kills who calls " + name;
  }
}

// The app starts by execve(2); where it can't, the launcher ends by exit_group(2).
std::string missing_need(const ReadyFilter& filter) {
  const FilterProgram& program = filter.program;
  std::string text = verdict_text(program, SYS_execve, "execve");
  if (!text.empty())
    return "the policy " + text + ", by which the app starts: it must allow execve";
  text = verdict_text(program, SYS_exit_group, "exit_group");
  if (!text.empty())
    return "the policy " + text + ", by which every program ends: it must allow exit_group";
  return {};
}

std::string obstacle(const ReadyFilter& filter) {
  if (seccomp::availability() != seccomp::Availability::available)
    return "seccomp filters can't be had here";
  return missing_need(filter);
}

// Why no supervisor can log what is refused, in words.
std::string obstacle_to_supervision(const Plan& plan) {
  if (plan.init == Init::none) return "there is no supervisor without --init";
  if (is_supervised(plan))
    return "the supervisor answers other calls already, and the kernel allows one listener";
  // That filter's answers would go before those of a supervisor.
  if (plan.pretend_root != PretendRoot::none)
    return "--pretend-root=static may answer the same calls";
  const FilterProgram& program = plan.seccomp->program;
  // How the listener gets there, with the program loaded: refused, they would wait for a supervisor
  // that hasn't got it yet.
  if (!seccomp::always_allows(program, SYS_sendmsg) || !seccomp::always_allows(program, SYS_close))
    return "the policy refuses sendmsg or close, or looks at their arguments, and without them no "
           "supervisor can be reached";
  if (!seccomp::fits_notifying(program))
    return "the policy has " + std::to_string(program.code.size()) +
           " instructions, and those that ask a supervisor no longer fit into the kernel's " +
           std::to_string(BPF_MAXINSNS);
  return seccomp::supervision_obstacle();
}

// Of the sysctl that says which refusals the kernel logs (seccomp(2), "/proc interfaces").
bool kernel_leaves_errors_out() {
  const sys::Fd file = sys::open_procfs("/proc/sys/kernel/seccomp/actions_logged");
  std::array<char, 256> actions{};
  const ssize_t length = file ? ::read(file.get(), actions.data(), actions.size() - 1) : 0;
  return length > 0 && std::strstr(actions.data(), "errno") == nullptr;
}

std::string where_logged(const Plan& plan) {
  const std::string why = obstacle_to_supervision(plan);
  if (why.empty()) return {};
  std::string text = why +
                     ": what the policy refuses goes to the kernel's log (dmesg, journalctl -k, "
                     "ausearch -m SECCOMP)";
  if (kernel_leaves_errors_out())
    text += ", which leaves it out until errno is in /proc/sys/kernel/seccomp/actions_logged";
  return text;
}

std::string unknown_calls(const ReadyFilter& filter) {
  if (filter.unknown_calls.empty()) return {};
  std::string text = seccomp::not_known() + ", and skipped: ";
  const char* between = "";
  for (const std::string& name : filter.unknown_calls) {
    text += between + name;
    between = ", ";
  }
  return text;
}

}  // namespace

bool logs_by_supervisor(const Launch& launch) {
  const Plan& plan = launch.plan;
  return plan.seccomp && plan.seccomp_log && obstacle_to_supervision(plan).empty();
}

void examine_seccomp(const Launch& launch, Findings& findings) {
  const Plan& plan = launch.plan;
  if (!plan.seccomp) return;
  const ReadyFilter& filter = *plan.seccomp;
  StepFinding finding{.name = step, .syscall = "seccomp(2)"};
  finding.detail = "allow the system calls of the policy " + filter.name +
                   (filter.compiled_now ? " (compiled now)" : " (ready)");
  finding.reason = obstacle(filter);
  if (!finding.reason.empty()) {
    finding.state = StepState::blocked;
    findings.push_back(std::move(finding));
    return;
  }
  const std::string logged = plan.seccomp_log ? where_logged(plan) : "";
  if (plan.seccomp_log && logged.empty()) finding.detail += "; the supervisor logs what it refuses";
  finding.reason = unknown_calls(filter);
  if (!logged.empty()) finding.reason += (finding.reason.empty() ? "" : "; ") + logged;
  findings.push_back(std::move(finding));
}

void apply_seccomp(const Launch& launch) {
  const Plan& plan = launch.plan;
  FilterProgram program = plan.seccomp->program;
  prepare_exec(launch, last_words(program));
  // Freeing memory must not become a system call that the policy kills for.
  ::mallopt(M_TRIM_THRESHOLD, -1);
  if (supervisor_waits_for_listener()) {
    hand_listener_over(seccomp::load_notifying_policy(program));
    seccomp::knock();
    return;
  }
  if (plan.seccomp_log) program.flags |= SECCOMP_FILTER_FLAG_LOG;
  seccomp::load_policy(program);
}

}  // namespace stepdown::steps
