// Messages: spdlog lives here alone. Nothing is set up until there is something to say, because a
// launch that goes well says nothing.
#pragma once

#include <string_view>

#include "stepdown/options.h"

namespace stepdown::cli {

enum class LogFile { instead_of_stderr, besides_stderr };

// Takes --log-level, --log-format and --log-file; before it, warnings and errors go to stderr as
// text. Returns the descriptor of the file, or 2. Error: the file can't be opened.
int configure_log(const Options& options, LogFile file = LogFile::instead_of_stderr);

// Of a hook: run.oci.hooks.stderr, which an image can bring, makes crun append it to any file of
// the host, before anything reads the configuration. Nothing goes to stderr where it is such a file
// or a disk.
void spare_appended_stderr();

// "stepdown: TEXT", or one line of JSON: {"time","level","msg"}.
void write_log(LogLevel level, std::string_view text);

}  // namespace stepdown::cli
