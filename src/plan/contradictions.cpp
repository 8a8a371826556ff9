#include "plan/contradictions.h"

#include <array>

#include "plan/seccomp.h"
#include "plan/user_namespace.h"
#include "stepdown/error.h"
#include "stepdown/user_namespace.h"

namespace stepdown {

namespace {

void two_sources_of_the_user(const Options& options) {
  if (options.user_of && options.user_env) refuse("--user-of", "it can't go with --user-env");
}

void pretence_in_a_namespace(const Options& options) {
  if (options.pretend_root != PretendRoot::none && wants_user_namespace(options))
    refuse("--pretend-root",
           "it can't go with a user namespace (--userns, --uid-map, --gid-map, --profile "
           "legacy-root), where uid 0 is real",
           "leave out one of the two: the namespace, where the engine forbids it");
}

void pretence_without_a_filter(const Options& options) {
  if (options.pretend_root != PretendRoot::none && options.allow_new_privs)
    refuse("--pretend-root", "its filter needs no_new_privs, which --allow-new-privs leaves out",
           "leave out one of the two");
}

void landlock_without_no_new_privs(const Options& options) {
  if ((options.read_only || options.only_ports) && options.allow_new_privs)
    refuse(options.read_only ? "--read-only" : "--only-ports",
           "Landlock needs no_new_privs, which --allow-new-privs leaves out",
           "leave out one of the two");
}

void policy_without_no_new_privs(const Options& options) {
  if (names_policy(options) && options.allow_new_privs)
    refuse("--seccomp", "its filter needs no_new_privs, which --allow-new-privs leaves out",
           "leave out one of the two, or --seccomp none");
}

void impossible_uid_map(const Options& options) {
  if (!options.uid_map.empty()) check_id_map("--uid-map", options.uid_map);
}

void impossible_gid_map(const Options& options) {
  if (!options.gid_map.empty()) check_id_map("--gid-map", options.gid_map);
}

void handed_over_twice(const Options& options) {
  for (const std::string& path : options.door.idmap)
    for (const OwnedPath& own : options.own)
      if (own.path == path)
        refuse("--idmap " + path, "--own names it as well",
               "leave out one of the two: --idmap hands over file by file where it must");
}

constexpr std::array<Contradiction, 8> all{
    two_sources_of_the_user,     pretence_in_a_namespace,
    pretence_without_a_filter,   landlock_without_no_new_privs,
    policy_without_no_new_privs, impossible_uid_map,
    impossible_gid_map,          handed_over_twice};

}  // namespace

std::span<const Contradiction> contradictions() {
  return all;
}

}  // namespace stepdown
