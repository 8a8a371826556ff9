#include "stepdown/error.h"
#include "stepdown/options.h"

namespace stepdown {

void apply_profile(Options& options) {
  if (!options.profile) return;
  if (*options.profile != "legacy-root")
    refuse("--profile " + *options.profile, "there is no profile of that name",
           "the built-in one is legacy-root");
  // What a root master needs inside its namespace, to prepare its files and to drop its workers.
  if (options.userns == Userns::none) options.userns = Userns::root;
  options.keep_caps =
      options.keep_caps | CapabilitySet{Capability::chown,  Capability::dac_override,
                                        Capability::fowner, Capability::setuid,
                                        Capability::setgid, Capability::kill};
}

}  // namespace stepdown
