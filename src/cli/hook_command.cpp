#include <CLI/CLI.hpp>
#include <array>
#include <string_view>
#include <utility>

#include "cli/commands.h"
#include "cli/door_words.h"
#include "cli/log.h"
#include "cli/option_words.h"
#include "cli/output.h"
#include "oci/doctor.h"
#include "oci/files.h"
#include "oci/hook.h"
#include "oci/precreate.h"
#include "oci/sealed.h"
#include "stepdown/error.h"
#include "sys/text.h"

namespace stepdown::cli {

namespace {

constexpr const char* stages_help =
    "Usage: stepdown hook create-runtime|create-container|precreate [OPTIONS]\n"
    "       stepdown hook doctor DIR...\n"
    "\n"
    "Hooks of an OCI runtime, for images that nobody rebuilds.\n"
    "  create-runtime    judges --require, hands volumes over (--own, --idmap), sets\n"
    "                    --unprivileged-ports; the state is on stdin (prestart is the same)\n"
    "  create-container  the same from inside the container's namespaces, without --idmap\n"
    "  precreate         podman's: config.json on stdin, rewritten on stdout\n"
    "  doctor            tells what is wrong with the hook files of directories\n"
    "\n"
    "Each has its own --help. stepdown-hook(8).\n";

constexpr const char* hook_footer =
    "Exit status: 0 the container may start, 1 a rule of --require refuses it, 125 refused or "
    "failed.\n"
    "Messages go to stderr and to --log-file: crun and podman show no hook's stderr. "
    "stepdown-hook(8).";

struct Stage {
  std::string_view name;
  const char* summary;
  void (*carry_out)(const Options& options);
};

void create_runtime(const Options& options) {
  oci::create_runtime(options, oci::read_stdin("state"), write_log);
}
void create_container(const Options& options) {
  oci::create_container(options, oci::read_stdin("state"), write_log);
}
void precreate(const Options& options) {
  write_out(oci::precreate(options, oci::read_stdin("config.json"), write_log));
}

constexpr auto stages = std::to_array<Stage>({
    {"create-runtime", "A createRuntime hook: the state on stdin.", create_runtime},
    {"prestart", "A prestart hook: the state on stdin.", create_runtime},
    {"create-container", "A createContainer hook: the state on stdin.", create_container},
    {"precreate", "podman's precreate hook: config.json on stdin, rewritten on stdout.", precreate},
});

int run_stage(const Stage& stage, const Words& words) {
  if (stage.carry_out != precreate) spare_appended_stderr();
  oci::shut_out_the_container();
  if (stage.carry_out == create_container) {
    Words all = {"stepdown", "hook", std::string(stage.name)};
    all.insert(all.end(), words.begin(), words.end());
    oci::run_from_sealed_copy(std::move(all));
  }
  const std::string name = "stepdown hook " + std::string(stage.name);
  const std::optional<DoorWords> parsed =
      parse_door_words({name, stage.summary, "[OPTIONS]", hook_footer}, words);
  if (!parsed) return 0;
  if (!parsed->rest.empty())
    refuse(name, parsed->rest.front() + " is no option of it", name + " --help-all lists them");
  stage.carry_out(parsed->options);
  return 0;
}

int doctor(const Words& words) {
  std::vector<std::string> directories;
  CLI::App app("Tells what is wrong with hook files, of which engines say nothing.",
               "stepdown hook doctor");
  app.add_option("DIR", directories, "directories of hook files, the last one wins")->required();
  app.footer("Exit status: 0 nothing is wrong, 1 something is, 125 a directory can't be read.");
  if (!parse_or_help(app, words)) return 0;
  std::string text;
  for (const oci::HookProblem& problem : oci::examine_hook_directories(directories)) {
    text += sys::escaped(problem.file) + ": ";
    if (!problem.place.empty()) text += sys::printable(problem.place) + ": ";
    text += sys::printable(problem.problem) + "\n  " + sys::printable(problem.remedy) + "\n";
  }
  write_out(text);
  return text.empty() ? 0 : 1;
}

}  // namespace

int hook_command(const Words& words) {
  const std::string name = words.empty() ? "" : words.front();
  if (name == "-h" || name == "--help") {
    write_out(stages_help);
    return 0;
  }
  const Words rest(words.begin() + (words.empty() ? 0 : 1), words.end());
  if (name == "doctor") return doctor(rest);
  for (const Stage& stage : stages)
    if (stage.name == name) return run_stage(stage, rest);
  refuse("hook", name.empty() ? "no stage is named" : "there is no stage " + name,
         "create-runtime, create-container, precreate or doctor: stepdown hook --help");
}

}  // namespace stepdown::cli
