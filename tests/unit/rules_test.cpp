// The rules of `stepdown check`: their words, and what they say about a process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "stepdown/error.h"
#include "stepdown/inspect.h"

namespace stepdown {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

using Kind = Rule::Kind;

constexpr CapabilitySet docker_default = CapabilitySet::from_bits(0xa80425fb);

// What `stepdown --user app` makes: nothing left in any set.
ProcessState dropped() {
  ProcessState process;
  process.pid = 100;
  process.command = "app";
  process.credentials.uid = {Uid{1000}, Uid{1000}, Uid{1000}, Uid{1000}};
  process.credentials.gid = {Gid{1001}, Gid{1001}, Gid{1001}, Gid{1001}};
  process.credentials.groups = {Gid{1001}, Gid{2000}};
  process.credentials.no_new_privs = true;
  process.seccomp_mode = 2;
  process.seccomp_filters = 1;
  process.uid_map = {{0, 0, 4294967295}};
  return process;
}

using Change = std::function<void(ProcessState&)>;

ProcessState dropped_but(const Change& change) {
  ProcessState process = dropped();
  change(process);
  return process;
}

Finding judged(std::string_view rule, const ProcessState& process) {
  return judge(parse_rules(rule).at(0), process);
}

std::string refusal(std::string_view words) {
  try {
    parse_rules(words);
  } catch (const Error& error) {
    EXPECT_EQ(error.details().status, exit_status::failed);
    return error.what();
  }
  return "accepted";
}

TEST(RuleWords, AreARuleEach) {
  const std::vector<std::pair<std::string, Rule>> table = {
      {"non-root", {Kind::non_root, "non-root", {}, {}}},
      {"no-root-group", {Kind::no_root_group, "no-root-group", {}, {}}},
      {"no-capabilities", {Kind::no_capabilities, "no-capabilities", {}, {}}},
      {"only-capability=NET_BIND_SERVICE",
       {Kind::only_capability,
        "only-capability=NET_BIND_SERVICE",
        Capability::net_bind_service,
        {}}},
      {"only-capability=cap_chown",
       {Kind::only_capability, "only-capability=cap_chown", Capability::chown, {}}},
      {"no-new-privs", {Kind::no_new_privs, "no-new-privs", {}, {}}},
      {"seccomp", {Kind::seccomp, "seccomp", {}, {}}},
      {"uid=1000", {Kind::uid, "uid=1000", {}, {1000}}},
      {"uid=0", {Kind::uid, "uid=0", {}, {0}}},
      {"gid=2147483647", {Kind::gid, "gid=2147483647", {}, {2147483647}}},
      {"groups=1000", {Kind::groups, "groups=1000", {}, {1000}}},
      {"groups=1000:2000:7", {Kind::groups, "groups=1000:2000:7", {}, {1000, 2000, 7}}},
      {"user-namespace", {Kind::user_namespace, "user-namespace", {}, {}}},
      {"restricted", {Kind::restricted, "restricted", {}, {}}},
  };
  for (const auto& [words, rule] : table) {
    EXPECT_THAT(parse_rules(words), ElementsAre(rule)) << words;
  }
}

TEST(RuleWords, AreSeparatedByCommas) {
  const std::vector<Rule> rules = parse_rules("non-root,uid=1000,groups=1:2,seccomp");
  ASSERT_EQ(rules.size(), 4U);
  EXPECT_EQ(rules[0].kind, Kind::non_root);
  EXPECT_EQ(rules[1].text, "uid=1000");
  EXPECT_EQ(rules[2].text, "groups=1:2");
  EXPECT_EQ(rules[3].kind, Kind::seccomp);
}

TEST(RuleWords, AreRefusedOtherwise) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"", "no such rule"},
      {",", "no such rule"},
      {"non-root,", "no such rule"},
      {",non-root", "no such rule"},
      {"non-root,,seccomp", "no such rule"},
      {"nonroot", "no such rule"},
      {"Non-Root", "no such rule"},
      {" non-root", "no such rule"},
      {"non-root ", "no such rule"},
      {"=1000", "no such rule"},
      {"non-root=", "takes no value"},
      {"restricted=yes", "takes no value"},
      {"uid", "needs a value"},
      {"groups", "needs a value"},
      {"only-capability", "needs a value"},
      {"only-capability=", "is no capability"},
      {"only-capability=NET_BIND", "is no capability"},
      {"only-capability=10", "is no capability"},
      {"uid=", "is no id"},
      {"uid=app", "is no id"},
      {"uid=-1", "is no id"},
      {"uid=+1", "is no id"},
      {"uid= 1", "is no id"},
      {"uid=0x10", "is no id"},
      {"uid=1000:1000", "is no id"},
      {"uid=2147483648", "out of range"},
      {"uid=4294967296", "out of range"},
      {"gid=99999999999999999999", "out of range"},
      {"groups=", "is no id"},
      {"groups=1:", "is no id"},
      {"groups=:1", "is no id"},
      {"groups=1::2", "is no id"},
      {"groups=1:staff", "is no id"},
  };
  for (const auto& [words, reason] : table) {
    EXPECT_THAT(refusal(words), AllOf(HasSubstr("--require "), HasSubstr(reason))) << words;
  }
}

