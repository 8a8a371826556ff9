#include "launch/pretended_identity.h"

#include <array>
#include <cerrno>
#include <functional>
#include <string_view>

namespace stepdown {

namespace {

constexpr std::uint32_t leave = 0xffff'ffff;  // (uid_t)-1, which is nobody's id

// CAP_SETUID and CAP_SETGID are effective with the effective uid 0 and no other: the kernel clears
// the effective set when that uid leaves 0 and fills it when it comes back, and empties the
// permitted one when none of the three is 0 any more, from where nothing leads back to 0
// (capabilities(7), "Effect of user ID changes on capabilities").
bool may_set_uids(const PretendedIdentity& identity) {
  return identity.uid.effective == root_uid;
}

bool may_set_gids(const PretendedIdentity& identity) {
  return identity.uid.effective == root_uid || identity.kept_setgid;
}

template <typename Id>
bool one_of_the_three(const IdTriple<Id>& ids, std::uint32_t id) {
  return id == raw(ids.real) || id == raw(ids.effective) || id == raw(ids.saved);
}

template <typename Id>
int set_one(IdTriple<Id>& ids, bool may_set_any, std::uint32_t id) {
  if (id == leave) return EINVAL;
  if (may_set_any)
    ids = {Id{id}, Id{id}, Id{id}};
  else if (id == raw(ids.real) || id == raw(ids.saved))
    ids.effective = Id{id};
  else
    return EPERM;
  return 0;
}

template <typename Id>
int set_two(IdTriple<Id>& ids, bool may_set_any, std::uint32_t real, std::uint32_t effective) {
  if (!may_set_any) {
    if (real != leave && real != raw(ids.real) && real != raw(ids.effective)) return EPERM;
    if (effective != leave && !one_of_the_three(ids, effective)) return EPERM;
  }
  // "If the real user ID is set or the effective user ID is set to a value not equal to the
  // previous real user ID, the saved set-user-ID will be set to the new effective user ID."
  const bool saves = real != leave || (effective != leave && effective != raw(ids.real));
  if (real != leave) ids.real = Id{real};
  if (effective != leave) ids.effective = Id{effective};
  if (saves) ids.saved = ids.effective;
  return 0;
}

template <typename Id>
int set_three(IdTriple<Id>& ids, bool may_set_any, std::uint32_t real, std::uint32_t effective,
              std::uint32_t saved) {
  if (!may_set_any)
    for (const std::uint32_t id : {real, effective, saved})
      if (id != leave && !one_of_the_three(ids, id)) return EPERM;
  if (real != leave) ids.real = Id{real};
  if (effective != leave) ids.effective = Id{effective};
  if (saved != leave) ids.saved = Id{saved};
  return 0;
}

template <typename Set>
int moving_uids(PretendedIdentity& identity, Set set) {
  const bool was_root = one_of_the_three(identity.uid, raw(root_uid));
  const int error = set(identity.uid, may_set_uids(identity));
  if (was_root && !one_of_the_three(identity.uid, raw(root_uid)))
    identity.kept_setgid = identity.keeps_capabilities;
  return error;
}

}  // namespace

int pretend_setuid(PretendedIdentity& identity, std::uint32_t uid) {
  return moving_uids(identity, [uid](auto& ids, bool may) { return set_one(ids, may, uid); });
}

int pretend_setreuid(PretendedIdentity& identity, std::uint32_t real, std::uint32_t effective) {
  return moving_uids(identity,
                     [=](auto& ids, bool may) { return set_two(ids, may, real, effective); });
}

int pretend_setresuid(PretendedIdentity& identity, std::uint32_t real, std::uint32_t effective,
                      std::uint32_t saved) {
  return moving_uids(
      identity, [=](auto& ids, bool may) { return set_three(ids, may, real, effective, saved); });
}

int pretend_setgid(PretendedIdentity& identity, std::uint32_t gid) {
  return set_one(identity.gid, may_set_gids(identity), gid);
}

int pretend_setregid(PretendedIdentity& identity, std::uint32_t real, std::uint32_t effective) {
  return set_two(identity.gid, may_set_gids(identity), real, effective);
}

int pretend_setresgid(PretendedIdentity& identity, std::uint32_t real, std::uint32_t effective,
                      std::uint32_t saved) {
  return set_three(identity.gid, may_set_gids(identity), real, effective, saved);
}

void pretend_execve(PretendedIdentity& identity) {
  identity.uid.saved = identity.uid.effective;
  identity.gid.saved = identity.gid.effective;
  identity.keeps_capabilities = identity.kept_setgid = false;
}

IdentityTable::IdentityTable() {
  number_of({});
}

std::optional<PretendedIdentity> IdentityTable::at(std::size_t number) const {
  if (number >= identities_.size()) return std::nullopt;
  return identities_[number];
}

std::optional<std::size_t> IdentityTable::number_of(const PretendedIdentity& identity) {
  if (const auto known = numbers_.find(identity); known != numbers_.end()) return known->second;
  const std::size_t number = identities_.size();
  if (number == largest) return std::nullopt;
  identities_.push_back(identity);
  numbers_.emplace(identity, number);
  return number;
}

std::size_t IdentityTable::Hash::operator()(const PretendedIdentity& identity) const {
  const auto& [uid, gid, keeps, kept] = identity;
  const std::array words = {raw(uid.real),        raw(uid.effective), raw(uid.saved),
                            raw(gid.real),        raw(gid.effective), raw(gid.saved),
                            std::uint32_t{keeps}, std::uint32_t{kept}};
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(words.data()), sizeof words});
}

}  // namespace stepdown
