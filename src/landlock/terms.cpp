#include "landlock/terms.h"

#include "landlock/bits.h"

namespace stepdown::landlock {

namespace {

// Since Linux 5.13, ABI 1: whatever changes a hierarchy or opens a file for writing. Reading and
// executing are not handled, so nothing has to be given for them.
constexpr std::uint64_t writing = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                  LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                  LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                  LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                  LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

}  // namespace

Terms terms(int abi, Wishes wishes) {
  Terms found;
  // `bits` into `into`, or the words.
  const auto take = [&](int since, std::uint64_t& into, std::uint64_t bits, const char* words) {
    if (abi >= since)
      into |= bits;
    else
      found.missing.emplace_back(words);
  };
  if (wishes.read_only) {
    take(1, found.filesystem, writing, "writing is not limited (Linux 5.13)");
    take(2, found.filesystem, access_fs_refer,
         "nothing can be renamed or linked from one directory to another (Linux 5.19)");
    take(3, found.filesystem, access_fs_truncate, "truncate(2) is not limited (Linux 6.2)");
    take(5, found.filesystem, access_fs_ioctl_dev,
         "ioctl(2) on devices is not limited (Linux 6.10)");
    take(6, found.scopes, scope_abstract_unix_socket | scope_signal,
         "abstract sockets and signals reach out (Linux 6.12)");
  }
  if (wishes.only_ports)
    take(4, found.network, access_net_bind_tcp, "TCP ports are not limited (Linux 6.7)");
  // What is refused shows in the audit log; without, it would only until execve(2).
  if (abi >= 7) found.flags = restrict_self_log_new_exec_on;
  return found;
}

std::uint64_t file_rights(const Terms& terms) {
  return terms.filesystem &
         (LANDLOCK_ACCESS_FS_WRITE_FILE | access_fs_truncate | access_fs_ioctl_dev);
}

}  // namespace stepdown::landlock