TEST(Rules, HoldForADroppedProcess) {
  for (const char* rule :
       {"restricted", "non-root", "no-root-group", "no-capabilities", "only-capability=CHOWN",
        "no-new-privs", "seccomp", "uid=1000", "gid=1001", "groups=1001:2000"}) {
    const Finding finding = judged(rule, dropped());
    EXPECT_TRUE(finding.ok) << rule << ": " << finding.detail;
    EXPECT_EQ(finding.rule, rule);
    EXPECT_NE(finding.detail, "") << rule;
  }
  EXPECT_FALSE(judged("user-namespace", dropped()).ok);
}

struct Violation {
  const char* rule;
  Change change;
  const char* detail;
};

CapabilityState& sets(ProcessState& process) {
  return process.credentials.capabilities;
}

TEST(Rules, FailForEachPrivilegeThatIsLeft) {
  const CapabilitySet chown{Capability::chown};
  const CapabilitySet bind{Capability::net_bind_service};
  const std::vector<Violation> table = {
      {"non-root", [](auto& p) { p.credentials.uid.real = Uid{0}; }, "real uid 0"},
      {"non-root", [](auto& p) { p.credentials.uid.effective = Uid{0}; }, "effective 0"},
      {"non-root", [](auto& p) { p.credentials.uid.saved = Uid{0}; }, "saved 0"},
      {"non-root", [](auto& p) { p.credentials.uid.filesystem = Uid{0}; }, "filesystem 0"},
      {"no-root-group", [](auto& p) { p.credentials.gid.real = Gid{0}; }, "real gid 0"},
      {"no-root-group", [](auto& p) { p.credentials.gid.effective = Gid{0}; }, "effective 0"},
      {"no-root-group", [](auto& p) { p.credentials.gid.saved = Gid{0}; }, "saved 0"},
      {"no-root-group", [](auto& p) { p.credentials.gid.filesystem = Gid{0}; }, "filesystem 0"},
      {"no-root-group", [](auto& p) { p.credentials.groups.push_back(Gid{0}); },
       "group 0 among the supplementary groups"},
      {"no-capabilities", [=](auto& p) { sets(p).inheritable = chown; }, "inheritable cap_chown"},
      {"no-capabilities", [=](auto& p) { sets(p).permitted = chown; }, "permitted cap_chown"},
      {"no-capabilities", [=](auto& p) { sets(p).effective = chown; }, "effective cap_chown"},
      {"no-capabilities", [=](auto& p) { sets(p).ambient = chown; }, "ambient cap_chown"},
      {"only-capability=NET_BIND_SERVICE", [=](auto& p) { sets(p).inheritable = chown | bind; },
       "inheritable cap_chown"},
      {"only-capability=NET_BIND_SERVICE", [=](auto& p) { sets(p).permitted = chown | bind; },
       "permitted cap_chown"},
      {"only-capability=NET_BIND_SERVICE", [=](auto& p) { sets(p).effective = chown | bind; },
       "effective cap_chown"},
      {"only-capability=NET_BIND_SERVICE", [=](auto& p) { sets(p).ambient = chown | bind; },
       "ambient cap_chown"},
      {"no-new-privs", [](auto& p) { p.credentials.no_new_privs = false; }, "not set"},
      {"seccomp", [](auto& p) { p.seccomp_mode = 0; }, "no seccomp filter"},
      {"seccomp", [](auto& p) { p.seccomp_mode = 1; }, "strict"},
      {"uid=1000", [](auto& p) { p.credentials.uid.real = Uid{1}; }, "real uid 1,"},
      {"uid=1000", [](auto& p) { p.credentials.uid.effective = Uid{1}; }, "effective 1,"},
      {"uid=1000", [](auto& p) { p.credentials.uid.saved = Uid{1}; }, "saved 1,"},
      {"uid=1000", [](auto& p) { p.credentials.uid.filesystem = Uid{1}; }, "filesystem 1"},
      {"gid=1001", [](auto& p) { p.credentials.gid.real = Gid{1}; }, "real gid 1,"},
      {"gid=1001", [](auto& p) { p.credentials.gid.effective = Gid{1}; }, "effective 1,"},
      {"gid=1001", [](auto& p) { p.credentials.gid.saved = Gid{1}; }, "saved 1,"},
      {"gid=1001", [](auto& p) { p.credentials.gid.filesystem = Gid{1}; }, "filesystem 1"},
      {"groups=2000", [](auto& p) { p.credentials.groups.push_back(Gid{7}); }, "7"},
      {"groups=2000", [](auto& p) { p.credentials.groups = {}; }, "no supplementary groups"},
      {"restricted", [](auto& p) { p.credentials.uid.saved = Uid{0}; }, "saved 0"},
      {"restricted", [=](auto& p) { sets(p).inheritable = chown; }, "inheritable cap_chown"},
      {"restricted", [=](auto& p) { sets(p).permitted = chown; }, "permitted cap_chown"},
      {"restricted", [=](auto& p) { sets(p).effective = chown; }, "effective cap_chown"},
      {"restricted", [=](auto& p) { sets(p).ambient = chown; }, "ambient cap_chown"},
      {"restricted", [](auto& p) { p.credentials.no_new_privs = false; }, "not set"},
      {"restricted", [](auto& p) { p.seccomp_mode = 0; }, "no seccomp filter"},
  };
  for (const Violation& violation : table) {
    const Finding finding = judged(violation.rule, dropped_but(violation.change));
    EXPECT_FALSE(finding.ok) << violation.rule << ", " << violation.detail;
    EXPECT_THAT(finding.detail, HasSubstr(violation.detail)) << violation.rule;
  }
}

