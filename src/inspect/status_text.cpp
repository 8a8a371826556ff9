#include "inspect/status_text.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "stepdown/error.h"

namespace stepdown {

namespace inspect {

namespace {

// The fields that are read (proc_pid_status(5)). Those after `needed` may be missing: VmSize where
// a task has no memory, Seccomp where the kernel has none (mode 0 is then the truth),
// Seccomp_filters before Linux 5.9.
enum Field : std::size_t {
  name,
  run_state,
  tgid,
  pid,
  ppid,
  uid,
  gid,
  groups,
  threads,
  cap_inheritable,
  cap_permitted,
  cap_effective,
  cap_bounding,
  cap_ambient,
  no_new_privs,
  needed,
  vm_size = needed,
  seccomp,
  seccomp_filters,
  field_count
};

constexpr std::array<std::string_view, field_count> keys = {
    "Name",   "State",  "Tgid",       "Pid",    "PPid",    "Uid",
    "Gid",    "Groups", "Threads",    "CapInh", "CapPrm",  "CapEff",
    "CapBnd", "CapAmb", "NoNewPrivs", "VmSize", "Seccomp", "Seccomp_filters"};

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t end = 0; end != std::string_view::npos;) {
    end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end != std::string_view::npos) text.remove_prefix(end + 1);
  }
  return parts;
}

class StatusText {
 public:
  StatusText(std::string_view step, std::string_view text) : step_(step) {
    // A text that breaks off could end within a capability mask and read as a smaller one.
    if (!text.ends_with('\n')) refuse(step_, "the status text breaks off");
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      take_line(text.substr(0, end));
      text.remove_prefix(end + 1);
    }
    for (std::size_t i = 0; i < needed; ++i) {
      if (!values_[i]) refuse(step_, "no " + std::string(keys[i]) + " in the status text");
    }
  }

  [[nodiscard]] bool has(Field field) const { return values_[field].has_value(); }
  [[nodiscard]] std::string_view value(Field field) const { return values_[field].value_or(""); }

  [[noreturn]] void malformed(Field field) const {
    refuse(step_, "malformed " + std::string(keys[field]) + " in the status text: \"" +
                      std::string(value(field)) + "\"");
  }

  template <std::integral Number>
  [[nodiscard]] Number number(Field field, Number largest) const {
    const std::optional<Number> found = parse_decimal<Number>(value(field));
    if (!found || *found > largest) malformed(field);
    return *found;
  }

  template <typename Id>
  [[nodiscard]] std::vector<Id> ids(Field field, std::string_view list, char separator) const {
    std::vector<Id> found;
    for (const std::string_view word : split(list, separator)) {
      const std::optional<std::uint32_t> id = parse_decimal<std::uint32_t>(word);
      if (!id) malformed(field);
      found.push_back(Id{*id});
    }
    return found;
  }

  template <typename Id>
  [[nodiscard]] IdQuad<Id> quad(Field field) const {
    const std::vector<Id> found = ids<Id>(field, value(field), '\t');
    if (found.size() != 4) malformed(field);
    return {found[0], found[1], found[2], found[3]};
  }

  // Each group is followed by a space; an empty list is that space alone.
  [[nodiscard]] std::vector<Gid> groups() const {
    std::string_view list = value(Field::groups);
    if (list.ends_with(' ')) list.remove_suffix(1);
    return list.empty() ? std::vector<Gid>{} : ids<Gid>(Field::groups, list, ' ');
  }

  [[nodiscard]] CapabilitySet capabilities(Field field) const {
    const std::string_view digits = value(field);
    std::uint64_t bits = 0;
    const char* const last = digits.data() + digits.size();
    const auto [end, error] = std::from_chars(digits.data(), last, bits, 16);
    if (digits.size() != 16 || end != last || error != std::errc{}) malformed(field);
    return CapabilitySet::from_bits(bits);
  }

 private:
  void take_line(std::string_view line) {
    const std::size_t colon = line.find(":\t");
    if (colon == std::string_view::npos) return;
    const auto key = std::find(keys.begin(), keys.end(), line.substr(0, colon));
    if (key == keys.end()) return;
    std::optional<std::string_view>& value = values_[static_cast<std::size_t>(key - keys.begin())];
    if (value) refuse(step_, std::string(*key) + " is in the status text twice");
    value = line.substr(colon + 2);
  }

  std::string_view step_;
  std::array<std::optional<std::string_view>, field_count> values_;
};

}  // namespace

ThreadStatus parse_thread_status(std::string_view step, std::string_view text) {
  constexpr pid_t largest_pid = 4194304;  // PID_MAX_LIMIT, proc_sys_kernel(5)
  const StatusText status(step, text);
  ThreadStatus thread;

  if (status.value(run_state).empty()) status.malformed(run_state);
  const char letter = status.value(run_state).front();
  thread.dead = letter == 'Z' || letter == 'X';
  thread.process = status.number<pid_t>(tgid, largest_pid);
  thread.threads = status.number<unsigned>(threads, largest_pid);
  thread.has_memory = status.has(vm_size);

  ProcessState& state = thread.state;
  state.command = "[" + std::string(status.value(name)) + "]";
  state.pid = status.number<pid_t>(pid, largest_pid);
  state.parent = status.number<pid_t>(ppid, largest_pid);
  if (status.has(seccomp)) state.seccomp_mode = status.number<int>(seccomp, 2);
  if (status.has(seccomp_filters)) {
    state.seccomp_filters = status.number<int>(seccomp_filters, std::numeric_limits<int>::max());
  }

  Credentials& credentials = state.credentials;
  credentials.uid = status.quad<Uid>(uid);
  credentials.gid = status.quad<Gid>(gid);
  credentials.groups = status.groups();
  credentials.capabilities.inheritable = status.capabilities(cap_inheritable);
  credentials.capabilities.permitted = status.capabilities(cap_permitted);
  credentials.capabilities.effective = status.capabilities(cap_effective);
  credentials.capabilities.bounding = status.capabilities(cap_bounding);
  credentials.capabilities.ambient = status.capabilities(cap_ambient);
  credentials.no_new_privs = status.number<int>(no_new_privs, 1) == 1;
  return thread;
}

std::vector<IdMapping> parse_id_map(std::string_view step, std::string_view text) {
  std::vector<IdMapping> mappings;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    // The kernel right-aligns its columns.
    std::vector<std::uint32_t> numbers;
    for (const std::string_view word : split(line, ' ')) {
      if (word.empty()) continue;
      const std::optional<std::uint32_t> number = parse_decimal<std::uint32_t>(word);
      if (!number) refuse(step, "malformed id map: \"" + std::string(line) + "\"");
      numbers.push_back(*number);
    }
    if (numbers.size() != 3) refuse(step, "malformed id map: \"" + std::string(line) + "\"");
    mappings.push_back({numbers[0], numbers[1], numbers[2]});
  }
  return mappings;
}

std::string proc_mount_options(std::string_view mountinfo) {
  constexpr std::size_t mount_point = 4;
  std::string options;
  for (const std::string_view line : split(mountinfo, '\n')) {
    const std::vector<std::string_view> fields = split(line, ' ');
    if (fields.size() > mount_point && fields[mount_point] == "/proc") options = fields.back();
  }
  return options;
}

}  // namespace inspect

ProcessState parse_status(std::string_view step, std::string_view text) {
  return inspect::parse_thread_status(step, text).state;
}

}  // namespace stepdown
