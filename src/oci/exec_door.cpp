#include "oci/exec_door.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "oci/document.h"
#include "oci/files.h"
#include "oci/init_process.h"
#include "oci/rewrite.h"
#include "oci/runtime_state.h"
#include "stepdown/error.h"
#include "sys/fd.h"
#include "sys/files.h"

namespace stepdown::oci {

namespace {

constexpr const char* step = "exec";

// Above those that --preserve-fds or LISTEN_FDS hand on to the container.
int high_descriptor() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) throw_errno(step, "getrlimit(2)");
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1024)) - 16;
}

// A file without a name, which is gone with the runtime: nobody would remove another one. The
// runtime reads it before it makes the process, for which it closes the descriptor.
std::string nameless_file(const std::string& text) {
  const sys::Fd made(::memfd_create("stepdown-exec", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!made) throw_errno(step, "memfd_create(2)");
  if (!sys::write_all(made.get(), text)) throw_errno(step, "write(2)");
  constexpr int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (::fcntl(made.get(), F_ADD_SEALS, seals) != 0) throw_errno(step, "fcntl(2)", "F_ADD_SEALS");
  const int kept = ::fcntl(made.get(), F_DUPFD, high_descriptor());
  if (kept < 0) throw_errno(step, "fcntl(2)", "F_DUPFD");
  return "/proc/self/fd/" + std::to_string(kept);
}

// With another file, whichever way the option is written.
std::vector<std::string> naming_instead(const std::string& process, const RuntimeWords& words) {
  const ExecWords& exec = words.exec.value();
  std::vector<std::string> all = words.words;
  std::string& word = all[exec.process_word];
  word.replace(word.size() - exec.process->size(), std::string::npos, process);
  return all;
}

// Without the words that say who: the process says it.
std::vector<std::string> naming(const std::string& process, const RuntimeWords& words) {
  const std::vector<std::size_t>& out = words.exec->credentials;
  std::vector<std::string> all;
  for (std::size_t index = 0; index < words.words.size(); ++index) {
    if (std::find(out.begin(), out.end(), index) != out.end()) continue;
    all.push_back(words.words[index]);
    if (index == words.command) all.insert(all.end(), {"--process", process});
  }
  return all;
}

}  // namespace

std::vector<std::string> step_down_exec(const std::string& runtime, const Options& options,
                                        const RuntimeWords& words, const Log& log) {
  const ExecWords& exec = words.exec.value();
  const State state = ask_runtime(runtime, words, words.words[exec.id]);
  const std::string path = state.bundle + "/config.json";
  const json::Json config = json::parse(read_config(path), path, limits);
  const Container container = read_container(json::Value(config, path));
  const Options wanted = with_annotations(options, container);

  const std::string name = exec.process.value_or("exec");
  json::Json process = exec.process ? json::parse(read_document(name), name, limits)
                                    : exec_process(config.at("process"), words);
  const Process asked = read_process(json::Value(process, name));
  const sys::Fd root = open_root(state.bundle, container.root);
  if (wanted.door.inject) refuse_taken_place(root, container.mounts);
  const AccountFiles accounts = read_account_files_in(root);
  const Plan plan = plan_of_exec(wanted, container, asked, accounts);
  refuse_outside_maps(plan.identity, container, own_id_maps_for(container),
                      wanted.allow_root || wanted.door.allow_root_exec);
  rewrite_process(process, container, wanted, plan);
  log(LogLevel::info, "exec in " + state.id + ": user " + std::to_string(raw(asked.uid)) +
                          " becomes " + std::to_string(raw(plan.identity.uid)));
  // What was judged is what the runtime reads: what the caller named may be another file by then.
  const std::string judged = nameless_file(json::text_of(process, step));
  return exec.process ? naming_instead(judged, words) : naming(judged, words);
}

}  // namespace stepdown::oci
