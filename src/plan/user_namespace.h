// Which user namespace the app gets, and who can write its maps.
#pragma once

#include <optional>

#include "stepdown/plan.h"

namespace stepdown {

bool wants_user_namespace(const Options& options);

// `target` is the app outside. nullopt: none is wanted. Error: maps that contradict themselves or
// the target, or that would hand root out.
std::optional<UserNamespace> plan_user_namespace(const Identity& target, const Options& options,
                                                 const AccountFiles& accounts, const Caller& caller,
                                                 const Host& host);

}  // namespace stepdown
