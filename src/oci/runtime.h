// The runtime door: the words an engine gives to an OCI runtime, and what becomes of them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json/strict_json.h"
#include "stepdown/log.h"
#include "stepdown/options.h"

namespace stepdown::oci {

// What `exec` was told about the process, but for what its command is.
struct ExecWords {
  std::size_t id = 0;                  // the index of the container's name
  std::optional<std::string> process;  // --process; what follows counts only without it
  std::size_t process_word = 0;        // the index of the word that ends with its value
  std::optional<std::string> user;     // UID[:GID]
  std::vector<std::string> groups, capabilities, environment;
  std::optional<std::string> directory, apparmor, label;
  std::optional<bool> no_new_privs;
  bool terminal = false;
  // The indices of the words that say user, groups, capabilities or no_new_privs, values included.
  std::vector<std::size_t> credentials;
};

// `runc [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]`, as runc and crun both read it. Pure.
struct RuntimeWords {
  std::vector<std::string> words;  // all, as they came
  std::size_t command = 0;         // the index of COMMAND; words.size() where there is none
  std::string bundle = ".";        // create, run
  std::optional<ExecWords> exec;
  [[nodiscard]] std::string_view name() const {
    return command < words.size() ? std::string_view(words[command]) : std::string_view();
  }
};
// Of the commands that start a process (create, run, exec) every option is looked at; what comes
// after the others belongs to the runtime alone. Error, step "runtime": an option that isn't known,
// or that runc (Go's flag) and crun (argp) read differently; another file than config.json (crun
// --config).
RuntimeWords parse_runtime_words(std::vector<std::string> words);

// Where the engine looks for the reason of a failure.
struct RuntimeLog {
  std::string path;   // --log; empty: none, or no file (crun's journald:ID)
  bool json = false;  // --log-format json
};
// What the global options say of it, as far as they can be read. Pure.
RuntimeLog runtime_log(const std::vector<std::string>& words);

// The process that `exec` asks for without --process, as runc puts it together: `base` is the
// process of the container's config.json. Pure. Error: there is no command; a malformed id.
json::Json exec_process(const json::Json& base, const RuntimeWords& words);

// The real runtime: --runtime-path, else runc, else crun along the usual directories of the host.
// Never this binary. Error.
std::string find_runtime(const Options& options);

// Rewrites what the command needs and becomes the real runtime, with the words as they came (an
// exec gets a --process of the door's). Error: refused, and nothing has changed.
[[noreturn]] void become_runtime(const Options& options, std::vector<std::string> words,
                                 const Log& log);

// Adds a line as the runtime itself writes it there: {"level":"error","msg":…,"time":…}, or the
// same in words. Never fails: what is wrong is on stderr as well.
void append_runtime_log(const RuntimeLog& log, std::string_view message);

}  // namespace stepdown::oci