TEST(Rules, LetKubernetesRestrictedKeepOnePort) {
  const ProcessState process = dropped_but([](ProcessState& p) {
    const CapabilitySet bind{Capability::net_bind_service};
    sets(p) = {bind, bind, bind, bind, bind};
  });
  EXPECT_TRUE(judged("restricted", process).ok);
  EXPECT_THAT(judged("restricted", process).detail, HasSubstr("holds cap_net_bind_service"));
  EXPECT_TRUE(judged("only-capability=net_bind_service", process).ok);
  EXPECT_FALSE(judged("only-capability=chown", process).ok);
  EXPECT_FALSE(judged("no-capabilities", process).ok);
}

TEST(Rules, LetKubernetesRestrictedHaveGroupZero) {
  const ProcessState process = dropped_but([](ProcessState& p) {
    p.credentials.gid = {Gid{0}, Gid{0}, Gid{0}, Gid{0}};
  });
  EXPECT_TRUE(judged("restricted", process).ok);
}

TEST(Rules, ShowABoundingSetThatIsMootAndLetItBe) {
  const ProcessState process =
      dropped_but([](ProcessState& p) { sets(p).bounding = docker_default; });
  for (const char* rule : {"no-capabilities", "only-capability=NET_BIND_SERVICE", "restricted"}) {
    const Finding finding = judged(rule, process);
    EXPECT_TRUE(finding.ok) << rule;
    EXPECT_THAT(finding.detail, AllOf(HasSubstr("bounding cap_chown"), HasSubstr("moot"))) << rule;
  }
}

