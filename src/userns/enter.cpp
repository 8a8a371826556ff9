#include "userns/enter.h"

#include <sys/prctl.h>

#include <algorithm>
#include <optional>

#include "stepdown/error.h"
#include "userns/helper.h"
#include "userns/leave.h"
#include "userns/newidmap.h"
#include "userns/own_proc.h"

namespace stepdown::userns {

namespace {

constexpr const char* step = "userns";

void set_dumpable(bool dumpable) {
  if (::prctl(PR_SET_DUMPABLE, dumpable ? 1UL : 0UL, 0, 0, 0) != 0)
    throw_errno(step, "prctl(PR_SET_DUMPABLE)");
}

std::string write_from_outside(const OwnProc& proc, const UserNamespace& wanted) {
  if (wanted.writer == MapWriter::newidmap) {
    run_newidmap(proc.pid(), wanted);
  } else {
    proc.write_maps(wanted, true);
  }
  return {};
}

void write_from_inside(const OwnProc& proc, const UserNamespace& wanted) {
  // Before gid_map, or that is refused: whoever maps its own gid without a privilege must not be
  // able to drop a group that denies it a file (CVE-2014-8989).
  proc.write("setgroups", "deny");
  proc.write_maps(wanted, false);
}

// The kernel sorts maps of more than five lines.
std::vector<IdMapping> sorted(std::vector<IdMapping> map) {
  std::sort(map.begin(), map.end(),
            [](const IdMapping& a, const IdMapping& b) { return a.inside < b.inside; });
  return map;
}

void verify_map(const OwnProc& proc, const char* name, const std::vector<IdMapping>& wanted) {
  const std::vector<IdMapping> found = sorted(proc.read_map(name)), right = sorted(wanted);
  if (found == right) return;
  const auto [is, should] = std::mismatch(found.begin(), found.end(), right.begin(), right.end());
  const auto words = [](auto line, auto end) {
    return line == end ? std::string("nothing more") : "'" + id_map_text({*line}) + "'";
  };
  refuse(step, std::string("the kernel's ") + name + " has " + words(is, found.end()) +
                   " instead of " + words(should, right.end()));
}

}  // namespace

void enter(const UserNamespace& wanted) {
  // Found now, so that helper and launcher speak of the same process.
  const OwnProc proc;
  // Target and helper have the same uid, and the helper keeps capabilities in the parent namespace:
  // no process of that uid shall look into it (ptrace(2), PTRACE_MODE_ATTACH).
  set_dumpable(false);
  std::optional<Helper> helper;
  if (wanted.writer != MapWriter::self)
    helper.emplace([&proc, &wanted] { return write_from_outside(proc, wanted); });

  leave_parent_namespace();

  // What is undumpable has root's files in /proc, which only CAP_DAC_OVERRIDE opens for writing
  // (proc(5)). A caller without privileges has nothing that others of its uid could not have; who
  // was root has: descriptors, for one, that they could take (pidfd_getfd(2)).
  if (wanted.writer != MapWriter::helper) set_dumpable(true);
  if (helper) {
    helper->answer();
    helper.reset();
  } else {
    write_from_inside(proc, wanted);
  }
  set_dumpable(false);

  verify_map(proc, "uid_map", wanted.uid_map);
  verify_map(proc, "gid_map", wanted.gid_map);
  if (wanted.writer == MapWriter::self && proc.read("setgroups") != "deny\n")
    refuse(step, "setgroups(2) is still allowed in the new namespace");
}

}  // namespace stepdown::userns
