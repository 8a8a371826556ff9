// What the doors read of a state and of a configuration, and what they refuse, with its place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>

#include "oci/document.h"
#include "oci_world.h"

namespace stepdown::oci {
namespace {

using json::Json;
using test::parsed;
using test::refusal;
using test::sample;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;
using testing::StartsWith;

Container container(const std::string& name) {
  return test::container_of(sample(name));
}

// ---- state ----

TEST(State, IsReadAsEnginesWriteIt) {
  const State state = read_state(
      R"({"ociVersion":"1.0.2","id":"web","status":"creating","pid":4711,"bundle":"/run/web",
          "annotations":{"a":"b"}})");
  EXPECT_EQ(state.id, "web");
  EXPECT_EQ(state.pid, 4711);
  EXPECT_EQ(state.bundle, "/run/web");
  EXPECT_EQ(state.status, "creating");
}

TEST(State, MayComeWithoutAPid) {
  EXPECT_EQ(read_state(R"({"id":"web","status":"stopped","bundle":"/b"})").pid, 0);
}

struct Bad {
  const char* name;
  const char* from;  // what stands in the good document
  std::string to;    // what stands there now
  const char* place;
  const char* says;
};
void PrintTo(const Bad& bad, std::ostream* stream) {
  *stream << bad.name;
}
std::string name_of(const testing::TestParamInfo<Bad>& info) {
  return info.param.name;
}
std::string replaced(std::string text, const Bad& bad) {
  const std::size_t at = text.find(bad.from);
  EXPECT_NE(at, std::string::npos) << bad.from;
  return text.replace(at, std::string_view(bad.from).size(), bad.to);
}

class BadState : public testing::TestWithParam<Bad> {};

TEST_P(BadState, IsRefusedWithItsPlace) {
  const Bad& bad = GetParam();
  const std::string text =
      replaced(R"({"id":"web","status":"created","pid":1,"bundle":"/b","annotations":{}})", bad);
  EXPECT_THAT(refusal([&] { return read_state(text); }),
              AllOf(StartsWith(bad.place), HasSubstr(bad.says)));
}

INSTANTIATE_TEST_SUITE_P(
    Oci, BadState,
    testing::Values(
        Bad{"NoId", R"("id":"web",)", "", "state", "\"id\" is missing"},
        Bad{"EmptyId", R"("web")", R"("")", "state: id", "empty"},
        Bad{"IdOfAnotherType", R"("web")", "7", "state: id", "a string is expected, not a number"},
        Bad{"RelativeBundle", R"("/b")", R"("b")", "state: bundle", "absolute"},
        Bad{"NoBundle", R"("bundle":"/b",)", "", "state", "\"bundle\" is missing"},
        Bad{"NegativePid", R"("pid":1)", R"("pid":-1)", "state: pid", "from 0 to 2147483647"},
        Bad{"FloatPid", R"("pid":1)", R"("pid":1.5)", "state: pid", "1.5"},
        Bad{"HugePid", R"("pid":1)", R"("pid":4294967297)", "state: pid", "4294967297"},
        Bad{"TwoPids", R"("pid":1)", R"("pid":1,"pid":2)", "state: pid", "twice"},
        Bad{"AnotherBundle", R"("bundle":"/b")", R"("bundle":"/b","Bundle":"/c")", "state: Bundle",
            "take this key for \"bundle\""},
        Bad{"Nul", R"("web")", R"("we\u0000b")", "state: id", "NUL"},
        Bad{"NoObject", R"({"id":"web")", R"([{"id":"web"}],{"id":"web")", "state", "no JSON"},
        Bad{"Nothing", R"({"id":"web","status":"created","pid":1,"bundle":"/b","annotations":{}})",
            "", "state", "ends too early"}),
    name_of);

TEST(State, IsRefusedAboveSixteenMebibytes) {
  const std::string text = R"({"id":"web","status":"created","bundle":"/b","annotations":{"a":")" +
                           std::string(std::size_t{100} << 20U, 'a') + "\"}}";
  EXPECT_THAT(refusal([&] { return read_state(text); }),
              AllOf(StartsWith("state: "), HasSubstr("16777216 bytes")));
}

TEST(State, IsRefusedWhereItIsTooDeep) {
  const std::string text = R"({"id":"web","x":)" + std::string(100000, '[');
  EXPECT_THAT(refusal([&] { return read_state(text); }),
              AllOf(StartsWith("state: x["), HasSubstr("64 arrays and objects")));
}

