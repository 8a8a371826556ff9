// Groups, gid and uid: the three calls that the sequence, and a scout, make.
#pragma once

#include "stepdown/identity.h"
#include "stepdown/inspect.h"

namespace stepdown::steps {

void set_groups(const std::vector<Gid>& groups);  // setgroups(2)
void set_gid(Gid gid);                            // setresgid(2), all three and the fsgid
void set_uid(Uid uid);                            // setresuid(2), all three and the fsuid

// Those of the three that `now` makes necessary, in their order.
void become(const Identity& identity, const Credentials& now);

}  // namespace stepdown::steps
