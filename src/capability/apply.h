// Changing this thread's capabilities and what guards them. libcap does the calls; every failure is
// an Error.
#pragma once

#include "stepdown/capability_set.h"

namespace stepdown::capability {

// capset(2).
void set_process(CapabilitySet permitted, CapabilitySet effective, CapabilitySet inheritable);
// PR_CAPBSET_DROP of everything in `bounding` that is not in `keep`; needs effective SETPCAP.
void reduce_bounding(CapabilitySet bounding, CapabilitySet keep);
// Clears the ambient set, then raises `keep`, which must be permitted and inheritable.
void set_ambient(CapabilitySet keep);
// PR_SET_SECUREBITS; needs effective SETPCAP.
void set_securebits(unsigned bits);
// PR_SET_KEEPCAPS: the permitted set survives the coming setresuid(2), or no longer.
void keep_over_setuid(bool keep);
// PR_SET_NO_NEW_PRIVS: there is no way back.
void set_no_new_privs();

}  // namespace stepdown::capability
