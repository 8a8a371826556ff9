// A config.json on its way to the runtime, rewritten: what podman's precreate hook and the runtime
// door have in common.
#pragma once

#include <string>
#include <string_view>

#include "json/strict_json.h"
#include "stepdown/log.h"
#include "stepdown/options.h"

namespace stepdown::oci {

// `name` is what messages call the config; a relative root.path is one of `bundle`, which is empty
// where it isn't known. Error: refused, or --require doesn't hold for what would become of it.
void step_down(json::Json& config, const std::string& name, const std::string& bundle,
               const Options& options, const Log& log);

// podman's precreate hook: config.json in, config.json out. Error.
std::string precreate(const Options& options, std::string_view config, const Log& log);

}  // namespace stepdown::oci
