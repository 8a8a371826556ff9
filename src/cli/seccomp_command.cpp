#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <string>

#include "cli/commands.h"
#include "cli/log.h"
#include "cli/option_words.h"
#include "cli/output.h"
#include "seccomp/compile.h"
#include "stepdown/error.h"
#include "stepdown/options.h"
#include "stepdown/seccomp.h"
#include "sys/replace_file.h"

namespace stepdown::cli {

namespace {

std::string list() {
  std::string text;
  for (const BuiltInPolicy& policy : built_in_policies()) text += std::string(policy.name) + "\n";
  return text;
}

// As the option of a launch reads them.
CapabilitySet capabilities(const Words& names) {
  Options options;
  for (const OptionRow& row : option_table())
    if (row.name == "keep-cap")
      for (const std::string& name : names) row.set(options, name);
  return options.keep_caps;
}

void refuse_no_path(const std::string& out) {
  if (out.empty()) refuse("-o \"\"", "it is empty (a variable that is not set?)");
  if (out == "-") refuse("-o -", "a path is needed: the file is replaced in one go");
}

// What was read must not be lost, by whichever name or link.
void refuse_same_file(const std::string& file, const std::string& out) {
  struct stat read {};
  struct stat written {};
  const bool is_path = file.find('/') != std::string::npos;
  if (!is_path || ::stat(file.c_str(), &read) != 0 || ::lstat(out.c_str(), &written) != 0) return;
  if (read.st_dev == written.st_dev && read.st_ino == written.st_ino)
    refuse("-o " + out, "this is the policy itself, and the JSON would be lost",
           "name another file");
}

void compile(const std::string& file, const std::string& out, const Words& keep_caps) {
  refuse_no_path(out);
  const FilterSituation situation{capabilities(keep_caps), running_kernel()};
  const PolicySource source = read_policy_source(file);
  refuse_same_file(file, out);
  const std::string bytes = compile_policy(source, situation);
  for (const std::string& name : ready_filter(source, situation).unknown_calls)
    write_log(LogLevel::warning,
              file + ": " + name + " is " + seccomp::not_known() + ", and was skipped");
  sys::replace_file(out, bytes);
}

}  // namespace

int seccomp_command(const Words& words) {
  std::string name;
  std::string file;
  std::string out;
  Words keep_caps;
  CLI::App app("Lists the built-in policies, prints one, compiles one.", "stepdown seccomp");
  app.require_subcommand(1);
  const CLI::App* listing = app.add_subcommand("list", "the built-in policies, one a line");
  CLI::App* showing = app.add_subcommand("show", "the JSON text of a built-in policy");
  showing->add_option("NAME", name, "its name")->required();
  CLI::App* compiling =
      app.add_subcommand("compile", "makes the ready file that --seccomp loads without compiling");
  compiling->add_option("FILE", file, "JSON, as engines take it; or a built-in policy's name")
      ->required();
  compiling->add_option("-o", out, "the file to write; replaced at once or not at all")
      ->type_name("OUT")
      ->required();
  compiling->add_option("--keep-cap", keep_caps, "the app will keep this capability; repeatable")
      ->type_name("CAP")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.footer(
      "A ready file is for this architecture, and for apps that keep, of the capabilities the\n"
      "policy looks at, those named here. Exit status: 0 done, 125 there is no such policy, it "
      "has\n"
      "a fault, or the file can't be written.");
  if (!parse_or_help(app, words)) return 0;
  if (compiling->parsed()) {
    compile(file, out, keep_caps);
    return 0;
  }
  write_out(listing->parsed() ? list() : std::string(built_in_policy(name).text));
  return 0;
}

}  // namespace stepdown::cli
