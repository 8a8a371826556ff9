// What `stepdown check` found, and the two ways to write it down. Pure.
#pragma once

#include <string>
#include <vector>

#include "stepdown/inspect.h"

namespace stepdown::cli {

struct CheckedProcess {
  ProcessState state;
  std::vector<Finding> findings;

  [[nodiscard]] bool ok() const;
};

[[nodiscard]] bool all_ok(const std::vector<CheckedProcess>& processes);

// A line for each process, and below it one for each rule that fails. Whatever a process chose
// itself, its command line above all, is escaped: it can't reach the terminal as a control sequence
// nor forge a line of the table.
std::string check_table(const std::vector<CheckedProcess>& processes);

// The keys are those of stepdown(1), in that order. Bytes that are no UTF-8 come out as U+FFFD.
std::string check_json(const std::vector<CheckedProcess>& processes);

}  // namespace stepdown::cli
