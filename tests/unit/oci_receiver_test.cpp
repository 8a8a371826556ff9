// Whom a container's volumes are handed to, through the maps of two user namespaces.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "identity_world.h"
#include "oci/receiver.h"

namespace stepdown::oci {
namespace {

using stepdown::test::refusal;
using testing::HasSubstr;

constexpr std::uint32_t all_ids = 4294967295U;

Process process_of(std::uint32_t uid) {
  Process process;
  process.uid = Uid{uid};
  process.gid = Gid{uid};
  return process;
}
IdMaps both(const std::vector<IdMapping>& map) {
  return {map, map};
}
HandOverTarget receiver(std::uint32_t uid, const std::optional<IdMaps>& maps, const IdMaps& runtime,
                        const Options& options = {}) {
  return receiver_of(options, process_of(uid), {}, maps, runtime);
}

// What podman --userns=keep-id makes for user 4000: himself under his own number inside.
const IdMaps keep_id = both({{0, 1, 4000}, {4000, 0, 1}, {4001, 4001, 61535}});
const IdMaps rootless = both({{0, 4000, 1}, {1, 100000, 65535}});

TEST(Receiver, IsARootlessEnginesUserWhomItCallsZero) {
  EXPECT_EQ(receiver(4000, keep_id, rootless).owner, (Owner{Uid{0}, Gid{0}}));
  EXPECT_EQ(receiver(10001, keep_id, rootless).owner, (Owner{Uid{10001}, Gid{10001}}));
}

TEST(Receiver, IsNotTheHostsRoot) {
  const auto refused = HasSubstr("the container's process is root");
  const IdMaps of_the_host = both({{0, 0, all_ids}});
  EXPECT_THAT(refusal([&] { return receiver(0, std::nullopt, {}); }), refused);
  EXPECT_THAT(refusal([&] { return receiver(4000, keep_id, {}); }), refused);
  EXPECT_THAT(refusal([&] { return receiver(4000, keep_id, of_the_host); }), refused);
  // A namespace of root's, in which his number is another.
  EXPECT_THAT(refusal([&] { return receiver(7, both({{7, 5, 1}}), both({{5, 0, 1}})); }), refused);
  Options options;
  options.allow_root = true;
  EXPECT_EQ(receiver(4000, keep_id, of_the_host, options).owner, (Owner{Uid{0}, Gid{0}}));
}

}  // namespace
}  // namespace stepdown::oci
