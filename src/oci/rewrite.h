// From what an engine asked for to what the operator wants: the Plan of a container, and a config
// that carries it out. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "json/strict_json.h"
#include "oci/document.h"
#include "stepdown/options.h"
#include "stepdown/plan.h"

namespace stepdown::oci {

// The options that a container may set by annotations, on top of `options`: those that
// --allow-annotations names. One value each; "true" for a flag, false leaves it unset. Error: a
// value that the option refuses. Annotations that weren't allowed are passed over.
Options with_annotations(const Options& options, const Container& container);

// Who starts the app, as make_plan takes it: the process of the config, by the hands of the
// runtime, which can set any id and hand out what is in the bounding set.
Caller caller_of(const Process& process);
// `port_start` is ip_unprivileged_port_start of the network that is there already: the runtime's,
// or the one that a path names. A new one begins with 1024 (net/ipv4/af_inet.c).
Host host_of(const Container& container, std::optional<std::uint32_t> port_start);

// The Plan for `process` of this container. --user counts where the process is uid 0
// (--user-always: everywhere); an image's own user stays, and loses the rest. Without --user and
// with uid 0, or where the plan needs what the container hasn't got (a low port without
// NET_BIND_SERVICE): Error.
Plan plan_of(const Options& options, const Container& container, const Process& process,
             const AccountFiles& accounts, std::optional<std::uint32_t> port_start = std::nullopt);

// The Plan for the process of an exec in a container that runs as its (rewritten) config says. uid
// 0
// (--user-always: any) becomes the container's own user, with its groups; --allow-root-exec leaves
// uid 0 as it is: root's files, and no more capabilities than the others have. Nobody gets a
// capability that the container's process hasn't got.
Plan plan_of_exec(const Options& options, const Container& container, const Process& process,
                  const AccountFiles& accounts);

// Where the launcher is mounted with --inject, in the container (ours alone: another mount there is
// refused).
constexpr const char* injected_launcher = "/.stepdown";

// Everything that is done to a container, on create and run, and by precreate: the process (user,
// umask, capability sets, noNewPrivileges, cwd, env, and with --inject args), the launcher's mount,
// and the createRuntime hook that --own, --idmap and --unprivileged-ports need. `launcher` is the
// absolute path of this binary on the host. Keys that are not touched stay as they are, order
// included; doing it twice is the same as doing it once. Error: an option that needs --inject
// without it (see options_for_the_launcher); something else is mounted where the launcher should
// be.
void rewrite_container(json::Json& config, const Options& options, const Plan& plan,
                       const std::string& launcher);

// The same for the process of an exec: the user, its groups, capabilities, noNewPrivileges, and
// with --inject what limits the app (not --init, --pretend-root, --own and the like, which are the
// container's). Error: the launcher isn't mounted in this container.
void rewrite_process(json::Json& process, const Container& container, const Options& options,
                     const Plan& plan);

// The words before the app's own with --inject: the launcher, its options, the user by number,
// "--".
enum class Injection { container, exec };
std::vector<std::string> injected_words(const Options& options, const Plan& plan,
                                        Injection injection);

// The options that only the launcher inside can carry out ("--read-only", "--init"), as they were
// given; with none of them --inject isn't needed.
std::vector<std::string> options_for_the_launcher(const Options& options);

// --require: judged on what the container will be, and on who that is outside a user namespace of
// its own, as far as the maps of the config and of the `runtime`'s own namespace say (none: ids
// are there what they are). Error, with exit status 1: what doesn't hold, and what to change, in
// the words of engines ("docker run --user 1000, USER in the Dockerfile, runAsNonRoot: …").
void require(const std::vector<std::string>& rules, const Container& container,
             const IdMaps& runtime = {});

// Error: the maps of the container's user namespace, as far as the config has them, leave the user
// or its group out, which runtimes tell as "setresgid: Invalid argument"; or make the user root
// outside, without `allow_root`.
void refuse_outside_maps(const Identity& identity, const Container& container,
                         const IdMaps& runtime, bool allow_root);

}  // namespace stepdown::oci