TEST(Rules, FailForABoundingSetThatIsNotMoot) {
  const std::vector<Change> changes = {
      [](ProcessState& p) { p.credentials.no_new_privs = false; },
      [](ProcessState& p) { p.credentials.uid.real = Uid{0}; },
      [](ProcessState& p) { p.credentials.uid.saved = Uid{0}; },
  };
  for (const Change& change : changes) {
    ProcessState process = dropped_but(change);
    sets(process).bounding = docker_default;
    for (const char* rule : {"no-capabilities", "only-capability=NET_BIND_SERVICE", "restricted"}) {
      const Finding finding = judged(rule, process);
      EXPECT_FALSE(finding.ok) << rule;
      EXPECT_THAT(finding.detail, AllOf(HasSubstr("bounding cap_chown"), Not(HasSubstr("moot"))))
          << rule;
    }
  }
  ProcessState bound = dropped_but(changes[0]);
  sets(bound).bounding = {Capability::net_bind_service};
  EXPECT_TRUE(judged("only-capability=NET_BIND_SERVICE", bound).ok);
}

TEST(Rules, CompareGroupsAsSetsWithTheGidCountedIn) {
  // gid 1001, groups 1001 and 2000
  for (const char* rule :
       {"groups=1001:2000", "groups=2000:1001", "groups=2000", "groups=2000:2000"}) {
    EXPECT_TRUE(judged(rule, dropped()).ok) << rule;
  }
  for (const char* rule : {"groups=1001", "groups=2000:3000", "groups=0:2000"}) {
    EXPECT_FALSE(judged(rule, dropped()).ok) << rule;
  }
  const ProcessState none = dropped_but([](ProcessState& p) { p.credentials.groups = {}; });
  EXPECT_TRUE(judged("groups=1001", none).ok);
}

TEST(Rules, SeeAUserNamespace) {
  const ProcessState process = dropped_but([](ProcessState& p) { p.own_user_namespace = true; });
  EXPECT_TRUE(judged("user-namespace", process).ok);
}

TEST(Rules, NameAllThatIsWrongAndNothingElse) {
  const ProcessState process = dropped_but([](ProcessState& p) {
    p.credentials.uid = {};
    p.seccomp_mode = 0;
  });
  EXPECT_EQ(judged("restricted", process).detail, "uid 0; no seccomp filter");
}

TEST(Rules, NameSetsThatAreAlikeOnceAndCutLongLists) {
  ProcessState root = dropped_but([](ProcessState& p) {
    p.credentials.uid = {};
    sets(p) = {{}, docker_default, docker_default, docker_default, {Capability::chown}};
  });
  EXPECT_EQ(judged("no-capabilities", root).detail,
            "effective, permitted, bounding cap_chown, cap_dac_override, cap_fowner and 11 more; "
            "ambient cap_chown");
  for (std::uint32_t gid = 1; gid <= 65536; ++gid) root.credentials.groups.push_back(Gid{gid});
  EXPECT_LT(judged("groups=1", root).detail.size(), 100U);
}