// ---- configuration ----

TEST(Configuration, OfDockerIsRead) {
  const Container docker = container("docker.json");
  EXPECT_EQ(docker.process.uid, root_uid);
  EXPECT_EQ(docker.process.gid, root_gid);
  EXPECT_THAT(docker.process.groups, IsEmpty());
  EXPECT_EQ(docker.process.capabilities.bounding, stepdown::test::docker_default);
  EXPECT_EQ(docker.process.capabilities.permitted, stepdown::test::docker_default);
  EXPECT_EQ(docker.process.capabilities.ambient, CapabilitySet{});
  EXPECT_FALSE(docker.process.no_new_privs);
  EXPECT_THAT(docker.process.arguments, ElementsAre("nginx", "-g", "daemon off;"));
  EXPECT_THAT(docker.process.environment, SizeIs(2));
  EXPECT_EQ(docker.process.directory, "/");
  EXPECT_EQ(docker.root, "/var/lib/engine/overlay2/c0ffee/merged");
  ASSERT_THAT(docker.mounts, SizeIs(3));
  EXPECT_EQ(docker.mounts[2].destination, "/data");
  EXPECT_EQ(docker.mounts[2].source, "/srv/data");
  EXPECT_EQ(docker.mounts[2].type, "bind");
  EXPECT_THAT(docker.mounts[2].options, ElementsAre("rbind", "rprivate"));
  EXPECT_TRUE(docker.own_network_namespace);
  EXPECT_FALSE(docker.own_user_namespace);
  EXPECT_TRUE(docker.seccomp);
  EXPECT_EQ(docker.unprivileged_port_start, std::nullopt);
}

TEST(Configuration, OfAPodIsRead) {
  const Container pod = container("kubernetes.json");
  EXPECT_EQ(pod.process.uid, Uid{1000660000});
  EXPECT_EQ(pod.process.groups, test::groups({0, 1000660000, 2000}));
  EXPECT_EQ(pod.process.capabilities.bounding, CapabilitySet{Capability::net_bind_service});
  EXPECT_EQ(pod.process.capabilities.permitted, CapabilitySet{});
  EXPECT_TRUE(pod.process.no_new_privs);
  EXPECT_THAT(pod.mounts, IsEmpty());
  EXPECT_TRUE(pod.own_user_namespace);
  EXPECT_TRUE(pod.own_network_namespace);
  EXPECT_THAT(pod.uid_map,
              ElementsAre(IdMapping{0, 100000, 65536}, IdMapping{65536, 4294900000, 67295}));
  EXPECT_THAT(pod.gid_map, ElementsAre(IdMapping{0, 200000, 65536}));
  EXPECT_EQ(pod.unprivileged_port_start, 80U);
  EXPECT_FALSE(pod.seccomp);
  EXPECT_THAT(pod.annotations, ElementsAre(Pair("user", "app"), Pair("init", "true")));
}

TEST(Configuration, WithAlmostNothingIsAProcessOfRoots) {
  const Container least = test::container_of(
      parsed(R"({"process":{"args":["a"],"cwd":"/"},"root":{"path":"rootfs"}})"));
  EXPECT_EQ(least.process.uid, root_uid);
  EXPECT_EQ(least.process.capabilities, CapabilityState{});
  EXPECT_FALSE(least.process.no_new_privs);
  EXPECT_FALSE(least.own_network_namespace);
  EXPECT_FALSE(least.seccomp);
}

TEST(Configuration, MayHoldWhatIsNotLookedAt) {
  const Container unusual = container("unusual.json");
  EXPECT_EQ(unusual.process.groups, test::groups({7}));
  EXPECT_THAT(unusual.process.arguments, ElementsAre("/bin/ö", "", "-x"));
  EXPECT_FALSE(unusual.seccomp);
}

TEST(Configuration, ASeccompSectionWithoutAnActionIsNone) {
  Json config = sample("docker.json");
  config["linux"]["seccomp"] = Json::object();
  EXPECT_FALSE(test::container_of(config).seccomp);
}

