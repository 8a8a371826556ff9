#include <algorithm>
#include <charconv>
#include <cstdint>

#include "oci/members.h"
#include "oci/runtime.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

using json::Json;

// Digits alone: strtoll(3) and strconv.Atoi also take signs, blanks and wrap around.
std::uint32_t id(const std::string& option, const std::string& word, std::string_view digits) {
  std::uint32_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, failure] = std::from_chars(digits.data(), end, value);
  if (failure != std::errc{} || stop != end || value == UINT32_MAX)
    refuse("exec " + option, "not a number: " + json::shown(word));
  return value;
}

void take_user(Json& process, const ExecWords& exec) {
  if (exec.user) {
    const std::size_t colon = exec.user->find(':');
    const std::string_view word = *exec.user;
    Json& user = object_in(process, "user", "process.user");
    user["uid"] = id("--user", *exec.user, word.substr(0, colon));
    if (colon != std::string::npos) user["gid"] = id("--user", *exec.user, word.substr(colon + 1));
  }
  for (const std::string& group : exec.groups)
    array_in(object_in(process, "user", "process.user"), "additionalGids",
             "process.user.additionalGids")
        .push_back(id("--additional-gids", group, group));
}

void take_capabilities(Json& process, const ExecWords& exec) {
  for (const std::string& capability : exec.capabilities)
    for (const char* set : {"bounding", "effective", "permitted", "inheritable", "ambient"})
      array_in(object_in(process, "capabilities", "process.capabilities"), set,
               "process.capabilities")
          .push_back(capability);
}

}  // namespace

Json exec_process(const Json& base, const RuntimeWords& words) {
  const ExecWords& exec = words.exec.value();
  if (!base.is_object()) refuse("config.json: process", "it is not an object");
  Json process = base;
  process["args"] = std::vector<std::string>(
      words.words.begin() + static_cast<std::ptrdiff_t>(exec.id) + 1, words.words.end());
  if (process["args"].empty()) refuse("runtime", "exec names no command and no --process");
  process["terminal"] = exec.terminal;
  if (exec.directory && !exec.directory->empty()) process["cwd"] = *exec.directory;
  if (exec.apparmor && !exec.apparmor->empty()) process["apparmorProfile"] = *exec.apparmor;
  if (exec.label && !exec.label->empty()) process["selinuxLabel"] = *exec.label;
  for (const std::string& variable : exec.environment)
    array_in(process, "env", "process.env").push_back(variable);
  if (exec.no_new_privs) process["noNewPrivileges"] = *exec.no_new_privs;
  take_user(process, exec);
  take_capabilities(process, exec);
  return process;
}

}  // namespace stepdown::oci