TEST(Rules, CountTheWorstThread) {
  const ProcessState process = dropped_but([](ProcessState& p) {
    ProcessState harmless = dropped();
    harmless.pid = 101;
    harmless.seccomp_filters = 2;
    ProcessState root = dropped();
    root.pid = 102;
    root.credentials.uid.effective = Uid{0};
    p.differing_threads = {harmless, root};
  });
  for (const char* rule : {"restricted", "non-root", "uid=1000"}) {
    const Finding finding = judged(rule, process);
    EXPECT_FALSE(finding.ok) << rule;
    EXPECT_THAT(finding.detail, AllOf(HasSubstr("thread 102: "), HasSubstr("effective 0")));
  }
  EXPECT_TRUE(judged("seccomp", process).ok);
}

TEST(Rules, CountTheLeaderWhereTheOtherThreadsAreFine) {
  ProcessState process = dropped_but([](ProcessState& p) { p.credentials.uid = {}; });
  process.differing_threads = {dropped()};
  const Finding finding = judged("non-root", process);
  EXPECT_FALSE(finding.ok);
  EXPECT_EQ(finding.detail, "uid 0");
}

// In a user namespace that does not map every id, those that it leaves out look like 65534 (user_
// namespaces(7), "Unmapped user and group IDs"): root is one of them.
TEST(Rules, DoNotTake65534ForSomebodyWhereItMayStandForRoot) {
  const std::vector<std::pair<const char*, Change>> table = {
      {"non-root", [](auto& p) { p.credentials.uid.real = Uid{65534}; }},
      {"non-root", [](auto& p) { p.credentials.uid.effective = Uid{65534}; }},
      {"non-root", [](auto& p) { p.credentials.uid.saved = Uid{65534}; }},
      {"non-root", [](auto& p) { p.credentials.uid.filesystem = Uid{65534}; }},
      {"restricted", [](auto& p) { p.credentials.uid.saved = Uid{65534}; }},
      {"uid=65534",
       [](auto& p) {
         p.credentials.uid = {Uid{65534}, Uid{65534}, Uid{65534}, Uid{65534}};
       }},
      {"no-root-group", [](auto& p) { p.credentials.gid.real = Gid{65534}; }},
      {"no-root-group", [](auto& p) { p.credentials.gid.filesystem = Gid{65534}; }},
      {"no-root-group", [](auto& p) { p.credentials.groups.push_back(Gid{65534}); }},
      {"gid=65534",
       [](auto& p) {
         p.credentials.gid = {Gid{65534}, Gid{65534}, Gid{65534}, Gid{65534}};
       }},
      {"groups=1001:2000:65534", [](auto& p) { p.credentials.groups.push_back(Gid{65534}); }},
  };
  for (const auto& [rule, change] : table) {
    ProcessState process = dropped_but(change);
    EXPECT_TRUE(judged(rule, process).ok) << rule << " where every id is mapped";
    process.ids_may_be_hidden = true;
    const Finding finding = judged(rule, process);
    EXPECT_FALSE(finding.ok) << rule << ": " << finding.detail;
    EXPECT_THAT(finding.detail, HasSubstr("65534 may be anybody")) << rule;
  }
}

TEST(Rules, DoNotTakeAThreadOf65534ForSomebodyEither) {
  ProcessState process = dropped();
  process.ids_may_be_hidden = true;
  process.differing_threads = {dropped_but([](ProcessState& p) {
    p.credentials.uid.effective = Uid{65534};
    p.ids_may_be_hidden = true;
  })};
  EXPECT_FALSE(judged("non-root", process).ok);
}

TEST(Rules, JudgeIdsThatAreMappedAsEverWhereOthersAreHidden) {
  ProcessState process = dropped();
  process.ids_may_be_hidden = true;
  for (const char* rule :
       {"restricted", "non-root", "no-root-group", "uid=1000", "gid=1001", "groups=1001:2000"}) {
    EXPECT_TRUE(judged(rule, process).ok) << rule;
  }
}

}  // namespace
}  // namespace stepdown
