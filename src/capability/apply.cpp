#include "capability/apply.h"

#include <sys/capability.h>
#include <sys/prctl.h>

#include <memory>
#include <type_traits>
#include <vector>

#include "stepdown/error.h"

namespace stepdown::capability {

namespace {

struct FreeCap {
  void operator()(void* memory) const { cap_free(memory); }
};
using OwnedCap = std::unique_ptr<std::remove_pointer_t<cap_t>, FreeCap>;

void raise(const OwnedCap& state, cap_flag_t flag, CapabilitySet set) {
  std::vector<cap_value_t> values;
  for (const Capability member : set.members()) values.push_back(static_cast<cap_value_t>(member));
  if (values.empty()) return;
  if (cap_set_flag(state.get(), flag, static_cast<int>(values.size()), values.data(), CAP_SET) != 0)
    throw_errno("capabilities", "cap_set_flag(3)");
}

}  // namespace

void set_process(CapabilitySet permitted, CapabilitySet effective, CapabilitySet inheritable) {
  const OwnedCap state(cap_init());
  if (!state) throw_errno("capabilities", "cap_init(3)");
  raise(state, CAP_PERMITTED, permitted);
  raise(state, CAP_EFFECTIVE, effective);
  raise(state, CAP_INHERITABLE, inheritable);
  if (cap_set_proc(state.get()) != 0) throw_errno("capabilities", "capset(2)");
}

void reduce_bounding(CapabilitySet bounding, CapabilitySet keep) {
  for (const Capability member : (bounding - keep).members())
    if (::prctl(PR_CAPBSET_DROP, static_cast<unsigned long>(member), 0, 0, 0) != 0)
      throw_errno("bounding", "prctl(PR_CAPBSET_DROP)", capability_name(member));
}

void set_ambient(CapabilitySet keep) {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    throw_errno("ambient", "prctl(PR_CAP_AMBIENT_CLEAR_ALL)");
  for (const Capability member : keep.members())
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, static_cast<unsigned long>(member), 0, 0) !=
        0)
      throw_errno("ambient", "prctl(PR_CAP_AMBIENT_RAISE)", capability_name(member));
}

void set_securebits(unsigned bits) {
  if (::prctl(PR_SET_SECUREBITS, static_cast<unsigned long>(bits), 0, 0, 0) != 0)
    throw_errno("securebits", "prctl(PR_SET_SECUREBITS)");
}

void keep_over_setuid(bool keep) {
  if (::prctl(PR_SET_KEEPCAPS, keep ? 1UL : 0UL, 0, 0, 0) != 0)
    throw_errno("uid", "prctl(PR_SET_KEEPCAPS)");
}

void set_no_new_privs() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0, 0, 0) != 0)
    throw_errno("no-new-privs", "prctl(PR_SET_NO_NEW_PRIVS)");
}

}  // namespace stepdown::capability
