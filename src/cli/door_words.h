// The words of the doors of an OCI runtime: options, by the rows of the option table that doors
// understand.
#pragma once

#include <optional>
#include <string>

#include "cli/commands.h"
#include "stepdown/options.h"

namespace stepdown::cli {

struct DoorText {
  std::string name;     // "stepdown runtime"
  std::string summary;  // what it does, in a sentence
  std::string usage;    // what follows the name
  std::string footer;
};

struct DoorWords {
  Options options;  // the profile's included
  Words rest;       // from the first word on that is no option of ours
};

// Sets the log up as well: to stderr and to --log-file, since crun and podman lose the one.
// nullopt: --help or --help-all was asked for and answered. Error.
std::optional<DoorWords> parse_door_words(const DoorText& text, const Words& words);

}  // namespace stepdown::cli
