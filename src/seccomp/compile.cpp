// libseccomp makes the tree that finds a call by architecture and number. What stands at its leaves
// is ours (call_rules.h): libseccomp gets a mark for each, a SECCOMP_RET_TRACE, and the mark is
// replaced in what it wrote.
#include "seccomp/compile.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <set>
#include <type_traits>
#include <utility>

#include "seccomp/call_rules.h"
#include "seccomp/policy_words.h"
#include "seccomp/prologue.h"
#include "stepdown/error.h"
#include "sys/fd.h"

namespace stepdown::seccomp {

namespace {

constexpr std::uint32_t mark_of_default = 0xffff;

class Compilation {
 public:
  Compilation(const Policy& policy, const std::vector<Rule>& applying)
      : policy_(policy), rules_(rules_by_name(applying)) {
    // What the machine that compiles can do doesn't matter, and libseccomp needn't ask it.
    require(seccomp_api_set(3), "seccomp_api_set(3)");
    cover(seccomp_arch_native());
    for (const std::uint32_t other : policy.other_architectures) cover(other);
  }

  FilterProgram program() {
    FilterProgram program;
    program.flags = policy_.flags;
    const std::vector<Way> ways = this->ways();
    std::vector<sock_filter> code = refusing_terminal_injection(ways);
    program.terminal_part = static_cast<std::uint32_t>(code.size());
    if (answers_newer_calls(policy_.standard)) append(code, answering_newer_calls(ways));
    append(code, with_leaves(tree()));
    if (code.size() > BPF_MAXINSNS)
      refuse(policy_.name,
             "it takes " + std::to_string(code.size()) + " instructions, and the kernel takes " +
                 std::to_string(BPF_MAXINSNS),
             "name fewer architectures, or fewer calls whose arguments are tested");
    for (const sock_filter& line : code) program.code.push_back(std::bit_cast<std::uint64_t>(line));
    return program;
  }

 private:
  struct Release {
    void operator()(void* filter) const { seccomp_release(filter); }
  };
  using Context = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, Release>;

  static void append(std::vector<sock_filter>& code, const std::vector<sock_filter>& more) {
    code.insert(code.end(), more.begin(), more.end());
  }

  // Functions of libseccomp return a negative errno.
  void require(int result, const char* call) const {
    if (result == 0) return;
    ErrorDetails details;
    details.step = policy_.name;
    details.syscall = call;
    details.number = -result;
    details.cause = "libseccomp can't compile it";
    throw Error(std::move(details));
  }

  void cover(std::uint32_t architecture) {
    const bool known = std::any_of(
        architectures_.begin(), architectures_.end(),
        [=](const CallNumbers& numbers) { return numbers.architecture() == architecture; });
    if (!known) architectures_.emplace_back(architecture);
  }

  [[nodiscard]] std::vector<Way> ways() const {
    std::set<std::string> names;
    for (const Rule& rule : policy_.rules) names.insert(rule.calls.begin(), rule.calls.end());
    std::vector<Way> ways;
    for (const CallNumbers& numbers : architectures_) {
      Way way{numbers.architecture(), {}};
      for (const std::string& name : names) {
        const int number = numbers.of(name);
        if (number < 0 || static_cast<std::uint32_t>(number) >= end_of_sequence(way.architecture))
          continue;
        way.newest = std::max(way.newest.value_or(0), number);
      }
      ways.push_back(way);
    }
    return ways;
  }

  // A return with a mark wherever it has found a call. What comes by another architecture gets
  // libseccomp's own answer, SECCOMP_RET_KILL_THREAD.
  std::vector<sock_filter> tree() {
    Context all;
    for (const CallNumbers& numbers : architectures_) {
      Context one = part_of(numbers);
      // A merge takes the second filter over, and with it its release.
      if (all)
        require(seccomp_merge(all.get(), one.release()), "seccomp_merge(3)");
      else
        all = std::move(one);
    }
    constexpr std::uint32_t as_tree = 2;
    require(seccomp_attr_set(all.get(), SCMP_FLTATR_CTL_OPTIMIZE, as_tree), "seccomp_attr_set(3)");
    return exported(all.get());
  }

  Context part_of(const CallNumbers& numbers) {
    Context filter(seccomp_init(SCMP_ACT_TRACE(mark_of_default)));
    require(filter ? 0 : -ENOMEM, "seccomp_init(3)");
    if (numbers.architecture() != seccomp_arch_native()) {
      require(seccomp_arch_add(filter.get(), numbers.architecture()), "seccomp_arch_add(3)");
      require(seccomp_arch_remove(filter.get(), SCMP_ARCH_NATIVE), "seccomp_arch_remove(3)");
    }
    const RulesByName rules = rules_of_architecture(numbers, rules_, policy_.standard);
    // Among them are the multiplexed calls, whatever the policy says of them: libseccomp would let
    // them through for each call that they can make, and a rule without tests outranks that.
    for (const auto& [name, call] : rules) add(filter.get(), name, call);
    return filter;
  }

