#include <algorithm>
#include <array>
#include <span>

#include "json/strict_json.h"
#include "oci/runtime.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

constexpr const char* step = "runtime";

// What an option means to us.
enum class Meaning {
  none,  // nothing: it is passed on
  log,
  log_format,
  bundle,
  config,
  process,
  user,
  groups,
  capabilities,
  environment,
  directory,
  apparmor,
  label,
  no_new_privs,
  terminal,
};

struct RuntimeOption {
  std::string_view name;
  char letter;  // 0: none
  bool takes_value;
  Meaning meaning = Meaning::none;
};

// runc 1.1 to 1.5 (main.go, create.go, run.go, exec.go), crun 1.8 to 1.28 (crun.c and likewise).
constexpr auto global_options = std::to_array<RuntimeOption>({
    {"debug", 0, false},
    {"log", 0, true, Meaning::log},
    {"log-format", 0, true, Meaning::log_format},
    {"log-level", 0, true},
    {"root", 0, true},
    {"rootless", 0, true},
    {"criu", 0, true},
    {"cgroup-manager", 0, true},
    {"systemd-cgroup", 0, false},
    {"help", 'h', false},
    {"usage", '?', false},
    {"version", 'v', false},
    {"version", 'V', false},
});
constexpr auto create_options = std::to_array<RuntimeOption>({
    {"bundle", 'b', true, Meaning::bundle},
    {"config", 'f', true, Meaning::config},
    {"console-socket", 0, true},
    {"pidfd-socket", 0, true},
    {"pid-file", 0, true},
    {"preserve-fds", 0, true},
    {"no-pivot", 0, false},
    {"no-new-keyring", 0, false},
    {"no-subreaper", 0, false},
    {"keep", 0, false},
    {"detach", 'd', false},
});
constexpr auto exec_options = std::to_array<RuntimeOption>({
    {"process", 'p', true, Meaning::process},
    {"user", 'u', true, Meaning::user},
    {"additional-gids", 'g', true, Meaning::groups},
    {"cap", 'c', true, Meaning::capabilities},
    {"no-new-privs", 0, false, Meaning::no_new_privs},
    {"env", 'e', true, Meaning::environment},
    {"cwd", 0, true, Meaning::directory},
    {"apparmor", 0, true, Meaning::apparmor},
    {"process-label", 0, true, Meaning::label},
    {"tty", 't', false, Meaning::terminal},
    {"console-socket", 0, true},
    {"pidfd-socket", 0, true},
    {"pid-file", 0, true},
    {"preserve-fds", 0, true},
    {"cgroup", 0, true},
    {"detach", 'd', false},
    {"ignore-paused", 0, false},
});

// One that was found: the words [first, last) say it.
struct Found {
  const RuntimeOption* option = nullptr;
  std::optional<std::string> value;
  std::size_t first = 0, last = 0;
};

// Reads options, one after the other. runc's reader is Go's flag (a dash or two before any name,
// booleans with =VALUE), crun's is argp (letters together, a value right behind its letter): what
// only one of them takes is fine, because the other one fails; what both take as something else is
// refused.
class Reader {
 public:
  Reader(const std::vector<std::string>& words, std::size_t next,
         std::span<const RuntimeOption> options)
      : words_(words), next_(next), options_(options) {}

  [[nodiscard]] std::size_t next() const { return next_; }
  [[nodiscard]] bool done() const { return next_ == words_.size(); }
  // "-" alone is an argument, as is the empty word.
  [[nodiscard]] bool at_option() const {
    return !done() && words_[next_].size() > 1 && words_[next_].front() == '-';
  }
  // After it everything is an argument.
  bool skip_terminator() {
    if (done() || words_[next_] != "--") return false;
    ++next_;
    return true;
  }
  std::size_t skip_argument() { return next_++; }

  // The options of the word at hand; letters together are several.
  std::vector<Found> read() {
    const std::string& word = words_[next_];
    return word.starts_with("--") ? std::vector<Found>{read_long(word)} : read_letters(word);
  }

