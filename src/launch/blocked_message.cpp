#include <algorithm>
#include <cstddef>

#include "stepdown/launch.h"
#include "sys/text.h"

namespace stepdown {

namespace {

std::string count(std::size_t number, const std::string& noun) {
  return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
}

struct Row {
  std::string capability;
  const StepFinding* finding;
};

std::string words(const std::vector<std::string>& capabilities, const char* before_each,
                  const char* between) {
  std::string text;
  for (const std::string& name : capabilities) {
    if (!text.empty()) text += between;
    text += before_each + name;
  }
  return text;
}

// What the user itself would not need: it has no ids to change and hands nothing over.
bool helps_to_change_ids(const std::string& capability) {
  return capability == "SETUID" || capability == "SETGID" || capability == "CHOWN" ||
         capability == "DAC_READ_SEARCH" || capability == "DAC_OVERRIDE";
}

}  // namespace

std::string blocked_message(const std::vector<StepFinding>& findings, const Identity& identity,
                            const Caller& caller) {
  std::vector<Row> rows;
  std::vector<std::string> capabilities;
  std::vector<const StepFinding*> others;
  for (const StepFinding& finding : findings) {
    if (finding.state != StepState::blocked) continue;
    if (finding.needs.empty()) others.push_back(&finding);
    for (const std::string& need : finding.needs) {
      rows.push_back({need, &finding});
      if (std::find(capabilities.begin(), capabilities.end(), need) == capabilities.end())
        capabilities.push_back(need);
    }
  }

  std::string text;
  if (!capabilities.empty()) {
    text = "the plan needs " +
           (capabilities.size() == 1 ? std::string("1 capability")
                                     : std::to_string(capabilities.size()) + " capabilities") +
           " that this container lacks";
    std::size_t name_width = 0;
    std::size_t detail_width = 0;
    for (const Row& row : rows) {
      name_width = std::max(name_width, row.capability.size());
      detail_width = std::max(detail_width, row.finding->detail.size());
    }
    for (const Row& row : rows)
      text += "\n  " + sys::padded(row.capability, name_width) + "  " +
              sys::padded(row.finding->detail, detail_width) + "  " + row.finding->syscall;
  }
  if (!others.empty()) {
    text += text.empty() ? "the plan can't be carried out here: " : "\nand ";
    text += count(others.size(), "step") + (others.size() == 1 ? " is" : " are") + " blocked";
    for (const StepFinding* finding : others)
      text += "\n  " + finding->name + ": " + sys::indented(finding->reason, "  ");
  }
  if (capabilities.empty()) return text;
  for (const StepFinding& finding : findings)
    if (finding.name == "uid" && finding.state == StepState::moot) text += "\n" + finding.reason;
  // What cap_add gives a container that starts as another user ends up in its bounding set alone.
  const bool root_start = caller.credentials.uid.effective == root_uid;
  const std::string start = root_start ? "" : "--user 0 ";
  if (!root_start)
    for (const char* needed : {"SETGID", "SETUID"})
      if (std::find(capabilities.begin(), capabilities.end(), needed) == capabilities.end())
        capabilities.emplace_back(needed);
  text += "\ndocker: " + start + words(capabilities, "--cap-add ", " ") +
          "     compose: " + (root_start ? "" : "user: \"0\", ") + "cap_add: [" +
          words(capabilities, "", ", ") + "]";
  const bool ids_alone = std::all_of(capabilities.begin(), capabilities.end(), helps_to_change_ids);
  if (others.empty() && ids_alone && !caller.credentials.uid.all_are(identity.uid))
    text += "\nor start as the user itself: --user " + std::to_string(raw(identity.uid)) + ":" +
            std::to_string(raw(identity.gid));
  return text;
}

}  // namespace stepdown
