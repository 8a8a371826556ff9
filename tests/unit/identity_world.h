// What the tests of the identity room share: account files as texts, and the message of a refusal.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "stepdown/error.h"
#include "stepdown/identity.h"
#include "stepdown/ids.h"

namespace stepdown::test {

inline AccountFiles accounts(std::string_view passwd, std::string_view group = {}) {
  AccountFiles files;
  files.passwd = passwd;
  files.group = group;
  return files;
}

// What `action` refuses with; empty, and a failure of the test, if it does not.
template <typename Action>
std::string refusal(const Action& action) {
  try {
    static_cast<void>(action());
  } catch (const Error& error) {
    EXPECT_EQ(error.details().status, exit_status::failed);
    EXPECT_NE(error.details().hint, "") << "no remedy in: " << error.what();
    return error.what();
  }
  ADD_FAILURE() << "was not refused";
  return {};
}

inline std::vector<Gid> gids(std::initializer_list<std::uint32_t> numbers) {
  std::vector<Gid> ids;
  for (const std::uint32_t number : numbers) ids.push_back(Gid{number});
  return ids;
}

constexpr Uid callers_uid{8888};
constexpr Gid callers_gid{8889};

inline Identity resolve(const AccountFiles& files, std::string_view spec,
                        MissingGroup missing_group = MissingGroup::refuse) {
  return resolve_identity(files, parse_user_spec(spec), callers_uid, callers_gid, missing_group);
}

inline Identity resolve_as_gosu(const AccountFiles& files, std::string_view spec) {
  return resolve(files, spec, MissingGroup::use_callers);
}

}  // namespace stepdown::test
