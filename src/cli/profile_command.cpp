#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/option_words.h"
#include "cli/output.h"
#include "stepdown/error.h"
#include "stepdown/profile.h"
#include "sys/text.h"

namespace stepdown::cli {

namespace {

std::string list() {
  std::size_t width = 0;
  for (const BuiltInProfile& profile : built_in_profiles())
    width = std::max(width, profile.name.size());
  std::string text;
  for (const BuiltInProfile& profile : built_in_profiles())
    text +=
        sys::padded(std::string(profile.name), width + 2) + std::string(summary(profile)) + "\n";
  return text;
}

int check(const std::string& path) {
  const std::vector<ErrorDetails> problems = profile_problems(path);
  std::string text;
  for (const ErrorDetails& details : problems)
    text += sys::printable(details.step) + ": " + sys::printable(Error(details).reason()) + "\n";
  write_out(text);
  return problems.empty() ? 0 : 1;
}

}  // namespace

int profile_command(const Words& words) {
  std::string name;
  std::string path;
  CLI::App app("Lists the built-in profiles, prints one, checks a file.", "stepdown profile");
  app.require_subcommand(1);
  const CLI::App* listing = app.add_subcommand("list", "the built-in profiles, one a line");
  CLI::App* showing = app.add_subcommand("show", "the TOML text of a built-in profile");
  showing->add_option("NAME", name, "its name")->required();
  CLI::App* checking = app.add_subcommand("check", "every problem of a profile file, by its line");
  checking->add_option("FILE", path, "its path")->required();
  app.footer(
      "Exit status: 0 done, or nothing is wrong; 1 check found problems; 125 there is no such\n"
      "profile, or the file can't be read. The format: stepdown-profile(5).");
  if (!parse_or_help(app, words)) return 0;
  if (checking->parsed()) return check(path);
  write_out(listing->parsed() ? list() : std::string(built_in_profile(name).text));
  return 0;
}

}  // namespace stepdown::cli
