#include "cli/option_words.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <memory>

#include "cli/output.h"
#include "stepdown/error.h"
#include "stepdown/profile.h"

namespace stepdown::cli {

namespace {

constexpr const char* rare = "More options";
// What a mode without a value is; nothing that anybody means to type.
constexpr std::string_view bare = "\x01";

class Help : public CLI::Formatter {
 public:
  explicit Help(std::string usage) : usage_(std::move(usage)) {}
  std::string make_usage(const CLI::App*, std::string) const override { return usage_; }
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

 private:
  std::string usage_;
};

}  // namespace

void OptionWords::set(const OptionRow& row, std::string_view value) {
  row.set(options_, value);
  said_.emplace_back(&row, value);
}

void OptionWords::add_to(CLI::App& app, const Words& words, bool all) {
  for (const OptionRow& row : option_table()) {
    if (!is_understood(row, place_)) continue;
    if (all || mentions(words, "--" + std::string(row.name))) add(app, row);
  }
}

void OptionWords::add(CLI::App& app, const OptionRow& row) {
  const std::string name = "--" + std::string(row.name);
  CLI::Option* option = nullptr;
  if (row.kind == OptionRow::Kind::flag) {
    option = app.add_flag_callback(
        name, [this, &row] { set(row, {}); }, std::string(row.help));
    option->disable_flag_override();
  } else if (row.kind == OptionRow::Kind::mode) {
    // A flag with a default value takes =VALUE, and never the word that follows.
    option = app.add_flag(name + "{" + std::string(bare) + "}", modes_[std::string(row.name)],
                          std::string(row.help));
    option->type_name(std::string(row.metavar))->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  } else {
    const auto take = [this, &row](const CLI::results_t& values) {
      for (const std::string& value : values) set(row, value);
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
  if (!row.common) option->group(rare);
}

void OptionWords::take_modes() {
  for (const OptionRow& row : option_table()) {
    const auto mode = modes_.find(std::string(row.name));
    if (mode == modes_.end() || mode->second.empty()) continue;
    set(row, mode->second == bare ? std::string_view() : mode->second);
  }
}

void OptionWords::put_profile_beneath() {
  if (!options_.profile) return;
  Options together = profile_options(*options_.profile, place_);
  for (const auto& [row, value] : said_) row->set(together, value);
  together.command = std::move(options_.command);
  options_ = std::move(together);
}

bool mentions(const Words& words, const std::string& name) {
  return std::any_of(words.begin(), words.end(),
                     [&name](const std::string& word) { return word.starts_with(name); });
}

void refuse_empty_values(const std::string& step, const Words& words, std::size_t count) {
  for (std::size_t index = 0; index < count; ++index) {
    const std::string& word = words[index];
    if (word.starts_with("--") && word.find('=') == word.size() - 1)
      refuse(step, word + " has no value");
  }
}

void set_usage(CLI::App& app, const std::string& usage) {
  app.formatter(std::make_shared<Help>(usage));
}

void hide_rare_options(CLI::App& app) {
  for (CLI::Option* option : app.get_options())
    if (option->get_group() == rare) option->group("");
}

bool parse_or_help(CLI::App& app, const Words& words) {
  try {
    app.parse(Words(words.rbegin(), words.rend()));  // it takes them from the back
    return true;
  } catch (const CLI::CallForHelp&) {
    write_out(app.help());
    return false;
  } catch (const CLI::ParseError& error) {
    const std::string& name = app.get_name();
    refuse(name.substr(std::string_view("stepdown ").size()), error.what(), name + " --help");
  }
}

}  // namespace stepdown::cli
