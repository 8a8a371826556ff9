#include "oci/precreate.h"

#include "oci/document.h"
#include "oci/files.h"
#include "oci/host.h"
#include "oci/init_process.h"
#include "oci/port_start.h"
#include "oci/rewrite.h"
#include "oci/volume_work.h"
#include "stepdown/error.h"

namespace stepdown::oci {

namespace {

std::string ids(Uid uid, Gid gid) {
  return std::to_string(raw(uid)) + ":" + std::to_string(raw(gid));
}

}  // namespace

void step_down(json::Json& config, const std::string& name, const std::string& bundle,
               const Options& options, const Log& log) {
  const Container container = read_container(json::Value(config, name));
  if (bundle.empty() && !container.root.starts_with('/'))
    refuse(name + ": root.path", "it is relative, and the bundle isn't known here");
  const Options wanted = with_its_volumes(with_annotations(options, container), container, log);
  const sys::Fd root = open_root(bundle, container.root);
  if (wanted.door.inject) refuse_taken_place(root, container.mounts);
  const AccountFiles accounts = read_account_files_in(root);
  const auto port_start =
      wanted.ports.empty() ? std::nullopt : port_start_in(container.network_path);
  const Plan plan = plan_of(wanted, container, container.process, accounts, port_start);
  rewrite_container(config, wanted, plan, path_of_this_binary());
  const Container rewritten = read_container(json::Value(config, name));
  const IdMaps maps = own_id_maps_for(rewritten);
  require(wanted.door.require, rewritten, maps);
  refuse_outside_maps(plan.identity, rewritten, maps, wanted.allow_root);
  log(LogLevel::info, name + ": user " + ids(container.process.uid, container.process.gid) +
                          " becomes " + ids(rewritten.process.uid, rewritten.process.gid));
}

std::string precreate(const Options& options, std::string_view config, const Log& log) {
  const DoorOptions& door = options.door;
  const char* runtimes = door.allow_root_exec ? "--allow-root-exec"
                         : door.allow_restore ? "--allow-restore"
                         : door.runtime_path  ? "--runtime-path"
                                              : nullptr;
  if (runtimes != nullptr)
    refuse(runtimes, "precreate sees neither exec nor restore, and calls no runtime",
           "it is an option of stepdown runtime");
  const std::string name = "config.json";
  json::Json document = json::parse(config, name, limits);
  step_down(document, name, {}, options, log);
  return json::text_of(document, name);
}

}  // namespace stepdown::oci
