#include "seccomp/policy_words.h"

#include <linux/audit.h>
#include <seccomp.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace stepdown::seccomp {

namespace {

// The first name of an action is the one that messages say.
constexpr std::array<std::pair<std::string_view, Action>, 8> actions{{
    {"SCMP_ACT_KILL_PROCESS", Action::kill_process},
    {"SCMP_ACT_KILL_THREAD", Action::kill_thread},
    {"SCMP_ACT_KILL", Action::kill_thread},  // seccomp(2): SECCOMP_RET_KILL
    {"SCMP_ACT_TRAP", Action::trap},
    {"SCMP_ACT_ERRNO", Action::error},
    {"SCMP_ACT_TRACE", Action::trace},
    {"SCMP_ACT_LOG", Action::log},
    {"SCMP_ACT_ALLOW", Action::allow},
}};

constexpr std::array<std::pair<std::string_view, Comparison>, 7> comparisons{{
    {"SCMP_CMP_NE", Comparison::ne},
    {"SCMP_CMP_LT", Comparison::lt},
    {"SCMP_CMP_LE", Comparison::le},
    {"SCMP_CMP_EQ", Comparison::eq},
    {"SCMP_CMP_GE", Comparison::ge},
    {"SCMP_CMP_GT", Comparison::gt},
    {"SCMP_CMP_MASKED_EQ", Comparison::masked_eq},
}};

// errno(3): second names of one number, of which strerrorname_np(3) gives the first.
constexpr std::array<std::pair<std::string_view, int>, 3> errno_aliases{{
    {"EWOULDBLOCK", EWOULDBLOCK},
    {"EDEADLOCK", EDEADLOCK},
    {"ENOTSUP", ENOTSUP},
}};

// Of those that one kernel runs programs of.
enum class Family {
  x86,
  arm,
  mips,
  mipsel,
  ppc,
  ppcle,
  s390,
  parisc,
  riscv,
  loongarch,
  m68k,
  sh,
  sheb
};

struct Architecture {
  std::string_view name;
  std::uint32_t token;
  Family family;
  std::string_view go;      // GOARCH
  std::string_view engine;  // where engines have another word
};

constexpr std::array<Architecture, 23> architectures{{
    {"SCMP_ARCH_X86", SCMP_ARCH_X86, Family::x86, "386", "x86"},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64, Family::x86, "amd64", "x86_64"},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32, Family::x86, "x32", ""},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM, Family::arm, "arm", ""},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64, Family::arm, "arm64", "aarch64"},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS, Family::mips, "mips", ""},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64, Family::mips, "mips64", ""},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32, Family::mips, "mips64p32", "mips64n32"},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL, Family::mipsel, "mipsle", "mipsel"},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64, Family::mipsel, "mips64le", "mipsel64"},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32, Family::mipsel, "mips64p32le", "mipsel64n32"},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC, Family::ppc, "ppc", ""},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64, Family::ppc, "ppc64", ""},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE, Family::ppcle, "ppc64le", ""},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390, Family::s390, "s390", ""},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X, Family::s390, "s390x", ""},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC, Family::parisc, "parisc", ""},
    {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64, Family::parisc, "parisc64", ""},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64, Family::riscv, "riscv64", ""},
    // Newer than libseccomp 2.5.
    {"SCMP_ARCH_LOONGARCH64", AUDIT_ARCH_LOONGARCH64, Family::loongarch, "loong64", "loongarch64"},
    {"SCMP_ARCH_M68K", AUDIT_ARCH_M68K, Family::m68k, "m68k", ""},
    {"SCMP_ARCH_SH", AUDIT_ARCH_SHEL, Family::sh, "sh", ""},
    {"SCMP_ARCH_SHEB", AUDIT_ARCH_SH, Family::sheb, "sheb", ""},
}};

const Architecture* find_architecture(std::uint32_t token) {
  for (const Architecture& row : architectures)
    if (row.token == token) return &row;
  return nullptr;
}

bool named_by_engines(const Architecture& row, std::string_view name) {
  return !name.empty() && (row.go == name || row.engine == name);
}

template <class Table>
auto find_word(const Table& table, std::string_view name)
    -> std::optional<decltype(table.front().second)> {
  for (const auto& [word, meaning] : table)
    if (word == name) return meaning;
  return std::nullopt;
}

}  // namespace

std::optional<Action> action_from_name(std::string_view name) {
  return find_word(actions, name);
}

std::string_view action_name(Action action) {
  for (const auto& [name, meaning] : actions)
    if (meaning == action) return name;
  return "";
}

std::optional<Comparison> comparison_from_name(std::string_view name) {
  return find_word(comparisons, name);
}

std::optional<std::uint16_t> errno_from_name(std::string_view name) {
  if (const auto number = find_word(errno_aliases, name)) {
    return static_cast<std::uint16_t>(*number);
  }
  for (int number = 1; number <= most_errno; ++number) {
    const char* const known = strerrorname_np(number);
    if (known != nullptr && name == known) return static_cast<std::uint16_t>(number);
  }
  return std::nullopt;
}

std::optional<std::uint32_t> architecture_from_name(std::string_view name) {
  if (name == "SCMP_ARCH_NATIVE") return native_architecture();
  for (const Architecture& row : architectures)
    if (row.name == name) return row.token;
  return std::nullopt;
}

std::uint32_t native_architecture() {
  return seccomp_arch_native();
}

bool runs_here(std::uint32_t architecture) {
  const Architecture* const here = find_architecture(native_architecture());
  const Architecture* const there = find_architecture(architecture);
  return here != nullptr && there != nullptr && here->family == there->family;
}

bool is_engine_architecture(std::string_view name) {
  for (const Architecture& row : architectures)
    if (named_by_engines(row, name)) return true;
  return false;
}

bool is_native_architecture(std::string_view name) {
  const Architecture* const here = find_architecture(native_architecture());
  return here != nullptr && named_by_engines(*here, name);
}

}  // namespace stepdown::seccomp
