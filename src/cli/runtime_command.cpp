#include <algorithm>

#include "cli/commands.h"
#include "cli/door_words.h"
#include "cli/log.h"
#include "oci/runtime.h"
#include "stepdown/error.h"

namespace stepdown::cli {

namespace {

const DoorText& door() {
  static const DoorText text{
      "stepdown runtime",
      "An OCI runtime in front of the real one: rewrites what create, run and exec start, and\n"
      "becomes runc or crun.",
      "[OPTIONS] -- RUNTIME-ARGS...",
      "daemon.json: \"runtimes\": {\"stepdown\": {\"path\": \"/usr/local/bin/stepdown\",\n"
      "  \"runtimeArgs\": [\"runtime\", \"--user\", \"app\", \"--\"]}}\n"
      "Exit status: the real runtime's; 125 refused or failed, 1 refused by --require: the reason "
      "is on\n"
      "stderr, in --log-file and in the file that the runtime's own --log names. "
      "stepdown-hook(8)."};
  return text;
}

}  // namespace

int runtime_command(const Words& words) {
  const auto marker = std::find(words.begin(), words.end(), "--");
  const Words own(words.begin(), marker);
  Words theirs(marker == words.end() ? marker : marker + 1, words.end());
  try {
    const std::optional<DoorWords> parsed = parse_door_words(door(), own);
    if (!parsed) return 0;
    if (!parsed->rest.empty()) {
      if (theirs.empty()) theirs = parsed->rest;
      refuse("stepdown runtime", parsed->rest.front() + " is no option of the runtime door",
             "-- stands between its options and the runtime's words: \"runtimeArgs\": "
             "[\"runtime\", \"--user\", \"app\", \"--\"]");
    }
    if (marker == words.end())
      refuse("stepdown runtime", "-- is missing before the words of the real runtime",
             "stepdown runtime --help");
    oci::become_runtime(parsed->options, theirs, write_log);
  } catch (const std::exception& error) {
    oci::append_runtime_log(oci::runtime_log(theirs), error.what());
    throw;
  }
}

}  // namespace stepdown::cli
