// The runtime door: the words an engine gives to an OCI runtime, and what becomes of them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/log.h"
#include "stepdown/options.h"

namespace stepdown::oci {

// `runc [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]`, as runc and crun both read it. Pure.
struct RuntimeWords {
  std::vector<std::string> words;  // all, as they came
  std::size_t command = 0;         // the index of COMMAND; words.size() where there is none
  std::optional<std::string> log;  // --log
  bool log_json = false;           // --log-format json
  std::optional<std::string> root;
  std::string bundle = ".";            // create, run
  std::optional<std::string> process;  // exec --process
  std::optional<std::string> id;       // exec: the container
  // exec -u, -g, -c: the indices of the words that say so, values included.
  std::vector<std::size_t> credentials;
  [[nodiscard]] std::string_view name() const {
    return command < words.size() ? std::string_view(words[command]) : std::string_view();
  }
};
// Error, step "runtime": an option before COMMAND whose value can't be told from a command; an
// option of exec that isn't known; another file than config.json (crun --config).
RuntimeWords parse_runtime_words(std::vector<std::string> words);

// The real runtime: --runtime-path, else runc, else crun along PATH. Never this binary. Error.
std::string find_runtime(const Options& options);

// Rewrites what the command needs and becomes the real runtime, with the words as they came. Error:
// refused; written to --log as well (append_runtime_log).
[[noreturn]] void become_runtime(const Options& options, std::vector<std::string> words,
                                 const Log& log);

// Engines read the reason of a failure there: {"level":"error","msg":…,"time":…}, one line.
void append_runtime_log(const std::string& path, std::string_view message);

}  // namespace stepdown::oci