  void add(scmp_filter_ctx filter, const std::string& name, const CallRules& call) {
    // Negative for a name that this machine's own architecture lacks; libseccomp takes that, too.
    const int number = seccomp_syscall_resolve_name(name.c_str());
    require(seccomp_rule_add(filter, SCMP_ACT_TRACE(mark_of(call)), number, 0),
            "seccomp_rule_add(3)");
  }

  std::uint32_t mark_of(const CallRules& call) {
    const auto found = std::find(leaves_.begin(), leaves_.end(), call);
    const auto mark = static_cast<std::uint32_t>(found - leaves_.begin());
    if (mark == mark_of_default)
      refuse(policy_.name, "more different rules than a filter has room for");
    if (found == leaves_.end()) leaves_.push_back(call);
    return mark;
  }

  [[nodiscard]] std::vector<sock_filter> exported(scmp_filter_ctx filter) const {
    const sys::Fd file(::memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) throw_errno(policy_.name, "memfd_create(2)");
    require(seccomp_export_bpf(filter, file.get()), "seccomp_export_bpf(3)");
    const off_t size = ::lseek(file.get(), 0, SEEK_CUR);
    std::vector<sock_filter> code(static_cast<std::size_t>(size) / sizeof(sock_filter));
    if (::pread(file.get(), code.data(), static_cast<std::size_t>(size), 0) != size)
      throw_errno(policy_.name, "pread(2)");
    return code;
  }

  [[nodiscard]] std::vector<sock_filter> with_leaves(std::vector<sock_filter> code) const {
    constexpr std::size_t unplaced = 0;
    std::vector<std::size_t> places(leaves_.size(), unplaced);
    const std::size_t end_of_tree = code.size();
    for (std::size_t i = 0; i < end_of_tree; ++i) {
      const std::uint32_t value = code[i].k;
      if (code[i].code != (BPF_RET | BPF_K) ||
          (value & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_TRACE)
        continue;
      const std::uint32_t mark = value & SECCOMP_RET_DATA;
      const std::vector<sock_filter> leaf =
          code_of(mark == mark_of_default ? CallRules{} : leaves_.at(mark), policy_.standard);
      if (leaf.size() == 1) {
        code[i] = leaf.front();
        continue;
      }
      if (places[mark] == unplaced) {
        places[mark] = code.size();
        append(code, leaf);
      }
      code[i] = {BPF_JMP | BPF_JA, 0, 0, static_cast<std::uint32_t>(places[mark] - i - 1)};
    }
    return code;
  }

  const Policy& policy_;
  RulesByName rules_;
  std::vector<CallNumbers> architectures_;  // the native one first
  std::vector<CallRules> leaves_;           // by their marks
};

[[noreturn]] void refuse_unknown(const Policy& policy, const Rule& rule, const std::string& call) {
  const Action standard = policy.standard.action;
  const bool passes = standard == Action::allow || standard == Action::log;
  refuse(policy.name + ": " + rule.place,
         call + " is " + not_known() + ": the default, " + std::string(action_name(standard)) +
             (passes ? ", would let it through" : ", is laxer than this rule"),
         "correct or remove the name, or take a policy whose default is as strict");
}

// Nothing can be compiled for them: they get the default, which may deny more than a rule would,
// but never less.
std::vector<std::string> unknown_of(const Policy& policy, const std::vector<Rule>& applying) {
  std::set<std::string> unknown;
  for (const Rule& rule : applying) {
    for (const std::string& name : rule.calls) {
      if (seccomp_syscall_resolve_name(name.c_str()) != __NR_SCMP_ERROR) continue;
      // Actions stand in the order of their strictness (policy.h).
      if (rule.verdict.action < policy.standard.action) refuse_unknown(policy, rule, name);
      unknown.insert(name);
    }
  }
  return {unknown.begin(), unknown.end()};
}

}  // namespace

std::string not_known() {
  const scmp_version* const version = seccomp_version();
  return "not known to libseccomp " + std::to_string(version->major) + "." +
         std::to_string(version->minor) + "." + std::to_string(version->micro) +
         " (misspelt, or newer)";
}

Compiled compile(const Policy& policy, const FilterSituation& situation) {
  const std::vector<Rule> applying = applying_rules(policy, situation);
  refuse_contradictions(policy, applying);
  std::vector<std::string> unknown = unknown_of(policy, applying);
  return {Compilation(policy, applying).program(), std::move(unknown)};
}

}  // namespace stepdown::seccomp
