// Members of the configuration that is being rewritten. What the doors look at has been validated
// (document.h); the rest is here, so that a wrong type is an Error with its place.
#pragma once

#include <string>

#include "json/strict_json.h"

namespace stepdown::oci {

// The member `key`, made where it is missing or null (Go writes null for what is empty). Error,
// step `place`: it has another type.
json::Json& object_in(json::Json& parent, const char* key, const std::string& place);
json::Json& array_in(json::Json& parent, const char* key, const std::string& place);

}  // namespace stepdown::oci