 private:
  Found read_long(const std::string& word) {
    const std::size_t sign = word.find('=');
    const std::string name = word.substr(2, sign == std::string::npos ? sign : sign - 2);
    // Go's flag knows letters with two dashes as well.
    const RuntimeOption* option = by_name(name);
    if (option == nullptr && name.size() == 1) option = by_letter(name.front());
    if (option == nullptr) refuse_unknown(word);
    Found found{option, std::nullopt, next_, ++next_};
    if (sign != std::string::npos)
      found.value = word.substr(sign + 1);
    else if (option->takes_value)
      take_next(found, word);
    return found;
  }

  std::vector<Found> read_letters(const std::string& word) {
    // "-user 0" is an option of runc, and "-u ser" one of crun; so with "-u=0" and "-u '=0'".
    if (word.size() > 2 && (word[2] == '=' || by_name(word.substr(1, word.find('=') - 1))))
      refuse(step, json::shown(word) + " is one option for runc and another for crun",
             "write it with two dashes and the long name");
    std::vector<Found> all;
    const std::size_t here = next_++;
    for (std::size_t at = 1; at < word.size(); ++at) {
      const RuntimeOption* option = by_letter(word[at]);
      if (option == nullptr) refuse_unknown(word);
      all.push_back({option, std::nullopt, here, here + 1});
      const std::string rest = word.substr(at + 1);
      if (!option->takes_value) {
        // Right behind -t stands its optional value, for crun.
        if (option->meaning == Meaning::terminal && !rest.empty()) refuse_unknown(word);
        continue;
      }
      if (rest.empty())
        take_next(all.back(), word);
      else
        all.back().value = rest;
      break;
    }
    return all;
  }

  void take_next(Found& found, const std::string& word) {
    if (done()) refuse(step, json::shown(word) + " has no value");
    // runc's reader moves arguments behind options first, and stops doing so here.
    if (words_[next_] == "--")
      refuse(step, json::shown(word) + " is followed by -- instead of a value");
    found.value = words_[next_];
    found.last = ++next_;
  }

  [[nodiscard]] const RuntimeOption* by_name(std::string_view name) const {
    const auto found = std::find_if(options_.begin(), options_.end(),
                                    [name](const auto& option) { return option.name == name; });
    return found == options_.end() ? nullptr : &*found;
  }
  [[nodiscard]] const RuntimeOption* by_letter(char letter) const {
    const auto found = std::find_if(options_.begin(), options_.end(), [letter](const auto& option) {
      return letter != 0 && option.letter == letter;
    });
    return found == options_.end() ? nullptr : &*found;
  }
  [[noreturn]] static void refuse_unknown(const std::string& word) {
    refuse(step, "not an option of runc or crun that is known here: " + json::shown(word),
           "whether a word is its value can't be told; leave it out");
  }

  const std::vector<std::string>& words_;
  std::size_t next_;
  std::span<const RuntimeOption> options_;
};

// As strconv.ParseBool takes it, but for what crun's --tty would read otherwise.
bool boolean(const Found& found) {
  if (!found.value || *found.value == "true") return true;
  if (*found.value == "false") return false;
  refuse(step, "--" + std::string(found.option->name) + " is true or false, not " +
                   json::shown(*found.value));
}

void read_create(RuntimeWords& words) {
  Reader reader(words.words, words.command + 1, create_options);
  std::size_t arguments = 0;
  // runc reads options behind the container's name as well; crun fails there.
  while (!reader.done()) {
    if (reader.skip_terminator()) {
      arguments += words.words.size() - reader.next();
      break;
    }
    if (!reader.at_option()) {
      reader.skip_argument();
      ++arguments;
      continue;
    }
    for (const Found& found : reader.read()) {
      if (found.option->meaning == Meaning::bundle)
        words.bundle = found.value->empty() ? "." : *found.value;
      if (found.option->meaning == Meaning::config && *found.value != "config.json")
        refuse(step, "--config " + json::shown(*found.value),
               "the bundle's config.json is what is rewritten: leave --config out");
    }
  }
  if (arguments != 1)
    refuse(step, std::string(words.name()) + " is for one container, and " +
                     std::to_string(arguments) + " are named");
}

