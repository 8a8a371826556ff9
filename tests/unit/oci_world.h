// What the tests of the doors share: configurations as engines write them, and what becomes of
// them.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "oci/document.h"
#include "oci/rewrite.h"
#include "plan_world.h"
#include "stepdown/error.h"

namespace stepdown::oci::test {

using json::Json;
using stepdown::test::accounts;
using stepdown::test::groups;
using stepdown::test::options;

inline const std::string config_name = "config.json";
inline const std::string launcher = "/usr/bin/stepdown";

inline std::string sample_text(const std::string& name) {
  const std::filesystem::path path = std::filesystem::path(__FILE__).parent_path() / "oci" / name;
  const std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}
inline Json parsed(const std::string& text) {
  return json::parse(text, config_name, limits);
}
inline Json sample(const std::string& name) {
  return parsed(sample_text(name));
}
inline Container container_of(const Json& config) {
  return read_container(json::Value(config, config_name));
}
inline Process process_of(const Json& process) {
  static const std::string name = "process.json";
  return read_process(json::Value(process, name));
}

inline Plan plan_of(const Options& asked, const Json& config) {
  const Container container = container_of(config);
  return oci::plan_of(asked, container, container.process, accounts());
}
inline Json rewritten(Json config, const Options& asked) {
  const Plan plan = test::plan_of(asked, config);
  rewrite_container(config, asked, plan, launcher);
  return config;
}

// What `action` refuses with; empty, and a failure of the test, if it does not.
template <typename Action>
std::string refusal(const Action& action, int status = exit_status::failed) {
  try {
    static_cast<void>(action());
  } catch (const Error& error) {
    EXPECT_EQ(error.details().status, status);
    return error.what();
  }
  ADD_FAILURE() << "was not refused";
  return {};
}

}  // namespace stepdown::oci::test
