// Looking at an owned path without changing anything.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "ownership/resolve.h"
#include "ownership/rules.h"
#include "stepdown/error.h"
#include "stepdown/ownership.h"

namespace stepdown {

namespace {

Owner owner_in(const struct statx& status) {
  return {Uid{status.stx_uid}, Gid{status.stx_gid}};
}

OwnedPathSurvey::Kind kind_of(ownership::Verdict verdict, const struct statx& status,
                              const OwnedPath& own, Owner target) {
  using Kind = OwnedPathSurvey::Kind;
  if (verdict == ownership::Verdict::left_alone) return Kind::world_writable;
  if (S_ISDIR(status.stx_mode) && own.recursive) return Kind::to_hand_over;
  return ownership::is_right(status, target) ? Kind::already_right : Kind::to_hand_over;
}

}  // namespace

OwnedPath parse_owned_path(std::string_view word) {
  constexpr std::string_view top = ":top";
  const std::string step = "--own " + std::string(word.substr(0, word.find('\0')));
  OwnedPath own;
  own.recursive = !word.ends_with(top);
  own.path = own.recursive ? word : word.substr(0, word.size() - top.size());
  // What is asked of the paths below it compares words.
  while (own.path.size() > 1 && own.path.ends_with('/')) own.path.pop_back();
  if (own.path.find('\0') != std::string::npos) refuse(step, "a path can't contain a NUL byte");
  if (!own.path.starts_with('/')) refuse(step, "the path must be absolute", "write --own /PATH");
  return own;
}

OwnedPathSurvey survey_owned_path(const OwnedPath& own, Owner target) {
  const ownership::Examined examined = ownership::examine(own, target);
  const ownership::Resolution& resolution = examined.resolution;
  OwnedPathSurvey survey;
  survey.resolved = resolution.path;
  survey.read_only_mount = examined.read_only_mount;
  if (!resolution.exists()) {
    survey.kind = OwnedPathSurvey::Kind::missing;
    return survey;
  }
  const ownership::Pinned& top = resolution.last();
  const ownership::Verdict verdict = ownership::judge(top.status, top.status.stx_mnt_id, target);
  survey.kind = kind_of(verdict, top.status, own, target);
  survey.owner = owner_in(top.status);
  survey.mode = top.status.stx_mode;
  survey.needs_dac_read_search = own.recursive && verdict == ownership::Verdict::directory &&
                                 ::faccessat(top.fd.get(), ".", R_OK | X_OK, AT_EACCESS) != 0 &&
                                 errno == EACCES;
  return survey;
}

bool may_write_by_mode(const OwnedPathSurvey& survey, const HandOverTarget& target) {
  if (!survey.owner) return false;
  struct statx status {};
  status.stx_uid = raw(survey.owner->uid);
  status.stx_gid = raw(survey.owner->gid);
  status.stx_mode = static_cast<std::uint16_t>(survey.mode);
  return ownership::target_can_write(status, target);
}

Owner owner_of_path(const std::string& step, const std::string& path) {
  if (!path.starts_with('/')) refuse(step, "the path must be absolute");
  const ownership::Resolution resolution = ownership::resolve(step, path);
  if (!resolution.exists()) {
    errno = ENOENT;
    throw_errno(step, "statx(2)", resolution.path,
                "is the volume mounted? --user names the user where there is none");
  }
  return owner_in(resolution.last().status);
}

}  // namespace stepdown