void take(ExecWords& exec, const Found& found) {
  const auto credential = [&exec, &found] {
    for (std::size_t index = found.first; index < found.last; ++index)
      exec.credentials.push_back(index);
  };
  switch (found.option->meaning) {
    case Meaning::process:
      if (found.value->empty()) refuse(step, "--process has no value");
      // Said twice, the last one counts; its value is the end of a word in all ways to write it.
      exec.process = found.value;
      exec.process_word = found.last - 1;
      break;
    case Meaning::user:
      exec.user = found.value;
      credential();
      break;
    case Meaning::groups:
      exec.groups.push_back(*found.value);
      credential();
      break;
    case Meaning::capabilities:
      exec.capabilities.push_back(*found.value);
      credential();
      break;
    case Meaning::no_new_privs:
      exec.no_new_privs = boolean(found);
      credential();
      break;
    case Meaning::environment:
      exec.environment.push_back(*found.value);
      break;
    case Meaning::directory:
      exec.directory = found.value;
      break;
    case Meaning::apparmor:
      exec.apparmor = found.value;
      break;
    case Meaning::label:
      exec.label = found.value;
      break;
    case Meaning::terminal:
      exec.terminal = boolean(found);
      break;
    case Meaning::none:
    case Meaning::log:
    case Meaning::log_format:
    case Meaning::bundle:
    case Meaning::config:
      break;
  }
}

// A word that says a user together with something else can't be taken out.
void refuse_mixed(const std::vector<Found>& together, const std::string& word) {
  const auto says_credentials = [](const Found& found) {
    const Meaning meaning = found.option->meaning;
    return meaning == Meaning::user || meaning == Meaning::groups ||
           meaning == Meaning::capabilities;
  };
  if (together.size() > 1 && std::any_of(together.begin(), together.end(), says_credentials))
    refuse(step, json::shown(word) + " says several things at once",
           "write each option as a word of its own");
}

void read_exec(RuntimeWords& words) {
  Reader reader(words.words, words.command + 1, exec_options);
  ExecWords exec;
  while (reader.at_option() && !reader.skip_terminator()) {
    const std::string& word = words.words[reader.next()];
    const std::vector<Found> together = reader.read();
    refuse_mixed(together, word);
    for (const Found& found : together) take(exec, found);
  }
  if (reader.done()) refuse(step, "exec names no container");
  exec.id = reader.next();
  const std::string& id = words.words[exec.id];
  if (id.empty() || id.front() == '-') refuse(step, json::shown(id) + " is no container's name");
  words.exec = std::move(exec);
}

}  // namespace

RuntimeWords parse_runtime_words(std::vector<std::string> words) {
  RuntimeWords parsed;
  parsed.words = std::move(words);
  Reader reader(parsed.words, 0, global_options);
  while (reader.at_option() && !reader.skip_terminator()) reader.read();
  parsed.command = reader.next();
  if (parsed.name() == "create" || parsed.name() == "run") read_create(parsed);
  if (parsed.name() == "exec") read_exec(parsed);
  return parsed;
}

RuntimeLog runtime_log(const std::vector<std::string>& words) {
  RuntimeLog log;
  Reader reader(words, 0, global_options);
  try {
    while (reader.at_option() && !reader.skip_terminator())
      for (const Found& found : reader.read()) {
        if (found.option->meaning == Meaning::log) log.path = *found.value;
        if (found.option->meaning == Meaning::log_format) log.json = found.value == "json";
      }
  } catch (const Error&) {
    // It is this very complaint that needs a place to go to.
  }
  // crun: '[file:]PATH', 'journald:ID' or 'syslog:ID'.
  if (log.path.starts_with("file:")) log.path.erase(0, 5);
  if (log.path.starts_with("journald:") || log.path.starts_with("syslog:")) log.path.clear();
  return log;
}

}  // namespace stepdown::oci
