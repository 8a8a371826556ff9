#include "oci/members.h"

#include "stepdown/error.h"

namespace stepdown::oci {

json::Json& object_in(json::Json& parent, const char* key, const std::string& place) {
  json::Json& member = parent[key];
  if (member.is_null()) member = json::Json::object();
  if (!member.is_object()) refuse("config.json: " + place, "an object is expected");
  return member;
}

json::Json& array_in(json::Json& parent, const char* key, const std::string& place) {
  json::Json& member = parent[key];
  if (member.is_null()) member = json::Json::array();
  if (!member.is_array()) refuse("config.json: " + place, "an array is expected");
  return member;
}

}  // namespace stepdown::oci
