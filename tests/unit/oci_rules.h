// The runtime-spec's rules (schema/config-schema.json, schema/defs.json, config.md) for what the
// doors write, and what they don't.
#pragma once

#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <string>

#include "json/strict_json.h"

namespace stepdown::oci::test {

inline void expect_strings(const json::Json& array, const std::string& place) {
  ASSERT_TRUE(array.is_array()) << place;
  for (const json::Json& element : array) EXPECT_TRUE(element.is_string()) << place;
}

inline void expect_uint32(const json::Json& number, const std::string& place) {
  ASSERT_TRUE(number.is_number_unsigned()) << place << ": " << number;
  EXPECT_LE(number.get<std::uint64_t>(), 4294967295U) << place;
}

template <typename Element>
void expect_unique(const json::Json& array, const std::string& place) {
  std::set<Element> seen;
  for (const json::Json& element : array)
    EXPECT_TRUE(seen.insert(element.get<Element>()).second) << place << ": " << element << " twice";
}

inline void expect_valid_process(const json::Json& process) {
  const json::Json& user = process.at("user");
  expect_uint32(user.at("uid"), "uid");
  expect_uint32(user.at("gid"), "gid");
  if (user.contains("umask")) expect_uint32(user.at("umask"), "umask");
  if (user.contains("additionalGids")) {
    ASSERT_TRUE(user.at("additionalGids").is_array());
    for (const json::Json& group : user.at("additionalGids")) expect_uint32(group, "group");
    expect_unique<std::uint32_t>(user.at("additionalGids"), "additionalGids");
  }
  const std::regex name("CAP_[A-Z_]+");
  for (const char* set : {"effective", "permitted", "inheritable", "ambient", "bounding"}) {
    const json::Json& names = process.at("capabilities").at(set);
    expect_strings(names, set);
    for (const json::Json& capability : names)
      EXPECT_TRUE(std::regex_match(capability.get<std::string>(), name)) << capability;
    expect_unique<std::string>(names, set);
  }
  EXPECT_TRUE(process.at("noNewPrivileges").is_boolean());
  expect_strings(process.at("args"), "args");
  EXPECT_FALSE(process.at("args").empty());
  EXPECT_FALSE(process.at("args").at(0).get<std::string>().empty());
  EXPECT_EQ(process.at("cwd").get<std::string>().substr(0, 1), "/");
  if (process.contains("env")) {
    expect_strings(process.at("env"), "env");
    for (const json::Json& variable : process.at("env"))
      EXPECT_NE(variable.get<std::string>().find('='), std::string::npos) << variable;
  }
}

inline void expect_valid_mounts(const json::Json& mounts) {
  ASSERT_TRUE(mounts.is_array());
  for (const json::Json& mount : mounts) {
    EXPECT_EQ(mount.at("destination").get<std::string>().substr(0, 1), "/");
    EXPECT_TRUE(mount.at("source").is_string());
    EXPECT_TRUE(mount.at("type").is_string());
    if (mount.contains("options")) expect_strings(mount.at("options"), "options");
  }
}

inline void expect_valid_hooks(const json::Json& hooks) {
  ASSERT_TRUE(hooks.is_array());
  for (const json::Json& hook : hooks) {
    EXPECT_EQ(hook.at("path").get<std::string>().substr(0, 1), "/");
    if (hook.contains("args")) expect_strings(hook.at("args"), "args");
    if (hook.contains("env")) expect_strings(hook.at("env"), "env");
    if (!hook.contains("timeout")) continue;
    EXPECT_TRUE(hook.at("timeout").is_number_integer());
    EXPECT_GT(hook.at("timeout").get<std::int64_t>(), 0);
  }
}

inline void expect_valid(const json::Json& config) {
  EXPECT_TRUE(config.at("ociVersion").is_string());
  expect_valid_process(config.at("process"));
  EXPECT_TRUE(config.at("root").at("path").is_string());
  if (config.contains("mounts") && !config.at("mounts").is_null())
    expect_valid_mounts(config.at("mounts"));
  if (config.contains("hooks") && config.at("hooks").is_object())
    for (const auto& [stage, hooks] : config.at("hooks").items()) expect_valid_hooks(hooks);
}

}  // namespace stepdown::oci::test
