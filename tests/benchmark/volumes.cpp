// What it adds to the start of a container that a volume of many files is handed over first: with a
// hook of stepdown's that maps its ids (--idmap) or walks it (--own), with chown(1) before the
// start, and with podman's own :U. Whole `runc run` and `podman run` of an empty static program, to
// its end; what podman adds is above podman's own start. Medians of interleaved runs. A benchmark,
// not a test: it judges the targets and fails only when something can't run.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bundle.h"
#include "harness.h"
#include "podman.h"

namespace {

using namespace benchmarks;
namespace fs = std::filesystem;

constexpr int status_of_empty = 42;  // what empty.cpp returns
constexpr uid_t user = 1000;         // who wants the volume
constexpr uid_t owner = 2000;        // whose it is
constexpr double largest_part = 1.0 / 20;
constexpr double largest_growth = 2;
// Added times below this are no more than what one median differs from the next.
constexpr double noise = 2000;  // microseconds

constexpr const char* bare = "runc run";
constexpr const char* mapping = "hook --idmap";
constexpr const char* walking = "hook --own";
constexpr const char* walking_again = "hook --own, is theirs";
constexpr const char* chown = "chown -R";
constexpr const char* chown_again = "chown -R, is theirs";
constexpr const char* bare_podman = "podman run";
constexpr const char* giving = "podman run -v :U";
constexpr const char* giving_again = "podman run -v :U, is theirs";

// The containers with one volume.
class Scene {
 public:
  Scene(const fs::path& stepdown, const Bundles& bundles, const fs::path& directory, int files)
      : stepdown_(stepdown),
        bundles_(bundles),
        volume_(directory / std::to_string(files), files),
        files_(std::to_string(files)) {}

  [[nodiscard]] std::string name_of(const std::string& name) const { return name + ", " + files_; }

  [[nodiscard]] bool has(const Contestant& contestant) const {
    return contestant.name.ends_with(", " + files_);
  }

  [[nodiscard]] Contestant runc() const { return container(bare, {}, owner); }
  [[nodiscard]] Contestant idmap() const {
    return container(mapping, {"--idmap-only", "--idmap", "/data"}, owner);
  }
  [[nodiscard]] Contestant own(const char* name, uid_t before) const {
    return container(name, {"--own", "/data"}, before);
  }
  [[nodiscard]] Contestant chowned(const char* name, uid_t before) const {
    Contestant all = container(name, {}, before);
    all.words.insert(all.words.begin(),
                     {"/bin/sh", "-ec", "chown -R \"$0\" \"$1\"; shift; exec \"$@\"", identity(),
                      volume_.path()});
    return all;
  }
  // The option is the volume's.
  [[nodiscard]] Contestant under(const Podman& podman, const char* name, const char* option,
                                 uid_t before) const {
    return {name_of(name),
            podman.run(user, volume_.path().string() + ":/data" + option),
            {},
            [this, before] {
              Podman::wait_for_the_rest();
              volume_.give_to(before);
            }};
  }

 private:
  static std::string identity() { return std::to_string(user) + ":" + std::to_string(user); }

  // The volume belongs to `before` at each start.
  [[nodiscard]] Contestant container(const char* name, const Words& options, uid_t before) const {
    Words hook;
    if (!options.empty()) {
      hook = {stepdown_, "hook", "create-runtime", "--user", identity()};
      hook.insert(hook.end(), options.begin(), options.end());
    }
    std::string bundle = name_of(name);
    std::erase_if(bundle, [](char c) { return c == ' ' || c == ','; });
    Words words = bundles_.run(bundles_.add({bundle, user, volume_.path(), hook}));
    words.insert(words.begin(), bundles_.runc());
    return {name_of(name), words, {}, [this, before] { volume_.give_to(before); }};
  }

  fs::path stepdown_;
  const Bundles& bundles_;
  VolumeTree volume_;
  std::string files_;
};

void print_table(const std::vector<Contestant>& all, const Scene& scene, const char* below) {
  for (const Contestant& each : all) {
    if (!scene.has(each)) continue;
    std::printf("%-36s %12.1f %10.1f\n", each.name.c_str(), median(each.microseconds) / 1000,
                *overhead_of(all, each.name, scene.name_of(below)) / 1000);
  }
}

double added(const std::vector<Contestant>& all, const Scene& scene, const char* name) {
  return *overhead_of(all, scene.name_of(name), scene.name_of(bare));
}

}  // namespace

int main(int count, char** words) {
  try {
    const Arguments arguments(
        count, words,
        {{"files", "200000", "in the volume; another has a tenth of them"},
         {"rounds", "7", "how often each container runs whose volume is walked"},
         {"map-rounds", "60", "how often those do whose volume is mapped"},
         {"on", "tmpfs", "where the volumes are: tmpfs or disk"},
         {"empty", sibling("benchmark-empty"), "the program in them"}});
    // Before so many files are made.
    for (const char* engine : {"runc", "podman", "crun"}) needed_program(engine);
    const int files = std::max(10, arguments.number("files"));
    keep_streams();
    const Workplace workplace(arguments.text("on") == "tmpfs");
    const Directory& directory = workplace.directory();
    const fs::path stepdown = directory.install(arguments.text("stepdown"));
    const Bundles bundles(directory.path(), arguments.text("empty"));
    const Scene large(stepdown, bundles, directory.path(), files);
    const Scene small(stepdown, bundles, directory.path(), files / 10);

    const std::vector<Contestant> without{large.runc(), small.runc()};
    std::vector<Contestant> mapped = without, walked = without, given;
    for (const Scene* scene : {&large, &small}) {
      mapped.push_back(scene->idmap());
      walked.push_back(scene->own(walking, owner));
      walked.push_back(scene->own(walking_again, user));
      walked.push_back(scene->chowned(chown, owner));
      walked.push_back(scene->chowned(chown_again, user));
    }
    const int map_rounds = std::max(1, arguments.number("map-rounds"));
    const int rounds = std::max(1, arguments.number("rounds"));
    if (!measure(mapped, map_rounds, 1, status_of_empty).empty()) return 1;
    if (!measure(walked, rounds, 1, status_of_empty).empty()) return 1;
    // After runc, which wants the machine's cgroups.
    const Podman podman(directory.path(), arguments.text("empty"));
    for (const Scene* scene : {&large, &small}) {
      given.push_back(scene->under(podman, bare_podman, "", owner));
      given.push_back(scene->under(podman, giving, ":U", owner));
      given.push_back(scene->under(podman, giving_again, ":U", user));
    }
    if (!measure(given, rounds, 1, status_of_empty).empty()) return 1;
    std::printf("%d interleaved rounds, of the walks %d\n", map_rounds, rounds);
    std::printf("\n%-36s %12s %10s\n", "container, files in its volume", "median ms", "added ms");
    for (const Scene* scene : {&large, &small}) {
      print_table(mapped, *scene, bare);
      print_table(walked, *scene, bare);
      print_table(given, *scene, bare_podman);
    }

    Targets targets(arguments.is_set("check"));
    const double ours = added(mapped, large, mapping);
    targets.at_most("hook --idmap, to chown -R",
                    ours / std::max(noise, added(walked, large, chown)), largest_part);
    targets.at_most("hook --idmap, to a tenth of the files",
                    std::max(noise, ours) / std::max(noise, added(mapped, small, mapping)),
                    largest_growth);
    return targets.ok() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark-volumes: %s\n", error.what());
    return 1;
  }
}
