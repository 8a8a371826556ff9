#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "stepdown/error.h"
#include "stepdown/identity.h"
#include "stepdown/inspect.h"

namespace stepdown {

namespace {

using Kind = Rule::Kind;

enum class Value { none, capability, id, ids };

struct RuleWord {
  std::string_view word;
  Kind kind;
  Value value;
};

constexpr std::array<RuleWord, 11> rule_words = {{
    {"non-root", Kind::non_root, Value::none},
    {"no-root-group", Kind::no_root_group, Value::none},
    {"no-capabilities", Kind::no_capabilities, Value::none},
    {"only-capability", Kind::only_capability, Value::capability},
    {"no-new-privs", Kind::no_new_privs, Value::none},
    {"seccomp", Kind::seccomp, Value::none},
    {"uid", Kind::uid, Value::id},
    {"gid", Kind::gid, Value::id},
    {"groups", Kind::groups, Value::ids},
    {"user-namespace", Kind::user_namespace, Value::none},
    {"restricted", Kind::restricted, Value::none},
}};

std::string all_rule_words() {
  std::string all;
  for (const RuleWord& rule : rule_words) {
    all += all.empty() ? "" : ", ";
    all += rule.word;
    if (rule.value == Value::capability) all += "=NAME";
    if (rule.value == Value::id) all += "=N";
    if (rule.value == Value::ids) all += "=N:N...";
  }
  return all;
}

std::uint32_t parse_rule_id(const std::string& step, std::string_view word) {
  const std::optional<std::uint32_t> id = parse_id(step, word);
  if (!id) refuse(step, "\"" + std::string(word) + "\" is no id: digits alone are");
  return *id;
}

Rule parse_rule(std::string_view text) {
  const std::string step = "--require " + std::string(text);
  const std::size_t equals = text.find('=');
  const auto* const found = std::find_if(
      rule_words.begin(), rule_words.end(),
      [word = text.substr(0, equals)](const RuleWord& rule) { return rule.word == word; });
  if (found == rule_words.end()) refuse(step, "no such rule", "rules: " + all_rule_words());
  const bool has_value = equals != std::string_view::npos;
  if (has_value != (found->value != Value::none)) {
    refuse(step, has_value ? "this rule takes no value" : "this rule needs a value",
           "rules: " + all_rule_words());
  }

  Rule rule;
  rule.kind = found->kind;
  rule.text = text;
  if (!has_value) return rule;
  std::string_view value = text.substr(equals + 1);
  if (found->value == Value::capability) {
    rule.capability = capability_from_name(value);
    if (!rule.capability) {
      refuse(step, "\"" + std::string(value) + "\" is no capability",
             "names are as in capabilities(7): NET_BIND_SERVICE or cap_net_bind_service");
    }
    return rule;
  }
  if (found->value == Value::id) {
    rule.ids.push_back(parse_rule_id(step, value));
    return rule;
  }
  while (true) {
    const std::size_t colon = value.find(':');
    rule.ids.push_back(parse_rule_id(step, value.substr(0, colon)));
    if (colon == std::string_view::npos) return rule;
    value.remove_prefix(colon + 1);
  }
}

// A rule's answer for one thread.
struct Verdict {
  bool ok = false;
  std::string detail;
};

// "a, b, c and 12 more": a list of 41 capabilities or 65,536 groups must not bury the rest.
template <typename Items, typename Text>
std::string enumerate(const Items& items, Text text) {
  constexpr std::size_t most = 3;
  std::string line;
  std::size_t count = 0;
  for (const auto& item : items) {
    if (count == most && items.size() > most) {
      return line + " and " + std::to_string(items.size() - most) + " more";
    }
    if (count++ > 0) line += ", ";
    line += text(item);
  }
  return line;
}

template <typename Id>
std::string describe_ids(std::string_view what, const IdQuad<Id>& ids) {
  const std::string name(what);
  if (ids.all_are(ids.real)) return name + " " + std::to_string(raw(ids.real));
  return "real " + name + " " + std::to_string(raw(ids.real)) + ", effective " +
         std::to_string(raw(ids.effective)) + ", saved " + std::to_string(raw(ids.saved)) +
         ", filesystem " + std::to_string(raw(ids.filesystem));
}

std::string describe_groups(const std::vector<Gid>& groups) {
  if (groups.empty()) return "no supplementary groups";
  return "supplementary groups " +
         enumerate(groups, [](Gid gid) { return std::to_string(raw(gid)); });
}

constexpr Gid overflow_gid{raw(overflow_uid)};
constexpr std::string_view may_be_anybody =
    " (65534 may be anybody outside this user namespace, root included)";

bool hides_uid(const ProcessState& thread) {
  return thread.ids_may_be_hidden && thread.credentials.uid.any_is(overflow_uid);
}

bool hides_gid(const ProcessState& thread) {
  const std::vector<Gid>& groups = thread.credentials.groups;
  return thread.ids_may_be_hidden &&
         (thread.credentials.gid.any_is(overflow_gid) ||
          std::find(groups.begin(), groups.end(), overflow_gid) != groups.end());
}

// What can't be told is not called good.
Verdict unless_hidden(bool hidden, Verdict verdict) {
  if (!hidden || !verdict.ok) return verdict;
  return {false, verdict.detail + std::string(may_be_anybody)};
}

Verdict judge_non_root(const ProcessState& thread) {
  const Credentials& credentials = thread.credentials;
  return unless_hidden(hides_uid(thread),
                       {!credentials.uid.any_is(root_uid), describe_ids("uid", credentials.uid)});
}

Verdict judge_root_group(const Credentials& credentials) {
  const std::vector<Gid>& groups = credentials.groups;
  const std::string gid = describe_ids("gid", credentials.gid);
  if (std::find(groups.begin(), groups.end(), root_gid) != groups.end()) {
    return {false, gid + ", group 0 among the supplementary groups"};
  }
  return {!credentials.gid.any_is(root_gid), gid + ", " + describe_groups(groups)};
}

// execve(2) gives capabilities from the bounding set only to uid 0 and to files that have some;
// with no_new_privs and no uid 0 neither happens (capabilities(7), prctl(2) PR_SET_NO_NEW_PRIVS).
bool bounding_is_moot(const Credentials& credentials) {
  return credentials.no_new_privs && !credentials.uid.any_is(root_uid);
}

struct NamedSet {
  std::string_view name;
  CapabilitySet members;
};

// "effective, permitted cap_chown, cap_kill; bounding cap_chown": sets that are alike once.
std::string describe_sets(std::vector<NamedSet> sets) {
  std::string line;
  while (!sets.empty()) {
    const CapabilitySet members = sets.front().members;
    std::vector<std::string_view> names;
    for (const NamedSet& set : sets) {
      if (set.members == members) names.push_back(set.name);
    }
    std::erase_if(sets, [members](const NamedSet& set) { return set.members == members; });
    if (members.empty()) continue;
    if (!line.empty()) line += "; ";
    line += enumerate(names, [](std::string_view name) { return std::string(name); });
    line += " " + enumerate(members.members(), capability_name);
  }
  return line;
}

Verdict judge_capabilities(const Credentials& credentials, CapabilitySet allowed) {
  const CapabilityState& sets = credentials.capabilities;
  const CapabilitySet held = sets.inheritable | sets.permitted | sets.effective | sets.ambient;
  const CapabilitySet bounding = sets.bounding - allowed;
  const bool moot = bounding_is_moot(credentials);
  if (!allowed.contains(held) || (!bounding.empty() && !moot)) {
    return {false, describe_sets({{"effective", sets.effective - allowed},
                                  {"permitted", sets.permitted - allowed},
                                  {"inheritable", sets.inheritable - allowed},
                                  {"ambient", sets.ambient - allowed},
                                  {"bounding", moot ? CapabilitySet{} : bounding}})};
  }
  std::string detail = held.empty() ? "no capabilities" : describe_sets({{"holds", held}});
  if (!bounding.empty()) {
    detail += "; " + describe_sets({{"bounding", bounding}}) + " (moot: no_new_privs and no uid 0)";
  }
  return {true, detail};
}

Verdict judge_no_new_privs(const Credentials& credentials) {
  const bool set = credentials.no_new_privs;
  return {set, set ? "no_new_privs" : "no_new_privs is not set"};
}

Verdict judge_seccomp(const ProcessState& thread) {
  switch (thread.seccomp_mode) {
    case 0:
      return {false, "no seccomp filter"};
    case 1:
      return {false, "seccomp strict mode, no filter"};
    default:
      return {true, "seccomp filter"};
  }
}

Verdict judge_groups(const Credentials& credentials, const std::vector<std::uint32_t>& wanted) {
  // The kernel grants the effective gid's access as it does a supplementary group's, and the two
  // lists may or may not repeat it: it is counted into both.
  std::set<std::uint32_t> expected(wanted.begin(), wanted.end());
  std::set<std::uint32_t> actual;
  for (const Gid gid : credentials.groups) actual.insert(raw(gid));
  expected.insert(raw(credentials.gid.effective));
  actual.insert(raw(credentials.gid.effective));
  return {actual == expected,
          describe_ids("gid", credentials.gid) + ", " + describe_groups(credentials.groups)};
}

Verdict judge_user_namespace(const ProcessState& thread) {
  const bool own = thread.own_user_namespace;
  return {own, own ? "in a user namespace of its own" : "in no user namespace of its own"};
}

Verdict judge_thread(const Rule& rule, const ProcessState& thread);

Verdict judge_parts(const Rule& rule, const ProcessState& thread) {
  Verdict whole{true, {}};
  for (const Rule& part : parts_of(rule)) {
    const Verdict verdict = judge_thread(part, thread);
    if (verdict.ok && !whole.ok) continue;  // a failure is explained by what fails
    if (verdict.ok != whole.ok) whole = {false, {}};
    if (!whole.detail.empty()) whole.detail += "; ";
    whole.detail += verdict.detail;
  }
  return whole;
}

Verdict judge_thread(const Rule& rule, const ProcessState& thread) {
  const Credentials& credentials = thread.credentials;
  switch (rule.kind) {
    case Kind::non_root:
      return judge_non_root(thread);
    case Kind::no_root_group:
      return unless_hidden(hides_gid(thread), judge_root_group(credentials));
    case Kind::no_capabilities:
      return judge_capabilities(credentials, {});
    case Kind::only_capability:
      return judge_capabilities(credentials, {rule.capability.value()});
    case Kind::no_new_privs:
      return judge_no_new_privs(credentials);
    case Kind::seccomp:
      return judge_seccomp(thread);
    case Kind::uid:
      return unless_hidden(hides_uid(thread), {credentials.uid.all_are(Uid{rule.ids.at(0)}),
                                               describe_ids("uid", credentials.uid)});
    case Kind::gid:
      return unless_hidden(
          thread.ids_may_be_hidden && credentials.gid.any_is(overflow_gid),
          {credentials.gid.all_are(Gid{rule.ids.at(0)}), describe_ids("gid", credentials.gid)});
    case Kind::groups:
      return unless_hidden(hides_gid(thread), judge_groups(credentials, rule.ids));
    case Kind::user_namespace:
      return judge_user_namespace(thread);
    case Kind::restricted:
      break;
  }
  return judge_parts(rule, thread);
}

}  // namespace

std::vector<Rule> parse_rules(std::string_view words) {
  std::vector<Rule> rules;
  while (true) {
    const std::size_t comma = words.find(',');
    rules.push_back(parse_rule(words.substr(0, comma)));
    if (comma == std::string_view::npos) return rules;
    words.remove_prefix(comma + 1);
  }
}

// Kubernetes' Pod Security Standards, level restricted, as far as it shows in a process.
std::vector<Rule> parts_of(const Rule& rule) {
  constexpr std::string_view all = "non-root,only-capability=NET_BIND_SERVICE,no-new-privs,seccomp";
  return rule.kind == Kind::restricted ? parse_rules(all) : std::vector<Rule>{rule};
}

Finding judge(const Rule& rule, const ProcessState& process) {
  Verdict worst = judge_thread(rule, process);
  // Threads share their memory: the process is what its most privileged thread is.
  for (const ProcessState& thread : process.differing_threads) {
    if (!worst.ok) break;
    const Verdict verdict = judge_thread(rule, thread);
    if (!verdict.ok)
      worst = {false, "thread " + std::to_string(thread.pid) + ": " + verdict.detail};
  }
  return {rule.text, worst.ok, std::move(worst.detail)};
}

}  // namespace stepdown
