// Who a container's volumes are for.
#pragma once

#include <optional>
#include <string>

#include "oci/document.h"
#include "stepdown/identity.h"
#include "stepdown/options.h"
#include "stepdown/ownership.h"

namespace stepdown::oci {

// --user, in the words of the image's account files, else the container's own process; as the
// runtime's user namespace calls them. `maps` are those of the container's; nullopt: it has none of
// its own, and ids are what they are. `runtime` are those of the runtime's own namespace, if it is
// in another than the host's (own_id_maps_for), whose 0 may be a user. Error: it does not resolve,
// isn't mapped, or is the host's root without --allow-root.
HandOverTarget receiver_of(const Options& options, const Process& process,
                           const AccountFiles& accounts, const std::optional<IdMaps>& maps,
                           const IdMaps& runtime = {});

}  // namespace stepdown::oci
