// A volume of a container, handed over by a walk.
#include <utility>

#include "oci/volume.h"
#include "ownership/report.h"
#include "ownership/rules.h"
#include "ownership/walk.h"
#include "stepdown/error.h"

namespace stepdown::oci {

void check_hand_over(const Volume& volume, const HandOverTarget& target) {
  if (volume.read_only)
    refuse(volume.step, volume.path + " is mounted read-only",
           "--idmap changes nothing on the disk and works for such a mount");
  const struct statx& top = volume.top.status;
  if (ownership::judge(top, top.stx_mnt_id, target.owner) == ownership::Verdict::left_alone &&
      !ownership::target_can_write(top, target))
    refuse(volume.step,
           volume.path + " is sticky, so it is never handed over, and the app can't write there",
           "chmod -t it on the host");
}

void hand_over(Volume volume, bool recursive, const HandOverTarget& target, const Log& log) {
  const HandOverReport report =
      ownership::walk(volume.step, volume.path, std::move(volume.top), recursive, target, {});
  ownership::tell(log, volume.step, report);
}

}  // namespace stepdown::oci
