#include "oci/volume_work.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "oci/init_process.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

void say(const Log& log, LogLevel level, const std::string& text) {
  if (log) log(level, text);
}

}  // namespace

Options with_its_volumes(Options options, const Container& container, const Log& log) {
  if (!container.sandbox || (options.own.empty() && options.door.idmap.empty())) return options;
  options.own.clear();
  options.door.idmap.clear();
  say(log, LogLevel::info, "--own, --idmap: passed over, for this is a pod's sandbox");
  return options;
}

VolumeWork::VolumeWork(const Options& options, const Container& container,
                       const std::string& bundle)
    : outside_(look_outside(container, bundle)) {
  for (std::size_t i = 0; i < options.door.idmap.size(); ++i) {
    Maps maps;
    try {
      maps.spare = std::make_unique<userns::SpareNamespace>();
    } catch (const Error& error) {
      maps.obstacle = error.reason();
    }
    maps_.push_back(std::move(maps));
  }
  if (!maps_.empty()) runtime_ = own_id_maps();
}

void VolumeWork::find(const Options& options, const Container& container,
                      const HandOverTarget& target, const Log& log) {
  target_ = target;
  for (const OwnedPath& own : options.own) {
    const std::string step = "--own " + own.path + (own.recursive ? "" : ":top");
    Volume volume = find_volume(step, own, container, outside_, target_.owner);
    check_hand_over(volume, target_);
    refuse_twice(step, volume.path);
    walks_.push_back({std::move(volume), own.recursive});
  }
  for (std::size_t i = 0; i < options.door.idmap.size(); ++i)
    find_idmap(options, options.door.idmap[i], maps_[i], container, log);
}

void VolumeWork::refuse_twice(const std::string& step, const std::string& path) const {
  const bool walked = std::any_of(walks_.begin(), walks_.end(),
                                  [&path](const Walk& walk) { return walk.volume.path == path; });
  const bool mapped =
      std::any_of(idmaps_.begin(), idmaps_.end(),
                  [&path](const IdmappedVolume& idmap) { return idmap.volume().path == path; });
  if (walked || mapped) refuse(step, "another --own or --idmap is about the same volume");
}

void VolumeWork::find_idmap(const Options& options, const std::string& path, Maps& maps,
                            const Container& container, const Log& log) {
  const std::string step = "--idmap " + path;
  Volume volume = find_volume(step, {path, true}, container, outside_, target_.owner);
  refuse_twice(step, volume.path);
  std::string obstacle = maps.obstacle;
  if (maps.spare) {
    IdmappedVolume idmap(std::move(volume), *maps.spare, target_.owner, runtime_,
                         options.door.idmap_root);
    if (idmap.already_right())
      return say(log, LogLevel::info, step + ": it is the target's as it is");
    if (idmap.unsupported().empty()) {
      refuse_attributes_below(idmap.volume(), container);
      idmaps_.push_back(std::move(idmap));
      return;
    }
    obstacle = idmap.unsupported();
    volume = std::move(idmap).give_back();
  }
  if (options.door.idmap_only)
    refuse(step, "an idmapped mount can't be had: " + obstacle,
           "leave out --idmap-only, and the files are handed over one by one");
  check_hand_over(volume, target_);
  say(log, LogLevel::warning,
      step + ": an idmapped mount can't be had (" + obstacle +
          "): the files are handed over one by one");
  walks_.push_back({std::move(volume), true});
}

void VolumeWork::carry_out(const Log& log) && {
  for (Walk& walk : walks_) hand_over(std::move(walk.volume), walk.recursive, target_, log);
  // A volume within another one first: the other's copy then has it.
  std::sort(idmaps_.begin(), idmaps_.end(), [](const IdmappedVolume& a, const IdmappedVolume& b) {
    return a.volume().path.size() > b.volume().path.size();
  });
  for (const IdmappedVolume& idmap : idmaps_) {
    idmap.attach();
    say(log, LogLevel::info,
        idmap.volume().step +
            ": mounted with other ids; files of others than its owner are nobody's (65534) in "
            "there");
  }
}

}  // namespace stepdown::oci
