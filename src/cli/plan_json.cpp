#include <nlohmann/json.hpp>

#include "cli/plan_report.h"

namespace stepdown::cli {

namespace {

using Json = nlohmann::ordered_json;

const char* word(PortWay way) {
  switch (way) {
    case PortWay::unprivileged:
      return "unprivileged";
    case PortWay::ambient:
      return "ambient";
    case PortWay::file_capability:
      return "file-capability";
    case PortWay::supervisor:
      return "supervisor";
    case PortWay::blocked:
      break;
  }
  return "blocked";
}

Json identity_json(const Identity& identity) {
  Json groups = Json::array();
  for (const Gid gid : identity.groups) groups.push_back(raw(gid));
  return {{"user", identity.user},
          {"uid", raw(identity.uid)},
          {"gid", raw(identity.gid)},
          {"groups", groups},
          {"home", identity.home}};
}

Json map_json(const std::vector<IdMapping>& map) {
  Json lines = Json::array();
  for (const IdMapping& line : map)
    lines.push_back({{"inside", line.inside}, {"outside", line.outside}, {"length", line.length}});
  return lines;
}

Json user_namespace_json(const Plan& plan) {
  if (!plan.user_namespace) return nullptr;
  return {{"uid_map", map_json(plan.user_namespace->uid_map)},
          {"gid_map", map_json(plan.user_namespace->gid_map)}};
}

}  // namespace

std::string plan_json(const Plan& plan, const std::vector<StepFinding>& findings) {
  Json own = Json::array();
  for (const OwnedPath& path : plan.own) own.push_back(path.path + (path.recursive ? "" : ":top"));
  Json ports = Json::array();
  for (const PortUse& port : plan.ports)
    ports.push_back({{"port", port.number},
                     {"protocol", port.protocol == Protocol::udp ? "udp" : "tcp"},
                     {"how", word(port.way)}});
  Json keep = Json::array();
  for (const Capability capability : plan.keep.members())
    keep.push_back(capability_name(capability));
  Json steps = Json::array();
  for (const StepFinding& finding : findings) {
    Json needs = Json::array();
    for (const std::string& flag : finding.needs)
      needs.push_back(capability_name(capability_from_name(flag).value()));
    steps.push_back({{"name", finding.name},
                     {"detail", finding.detail},
                     {"state", state_name(finding.state)},
                     {"needs", needs},
                     {"reason", finding.reason}});
  }
  const Json document = {{"identity", identity_json(plan.identity)},
                         {"command", plan.command},
                         {"writable", plan.writable},
                         {"own", own},
                         {"ports", ports},
                         {"capabilities", {{"keep", keep}}},
                         {"no_new_privs", plan.no_new_privs},
                         {"user_namespace", user_namespace_json(plan)},
                         {"steps", steps},
                         {"ok", !is_blocked(findings)}};
  // ASCII only, as check's: no terminal sees a control character of another encoding.
  return document.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace stepdown::cli
