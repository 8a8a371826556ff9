// --own and --idmap of a hook: everything is found and judged first, and changed after that.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "oci/volume.h"
#include "stepdown/log.h"
#include "stepdown/options.h"
#include "stepdown/ownership.h"

namespace stepdown::oci {

// What is left of them for this container: nothing of volumes for a pod's sandbox, which has none
// of its containers' own. Less, and never more, than what was asked for: whoever starts containers
// may choose their annotations.
Options with_its_volumes(Options options, const Container& container, const Log& log);

class VolumeWork {
 public:
  // Before the container is entered: what can be had only outside.
  VolumeWork(const Options& options, const Container& container, const std::string& bundle);

  // In the container. Error: a volume that is refused, --idmap-only where it can't be done, two
  // options for the same volume. Nothing has changed then.
  void find(const Options& options, const Container& container, const HandOverTarget& target,
            const Log& log);

  // Error: a call failed.
  void carry_out(const Log& log) &&;

 private:
  struct Walk {
    Volume volume;
    bool recursive = true;
  };
  // A namespace for each --idmap, or why there can be none.
  struct Maps {
    std::unique_ptr<userns::SpareNamespace> spare;
    std::string obstacle;
  };

  void find_idmap(const Options& options, const std::string& path, Maps& maps,
                  const Container& container, const Log& log);
  void refuse_twice(const std::string& step, const std::string& path) const;

  Outside outside_;
  IdMaps runtime_;  // of the runtime's user namespace, for --idmap
  std::vector<Maps> maps_;
  HandOverTarget target_;
  std::vector<Walk> walks_;
  std::vector<IdmappedVolume> idmaps_;
};

}  // namespace stepdown::oci
