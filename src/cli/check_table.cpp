#include <algorithm>
#include <array>
#include <cstddef>

#include "cli/check_report.h"
#include "sys/text.h"

namespace stepdown::cli {

namespace {

constexpr std::size_t command_width = 100;

// "1000", or "1000/0/0/0": real, effective, saved, filesystem.
template <typename Id>
std::string id_cell(const IdQuad<Id>& ids) {
  std::string cell = std::to_string(raw(ids.real));
  if (ids.all_are(ids.real)) return cell;
  for (const Id id : {ids.effective, ids.saved, ids.filesystem}) {
    cell += "/" + std::to_string(raw(id));
  }
  return cell;
}

// "none", "NET_BIND_SERVICE", "14"; then ",bounding=14" where that set isn't empty.
std::string capability_cell(const CapabilityState& sets) {
  const CapabilitySet held = sets.inheritable | sets.permitted | sets.effective | sets.ambient;
  const std::vector<Capability> members = held.members();
  std::string cell = "none";
  if (members.size() == 1) cell = capability_flag(members.front());
  if (members.size() > 1) cell = std::to_string(members.size());
  if (!sets.bounding.empty()) {
    cell += ",bounding=" + std::to_string(sets.bounding.members().size());
  }
  return cell;
}

std::string seccomp_cell(const ProcessState& process) {
  if (process.seccomp_mode == 0) return "none";
  if (process.seccomp_mode == 1) return "strict";
  if (process.seccomp_filters == 0) return "filter";
  return "filter=" + std::to_string(process.seccomp_filters);
}

using Row = std::array<std::string, 8>;

Row row_of(const CheckedProcess& process) {
  const ProcessState& state = process.state;
  std::string command = sys::escaped(state.command);
  if (command.size() > command_width) command = command.substr(0, command_width - 3) + "...";
  return {std::to_string(state.pid),
          id_cell(state.credentials.uid),
          id_cell(state.credentials.gid),
          capability_cell(state.credentials.capabilities),
          state.credentials.no_new_privs ? "yes" : "no",
          seccomp_cell(state),
          process.ok() ? "ok" : "FAIL",
          command};
}

}  // namespace

bool CheckedProcess::ok() const {
  return std::all_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.ok; });
}

bool all_ok(const std::vector<CheckedProcess>& processes) {
  return std::all_of(processes.begin(), processes.end(),
                     [](const CheckedProcess& process) { return process.ok(); });
}

std::string check_table(const std::vector<CheckedProcess>& processes) {
  std::vector<Row> rows = {{"PID", "UID", "GID", "CAPS", "NNP", "SECCOMP", "RESULT", "COMMAND"}};
  for (const CheckedProcess& process : processes) rows.push_back(row_of(process));
  std::array<std::size_t, std::tuple_size_v<Row>> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }

  std::string table;
  for (std::size_t line = 0; line < rows.size(); ++line) {
    const Row& row = rows[line];
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      table += row[i] + std::string(widths[i] + 2 - row[i].size(), ' ');
    }
    table += row.back() + "\n";
    if (line == 0) continue;
    for (const Finding& finding : processes[line - 1].findings) {
      if (!finding.ok) table += "    " + finding.rule + ": " + sys::escaped(finding.detail) + "\n";
    }
  }
  return table;
}

}  // namespace stepdown::cli
