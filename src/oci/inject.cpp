#include <algorithm>
#include <string_view>

#include "oci/injection.h"
#include "oci/members.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

// Without "//", "." and "..": what a runtime makes of a destination before it looks at the image.
std::string normal(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part == ".." && !parts.empty()) parts.pop_back();
    if (!part.empty() && part != "." && part != "..") parts.push_back(part);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  std::string text;
  for (const std::string_view part : parts) text.append("/").append(part);
  return text.empty() ? "/" : text;
}

json::Json mount_of(const std::string& launcher) {
  json::Json mount = json::Json::object();
  mount["destination"] = injected_launcher;
  mount["type"] = "bind";
  mount["source"] = launcher;
  mount["options"] = {"bind", "ro", "nosuid", "nodev"};
  return mount;
}

bool begins_with(const json::Json& arguments, const std::vector<std::string>& words) {
  if (!arguments.is_array() || arguments.size() <= words.size()) return false;
  for (std::size_t index = 0; index < words.size(); ++index)
    if (arguments[index] != words[index]) return false;
  return true;
}

}  // namespace

void put_in_front(json::Json& process, const std::vector<std::string>& words) {
  json::Json& arguments = array_in(process, "args", "process.args");
  json::Json all = words;
  for (json::Json& argument : arguments) all.push_back(std::move(argument));
  arguments = std::move(all);
}

void inject_launcher(json::Json& config, const std::vector<std::string>& words,
                     const std::string& launcher) {
  json::Json& process = object_in(config, "process", "process");
  json::Json& mounts = array_in(config, "mounts", "mounts");
  const json::Json mount = mount_of(launcher);
  // Last, so that nothing is mounted over it.
  if (!mounts.empty() && mounts.back() == mount && begins_with(process["args"], words)) return;
  for (const json::Json& other : mounts) {
    const std::string destination = other.value("destination", "");
    if (normal(destination) == injected_launcher)
      refuse("--inject",
             std::string("something is mounted at ") + injected_launcher +
                 " already, where the launcher belongs",
             "a container passes one door that injects, and none of its volumes has that place");
  }
  mounts.push_back(mount);
  put_in_front(process, words);
}

}  // namespace stepdown::oci
