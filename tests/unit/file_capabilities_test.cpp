#include "stepdown/file_capabilities.h"

#include <gtest/gtest.h>

#include <string>

#include "stepdown/error.h"

namespace stepdown {
namespace {

std::string words(std::initializer_list<std::uint32_t> list) {
  std::string bytes;
  for (const std::uint32_t value : list)
    for (int byte = 0; byte < 4; ++byte) bytes += static_cast<char>(value >> (8 * byte) & 0xff);
  return bytes;
}

TEST(FileCapabilities, ReadsRevisionTwo) {
  // What `setcap cap_net_bind_service+ep` writes (setcap(8), getfattr -e hex).
  const auto file = parse_file_capabilities(words({0x02000001, 0x400, 0, 0, 0}));
  ASSERT_TRUE(file.has_value());
  EXPECT_TRUE(file->effective);
  EXPECT_EQ(file->permitted, CapabilitySet{Capability::net_bind_service});
  EXPECT_TRUE(file->inheritable.empty());
}

TEST(FileCapabilities, ReadsTheUpperHalf) {
  const auto file = parse_file_capabilities(words({0x02000000, 0, 0, 0x100, 0x80}));
  ASSERT_TRUE(file.has_value());
  EXPECT_FALSE(file->effective);
  EXPECT_EQ(file->permitted.bits(), std::uint64_t{0x100} << 32);
  EXPECT_EQ(file->inheritable.bits(), std::uint64_t{0x80} << 32);
}

TEST(FileCapabilities, ReadsRevisionOne) {
  const auto file = parse_file_capabilities(words({0x01000001, 0x400, 0x2}));
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(file->permitted.bits(), 0x400U);
  EXPECT_EQ(file->inheritable.bits(), 0x2U);
}

TEST(FileCapabilities, OfAnotherNamespacesRootAreNone) {
  EXPECT_FALSE(parse_file_capabilities(words({0x03000001, 0x400, 0, 0, 0, 1000})).has_value());
  EXPECT_TRUE(parse_file_capabilities(words({0x03000001, 0x400, 0, 0, 0, 0})).has_value());
}

TEST(FileCapabilities, MalformedOnesAreRefused) {
  for (const std::string& bytes :
       {std::string(), std::string("abc"), words({0x02000001}), words({0x02000001, 0x400, 0}),
        words({0x04000001, 0x400, 0, 0, 0, 0}), words({0x01000001, 0x400, 0, 0, 0}),
        words({0, 0, 0, 0, 0})})
    EXPECT_THROW(parse_file_capabilities(bytes), Error) << bytes.size();
}

}  // namespace
}  // namespace stepdown
