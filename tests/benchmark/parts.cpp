// Where a launch spends its time: the parts of it that change nothing, one by one (Google
// Benchmark).
#include <benchmark/benchmark.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "stepdown/launch.h"
#include "stepdown/plan.h"

namespace {

using namespace stepdown;

Options options() {
  Options words;
  words.user = "daemon";
  words.command = {"true"};
  return words;
}

void read_accounts_and_resolve(benchmark::State& state) {
  for (auto _ : state) {
    const AccountFiles files = read_account_files();
    benchmark::DoNotOptimize(resolve_identity(files, parse_user_spec("daemon"), root_uid, root_gid,
                                              MissingGroup::refuse));
  }
}
BENCHMARK(read_accounts_and_resolve);

void ask_for_own_credentials(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(own_credentials());
}
BENCHMARK(ask_for_own_credentials);

void survey_the_caller(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(survey_caller(environ));
}
BENCHMARK(survey_the_caller);

void look_the_command_up(benchmark::State& state) {
  const Caller caller = survey_caller(environ);
  for (auto _ : state) benchmark::DoNotOptimize(survey_host(options(), caller));
}
BENCHMARK(look_the_command_up);

void make_the_plan(benchmark::State& state) {
  const Caller caller = survey_caller(environ);
  const Host host = survey_host(options(), caller);
  const AccountFiles files = read_account_files();
  for (auto _ : state) benchmark::DoNotOptimize(make_plan(options(), files, caller, host));
}
BENCHMARK(make_the_plan);

void examine_the_steps(benchmark::State& state) {
  Launch launch;
  launch.caller = survey_caller(environ);
  const Host host = survey_host(options(), launch.caller);
  launch.plan = make_plan(options(), read_account_files(), launch.caller, host);
  launch.command = host.command;
  for (auto _ : state) benchmark::DoNotOptimize(examine(launch));
}
BENCHMARK(examine_the_steps);

// A tree that is right already: the cost of `--own` at every later start.
void hand_over_a_tree_that_is_right(benchmark::State& state) {
  std::string top = "/tmp/stepdown-benchmark.XXXXXX";
  if (::mkdtemp(top.data()) == nullptr) return state.SkipWithError("mkdtemp");
  ::chmod(top.c_str(), 0755);
  for (int index = 0; index < state.range(0); ++index)
    std::ofstream(top + "/" + std::to_string(index)).put('x');
  const HandOverTarget me{{Uid{::geteuid()}, Gid{::getegid()}}, {}};
  for (auto _ : state) benchmark::DoNotOptimize(hand_over({top, true}, me, nullptr));
  std::filesystem::remove_all(top);
}
BENCHMARK(hand_over_a_tree_that_is_right)->Arg(10)->Arg(1000);

}  // namespace

BENCHMARK_MAIN();
