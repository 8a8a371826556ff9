#include <nlohmann/json.hpp>

#include "cli/check_report.h"

namespace stepdown::cli {

namespace {

// Keys stay in the order in which they are written here.
using Json = nlohmann::ordered_json;

template <typename Id>
Json ids_json(const IdQuad<Id>& ids) {
  return {{"real", raw(ids.real)},
          {"effective", raw(ids.effective)},
          {"saved", raw(ids.saved)},
          {"filesystem", raw(ids.filesystem)}};
}

Json names_json(CapabilitySet set) {
  Json names = Json::array();
  for (const Capability capability : set.members()) names.push_back(capability_name(capability));
  return names;
}

Json process_json(const CheckedProcess& process) {
  const ProcessState& state = process.state;
  const Credentials& credentials = state.credentials;
  const CapabilityState& sets = credentials.capabilities;

  Json groups = Json::array();
  for (const Gid gid : credentials.groups) groups.push_back(raw(gid));
  Json uid_map = Json::array();
  for (const IdMapping& line : state.uid_map) {
    uid_map.push_back(
        {{"inside", line.inside}, {"outside", line.outside}, {"length", line.length}});
  }
  Json findings = Json::array();
  for (const Finding& finding : process.findings) {
    findings.push_back({{"rule", finding.rule}, {"ok", finding.ok}, {"detail", finding.detail}});
  }

  return {{"pid", state.pid},
          {"command", state.command},
          {"ok", process.ok()},
          {"uid", ids_json(credentials.uid)},
          {"gid", ids_json(credentials.gid)},
          {"groups", groups},
          {"capabilities",
           {{"inheritable", names_json(sets.inheritable)},
            {"permitted", names_json(sets.permitted)},
            {"effective", names_json(sets.effective)},
            {"bounding", names_json(sets.bounding)},
            {"ambient", names_json(sets.ambient)}}},
          {"no_new_privs", credentials.no_new_privs},
          {"seccomp", {{"mode", state.seccomp_mode}, {"filters", state.seccomp_filters}}},
          {"user_namespace", {{"own", state.own_user_namespace}, {"uid_map", uid_map}}},
          {"findings", findings}};
}

}  // namespace

std::string check_json(const std::vector<CheckedProcess>& processes) {
  Json list = Json::array();
  for (const CheckedProcess& process : processes) list.push_back(process_json(process));
  const Json report = {{"ok", all_ok(processes)}, {"processes", list}};
  // ASCII only, so that no terminal sees a control character of another encoding; a command line's
  // bytes need not be UTF-8, and must not end the report with an exception.
  constexpr bool ensure_ascii = true;
  return report.dump(-1, ' ', ensure_ascii, Json::error_handler_t::replace) + "\n";
}

}  // namespace stepdown::cli
