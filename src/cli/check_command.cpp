#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cli/check_report.h"
#include "cli/commands.h"
#include "cli/option_words.h"
#include "cli/output.h"
#include "stepdown/error.h"
#include "stepdown/identity.h"
#include "stepdown/inspect.h"

namespace stepdown::cli {

namespace {

constexpr std::string_view step = "check";

struct CheckOptions {
  std::optional<pid_t> pid;
  bool tree = false;
  std::string rules = "restricted";
  bool json = false;
};

pid_t parse_pid(const std::string& word) {
  const std::optional<std::uint32_t> number = parse_id("--pid", word);
  if (!number) refuse("--pid", "\"" + word + "\" is no process id");
  return static_cast<pid_t>(*number);
}

// nullopt: help was asked for and given.
std::optional<CheckOptions> parse_words(const Words& words) {
  CheckOptions options;
  std::string pid;
  CLI::App app("Judges the privileges of running processes by rules.", "stepdown check");
  app.add_option("--pid", pid, "this process alone; without it every process but check itself")
      ->type_name("N");
  app.add_flag("--tree", options.tree, "with --pid: and every process below it")
      ->needs("--pid")
      ->disable_flag_override();
  app.add_option("--require", options.rules, "the rules that must hold")
      ->type_name("RULE[,RULE...]")
      ->capture_default_str();
  app.add_flag("--json", options.json, "a JSON document instead of a table")
      ->disable_flag_override();
  app.footer(
      "Rules:\n"
      "  restricted            Kubernetes' restricted profile, as it shows in a process:\n"
      "                        non-root, only-capability=NET_BIND_SERVICE, no-new-privs, seccomp\n"
      "  non-root              no uid is 0\n"
      "  no-root-group         no gid and no supplementary group is 0\n"
      "  no-capabilities       no capability in any set\n"
      "  only-capability=NAME  no other capability in any set\n"
      "  no-new-privs          no_new_privs is set\n"
      "  seccomp               a seccomp filter is in force\n"
      "  uid=N, gid=N          all four ids are N\n"
      "  groups=N:N...         these supplementary groups and no others; the gid always counts\n"
      "  user-namespace        in a user namespace of its own\n"
      "A bounding set that no_new_privs makes moot breaks no rule.\n\n"
      "Exit status: 0 every rule holds, 1 one does not, 125 a process can't be examined.");
  if (!parse_or_help(app, words)) return std::nullopt;
  if (app.count("--pid") > 0) options.pid = parse_pid(pid);
  return options;
}

std::vector<ProcessState> read_processes(const CheckOptions& options) {
  if (options.pid && options.tree) return read_process_tree(*options.pid);
  if (options.pid) return {read_process(*options.pid)};
  std::vector<ProcessState> processes = read_all_processes();
  // Nothing was examined, so nothing may be called good.
  if (processes.empty()) {
    refuse(step, "no process but this one is in this PID namespace",
           "stepdown check --pid 1 examines the process 1 itself");
  }
  return processes;
}

}  // namespace

int check_command(const Words& words) {
  const std::optional<CheckOptions> options = parse_words(words);
  if (!options) return 0;
  const std::vector<Rule> rules = parse_rules(options->rules);
  std::vector<CheckedProcess> checked;
  for (ProcessState& state : read_processes(*options)) {
    CheckedProcess one{std::move(state), {}};
    for (const Rule& rule : rules) one.findings.push_back(judge(rule, one.state));
    checked.push_back(std::move(one));
  }
  write_out(options->json ? check_json(checked) : check_table(checked));
  return all_ok(checked) ? 0 : 1;
}

}  // namespace stepdown::cli
