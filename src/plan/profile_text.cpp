#include "plan/profile_text.h"

#include <algorithm>
#include <array>
#include <numeric>

// A profile is flat: an array is as deep as its values go. What is not used is not compiled.
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_UNRELEASED_FEATURES 0
#define TOML_MAX_NESTED_VALUES 16
#include <toml++/toml.h>

namespace stepdown {

namespace {

using Kind = OptionRow::Kind;

// Keys nest by dots as values do by brackets, and toml++ 3.3 sets no bound to that: its tables are
// destroyed by recursion, as deep as the file likes. No key of a profile has a dot.
constexpr std::ptrdiff_t most_dots_in_a_line = 200;

// Options that the command line alone has, or that would make no sense in a file.
constexpr std::array<std::string_view, 5> not_in_files{"profile", "help", "help-all", "version",
                                                       "json"};
// Whose value may be written as a TOML integer. Not umask: 27 is no octal number there, and 027 no
// TOML.
constexpr std::array<std::string_view, 5> numbers{"user", "group-add", "port", "keep-fd",
                                                  "unprivileged-ports"};

template <class Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// How many letters to insert, remove or replace (Levenshtein).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

// The key that was meant, if one is near.
std::string suggestion(std::string_view key) {
  constexpr std::size_t near = 2;
  if (key.size() > 40) return {};
  std::size_t best = near + 1;
  std::string_view found;
  const auto offer = [&](std::string_view name) {
    const std::size_t so_far = distance(key, name);
    if (so_far < best && so_far < name.size()) {
      best = so_far;
      found = name;
    }
  };
  offer("extends");
  offer("description");
  for (const OptionRow& row : option_table())
    if (!contains(not_in_files, row.name)) offer(row.name);
  return found.empty() ? "the keys are the long names of the options: stepdown --help-all"
                       : "did you mean " + std::string(found) + "?";
}

std::string_view type_name(toml::node_type type) {
  switch (type) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a floating-point number";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::none:
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      break;
  }
  return "a date or time";
}

std::string wanted(const OptionRow& row) {
  const bool number = contains(numbers, row.name);
  switch (row.kind) {
    case Kind::flag:
      return "true or false";
    case Kind::mode:
      return "true, false or its value as a string";
    case Kind::value:
      return number ? "a string or an integer" : "a string";
    case Kind::list:
      break;
  }
  return number ? "strings and integers, one or an array of them"
                : "a string or an array of strings";
}

class Reader {
 public:
  Reader(const std::string& file, ProfileText& result) : file_(file), result_(result) {}

  void read(const toml::table& table) {
    for (auto&& [key, node] : table) read(key, node);
    std::stable_sort(problems_.begin(), problems_.end(),
                     [](const Problem& a, const Problem& b) { return a.position < b.position; });
    for (Problem& problem : problems_) result_.problems.push_back(std::move(problem.details));
  }

  void problem(toml::source_position position, std::string_view key, std::string cause,
               std::string hint = {}) {
    ErrorDetails details;
    details.step = problem_step(place(position), key);
    details.cause = std::move(cause);
    details.hint = std::move(hint);
    problems_.push_back({position, std::move(details)});
  }

 private:
  struct Problem {
    toml::source_position position;
    ErrorDetails details;
  };

  std::string place(toml::source_position position) const {
    return file_ + ":" + std::to_string(position.line) + ":" + std::to_string(position.column);
  }

  void read(const toml::key& key, const toml::node& node) {
    const std::string_view name = key.str();
    if (name == "description" || name == "extends") {
      read_text(name, node);
      return;
    }
    const OptionRow* row = find_option(name);
    if (contains(not_in_files, name))
      problem(key.source().begin, name, "a profile can't set it",
              name == "profile" ? "a profile builds on another with extends" : "");
    else if (row == nullptr)
      problem(key.source().begin, name, "there is no such option", suggestion(name));
    else
      read_option(*row, node);
  }

  void read_text(std::string_view name, const toml::node& node) {
    const auto* text = node.as_string();
    if (text == nullptr)
      wrong_type(name, node, "a string");
    else if (name == "extends" && text->get().empty())
      problem(node.source().begin, name, "it is empty");
    else if (name == "extends" && text->get().find('\0') != std::string::npos)
      problem(node.source().begin, name, "a NUL character is in it");
    else if (name == "extends")
      result_.extends = {text->get(), place(node.source().begin)};
  }

  void read_option(const OptionRow& row, const toml::node& node) {
    const auto* boolean = node.as_boolean();
    const toml::array* array = node.as_array();
    const bool switches = row.kind == Kind::flag || row.kind == Kind::mode;
    if (switches && boolean != nullptr && boolean->get())
      set(row, node, {});
    else if (switches && boolean != nullptr)
      result_.taken_back.push_back(&row);
    else if (row.kind == Kind::list && array != nullptr)
      for (const toml::node& element : *array) read_value(row, element);
    else
      read_value(row, node);
  }

  void read_value(const OptionRow& row, const toml::node& node) {
    const auto* text = node.as_string();
    const auto* number = node.as_integer();
    if (row.kind != Kind::flag && text != nullptr)
      set_text(row, node, text->get());
    else if (number != nullptr && contains(numbers, row.name))
      set(row, node, std::to_string(number->get()));
    else
      wrong_type(row.name, node, wanted(row));
  }

  void set_text(const OptionRow& row, const toml::node& node, const std::string& text) {
    if (text.empty())
      problem(node.source().begin, row.name, "it is empty");
    else if (text.find('\0') != std::string::npos)
      problem(node.source().begin, row.name, "a NUL character is in it");
    else
      set(row, node, text);
  }

  void set(const OptionRow& row, const toml::node& node, const std::string& value) {
    try {
      Options tried;
      row.set(tried, value);
      result_.settings.push_back({&row, value, place(node.source().begin)});
    } catch (const Error& error) {
      problem(node.source().begin, row.name, "\"" + value + "\": " + error.details().cause,
              error.details().hint);
    }
  }

  void wrong_type(std::string_view name, const toml::node& node, const std::string& takes) {
    problem(node.source().begin, name,
            "it takes " + takes + ", not " + std::string(type_name(node.type())));
  }

  const std::string& file_;
  ProfileText& result_;
  std::vector<Problem> problems_;
};

// The number of the first line that has too many dots; 0: none.
std::size_t line_with_too_many_dots(std::string_view text) {
  std::size_t number = 1;
  for (std::size_t begin = 0; begin < text.size(); ++number) {
    const std::string_view line = text.substr(begin, text.find('\n', begin) - begin);
    if (std::count(line.begin(), line.end(), '.') > most_dots_in_a_line) return number;
    begin += line.size() + 1;
  }
  return 0;
}

ErrorDetails malformed(const std::string& file, toml::source_position position,
                       std::string_view description) {
  ErrorDetails details;
  details.step = file + ":" + std::to_string(position.line) + ":" + std::to_string(position.column);
  details.cause = description;
  return details;
}

}  // namespace

std::string problem_step(const std::string& place, std::string_view key) {
  return place + ": " + std::string(key);
}

ProfileText parse_profile(const std::string& file, std::string_view text) {
  ProfileText result;
  if (const std::size_t line = line_with_too_many_dots(text); line != 0) {
    result.problems.push_back(malformed(file, {static_cast<toml::source_index>(line), 1},
                                        "keys nested too deeply: no key of a profile has a dot"));
    return result;
  }
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    result.problems.push_back(malformed(file, error.source().begin, error.description()));
    return result;
  }
  Reader(file, result).read(parsed.table());
  return result;
}

}  // namespace stepdown
