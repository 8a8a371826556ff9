// The hooks (OCI runtime-spec, "POSIX-platform Hooks"). They prepare and refuse; no hook can change
// the credentials of the container's process.
#pragma once

#include <string_view>

#include "stepdown/log.h"
#include "stepdown/options.h"

namespace stepdown::oci {

// The first thing that a hook does, before it reads anything: undumpable, so that the container's
// processes can't look at it, and without an environment, which may be the image's (runc 1.1 gives
// it to hooks that have none; the C library would take TZ from there). Error.
void shut_out_the_container();

// In the runtime's namespaces, with all of its rights, before pivot_root: judges --require, hands
// volumes over (--own, --idmap), sets --unprivileged-ports. Error: the container must not start.
void create_runtime(const Options& options, std::string_view state, const Log& log);

// In the container's namespaces: judges --require, sets --unprivileged-ports, hands volumes over
// where there is no user namespace. --idmap is refused: it needs createRuntime.
void create_container(const Options& options, std::string_view state, const Log& log);

}  // namespace stepdown::oci
