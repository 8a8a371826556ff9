// Finding the command and becoming it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/file_capabilities.h"

namespace stepdown {

// What a search for the command found, as far as this process can see.
struct CommandLookup {
  std::optional<std::string> file;  // what execvp(3) would execute
  bool exists = false;              // a file of that name is there, executable or not
  bool hidden = false;              // a directory could not be searched: there may be more
};
// Looks along `path`, a ':'-separated list (the usual directories where nullopt), for the first
// executable regular file. A name with a '/' is a path itself, relative to `directory`.
CommandLookup find_command(const std::string& name, std::optional<std::string_view> path,
                           const std::string& directory);

// What `file` needs to start and what is not there, in words: a script's interpreter, or the
// dynamic loader of a program.
std::optional<std::string> missing_part(const std::string& file);

// The program that the kernel would load in the end: the interpreter of a script, of that one's own
// "#!" and so on (execve(2), "Interpreter scripts"), or the file itself.
std::string interpreter_of(const std::string& file);

// execve(2). Error: 127 when there is no such command, 126 when there is and it can't be executed,
// with the interpreter or loader named that is missing.
[[noreturn]] void execute(const std::vector<std::string>& command,
                          const std::vector<std::string>& environment);

}  // namespace stepdown
