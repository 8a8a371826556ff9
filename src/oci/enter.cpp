#include "oci/enter.h"

#include <sched.h>
#include <unistd.h>

#include <ctime>

#include "oci/files.h"
#include "stepdown/error.h"
#include "sys/fd.h"

namespace stepdown::oci {

AccountFiles enter_root(const std::string& bundle, const std::string& root) {
  constexpr const char* step = "root.path";
  const sys::Fd directory = open_root(bundle, root);
  AccountFiles accounts = read_account_files_in(directory);
  // The log has times: /etc/localtime is the host's, once and for all.
  ::tzset();
  if (::fchdir(directory.get()) != 0) throw_errno(step, "fchdir(2)");
  if (::chroot(".") != 0) throw_errno(step, "chroot(2)");
  if (::chdir("/") != 0) throw_errno(step, "chdir(2)");
  return accounts;
}

AccountFiles enter_container(const InitProcess& init, const std::string& bundle,
                             const std::string& root) {
  if (init.shares("mnt"))
    refuse("linux.namespaces", "the container has no mount namespace of its own",
           "its volumes are the host's own directories: leave out --own and --idmap");
  init.join(CLONE_NEWNS);
  return enter_root(bundle, root);
}

}  // namespace stepdown::oci
