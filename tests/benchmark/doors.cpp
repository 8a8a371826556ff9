// What the doors add to the start of a container: `runc run` of an empty static program to its end,
// bare, with a hook of stepdown's, and through the runtime door. Medians of interleaved runs. A
// benchmark, not a test: it judges the targets and fails only when something can't run.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bundle.h"
#include "harness.h"

namespace {

using namespace benchmarks;
namespace fs = std::filesystem;

constexpr int status_of_empty = 42;     // what empty.cpp returns
constexpr uid_t user = 1000;            // whose process it is in the end, in all of them
constexpr int files = 10;               // of the volume
constexpr double largest_addition = 5;  // % of bare runc's time

constexpr const char* bare = "runc run";
constexpr const char* doing_nothing = "hook true(1)";
constexpr const char* requiring = "hook --require";
constexpr const char* owning = "hook --own, 10 files";
constexpr const char* door = "runtime door";
constexpr const char* injecting = "runtime door --inject";

class Scene {
 public:
  Scene(const Directory& directory, const fs::path& stepdown, const fs::path& program)
      : stepdown_(directory.install(stepdown)),
        bundles_(directory.path(), program),
        volume_(directory.path() / "volume", files) {}

  [[nodiscard]] std::vector<Contestant> contestants() const {
    const auto something = find_program("true");
    if (!something) throw std::runtime_error("there is no program true");
    const std::string id = std::to_string(user) + ":" + std::to_string(user);
    return {
        with_hook(bare, "bare", {}),
        with_hook(doing_nothing, "true", {*something}),
        with_hook(requiring, "require",
                  {stepdown_, "hook", "create-runtime", "--require", "non-root,no-new-privs"}),
        with_hook(owning, "own",
                  {stepdown_, "hook", "create-runtime", "--user", id, "--own", "/data"}),
        through_door(door, "door", {"--user", id}),
        through_door(injecting, "inject", {"--user", id, "--inject"}),
    };
  }

 private:
  // The volume is root's at each start.
  [[nodiscard]] Contestant with_hook(const char* name, const char* bundle,
                                     const Words& hook) const {
    const fs::path config = bundles_.add({bundle, user, volume_.path(), hook});
    Words words = bundles_.run(config);
    words.insert(words.begin(), bundles_.runc());
    return {name, words, {}, [this] { volume_.give_to(0); }};
  }

  // The engine's configuration is root's, and new at each start.
  [[nodiscard]] Contestant through_door(const char* name, const char* bundle,
                                        const Words& options) const {
    const fs::path config = bundles_.add({bundle, 0, volume_.path()});
    const fs::path original = config.parent_path() / "original.json";
    fs::copy_file(config, original);
    Words words{stepdown_, "runtime"};
    words.insert(words.end(), options.begin(), options.end());
    words.emplace_back("--");
    const Words rest = bundles_.run(config);
    words.insert(words.end(), rest.begin(), rest.end());
    return {name, words, {}, [=] {
              fs::copy_file(original, config, fs::copy_options::overwrite_existing);
            }};
  }

  fs::path stepdown_;
  Bundles bundles_;
  VolumeTree volume_;
};

// In % of bare runc's time.
std::optional<double> addition_of(const std::vector<Contestant>& all, const char* name) {
  const auto part = ratio(overhead_of(all, name), median_of(all, bare));
  return part ? std::optional(100 * *part) : std::nullopt;
}

void print_table(const std::vector<Contestant>& all) {
  std::printf("\n%-24s %10s %10s %8s\n", "container", "median µs", "added µs", "added");
  for (const Contestant& each : all) {
    // (The µ counts twice in the widths above.)
    std::printf("%-24s %9.0f %9.0f %7.1f%%\n", each.name.c_str(), median(each.microseconds),
                *overhead_of(all, each.name), *addition_of(all, each.name.c_str()));
  }
}

}  // namespace

int main(int count, char** words) {
  try {
    const Arguments arguments(count, words,
                              {{"rounds", "100", "how often each container runs"},
                               {"on", "tmpfs", "where the bundles are: tmpfs or disk"},
                               {"empty", sibling("benchmark-empty"), "the program in them"}});
    const int rounds = std::max(1, arguments.number("rounds"));
    keep_streams();
    const Workplace workplace(arguments.text("on") == "tmpfs");
    const Scene scene(workplace.directory(), arguments.text("stepdown"), arguments.text("empty"));
    std::vector<Contestant> all = scene.contestants();
    const Words broken = measure(all, rounds, 3, status_of_empty);
    std::printf("%d interleaved rounds\n", rounds);
    print_table(all);

    Targets targets(arguments.is_set("check"));
    for (const char* name : {requiring, door}) {
      targets.at_most(std::string(name) + ", to runc run", addition_of(all, name), largest_addition,
                      " %");
    }
    return targets.ok() && broken.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark-doors: %s\n", error.what());
    return 1;
  }
}
