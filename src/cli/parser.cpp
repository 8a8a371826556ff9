#include "cli/parser.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "cli/log.h"
#include "cli/option_words.h"
#include "cli/output.h"
#include "cli/version.h"
#include "stepdown/error.h"
#include "stepdown/plan.h"

namespace stepdown::cli {

namespace {

constexpr const char* step = "words";

const char* const run_footer =
    "Other commands: plan (the same words: what would be done, nothing is), check (judges running\n"
    "processes), profile (list, show, check), seccomp (list, show, compile), hook and runtime "
    "(for\n"
    "images that nobody rebuilds), run (this one, by its name). Under the name gosu or su-exec: "
    "their\n"
    "grammar.\n"
    "Exit status: 125 stepdown failed or refused, 126 the command can't be executed, 127 it was "
    "not\n"
    "found, else the command's own. All options: --help-all, stepdown(1).";
const char* const plan_footer =
    "Exit status: 0 the plan can be carried out here, 1 a step is blocked, 125 bad words.";

// A blank where the sign belongs: the value would become the command.
void refuse_blank_before_value(const Words& words, const std::vector<std::string>& rest) {
  if (rest.empty() || words.size() == rest.size()) return;
  const std::string& last = words[words.size() - rest.size() - 1];
  for (const OptionRow& row : option_table()) {
    if (row.kind != OptionRow::Kind::mode || last != "--" + std::string(row.name)) continue;
    // "[=root|keep]"
    const std::string values =
        "|" + std::string(row.metavar.substr(2, row.metavar.size() - 3)) + "|";
    if (values.find("|" + rest.front() + "|") != std::string::npos)
      refuse(step, rest.front() + " stands after " + last + " and a blank, as the command",
             "write " + last + "=" + rest.front() + "; for a command of that name: " + last +
                 " -- " + rest.front());
  }
}

// What CLI11 left over: the user (unless an option names one) and the command.
void take_rest(const Words& words, std::vector<std::string> rest, Options& options) {
  refuse_empty_values(step, words, words.size() - rest.size());
  const bool marked = !rest.empty() && rest.front() == "--";
  if (marked)
    rest.erase(rest.begin());
  else if (!rest.empty() && rest.front().size() > 1 && rest.front().starts_with('-'))
    refuse(
        step, "unknown option " + rest.front(),
        "stepdown --help-all lists the options; a command that starts with a dash comes after --");
  const bool command_alone = options.user || options.user_of || options.user_env || options.profile;
  if (command_alone && !marked) refuse_blank_before_value(words, rest);
  if (!command_alone && !rest.empty()) {
    options.user = rest.front();
    rest.erase(rest.begin());
    if (!marked && !rest.empty()) {
      if (rest.front() == "--")
        rest.erase(rest.begin());
      else if (rest.front().size() > 1 && rest.front().starts_with('-'))
        refuse(step,
               rest.front() + " stands after " + *options.user + ", which is taken as the user",
               "options come before the user; a command that starts with a dash comes after --");
    }
    if (rest.empty())
      refuse("No command", *options.user + " is taken as the user, and nothing follows",
             std::string(no_command_hint) + "\n  the words: --help");
  }
  options.command = std::move(rest);
}

}  // namespace

std::optional<ParsedWords> parse_words(const Words& words, bool plan) {
  ParsedWords parsed;
  CLI::App app(plan ? "Prints what would be done, does nothing."
                    : "Steps this process down from root, for good, and becomes the command.",
               plan ? "stepdown plan" : "stepdown");
  bool help = false;
  bool help_all = false;
  bool version = false;
  app.set_help_flag("");
  const std::string name = app.get_name();
  set_usage(app, "Usage: " + name + " [OPTIONS] USER[:GROUP] [--] COMMAND [ARG...]\n       " +
                     name + " [OPTIONS] --user USER[:GROUP] [--] COMMAND [ARG...]\n");
  // A word of the command may sound like it: then the whole table is there and does no harm.
  const bool asks_for_help = mentions(words, "--help") || mentions(words, "-h");
  if (asks_for_help) {
    app.add_flag("-h,--help", help, "the options that most people need");
    app.add_flag("--help-all", help_all, "all options");
  }
  if (plan)
    app.add_flag("--json", parsed.json, "a JSON document instead of a table")
        ->disable_flag_override();
  else if (asks_for_help || mentions(words, "--version"))
    app.add_flag("--version", version, "version, libraries and build");
  OptionWords options(parsed.options, OptionRow::Place::launcher);
  options.add_to(app, words, asks_for_help);
  app.prefix_command();
  app.footer(plan ? plan_footer : run_footer);
  try {
    // It takes them from the back.
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    if (version) {
      write_out(version_text());
      return std::nullopt;
    }
    if (help || help_all) {
      if (!help_all) hide_rare_options(app);
      write_out(app.help());
      return std::nullopt;
    }
    options.take_modes();
    take_rest(words, app.remaining(), parsed.options);
    options.put_profile_beneath();
    return parsed;
  } catch (const CLI::ParseError& error) {
    configure_log(parsed.options);
    refuse(step, error.what(), "stepdown --help-all lists the options");
  } catch (const Error&) {
    configure_log(parsed.options);
    throw;
  }
}

}  // namespace stepdown::cli
