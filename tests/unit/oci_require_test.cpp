// --require: what a container will be, judged before it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "oci/precreate.h"
#include "oci/rewrite.h"
#include "oci_world.h"

namespace stepdown::oci {
namespace {

using json::Json;
using test::container_of;
using test::options;
using test::rewritten;
using test::sample;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string refusal(const std::vector<std::string>& rules, const Json& config) {
  // A rule that a container breaks is a finding, not a failure.
  return test::refusal(
      [&] {
        require(rules, container_of(config));
        return 0;
      },
      1);
}
Json docker() {
  return sample("docker.json");
}

TEST(Require, LetsAContainerPassThatKeepsTheRules) {
  const Container container = container_of(rewritten(docker(), options("app")));
  require({"non-root,no-root-group", "no-capabilities", "uid=1000,gid=1000,groups=1000:44",
           "seccomp,no-new-privs,restricted"},
          container);
}

TEST(Require, JudgesNothingWithoutRules) {
  require({}, container_of(docker()));
}

TEST(Require, RefusesRootAndSaysWhatToChange) {
  EXPECT_THAT(refusal({"non-root"}, docker()),
              AllOf(StartsWith("--require: non-root doesn't hold: uid 0"),
                    HasSubstr("docker, podman: --user 1000:1000"), HasSubstr("Dockerfile"),
                    HasSubstr("runAsUser: 1000")));
}

struct Broken {
  const char* rule;
  const char* detail;
  const char* docker;
  const char* kubernetes;
};
void PrintTo(const Broken& broken, std::ostream* stream) {
  *stream << broken.rule;
}
class RequireRule : public testing::TestWithParam<Broken> {};

TEST_P(RequireRule, IsRefusedWithTheWordsOfEngines) {
  Json config = docker();
  config["linux"]["seccomp"] = nullptr;
  EXPECT_THAT(refusal({GetParam().rule}, config),
              AllOf(HasSubstr(std::string(GetParam().rule) + " doesn't hold: "),
                    HasSubstr(GetParam().detail), HasSubstr(GetParam().docker),
                    HasSubstr(GetParam().kubernetes)));
}

INSTANTIATE_TEST_SUITE_P(
    Oci, RequireRule,
    testing::Values(Broken{"no-root-group", "gid 0", "--user 1000:1000", "runAsGroup: 1000"},
                    Broken{"no-capabilities", "cap_chown", "--cap-drop ALL", "drop: [ALL]"},
                    Broken{"only-capability=NET_BIND_SERVICE", "cap_chown",
                           "--cap-drop ALL, at most with --cap-add NET_BIND_SERVICE",
                           "drop: [ALL], at most with add: [NET_BIND_SERVICE]"},
                    Broken{"no-new-privs", "not set", "--security-opt no-new-privileges",
                           "allowPrivilegeEscalation: false"},
                    Broken{"seccomp", "no seccomp filter", "seccomp=unconfined", "RuntimeDefault"},
                    Broken{"uid=1000", "uid 0", "--user 1000", "runAsUser: 1000"},
                    Broken{"gid=1000", "gid 0", "--user UID:1000", "runAsGroup: 1000"},
                    Broken{"groups=5:6", "no supplementary groups", "--group-add 5 --group-add 6",
                           "supplementalGroups: [5, 6]"},
                    Broken{"user-namespace", "no user namespace", "userns-remap",
                           "hostUsers: false"},
                    Broken{"restricted", "no seccomp filter", "--cap-drop ALL", "RuntimeDefault"}));

TEST(Require, NamesEverythingThatDoesNotHold) {
  EXPECT_THAT(refusal({"non-root,seccomp", "no-new-privs"}, docker()),
              AllOf(HasSubstr("non-root doesn't hold"), HasSubstr("; no-new-privs doesn't hold"),
                    Not(HasSubstr("; seccomp")), Not(HasSubstr("RuntimeDefault"))));
}

TEST(Require, SaysEachRemedyOnce) {
  const std::string text = refusal({"non-root,no-root-group", "restricted"}, docker());
  const std::size_t first = text.find("runAsUser");
  EXPECT_NE(first, std::string::npos);
  EXPECT_EQ(text.find("runAsUser", first + 1), std::string::npos);
}

TEST(Require, NamesTheRemediesOfWhatFailsAlone) {
  Json config = rewritten(docker(), options("app"));
  config["process"]["noNewPrivileges"] = false;
  config["process"]["capabilities"]["bounding"] = Json::array();
  EXPECT_THAT(refusal({"restricted"}, config),
              AllOf(HasSubstr("restricted doesn't hold: no_new_privs is not set\n"),
                    HasSubstr("allowPrivilegeEscalation"), Not(HasSubstr("runAsUser")),
                    Not(HasSubstr("--cap-drop")), Not(HasSubstr("seccompProfile"))));
}

// ---- in a user namespace ----

// The container's uid 1000 and gid 1001 are others outside.
Json mapped_to(std::uint32_t uid, std::uint32_t gid) {
  Json config = rewritten(docker(), options("1000:1001"));
  const auto map = [](std::uint32_t inside, std::uint32_t outside) {
    return Json::array({{{"containerID", inside}, {"hostID", outside}, {"size", 1}}});
  };
  config["linux"]["namespaces"].push_back({{"type", "user"}});
  config["linux"]["uidMappings"] = map(1000, uid);
  config["linux"]["gidMappings"] = map(1001, gid);
  return config;
}

TEST(Require, SeesARootThatHasAnotherNumberInside) {
  for (const char* rule : {"non-root", "restricted"})
    EXPECT_THAT(refusal({rule}, mapped_to(0, 5001)),
                AllOf(HasSubstr(std::string(rule) +
                                " doesn't hold: uid 1000 is 0 outside its user namespace\n"),
                      HasSubstr("--userns=auto"), Not(HasSubstr("runAsUser"))));
  EXPECT_THAT(refusal({"no-root-group"}, mapped_to(5000, 0)),
              HasSubstr("gid 1001 is 0 outside its user namespace"));
  require({"restricted,no-root-group"}, container_of(mapped_to(5000, 5001)));
  // A number is the container's own.
  require({"uid=1000,gid=1001"}, container_of(mapped_to(0, 0)));
}

TEST(Require, SeesARootsGroupAmongTheOthers) {
  Json config = mapped_to(5000, 5001);
  config["process"]["user"]["additionalGids"] = {7};
  config["linux"]["gidMappings"].push_back({{"containerID", 7}, {"hostID", 0}, {"size", 1}});
  EXPECT_THAT(refusal({"no-root-group"}, config), HasSubstr("gid 7 is 0 outside"));
}

TEST(Require, StillSeesTheRootInside) {
  Json config = docker();
  config["linux"]["namespaces"].push_back({{"type", "user"}});
  config["linux"]["uidMappings"] = {{{"containerID", 0}, {"hostID", 100000}, {"size", 9}}};
  EXPECT_THAT(refusal({"non-root"}, config), HasSubstr("doesn't hold: uid 0\n"));
}

// What a rootless podman calls 0 is its user.
TEST(Require, ReadsTheMapsByThoseOfTheRuntimesOwn) {
  const Container container = container_of(mapped_to(0, 0));
  require({"non-root,no-root-group"}, container, {.uid = {{0, 1000, 1}}, .gid = {{0, 1000, 1}}});
  EXPECT_THAT(test::refusal(
                  [&] {
                    require({"non-root"}, container, {.uid = {{0, 0, 4294967295}}, .gid = {}});
                    return 0;
                  },
                  1),
              HasSubstr("outside its user namespace"));
}

Identity user(std::uint32_t uid, std::uint32_t gid) {
  Identity identity;
  identity.uid = Uid{uid};
  identity.gid = Gid{gid};
  return identity;
}

TEST(UserNamespaceOfTheContainer, MayNotMakeTheUserRootOutside) {
  const auto judge = [](std::uint32_t uid, const IdMaps& runtime, bool allow_root) {
    const Container container = container_of(mapped_to(uid, 0));
    refuse_outside_maps(user(1000, 1001), container, runtime, allow_root);
    return 0;
  };
  EXPECT_THAT(test::refusal([&] { return judge(0, {}, false); }), HasSubstr("uid 1000 is 0"));
  judge(0, {}, true);
  judge(5000, {}, false);
  // A rootless podman's own user.
  judge(0, {.uid = {{0, 1000, 1}}, .gid = {}}, false);
}

TEST(UserNamespaceOfTheContainer, MayBeOneWhoseMapsNobodyKnows) {
  Json config = mapped_to(5000, 5001);
  config["linux"].erase("uidMappings");
  config["linux"].erase("gidMappings");
  refuse_outside_maps(user(7, 7), container_of(config), {}, false);
}

TEST(Require, CountsTheBoundingSetWhereItCanComeBack) {
  Json config = rewritten(docker(), options("app"));
  config["process"]["capabilities"]["bounding"] = {"CAP_KILL"};
  require({"no-capabilities"}, container_of(config));  // moot: no_new_privs and no uid 0
  config["process"]["noNewPrivileges"] = false;
  EXPECT_THAT(refusal({"no-capabilities"}, config), HasSubstr("cap_kill"));
}

TEST(Require, SeesAUserNamespace) {
  require({"user-namespace"}, container_of(sample("kubernetes.json")));
}

// ---- precreate ----

TEST(Precreate, RefusesAnOptionThatIsNotUtf8InItsOwnWords) {
  Json config = docker();
  config["root"]["path"] = "/";
  Options asked = options("1000:1000");
  const auto made = [&] {
    return precreate(asked, config.dump(), [](LogLevel, std::string_view) {});
  };
  asked.environment = {{"LANG", "\xc3\xa4"}};
  EXPECT_THAT(made(), HasSubstr("LANG=\xc3\xa4"));
  asked.environment = {{"LANG", "\xe4"}};
  EXPECT_THAT(test::refusal(made), AllOf(StartsWith("config.json: "), HasSubstr("isn't UTF-8")));
}

TEST(Precreate, LeavesVolumesOutForAPodsSandboxAndNothingElse) {
  Json config = docker();
  config["root"]["path"] = "/";
  Options asked = options("1000:1000");
  asked.own = {{"/volume", true}};
  asked.door.idmap = {"/more"};
  asked.door.inject = true;
  asked.door.require = {"non-root"};
  std::string told;
  const auto made = [&] {
    told.clear();
    return Json::parse(precreate(asked, config.dump(), [&told](LogLevel, std::string_view line) {
      told += std::string(line) + "\n";
    }));
  };
  EXPECT_THAT(made()["hooks"].dump(), AllOf(HasSubstr("/volume"), HasSubstr("/more")));
  config["annotations"] = {{"io.kubernetes.cri.container-type", "sandbox"}};
  const Json sandbox = made();
  EXPECT_THAT(sandbox.dump(), AllOf(Not(HasSubstr("/volume")), Not(HasSubstr("/more"))));
  EXPECT_EQ(sandbox["process"]["user"]["uid"], 1000);
  EXPECT_EQ(sandbox["process"]["noNewPrivileges"], true);
  EXPECT_THAT(told, HasSubstr("--own, --idmap: passed over"));
  asked.door.require = {"user-namespace"};
  EXPECT_THAT(test::refusal(made, 1), HasSubstr("user-namespace"));
}

// ---- annotations ----

TEST(Annotations, CountOnlyWhereTheyAreAllowed) {
  const Container container = container_of(sample("kubernetes.json"));
  Options asked = options("admin");
  EXPECT_EQ(with_annotations(asked, container).user, "admin");
  asked.door.allow_annotations = {"init"};
  EXPECT_EQ(with_annotations(asked, container).user, "admin");
  EXPECT_EQ(with_annotations(asked, container).init, Init::process);
  asked.door.allow_annotations = {"init", "user"};
  EXPECT_EQ(with_annotations(asked, container).user, "app");
}

struct Annotation {
  const char* option;
  const char* value;
  const char* says;
};
void PrintTo(const Annotation& annotation, std::ostream* stream) {
  *stream << annotation.option << '=' << annotation.value;
}
class BadAnnotation : public testing::TestWithParam<Annotation> {};

TEST_P(BadAnnotation, IsRefusedByItsName) {
  Json config = docker();
  const std::string name = GetParam().option;
  config["annotations"]["stepdown." + name] = GetParam().value;
  Options asked = options("app");
  asked.door.allow_annotations = {name};
  EXPECT_THAT(test::refusal([&] { return with_annotations(asked, container_of(config)); }),
              AllOf(StartsWith("annotation stepdown." + name), HasSubstr(GetParam().says)));
}

INSTANTIATE_TEST_SUITE_P(Oci, BadAnnotation,
                         testing::Values(Annotation{"read-only", "yes", "true or false"},
                                         Annotation{"user", "", "empty"},
                                         Annotation{"init", "later", "--init=group"},
                                         Annotation{"port", "0", "1 to 65535"}));

TEST(Annotations, TakeAFlagAsTrueOrFalse) {
  Json config = docker();
  config["annotations"] = {{"stepdown.read-only", "true"}, {"stepdown.init", "group"}};
  Options asked = options("app");
  asked.door.allow_annotations = {"read-only", "init"};
  EXPECT_TRUE(with_annotations(asked, container_of(config)).read_only);
  EXPECT_EQ(with_annotations(asked, container_of(config)).init, Init::group);
  config["annotations"]["stepdown.read-only"] = "false";
  EXPECT_FALSE(with_annotations(asked, container_of(config)).read_only);
}

}  // namespace
}  // namespace stepdown::oci
