#include "cli/door_words.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "cli/log.h"
#include "cli/option_words.h"
#include "cli/output.h"
#include "stepdown/error.h"

namespace stepdown::cli {

std::optional<DoorWords> parse_door_words(const DoorText& text, const Words& words) {
  DoorWords parsed;
  CLI::App app(text.summary, text.name);
  bool help = false;
  bool help_all = false;
  app.set_help_flag("");
  set_usage(app, "Usage: " + text.name + " " + text.usage + "\n");
  const bool asks_for_help = mentions(words, "--help") || mentions(words, "-h");
  if (asks_for_help) {
    app.add_flag("-h,--help", help, "the options that most people need");
    app.add_flag("--help-all", help_all, "all options");
  }
  OptionWords options(parsed.options, OptionRow::Place::doors);
  options.add_to(app, words, asks_for_help);
  app.prefix_command();
  app.footer(text.footer);
  try {
    // It takes them from the back.
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    if (help || help_all) {
      if (!help_all) hide_rare_options(app);
      write_out(app.help());
      return std::nullopt;
    }
    parsed.rest = app.remaining();
    refuse_empty_values(text.name, words, words.size() - parsed.rest.size());
    options.take_modes();
    options.put_profile_beneath();
    configure_log(parsed.options, LogFile::besides_stderr);
    return parsed;
  } catch (const CLI::ParseError& error) {
    configure_log(parsed.options, LogFile::besides_stderr);
    refuse(text.name, error.what(), text.name + " --help-all lists the options");
  } catch (const Error&) {
    configure_log(parsed.options, LogFile::besides_stderr);
    throw;
  }
}

}  // namespace stepdown::cli
