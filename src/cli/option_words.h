// The rows of the option table as options of CLI11: what the launcher and the doors have in common.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "stepdown/options.h"

namespace CLI {
class App;
}

namespace stepdown::cli {

// What the words set, in their order: said again where a profile comes to lie beneath them. It
// outlives the parsing.
class OptionWords {
 public:
  // `place` is launcher or doors.
  OptionWords(Options& options, OptionRow::Place place) : options_(options), place_(place) {}
  OptionWords(const OptionWords&) = delete;
  OptionWords& operator=(const OptionWords&) = delete;

  // `all`: for the help. Else those alone that a word mentions: CLI11 compares every new option
  // with every other, which would be the dearest thing a launch does.
  void add_to(CLI::App& app, const Words& words, bool all);
  // After the parsing: the options that may have a value.
  void take_modes();
  // The profile beneath, the words on top: a single value hides the profile's, lists add up.
  void put_profile_beneath();

 private:
  void add(CLI::App& app, const OptionRow& row);
  void set(const OptionRow& row, std::string_view value);

  Options& options_;
  OptionRow::Place place_;
  std::map<std::string, std::string> modes_;
  std::vector<std::pair<const OptionRow*, std::string>> said_;
};

// Some word begins with `name`.
bool mentions(const Words& words, const std::string& name);

// CLI11 takes the next word as the value where nothing stands after the sign. Of the first `count`
// words. Error.
void refuse_empty_values(const std::string& step, const Words& words, std::size_t count);

// `usage` is the first paragraph of the help: CLI11 knows of the options alone.
void set_usage(CLI::App& app, const std::string& usage);
void hide_rare_options(CLI::App& app);

// Of a command with options of its own; false: help was asked for and given. Error.
bool parse_or_help(CLI::App& app, const Words& words);

}  // namespace stepdown::cli
