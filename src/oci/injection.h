// --inject: the launcher in front of the app, in its container. Pure.
#pragma once

#include "oci/rewrite.h"

namespace stepdown::oci {

// The launcher's mount and the words before process.args; nothing where both are there already.
// Error: something else is mounted at injected_launcher.
void inject_launcher(json::Json& config, const std::vector<std::string>& words,
                     const std::string& launcher);

// What the options say of the log, but for its file.
void add_log_words(std::vector<std::string>& words, const Options& options);

void put_in_front(json::Json& process, const std::vector<std::string>& words);

}  // namespace stepdown::oci
