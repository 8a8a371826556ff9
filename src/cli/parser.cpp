#include "cli/parser.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <map>

#include "cli/log.h"
#include "cli/output.h"
#include "cli/version.h"
#include "stepdown/error.h"
#include "stepdown/plan.h"
#include "stepdown/profile.h"

namespace stepdown::cli {

namespace {

constexpr const char* step = "words";

const char* const run_footer =
    "Other commands: plan (the same words: what would be done, nothing is), check (judges running\n"
    "processes), profile (list, show, check), seccomp (list, show, compile), run (this one, by\n"
    "its name). Under the name gosu or su-exec: their grammar.\n"
    "Exit status: 125 stepdown failed or refused, 126 the command can't be executed, 127 it was "
    "not\n"
    "found, else the command's own. All options: --help-all, stepdown(1).";
const char* const plan_footer =
    "Exit status: 0 the plan can be carried out here, 1 a step is blocked, 125 bad words.";

// The values of the options that may have one, by name; `bare` where none was given.
using Modes = std::map<std::string, std::string>;
constexpr std::string_view bare = "\x01";  // nothing that anybody means to type

// What the words set, in their order: said again where a profile comes to lie beneath them.
class Said {
 public:
  explicit Said(Options& options) : options_(options) {}
  void set(const OptionRow& row, std::string_view value) {
    row.set(options_, value);
    said_.emplace_back(&row, value);
  }
  void repeat(Options& options) const {
    for (const auto& [row, value] : said_) row->set(options, value);
  }

 private:
  Options& options_;
  std::vector<std::pair<const OptionRow*, std::string>> said_;
};

void take_modes(const Modes& modes, Said& said) {
  for (const OptionRow& row : option_table()) {
    const auto mode = modes.find(std::string(row.name));
    if (mode == modes.end() || mode->second.empty()) continue;
    said.set(row, mode->second == bare ? std::string_view() : mode->second);
  }
}

bool mentions(const Words& words, const std::string& name) {
  return std::any_of(words.begin(), words.end(),
                     [&name](const std::string& word) { return word.starts_with(name); });
}

// CLI11 compares every new option with every other, which would be the dearest thing a launch does:
// options that no word mentions are left out, unless the help is to list them.
void add_options(CLI::App& app, Said& said, Modes& modes, const Words& words, bool all) {
  for (const OptionRow& row : option_table()) {
    const std::string name = "--" + std::string(row.name);
    if (!all && !mentions(words, name)) continue;
    CLI::Option* option = nullptr;
    if (row.kind == OptionRow::Kind::flag) {
      option = app.add_flag_callback(
          name, [&said, &row] { said.set(row, {}); }, std::string(row.help));
      option->disable_flag_override();
    } else if (row.kind == OptionRow::Kind::mode) {
      // A flag with a default value takes =VALUE, and never the word that follows.
      option = app.add_flag(name + "{" + std::string(bare) + "}", modes[std::string(row.name)],
                            std::string(row.help));
      option->type_name(std::string(row.metavar))
          ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
    } else {
      const auto take = [&said, &row](const CLI::results_t& values) {
        for (const std::string& value : values) said.set(row, value);
        return true;
      };
      option = app.add_option(name, take, std::string(row.help));
      // One value each time: a list must not eat the words that follow.
      option->type_name(std::string(row.metavar))->expected(1)->allow_extra_args(false);
      // Read at once: they say where the complaint about another word goes.
      if (row.name.starts_with("log-")) option->trigger_on_parse();
      if (row.kind == OptionRow::Kind::list)
        option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }
    if (!row.common) option->group("More options");
  }
}

// Options, user, command: CLI11 knows of the options alone.
class Usage : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App*, std::string name) const override {
    return "Usage: " + name + " [OPTIONS] USER[:GROUP] [--] COMMAND [ARG...]\n       " + name +
           " [OPTIONS] --user USER[:GROUP] [--] COMMAND [ARG...]\n";
  }
  // Without the default value of a flag, which CLI11 writes into its name.
  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    const std::string name = CLI::Formatter::make_option_name(option, positional);
    return name.substr(0, name.find('{'));
  }
  // Without the blank: a mode takes =VALUE alone.
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string text = CLI::Formatter::make_option_opts(option);
    return text.starts_with(" [=") ? text.substr(1) : text;
  }
};

void hide_rare_options(CLI::App& app) {
  for (CLI::Option* option : app.get_options())
    if (option->get_group() == "More options") option->group("");
}

// CLI11 takes the next word as the value where nothing stands after the sign.
void refuse_empty_values(const Words& words, std::size_t count) {
  for (std::size_t index = 0; index < count; ++index) {
    const std::string& word = words[index];
    if (word.starts_with("--") && word.find('=') == word.size() - 1)
      refuse(step, word + " has no value");
  }
}

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
  refuse_empty_values(words, words.size() - rest.size());
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

// The profile beneath, the words on top: a single value hides the profile's, lists add up.
void put_profile_beneath(Options& options, const Said& said) {
  if (!options.profile) return;
  Options together = profile_options(*options.profile);
  said.repeat(together);
  together.command = std::move(options.command);
  options = std::move(together);
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
  app.formatter(std::make_shared<Usage>());
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
  Modes modes;
  Said said(parsed.options);
  add_options(app, said, modes, words, asks_for_help);
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
    take_modes(modes, said);
    take_rest(words, app.remaining(), parsed.options);
    put_profile_beneath(parsed.options, said);
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