TEST(Configuration, MayHaveAnnotationsThatDifferInCaseOnly) {
  Json config = sample("docker.json");
  config["annotations"] = {{"a.USER", ""}, {"a.user", ""}, {"Process", ""}, {"x", ""}, {"X", ""}};
  config["annotations"]["run.ocix.hooks.stderr"] = "";
  config["linux"]["sysctl"] = {{"net.x", "1"}, {"net.X", "1"}};
  EXPECT_EQ(test::container_of(parsed(config.dump())).process.uid, root_uid);
}

TEST(Configuration, MayHaveAnnotationsByWhichCrunDoesNoHarm) {
  Json config = sample("docker.json");
  config["annotations"] = {{"run.oci.seccomp_fail_unknown_syscall", "1"},
                           {"run.oci.timens_offset", "monotonic 86400 0"},
                           {"run.oci.systemd.subgroup", ""}};
  EXPECT_EQ(test::container_of(config).process.uid, root_uid);
}

// Images bring annotations, and crun(1) opens, loads, connects to and mounts what these name.
TEST(Configuration, HasNoAnnotationOnWhichCrunActsAsRoot) {
  for (const char* name :
       {"run.oci.hooks.stderr", "run.oci.hooks.stdout", "run.oci.seccomp.plugins",
        "run.oci.seccomp.receiver", "run.oci.pidfd_receiver", "run.oci.seccomp_bpf_data",
        "run.oci.handler", "run.oci.mount_context_type", "run.oci.systemd.force_cgroup_v1",
        "run.oci.delegate-cgroup", "run.oci.systemd.subgroup", "run.oci.of_a_later_crun",
        "run.oci.timens_offset2", "run.oci."}) {
    Json config = sample("docker.json");
    config["annotations"] = {{name, "/host/file"}};
    EXPECT_THAT(refusal([&] { return test::container_of(config); }),
                AllOf(StartsWith("config.json: annotations[\"" + std::string(name) + "\"]: "),
                      HasSubstr("as root of the host")));
  }
}

Json with_groups(std::size_t number) {
  Json config = sample("docker.json");
  config["process"]["user"]["additionalGids"] = std::vector<unsigned>(number, 7);
  return config;
}

// They are looked up as sorted words: one in the wrong place would be passed over.
TEST(Configuration, HasNoneOfItsNamesInAnotherCase) {
  for (const std::string_view name : limits.go.names) {
    std::string other(name);
    other.front() = static_cast<char>(std::toupper(other.front()));
    EXPECT_THAT(refusal([&] { return parsed("{\"" + other + "\": 1}"); }),
                AllOf(HasSubstr(": " + other + ": "), HasSubstr("write \"" + std::string(name))));
  }
}

TEST(Configuration, HasNoMoreGroupsThanAProcess) {
  EXPECT_THAT(test::container_of(with_groups(65536)).process.groups, SizeIs(65536));
  EXPECT_THAT(refusal([] { return test::container_of(with_groups(65537)); }),
              AllOf(StartsWith("config.json: process.user.additionalGids: "),
                    HasSubstr("more than 65536")));
}

class BadConfiguration : public testing::TestWithParam<Bad> {};

TEST_P(BadConfiguration, IsRefusedWithItsPlace) {
  const Bad& bad = GetParam();
  const std::string text = replaced(test::sample_text("kubernetes.json"), bad);
  EXPECT_THAT(refusal([&] { return test::container_of(parsed(text)); }),
              AllOf(StartsWith(std::string("config.json") + bad.place), HasSubstr(bad.says)));
}

std::string many_annotations() {
  std::string text = "\"annotations\": {";
  for (int number = 0; number < 65; ++number)
    text += "\"stepdown." + std::to_string(number) + "\": \"x\", ";
  return text + "\"last\": \"\"}, \"ignored\": {";
}

std::string many_mappings() {
  std::string text = "\"gidMappings\": [";
  for (int number = 0; number < 341; ++number)
    text += std::string(number == 0 ? "" : ",") + "{\"containerID\": " + std::to_string(number) +
            ", \"hostID\": " + std::to_string(number) + ", \"size\": 1}";
  return text + "], \"ignored\": [";
}

INSTANTIATE_TEST_SUITE_P(
    Oci, BadConfiguration,
    testing::Values(
        Bad{"NoProcess", "\"process\"", "\"proces\"", ": ", "\"process\" is missing"},
        Bad{"NegativeUid", "\"uid\": 1000660000", "\"uid\": -1", ": process.user.uid", "not -1"},
        Bad{"UidThatMeansUnchanged", "\"uid\": 1000660000", "\"uid\": 4294967295",
            ": process.user.uid", "not 4294967295"},
        Bad{"UidThatWrapsToRoot", "\"uid\": 1000660000", "\"uid\": 4294967296",
            ": process.user.uid", "not 4294967296"},
        Bad{"UidOfTwentyDigits", "\"uid\": 1000660000", "\"uid\": 18446744073709551616",
            ": process.user.uid", "64 bits"},
        Bad{"FloatUid", "\"uid\": 1000660000", "\"uid\": 0.5", ": process.user.uid", "not 0.5"},
        Bad{"ExponentUid", "\"uid\": 1000660000", "\"uid\": 1e300", ": process.user.uid", "1e+300"},
        Bad{"ExponentThatIsWhole", "\"uid\": 1000660000", "\"uid\": 1e3", ": process.user.uid",
            "whole number"},
        Bad{"UidInQuotes", "\"uid\": 1000660000", "\"uid\": \"0\"", ": process.user.uid",
            "not a string"},
        Bad{"UidThatIsTrue", "\"uid\": 1000660000", "\"uid\": true", ": process.user.uid",
            "not a boolean"},
        Bad{"TwoUids", "\"uid\": 1000660000", "\"uid\": 0, \"uid\": 1", ": process.user.uid",
            "twice"},
        Bad{"AnotherUid", "\"uid\": 1000660000", "\"uid\": 1000660000, \"UID\": 0",
            ": process.user.UID", "\"uid\""},
        Bad{"AnotherProcess", "\"root\": {", "\"proce\u017fs\": {}, \"root\": {", ": [\"proce",
            "\"process\""},
        Bad{"MountsInAnotherCase", "\"mounts\": null", "\"Mounts\": null", ": Mounts",
            "\"mounts\""},
        Bad{"TwoOfWhatIsNotLookedAt", "\"mounts\": null",
            "\"mounts\": null, \"x\": {\"hostname\": 1, \"hostName\": 2}", ": x.hostName", "twice"},
        Bad{"GroupsThatStay", "\"stepdown.user\": \"app\"",
            "\"run.oci.keep_original_groups\": \"1\"",
            ": annotations[\"run.oci.keep_original_groups\"]", "the engine's groups"},
        Bad{"AnotherHandler", "\"stepdown.user\": \"app\"", "\"run.oci.handler\": null",
            ": annotations[\"run.oci.handler\"]", "as root of the host"},
        Bad{"NegativeGroup", ", 2000]", ", -2000]", ": process.user.additionalGids[2]", "-2000"},
        Bad{"GroupsThatAreNoArray", "[0, 1000660000, 2000]", "2000",
            ": process.user.additionalGids", "an array is expected"},
        Bad{"UserThatIsAString",
            "{\"uid\": 1000660000, \"gid\": 0, \"additionalGids\": [0, "
            "1000660000, 2000]}",
            "\"root\"", ": process.user", "an object is expected"},
        Bad{"NoArguments", "[\"/server\"]", "[]", ": process.args", "nothing to run"},
        Bad{"ArgumentsThatAreNull", "[\"/server\"]", "null", ": process.args", "an array"},
        Bad{"AnEmptyProgram", "[\"/server\"]", "[\"\"]", ": process.args", "nothing to run"},
        Bad{"AnArgumentThatIsANumber", "[\"/server\"]", "[\"/server\", 7]", ": process.args[1]",
            "a string"},
        Bad{"ANulInAnArgument", "[\"/server\"]", "[\"/ser\\u0000ver\"]", ": process.args[0]",
            "NUL"},
        Bad{"ARelativeDirectory", "\"cwd\": \"/srv\"", "\"cwd\": \"srv\"", ": process.cwd",
            "absolute"},
        Bad{"NoDirectory", "\"cwd\": \"/srv\",", "", ": process", "\"cwd\" is missing"},
        Bad{"AVariableThatIsNull", "[\"HOME=/srv\",", "[null,", ": process.env[0]", "a string"},
        Bad{"AnUnknownCapability", "\"CAP_NET_BIND_SERVICE\"", "\"CAP_EVERYTHING\"",
            ": process.capabilities.bounding[0]", "\"CAP_EVERYTHING\""},
        Bad{"ACapabilityWithoutItsPrefix", "\"CAP_NET_BIND_SERVICE\"", "\"NET_BIND_SERVICE\"",
            ": process.capabilities.bounding[0]", "CAP_NET_BIND_SERVICE"},
        Bad{"CapabilitiesAsANumber", "[\"CAP_NET_BIND_SERVICE\"]", "18446744073709551615",
            ": process.capabilities.bounding", "an array is expected, not a number"},
        Bad{"PrivilegesAsAString", "\"noNewPrivileges\": true", "\"noNewPrivileges\": \"true\"",
            ": process.noNewPrivileges", "true or false"},
        Bad{"NoRoot", "\"root\"", "\"rooot\"", ": ", "\"root\" is missing"},
        Bad{"AnEmptyRoot", "\"path\": \"rootfs\"", "\"path\": \"\"", ": root.path", "empty"},
        Bad{"MountsThatAreAnObject", "\"mounts\": null", "\"mounts\": {}", ": mounts", "an array"},
        Bad{"AMountWithoutDestination", "\"mounts\": null", "\"mounts\": [{\"type\": \"bind\"}]",
            ": mounts[0]", "\"destination\" is missing"},
        Bad{"ARelativeDestination", "\"mounts\": null", "\"mounts\": [{\"destination\": \"data\"}]",
            ": mounts[0].destination", "absolute"},
        Bad{"AMountOptionThatIsAnArray", "\"mounts\": null",
            "\"mounts\": [{\"destination\": \"/d\", \"options\": [[\"ro\"]]}]",
            ": mounts[0].options[0]", "a string is expected"},
        Bad{"ANamespaceWithoutType", "{\"type\": \"pid\"}", "{\"path\": \"pid\"}",
            ": linux.namespaces[0]", "\"type\" is missing"},
        Bad{"AMapOfNobody", "\"size\": 67295", "\"size\": 0", ": linux.uidMappings[1].size",
            "from 1"},
        Bad{"AMapBeyondTheIds", "\"size\": 67295", "\"size\": 67296", ": linux.uidMappings[1]",
            "more ids"},
        Bad{"MoreLinesThanAMapHas", "\"gidMappings\": [", many_mappings(), ": linux.gidMappings",
            "more than 340 lines"},
        Bad{"APortStartThatIsANumber", "\"80\"", "80",
            ": linux.sysctl[\"net.ipv4.ip_unprivileged_port_start\"]", "a string"},
        Bad{"APortStartBeyondThePorts", "\"80\"", "\"65536\"",
            ": linux.sysctl[\"net.ipv4.ip_unprivileged_port_start\"]", "65535"},
        Bad{"APortStartWithASign", "\"80\"", "\"+80\"",
            ": linux.sysctl[\"net.ipv4.ip_unprivileged_port_start\"]", "\"+80\""},
        Bad{"AnAnnotationThatIsAnObject", "\"stepdown.user\": \"app\"", "\"stepdown.user\": {}",
            ": annotations[\"stepdown.user\"]", "a string"},
        Bad{"AnnotationsThatAreAnArray", "\"annotations\": {", "\"annotations\": [], \"other\": {",
            ": annotations", "an object is expected"},
        Bad{"AnnotationsWithoutEnd", "\"annotations\": {", many_annotations(), ": annotations",
            "more than 64"}),
    name_of);

// ---- ids ----

TEST(Outside, IsTheSameIdWithoutAUserNamespace) {
  EXPECT_EQ(outside({}, false, 1000), 1000U);
  EXPECT_EQ(outside({{0, 100000, 10}}, false, 1000), 1000U);
}

TEST(Outside, IsWhatTheMapSays) {
  const std::vector<IdMapping> map{{0, 100000, 1000}, {1000, 7, 1}, {2000, 4294900000, 67295}};
  EXPECT_EQ(outside(map, true, 0), 100000U);
  EXPECT_EQ(outside(map, true, 999), 100999U);
  EXPECT_EQ(outside(map, true, 1000), 7U);
  EXPECT_EQ(outside(map, true, 1001), std::nullopt);
  EXPECT_EQ(outside(map, true, 69294), 4294967294U);
  EXPECT_EQ(outside(map, true, 69295), std::nullopt);
  EXPECT_EQ(outside({}, true, 0), std::nullopt);
}

}  // namespace
}  // namespace stepdown::oci
