"""The doors for images that nobody rebuilds, with the files of oci/ as they are: Docker by the
runtime door, podman by hooks.d and precreate, runc and crun by hooks and by the door."""

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import stat
import subprocess
import tomllib

import yaml

from engine import HERE, Container, Engine
from harness import *
from podman import Podman, Podmans

claim = Claims()
OCI = HERE.parent.parent / "oci"
APP = 10001  # in the files of oci/
ROOT = "stepdown-e2e/root"
REDIS = "redis:7"
LOG = pathlib.Path("/var/log/stepdown.log")
HOOKS = pathlib.Path("/etc/containers/oci/hooks.d")
SERVER = ("redis-server", "--dir", "/data", "--port", "80", "--appendonly", "yes")
SHOW = ("cat", "/proc/self/status")
RUNTIMES = {"runc": ("runc",), "crun": ("crun",)}
PATIENCE = 60  # seconds: other work may have the machine


class Docker(Engine):
    """dockerd with oci/docker/daemon.json as its own configuration."""

    def _make_images(self, archive):
        self.docker("import", archive, ROOT, timeout=120).expect_status(0)
        self.docker("tag", ROOT, REDIS).expect_status(0)
        self.build("unedited", shutil.which("gosu"), HERE / "legacy" / "redis-entrypoint.sh")


class Doors:
    """A host on which the files of oci/ are where its README says; what is written into the
    machine's directories ends with the mount namespace."""

    def __init__(self, stepdown, archive, directory):
        self.directory = pathlib.Path(directory)
        self.guard_null()
        for path in "/usr/local", "/var/log":  # Podmans and Docker see to /etc
            layers = {name: self.directory / f"doors{path.replace('/', '-')}-{name}"
                      for name in ("upper", "work")}
            for layer in layers.values():
                layer.mkdir()
            run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={path},"
                 f"upperdir={layers['upper']},workdir={layers['work']}", path]).expect_status(0)
        self.podmans = self.docker = self.rootless_podman = None
        no_hooks = self.subdirectory("no-hooks")
        no_hooks.chmod(0o755)
        self.no_hooks = ("--hooks-dir", no_hooks)
        try:
            self.podmans = Podmans(stepdown, archive, self.subdirectory("podman"))
            self.install(stepdown)
            for podman in self.podmans.engines.values():  # nothing of stepdown in the container
                podman.RUN = without_volumes(podman.RUN)
            self.podmans["crun"].docker(
                "import", "--change", f"ENV PATH={os.environ['PATH']}", archive, REDIS,
                timeout=120).expect_status(0)
            self.docker = Docker(stepdown, archive, self.subdirectory("docker"))
            self.bundles = Bundles(self, archive, self.subdirectory("bundles"))
        except BaseException:
            self.stop()
            raise

    def guard_null(self):
        """crun gives what it finds as its stdio to the container's user: not the machine's own."""
        devices = self.subdirectory("devices")
        run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", devices]).expect_status(0)
        os.mknod(devices / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.chmod(devices / "null", 0o666)
        run(["mount", "--bind", devices / "null", "/dev/null"]).expect_status(0)

    def install(self, stepdown):
        for source, target in ((stepdown, "/usr/local/bin/stepdown"),
                               (OCI / "stepdown-runc", "/usr/local/bin/stepdown-runc"),
                               (OCI / "runtime.toml", "/etc/stepdown/runtime.toml"),
                               (OCI / "docker/daemon.json", "/etc/docker/daemon.json"),
                               (OCI / "podman/containers.conf",
                                "/etc/containers/containers.conf.d/stepdown.conf"),
                               *((file, HOOKS / file.name) for file in hook_files())):
            target = pathlib.Path(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)

    def subdirectory(self, name):
        path = self.directory / name
        path.mkdir()
        path.chmod(0o711)
        return path

    def door_to_crun(self, name, *words):
        """stepdown-runc for crun, with these options."""
        script = self.directory / f"door-{name}"
        script.write_text("#!/bin/sh\nexec /usr/local/bin/stepdown runtime --runtime-path "
                          f"/usr/bin/crun {shlex.join(words)} -- \"$@\"\n")
        script.chmod(0o755)
        return script

    def rootless(self):
        if self.rootless_podman is None:
            self.rootless_podman = Rootless(self.podmans.second.pid, self.bundles.root,
                                            self.subdirectory("rootless"))
        return self.rootless_podman

    def stop(self):
        for engine in (self.docker, self.rootless_podman, self.podmans):
            if engine is not None:
                engine.stop()


class Rootless(Podman):
    """podman of a user without any privilege, under crun."""

    USER = 4000
    FIRST = 200000  # of the uids that /etc/subuid gives; 1 in its containers is that one
    FILES = ("bin", "sbin", "lib*", "etc", "data", "usr/lib64", "usr/lib/ld-*", "usr/lib/*/*.so*",
             *(f"usr/bin/{name}" for name in ("sh", "dash", "cat", "echo", "sleep", "touch",
                                              "redis-*")))

    def __init__(self, namespaces, root, directory):
        inside = ("nsenter", f"--mount=/proc/{namespaces}/ns/mnt")
        for name, line in (("passwd", f"owner:x:{self.USER}:{self.USER}::{directory}:/bin/sh"),
                           ("group", f"owner:x:{self.USER}:"),
                           ("subuid", f"owner:{self.FIRST}:65536"),
                           ("subgid", f"owner:{self.FIRST}:65536")):
            run([*inside, "sh", "-ec", f"echo {line} >> /etc/{name}"]).expect_status(0)
        os.chown(directory, self.USER, self.USER)
        super().__init__("crun", "", directory, (
            *inside, "setpriv", f"--reuid={self.USER}", f"--regid={self.USER}", "--clear-groups",
            "env", "-i", f"HOME={directory}", f"XDG_RUNTIME_DIR={directory}",
            f"PATH={os.environ['PATH']}"))
        self.command = (*self.command, "--storage-driver", "overlay",
                        "--runtime-flag", "cgroup-manager=disabled")
        self.RUN = without_volumes(self.RUN)
        self.log = directory / "stepdown.log"
        # What the claims need of it: the whole takes seconds.
        archive = directory / "root.tar"
        files = [path.relative_to(root) for pattern in self.FILES for path in root.glob(pattern)]
        run(["tar", "--create", "--file", archive, "--directory", root, *files]).expect_status(0)
        self.docker("import", archive, ROOT, timeout=120).expect_status(0)

    def outside(self, uid):
        return self.FIRST + uid - 1

    def stop(self):
        self.docker("rm", "-a", "-f", "-t", "0", "-v")


def without_volumes(words):
    words = list(words)
    while "-v" in words:
        place = words.index("-v")
        del words[place:place + 2]
    return tuple(words)


def hook_files():
    return sorted([*OCI.glob("hooks.d/*.json"), *OCI.glob("podman/hooks.d/*.json")])


def expect_unprivileged(status, uid=APP, gid=APP, kept=NOTHING):
    who = f"process {status.pid} ({status.name})"
    expect_equal(f"{who}: uids", status.uids, (uid,) * 4)
    expect_equal(f"{who}: gids", status.gids, (gid,) * 4)
    expect_equal(f"{who}: groups", status.groups | {gid}, {gid})
    for name in SET_NAMES:
        expect_equal(f"{who}: {name}", f"{status.capabilities[name]:#x}", f"{kept:#x}")
    expect(status.no_new_privs, f"{who}: no_new_privs is not set")


def expect_all_unprivileged(root, uid=APP):
    """Every thread of every process from there on; `uid` is the group's number as well."""
    for pid in process_tree(root):
        for thread in threads_of(pid):
            expect_unprivileged(thread, uid, uid)


def owner(path):
    status = os.lstat(path)
    return status.st_uid, status.st_gid


def expect_data_kept(path):
    """redis has written there, as the app."""
    expect_equal("owner of what redis made", owner(path / "appendonlydir"), (APP, APP))


@contextlib.contextmanager
def volume_of(doors, uid=0, gid=0):
    """A directory with a file, both theirs."""
    with doors.docker.directory_of(uid, gid) as path:
        (path / "left").write_text("by them")
        os.chown(path / "left", uid, gid)
        yield path


def logged_since(position):
    return LOG.read_text(errors="replace")[position:] if LOG.exists() else ""


def log_position():
    return len(LOG.read_text(errors="replace")) if LOG.exists() else 0


# --- the files ----------------------------------------------------------------------------------


def every_file():
    return {str(path.relative_to(OCI)) for path in OCI.rglob("*") if path.is_file()}


@claim
def every_shipped_file_is_known_here(doors):
    """A new one needs a claim of its own."""
    expect_equal("files of oci", every_file(), {
        "README.md", "compose.yaml", "containerd/config.toml", "crio/10-stepdown.conf",
        "docker/daemon.json", "hooks.d/stepdown-require.json", "hooks.d/stepdown-volume.json",
        "kubernetes/daemonset.yaml", "kubernetes/runtimeclass.yaml", "pod.yaml",
        "podman/containers.conf", "podman/hooks.d/stepdown-precreate.json", "runtime.toml",
        "stepdown-runc"})
    readme = (OCI / "README.md").read_text()
    for name in every_file() - {"README.md"}:
        named = name if not name.startswith("kubernetes/") else "kubernetes/"
        expect(f"`{named}`" in readme, f"oci/README.md does not say what {name} is for")


@claim
def the_doctor_finds_nothing_in_the_hook_files(doors):
    for directory in OCI / "hooks.d", OCI / "podman/hooks.d", HOOKS:
        expect_equal(f"problems of {directory}",
                     run(["stepdown", "hook", "doctor", directory],
                         env=with_local_path()).expect_status(0).out, "")


@claim
def the_doctor_finds_what_is_wrong_with_a_spoilt_one(doors):
    directory = doors.subdirectory("spoilt")
    spoilt = json.loads((OCI / "hooks.d/stepdown-require.json").read_text())
    del spoilt["hook"]["env"]
    spoilt["when"] = {}
    (directory / "spoilt.json").write_text(json.dumps(spoilt))
    found = run(["/usr/local/bin/stepdown", "hook", "doctor", directory]).expect_status(1)
    expect("hook.env" in found.out and "when" in found.out, f"not told\n{found}")


def with_local_path():
    return {**os.environ, "PATH": f"/usr/local/bin:{os.environ['PATH']}"}


@claim
def containerd_understands_its_fragment(doors):
    shown = run(["containerd", "--config", OCI / "containerd/config.toml", "config", "dump"])
    runtimes = tomllib.loads(shown.expect_status(0).out)["plugins"]["io.containerd.grpc.v1.cri"][
        "containerd"]["runtimes"]
    expect_equal("type", runtimes["stepdown"]["runtime_type"], "io.containerd.runc.v2")
    expect_equal("binary", runtimes["stepdown"]["options"]["BinaryName"],
                 "/usr/local/bin/stepdown-runc")


@claim
def the_fragment_of_crio_names_the_wrapper_and_the_hooks(doors):
    settings = tomllib.loads((OCI / "crio/10-stepdown.conf").read_text())["crio"]["runtime"]
    expect_equal("runtime", settings["runtimes"]["stepdown"]["runtime_path"],
                 "/usr/local/bin/stepdown-runc")
    expect_equal("hooks", settings["hooks_dir"], [str(HOOKS)])


@claim
def the_wrapper_passes_the_words_of_an_engine_on(doors):
    shown = run(["/usr/local/bin/stepdown-runc", "--version"]).expect_status(0)
    expect_equal("version", shown.out, run(["runc", "--version"]).expect_status(0).out)


@claim
def containerd_starts_containers_through_the_wrapper(doors):
    """Docker's containerd, by its own client, with what BinaryName is in the fragment."""
    settings = tomllib.loads((OCI / "containerd/config.toml").read_text())["plugins"]
    binary = settings["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]["stepdown"][
        "options"]["BinaryName"]
    ctr = ("ctr", "--address", doors.docker.directory / "exec/containerd/containerd.sock")
    name = "by-ctr"
    start = (*ctr, "run", "--rm", "--rootfs", "--cgroup", f"{doors.bundles.cgroups}/{name}",
             "--runc-binary", binary, "--env", f"PATH={os.environ['PATH']}")
    refusal = run([*start, doors.bundles.root, name, "echo", "it ran"], timeout=PATIENCE)
    refusal.expect_in_stderr("seccomp", "restricted")  # ctr gives no filter unless it is told to
    expect(refusal.status != 0 and "it ran" not in refusal.out, f"it ran\n{refusal}")
    with Program([*start, "--seccomp", doors.bundles.root, name, "sh", "-c",
                  "cat /proc/self/status; exec sleep 300"]) as program:
        program.wait_for_output("stdout", "nonvoluntary_ctxt_switches", PATIENCE)
        expect_unprivileged(Status.parse(program.written["stdout"].decode()))
        shown = run([*ctr, "task", "exec", "--exec-id", "second", name, *SHOW], timeout=PATIENCE)
        expect_unprivileged(Status.parse(shown.expect_status(0).out))
        run([*ctr, "task", "kill", "--signal", "KILL", name]).expect_status(0)
        program.process.wait(PATIENCE)


@claim
def the_runtimeclass_names_the_runtime_of_the_fragments(doors):
    (runtime_class,) = yaml.safe_load_all((OCI / "kubernetes/runtimeclass.yaml").read_text())
    expect_equal("kind", (runtime_class["apiVersion"], runtime_class["kind"]),
                 ("node.k8s.io/v1", "RuntimeClass"))
    fragments = (
        tomllib.loads((OCI / "containerd/config.toml").read_text())["plugins"][
            "io.containerd.grpc.v1.cri"]["containerd"]["runtimes"],
        tomllib.loads((OCI / "crio/10-stepdown.conf").read_text())["crio"]["runtime"]["runtimes"])
    for runtimes in fragments:
        expect_equal("handler", [runtime_class["handler"]], list(runtimes))
    expect_equal("nodes", runtime_class["scheduling"]["nodeSelector"],
                 daemonset()["nodeSelector"])


def daemonset():
    (document,) = yaml.safe_load_all((OCI / "kubernetes/daemonset.yaml").read_text())
    expect_equal("kind", (document["apiVersion"], document["kind"]), ("apps/v1", "DaemonSet"))
    return document["spec"]["template"]["spec"]


@claim
def the_daemonset_installs_the_files_on_a_node(doors):
    """Its own script, in a container with the mounts that it asks for and a node of ours."""
    node = doors.subdirectory("node")
    files = doors.subdirectory("node-files")
    for path in "usr/local/bin", "etc/containerd", "state":
        (node / path).mkdir(parents=True)
    main_file = node / "etc/containerd/config.toml"
    main_file.write_text('version = 3\nimports = ["/etc/containerd/conf.d/*.toml"]\n')
    text = (OCI / "kubernetes/daemonset.yaml").read_text()
    sources = re.findall(r"--from-file=(?:(\S+)=)?(\S+)", text)
    for name, source in sources:
        shutil.copy(OCI / source, files / (name or source))
    spec = daemonset()
    where = {"host-bin": node / "usr/local/bin", "host-etc": node / "etc", "files": files,
             "state": node / "state"}
    paths = {volume["name"]: volume.get("hostPath", {}).get("path") for volume in spec["volumes"]}
    expect_equal("volumes", set(paths), set(where))
    step = next(step for step in spec["initContainers"] if step["name"] == "install")
    context = step["securityContext"]
    flags = ["--user", context["runAsUser"], "--security-opt", "no-new-privileges",
             "--cap-drop", "ALL", "--cap-add", "DAC_OVERRIDE",
             "-v", "/usr/local/bin/stepdown:/usr/local/bin/stepdown:ro"]
    expect_equal("capabilities", context["capabilities"], {"drop": ["ALL"],
                                                           "add": ["DAC_OVERRIDE"]})
    for mount in step["volumeMounts"]:
        if paths[mount["name"]]:
            expect_equal("where it is mounted", mount["mountPath"], f"/host{paths[mount['name']]}")
        ending = ":ro" if mount.get("readOnly") else ""
        flags += ["-v", f"{where[mount['name']]}:{mount['mountPath']}{ending}"]
    command = [*step["command"], *step["args"]]
    for changed in True, False:  # the second time there is nothing to do
        doors.docker.run(*flags, ROOT, *command).expect_status(0)
        expect_equal("it has changed something", (node / "state/changed").exists(), changed)
        (node / "state/changed").unlink(missing_ok=True)
    installed = {str(path.relative_to(node)) for path in node.rglob("*") if path.is_file()}
    expect_equal("files on the node", installed, {
        "usr/local/bin/stepdown", "usr/local/bin/stepdown-runc", "etc/stepdown/runtime.toml",
        "etc/containerd/config.toml", "etc/containerd/conf.d/stepdown.toml"})
    # Where an import would replace the other runtimes, it is left alone.
    for imports_replace in ('version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n',
                            "version = 3\n"):
        main_file.write_text(imports_replace)
        (node / "etc/containerd/conf.d/stepdown.toml").unlink()
        doors.docker.run(*flags, ROOT, *command).expect_status(0)
        expect(not (node / "etc/containerd/conf.d/stepdown.toml").exists(), imports_replace)
        (node / "etc/containerd/conf.d/stepdown.toml").touch()
    expect(os.access(node / "usr/local/bin/stepdown-runc", os.X_OK), "the wrapper is no program")
    run([node / "usr/local/bin/stepdown", "--version"]).expect_status(0)
    # What stays there in the end runs as it says.
    stays = spec["containers"][0]
    state = Status.parse(doors.docker.run(
        "--user", "65532:65532", "--cap-drop", "ALL", "--read-only",
        "--security-opt", "no-new-privileges",
        "-v", "/usr/local/bin/stepdown:/usr/local/bin/stepdown:ro", ROOT,
        *stays["command"][:-2], *SHOW).expect_status(0).out)
    expect_unprivileged(state, 65532, 65532)


# --- Docker: the runtime door -------------------------------------------------------------------


@claim
def without_the_door_docker_runs_this_image_as_root(doors):
    state = doors.docker.state(ROOT, *SHOW)
    expect_equal("uids", state.uids, (0,) * 4)
    expect(state.capabilities["CapEff"] != NOTHING, "no capabilities")


@claim
def docker_serves_port_80_as_the_app_on_a_volume_that_was_roots(doors):
    with volume_of(doors) as data, doors.docker.running(
            "--runtime", "stepdown-data", "-v", f"{data}:/data", ROOT, *SERVER) as store:
        expect(store.ask(redis_answers, PATIENCE), "no answer")
        expect_all_unprivileged(store.pid())
        expect_equal("owner of the volume", owner(data), (APP, APP))
        expect_equal("owner of what was in it", owner(data / "left"), (APP, APP))
        expect_data_kept(data)


@claim.for_each(plain=(), root=("-u", "0"), privileged=("--privileged", "-u", "root"))
def docker_exec_is_as_unprivileged(doors, *flags):
    with doors.docker.running("--runtime", "stepdown", ROOT, "sleep", "300") as container:
        shown = doors.docker.docker("exec", *flags, container.name, *SHOW).expect_status(0)
        expect_unprivileged(Status.parse(shown.out))


@claim
def a_health_check_of_docker_is_as_unprivileged(doors):
    with doors.docker.running("--runtime", "stepdown", "--health-interval", "1s", "--health-cmd",
                              "cat /proc/self/status", ROOT, "sleep", "300") as container:
        shown = wait_until("a health check", lambda: json.loads(
            container.inspect("{{json .State.Health.Log}}")), PATIENCE)
        expect_unprivileged(Status.parse(shown[0]["Output"]))


@claim
def an_images_own_user_stays_under_docker(doors):
    state = doors.docker.state("--runtime", "stepdown", "--user", "4711:4712", ROOT, *SHOW)
    expect_unprivileged(state, 4711, 4712)


@claim.for_each(
    root=("stepdown-non-root", (), 125, "--user"),
    no_filter=("stepdown", ("--security-opt", "seccomp=unconfined"), 125, "seccomp"),
    no_volume=("stepdown-data", (), 125, "/data"))
def docker_shows_the_user_why_a_container_is_refused(doors, runtime, flags, status, reason):
    position = log_position()
    refusal = doors.docker.run("--runtime", runtime, *flags, ROOT, "echo", "it ran")
    refusal.expect_status(status).expect_in_stderr(reason)
    expect("it ran" not in refusal.out, f"it ran\n{refusal}")
    expect("unable to retrieve OCI runtime error" not in refusal.err, f"no reason\n{refusal}")
    expect(reason in logged_since(position), f"{LOG} does not say {reason}")


@claim
def an_unedited_image_that_insists_on_root_runs_under_docker(doors):
    with volume_of(doors) as data, doors.docker.running(
            "--runtime", "stepdown-legacy", "-v", f"{data}:/data",
            "stepdown-e2e/unedited") as store:
        expect(store.ask(redis_answers, PATIENCE), "no answer")
        told = [line for line in store.logs().out.splitlines() if line.startswith("entrypoint")]
        expect_equal("who the entrypoint was, as it was told", told[0], "entrypoint as 0")
        expect(told[1:] and told[1] != "entrypoint as 0", f"gosu changed nothing: {told}")
        expect_all_unprivileged(store.pid())
        expect_data_kept(data)


@claim
def the_compose_example_says_what_docker_can_do(doors):
    (services,) = [yaml.safe_load((OCI / "compose.yaml").read_text())["services"]]
    (service,) = services.values()
    with volume_of(doors) as data:
        expect_equal("volumes", service["volumes"], ["store:/data"])
        expect_equal("read-only", service["read_only"], True)
        test = service["healthcheck"]["test"]
        expect_equal("form of the health check", test[0], "CMD")
        with doors.docker.running(
                "--runtime", service["runtime"], "--read-only", "-v", f"{data}:/data",
                "--entrypoint", service["entrypoint"][0], service["image"],
                *service["command"]) as store:
            expect(store.ask(redis_answers, PATIENCE), "no answer")
            expect_all_unprivileged(store.pid())
            expect_equal("health check", store.exec(*test[1:]).expect_status(0).out, "PONG\n")


OPTIONS = {
    "init": ("--init",),
    "read-only with a tmpfs": ("--read-only", "--tmpfs", "/tmp"),
    "root by name": ("--user", "root"),
    "more capabilities": ("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"),
    "another group": ("--group-add", "4711"),
    "the host's processes": ("--pid", "host"),
    "a terminal": ("-t",),
}


@claim.for_each(**{name: (flags,) for name, flags in OPTIONS.items()})
def docker_runs_flags_take_nothing_of_it_back(doors, flags):
    shown = doors.docker.run("--runtime", "stepdown", *flags, ROOT, *SHOW).expect_status(0)
    expect_unprivileged(Status.parse(shown.out))


@claim
def a_restarted_container_passes_the_door_again_and_a_committed_one_has_no_trace_of_it(doors):
    docker, image = doors.docker, "stepdown-e2e/committed"
    with volume_of(doors) as data, docker.running(
            "--runtime", "stepdown-legacy", "-v", f"{data}:/data", ROOT, "sleep", "300") as app:
        docker.docker("restart", "-t", "0", app.name).expect_status(0)
        expect_all_unprivileged(app.pid())
        expect_unprivileged(Status.parse(app.exec(*SHOW).expect_status(0).out))
        docker.docker("commit", app.name, image).expect_status(0)
        shown = docker.docker("inspect", "--format", "{{.Config.User}} {{json .Config.Entrypoint}} "
                              "{{json .Config.Cmd}}", image).expect_status(0)
        expect_equal("the image", shown.out, ' null ["sleep","300"]\n')
        # Upon the empty file that the mount has left.
        shown = docker.run("--runtime", "stepdown-legacy", "-v", f"{data}:/data", image, "id", "-u")
        expect_equal("uid, as it is told", shown.expect_status(0).out, "0\n")


@claim
def a_port_80_that_docker_publishes_is_served_by_the_app(doors):
    docker = doors.docker
    bring_loopback_up()
    docker.docker("network", "create", "published").expect_status(0)
    try:
        docker.docker("run", "-d", "--name", "published", "--network", "published",
                      "-p", "127.0.0.1:80:80", "--runtime", "stepdown", ROOT, "redis-server",
                      "--port", "80", "--protected-mode", "no").expect_status(0)
        expect(wait_until("an answer", redis_answers, PATIENCE), "no answer")
        expect_all_unprivileged(Container(docker, "published").pid())
    finally:
        docker.docker("rm", "-f", "published")
        docker.docker("network", "rm", "published")


# --- podman: precreate and hooks.d --------------------------------------------------------------


HOOKS_ALONE = ("--hooks-dir", OCI / "hooks.d")
DOOR = ("--runtime", "stepdown", *HOOKS_ALONE)  # of podman/containers.conf


@claim.for_each(**RUNTIMES)
def podman_serves_port_80_as_the_app_on_a_volume_that_was_roots(doors, runtime):
    podman = doors.podmans[runtime]
    with volume_of(doors) as data, podman.running("-v", f"{data}:/data", ROOT, *SERVER) as store:
        expect(store.ask(redis_answers, PATIENCE), "no answer")
        expect_all_unprivileged(store.pid())
        expect_equal("owner of what was in it", owner(data / "left"), (APP, APP))
        expect_data_kept(data)


@claim
def podman_reads_the_hooks_of_etc_only_where_containers_conf_says_so(doors):
    """README says both."""
    podman = doors.podmans["crun"]
    shown = podman.run(ROOT, "id", "-u").expect_status(0)
    expect_equal("uid with the containers.conf of oci/", shown.out, f"{APP}\n")
    empty = doors.directory / "empty.conf"
    empty.touch()
    plain = WithFlags(podman)
    plain.podman.command = ("env", f"CONTAINERS_CONF={empty}", *podman.command)
    shown = plain.run(ROOT, "id", "-u").expect_status(0)
    expect_equal("uid without it", shown.out, "0\n")


@claim.for_each(**RUNTIMES)
def without_the_door_podman_exec_is_root_in_name_alone_unless_privileged(doors, runtime):
    """podman looks its user up in the image, not in the config; it has no capabilities to give."""
    with doors.podmans[runtime].running(ROOT, "sleep", "300") as container:
        shown = Status.parse(container.exec(*SHOW).expect_status(0).out)
        expect_equal("uids", shown.uids, (0,) * 4)
        for name in SET_NAMES:
            expect_equal(name, shown.capabilities[name], NOTHING)
        shown = Status.parse(doors.podmans[runtime].docker(
            "exec", "--privileged", container.name, *SHOW).expect_status(0).out)
        expect(shown.capabilities["CapEff"] != NOTHING, "README of oci/ says otherwise")


@claim
def podman_exec_is_as_unprivileged_with_the_runtime_door(doors):
    podman = WithFlags(doors.podmans["runc"], *DOOR)
    with volume_of(doors) as data, podman.running("-v", f"{data}:/data", ROOT, *SERVER) as store:
        expect(store.ask(redis_answers, PATIENCE), "no answer")
        expect_all_unprivileged(store.pid())
        expect_data_kept(data)
        for flags in (), ("-u", "0"), ("--privileged",):
            shown = podman.docker("exec", *flags, store.name, *SHOW).expect_status(0)
            expect_unprivileged(Status.parse(shown.out))


class WithFlags:
    """That podman, with more global flags."""

    def __init__(self, podman, *flags):
        self.podman = object.__new__(type(podman))
        self.podman.__dict__.update(podman.__dict__)
        self.podman.command = (*podman.command, *flags)

    def __getattr__(self, name):
        return getattr(self.podman, name)


@claim.for_each(**RUNTIMES)
def podman_refuses_root_and_the_log_says_why(doors, runtime):
    podman = WithFlags(doors.podmans[runtime], *HOOKS_ALONE)
    position = log_position()
    refusal = podman.run(ROOT, "echo", "it ran")
    expect(refusal.status != 0 and "it ran" not in refusal.out, f"it ran\n{refusal}")
    for text in "--require", "non-root", "--user 1000:1000":
        expect(text in logged_since(position), f"{LOG} does not say {text}\n{refusal}")
    # Somebody else than root may go.
    other = podman.run("--user", "4711", ROOT, "id", "-u").expect_status(0)
    expect_equal("uid", other.out, "4711\n")


@claim.for_each(**RUNTIMES, **{"crun, behind the door": ("crun", True)})
def podman_plays_the_pod_example(doors, runtime, behind_the_door=False):
    # `kube play` has no --cgroups=disabled.
    flags = ("--runtime-flag", "cgroup-manager=disabled") if runtime == "crun" else ()
    if behind_the_door:
        flags += (*HOOKS_ALONE, "--runtime", doors.door_to_crun("pod", "--profile",
                                                                "/etc/stepdown/runtime.toml"))
    podman = WithFlags(doors.podmans[runtime], *flags)
    (pod,) = yaml.safe_load_all((OCI / "pod.yaml").read_text())
    expect_equal("image", pod["spec"]["containers"][0]["image"], REDIS)
    # podman itself hands an empty new volume over: this one has been root's before.
    WithFlags(doors.podmans["runc"], *doors.no_hooks).run(
        "-v", "store:/data", ROOT, "touch", "/data/left").expect_status(0)
    path = podman.docker("volume", "inspect", "--format", "{{.Mountpoint}}", "store")
    data = pathlib.Path(path.expect_status(0).out.strip())
    expect_equal("owner at first", (owner(data), owner(data / "left")), ((0, 0), (0, 0)))
    try:
        podman.docker("kube", "play", "--network", "none", OCI / "pod.yaml",
                      timeout=80).expect_status(0)
        store = Container(podman, f"{pod['metadata']['name']}-redis")
        expect(store.ask(redis_answers, PATIENCE), "no answer")
        expect_all_unprivileged(store.pid())
        expect_equal("owner of what was in it", owner(data / "left"), (APP, APP))
        expect_data_kept(data)
        # The pod's own first process isn't root either.
        shown = podman.docker("ps", "--filter", "name=infra", "--format", "{{.Pid}}")
        expect_all_unprivileged(int(shown.expect_status(0).out))
        if behind_the_door:
            shown = podman.docker("exec", "--privileged", "-u", "0", store.name, *SHOW)
            expect_unprivileged(Status.parse(shown.expect_status(0).out))
    finally:
        podman.docker("kube", "down", OCI / "pod.yaml")
        podman.docker("volume", "rm", "-f", "store")


@contextlib.contextmanager
def hooks_of(doors, *words, log=LOG):
    """The flags for a directory with a precreate hook alone, with these options."""
    directory = doors.subdirectory(f"hooks{next(doors.docker.numbers)}")
    directory.chmod(0o755)  # for a podman that isn't root's
    text = json.loads((OCI / "podman/hooks.d/stepdown-precreate.json").read_text())
    text["hook"]["args"] = ["stepdown", "hook", "precreate", "--user", f"{APP}:{APP}",
                            "--log-file", str(log), *words]
    (directory / "precreate.json").write_text(json.dumps(text))
    yield "--hooks-dir", directory


PORTS_OF_ROOT = ("--sysctl", "net.ipv4.ip_unprivileged_port_start=1024")


@claim.for_each(**RUNTIMES)
def podmans_precreate_alone_keeps_the_one_capability_of_a_port(doors, runtime):
    with hooks_of(doors, "--own", "/data", "--port", "80") as flags, volume_of(doors) as data:
        podman = WithFlags(doors.podmans[runtime], *flags)
        with podman.running(*PORTS_OF_ROOT, "-v", f"{data}:/data", ROOT, *SERVER) as store:
            expect(store.ask(redis_answers, PATIENCE), "no answer")
            expect_unprivileged(Status.of(store.pid()), kept=NET_BIND_SERVICE)
            expect_data_kept(data)


@claim.for_each(**RUNTIMES)
def podmans_precreate_runs_an_entrypoint_that_insists_on_root(doors, runtime):
    with hooks_of(doors, "--own", "/data", "--inject", "--pretend-root") as flags, \
            volume_of(doors) as data:
        podman = WithFlags(doors.podmans[runtime], *flags)
        with podman.running(
                "-v", f"{data}:/data", "-w", "/data", "-v", "/usr/sbin/gosu:/usr/bin/gosu:ro",
                "-v", f"{HERE / 'legacy'}:/assets:ro", ROOT, "/assets/redis-entrypoint.sh",
                *SERVER) as store:
            expect(store.ask(redis_answers, PATIENCE), "no answer")
            expect("entrypoint as 0" in store.logs().out, f"it was not root\n{store.logs()}")
            expect_all_unprivileged(store.pid())
            expect_data_kept(data)


@claim.for_each(**RUNTIMES)
def what_podmans_precreate_refuses_is_in_the_log(doors, runtime):
    with hooks_of(doors, "--require", "seccomp") as flags:
        podman = WithFlags(doors.podmans[runtime], *flags)
        position = log_position()
        refusal = podman.run("--security-opt", "seccomp=unconfined", ROOT, "echo", "it ran")
        expect(refusal.status != 0 and "it ran" not in refusal.out, f"it ran\n{refusal}")
        expect("seccomp" in logged_since(position), f"{LOG} does not say why\n{refusal}")
        podman.run(ROOT, "true").expect_status(0)


# --- user namespaces ------------------------------------------------------------------------------


IDS = ("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536")


@claim.for_each(**RUNTIMES)
def a_volume_is_handed_over_to_a_user_of_a_user_namespace(doors, runtime):
    with hooks_of(doors, "--own", "/data", "--require", "restricted,user-namespace") as flags, \
            volume_of(doors) as data:
        podman = WithFlags(doors.podmans[runtime], *flags)
        with podman.running(*IDS, "-v", f"{data}:/data", ROOT, *SERVER) as store:
            expect(store.ask(redis_answers, PATIENCE), "no answer")
            expect_all_unprivileged(store.pid(), 100000 + APP)
            expect_equal("owner of what was in it", owner(data / "left"), (100000 + APP,) * 2)


@claim.for_each(**RUNTIMES)
def a_volume_is_idmapped_for_a_user_of_a_user_namespace(doors, runtime):
    with hooks_of(doors, "--idmap", "/data", "--idmap-only") as flags, \
            volume_of(doors, 4242, 4343) as data:
        podman = WithFlags(doors.podmans[runtime], *flags)
        shown = podman.run(*IDS, "-v", f"{data}:/data", ROOT, "sh", "-ec",
                           "touch /data/new; stat -c %u:%g /data/left /data/new")
        expect_equal("owners in there", shown.expect_status(0).out, f"{APP}:{APP}\n" * 2)
        for path in data, data / "left", data / "new":
            expect_equal(f"owner of {path.name} out here", owner(path), (4242, 4343))


# --- podman without root --------------------------------------------------------------------------


@contextlib.contextmanager
def volume_of_the_user(podman):
    with podman.directory_of(podman.USER, podman.USER) as path:
        (path / "left").write_text("by them")
        os.chown(path / "left", podman.USER, podman.USER)
        yield path


@claim
def rootless_podman_serves_port_80_as_the_app_on_the_users_volume(doors):
    podman = doors.rootless()
    app = podman.outside(APP)
    with hooks_of(doors, "--own", "/data", "--require", "restricted", log=podman.log) as flags, \
            volume_of_the_user(podman) as data:
        with WithFlags(podman, *flags).running("-v", f"{data}:/data", ROOT, *SERVER) as store:
            expect(store.ask(redis_answers, PATIENCE), "no answer")
            expect_all_unprivileged(store.pid(), app)
            for path in data, data / "left", data / "appendonlydir":
                expect_equal(f"owner of {path.name}", owner(path), (app, app))


@claim
def rootless_podman_has_no_idmapped_volume_and_says_so(doors):
    podman = doors.rootless()
    with volume_of_the_user(podman) as data:
        words = ("--idmap", "/data", "--idmap-root")
        with hooks_of(doors, *words, "--idmap-only", log=podman.log) as flags:
            refusal = WithFlags(podman, *flags).run("-v", f"{data}:/data", ROOT, "echo", "it ran")
            expect(refusal.status != 0 and "it ran" not in refusal.out, f"it ran\n{refusal}")
        expect("--idmap-only" in podman.log.read_text(), f"{podman.log} does not say why")
        expect_equal("owner", owner(data), (podman.USER,) * 2)
        with hooks_of(doors, *words, log=podman.log) as flags:
            WithFlags(podman, *flags).run("-v", f"{data}:/data", ROOT, "touch",
                                          "/data/new").expect_status(0)
        expect_equal("owner after a walk", owner(data), (podman.outside(APP),) * 2)


@claim
def rootless_podman_exec_is_as_unprivileged_with_the_runtime_door(doors):
    podman = doors.rootless()
    door = doors.door_to_crun("rootless", "--user", f"{APP}:{APP}", "--own", "/data", "--require",
                              "restricted", "--log-file", str(podman.log))
    podman = WithFlags(podman, *doors.no_hooks, "--runtime", door)
    with volume_of_the_user(podman) as data, \
            podman.running("-v", f"{data}:/data", ROOT, "sleep", "300") as container:
        expect_all_unprivileged(container.pid(), podman.outside(APP))
        for flags in (), ("--privileged", "-u", "0"):
            shown = podman.docker("exec", *flags, container.name, *SHOW).expect_status(0)
            expect_unprivileged(Status.parse(shown.out))


# --- runc and crun themselves -------------------------------------------------------------------


class Bundles:
    """Bundles of the same root filesystem, and the two runtimes as they want to be called."""

    def __init__(self, doors, archive, directory):
        self.directory = directory
        self.count = 0
        self.root = doors.subdirectory("rootfs")
        run(["tar", "--extract", "--file", archive, "--exclude=./dev/*", "--directory", self.root],
            timeout=120).expect_status(0)
        (self.root / "data").mkdir(exist_ok=True)
        self.cgroups = f"/{doors.directory.parent.name}"
        inside = f"--mount=/proc/{doors.podmans.second.pid}/ns/mnt"
        self.prefixes = {"runc": (), "crun": ("nsenter", inside)}
        self.programs = {"runc": ("/usr/sbin/runc",),
                         "crun": ("/usr/bin/crun", "--cgroup-manager=disabled")}

    def new(self, runtime, *command, user=0, data=None, hook=()):
        """What `runc spec` writes, with this command; `hook` are the words of stepdown hook."""
        self.count += 1
        path = self.directory / f"bundle{self.count}"
        path.mkdir()
        run(["runc", "spec", "--bundle", path]).expect_status(0)
        config = json.loads((path / "config.json").read_text())
        config["root"] = {"path": str(self.root), "readonly": True}
        process = config["process"]
        process.update(terminal=False, args=list(command), user={"uid": user, "gid": user})
        if user:
            process["capabilities"] = {}
        else:
            process["noNewPrivileges"] = False
        # crun would mount them, with no cgroups of its own.
        config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "cgroup"]
        if data:
            config["mounts"].append({"destination": "/data", "type": "bind", "source": str(data),
                                     "options": ["rbind", "rw"]})
        del config["linux"]["resources"]
        if runtime == "runc":
            config["linux"]["cgroupsPath"] = f"{self.cgroups}/{path.name}"
        if hook:
            config["hooks"] = {"createRuntime": [{
                "path": "/usr/local/bin/stepdown", "env": ["PATH=/usr/bin:/bin"], "timeout": 60,
                "args": ["stepdown", "hook", "create-runtime", "--log-file", str(LOG), *hook]}]}
        (path / "config.json").write_text(json.dumps(config))
        return path

    def words(self, runtime, *words, door=None):
        """`door`: the options of the runtime door in front; None: there is none."""
        program, *options = self.programs[runtime]
        before = (program,) if door is None else (
            "/usr/local/bin/stepdown", "runtime", "--runtime-path", program, "--log-file", LOG,
            *door, "--")
        return [*self.prefixes[runtime], *before, "--root", self.directory / runtime, *options,
                *words]

    def run(self, runtime, bundle, door=None):
        """In the foreground; with a pipe, which may become the container's user's, for stdin."""
        return run(self.words(runtime, "run", "--bundle", bundle, bundle.name, door=door),
                   stdin=subprocess.PIPE, timeout=PATIENCE)

    @contextlib.contextmanager
    def running(self, runtime, bundle, door=None):
        try:
            with Program(self.words(runtime, "run", "--bundle", bundle, bundle.name, door=door),
                         stdin=subprocess.PIPE) as program:
                yield Running(self, runtime, bundle.name, program, door)
        finally:
            run(self.words(runtime, "delete", "--force", bundle.name))


class Running:
    def __init__(self, bundles, runtime, name, program, door):
        self.bundles, self.runtime, self.name = bundles, runtime, name
        self.program, self.door = program, door

    def pid(self):
        def running():
            self.program.still_running()
            state = run(self.bundles.words(self.runtime, "state", self.name))
            if state.status != 0:
                return None
            state = json.loads(state.out)
            return state["pid"] if state["status"] == "running" else None

        return wait_until(f"{self.name} runs", running, PATIENCE)

    def exec(self, *words):
        return run(self.bundles.words(self.runtime, "exec", *words[:-len(SHOW)], self.name, *SHOW,
                                      door=self.door), stdin=subprocess.PIPE, timeout=PATIENCE)

    def answers(self):
        pid = self.pid()

        def asked():
            self.program.still_running()
            with network_of(pid):
                return redis_answers()

        return wait_until(f"{self.name} answers", asked, PATIENCE)


PORT = ("--unprivileged-ports", "80")


@claim.for_each(**RUNTIMES)
def hooks_alone_hand_the_volume_over_and_open_port_80(doors, runtime):
    bundles = doors.bundles
    with volume_of(doors) as data:
        bundle = bundles.new(runtime, *SERVER, user=APP, data=data, hook=(
            "--own", "/data", *PORT, "--require", "non-root,no-capabilities,no-new-privs"))
        with bundles.running(runtime, bundle) as store:
            expect(store.answers(), "no answer")
            expect_all_unprivileged(store.pid())
            expect_equal("owner of what was in it", owner(data / "left"), (APP, APP))
            expect_data_kept(data)
            if runtime == "runc":  # crun 1.8's exec is root when it is told no user
                expect_unprivileged(Status.parse(store.exec(*SHOW).expect_status(0).out))


@claim.for_each(**RUNTIMES)
def an_idmapped_volume_is_the_apps_and_stays_its_owners(doors, runtime):
    bundles = doors.bundles
    with volume_of(doors, 4242, 4343) as data:
        bundle = bundles.new(runtime, *SERVER, user=APP, data=data,
                             hook=("--idmap", "/data", "--idmap-only", *PORT))
        with bundles.running(runtime, bundle) as store:
            expect(store.answers(), "no answer")
            expect_all_unprivileged(store.pid())
            for path in data, data / "left", data / "appendonlydir":
                expect_equal(f"owner of {path.name} out here", owner(path), (4242, 4343))
        shown = bundles.run(runtime, bundles.new(
            runtime, "stat", "-c", "%u:%g", "/data/left", user=APP, data=data,
            hook=("--idmap", "/data", "--idmap-only")))
        expect_equal("owner in there", shown.expect_status(0).out, f"{APP}:{APP}\n")


@claim.for_each(**RUNTIMES)
def a_volume_of_roots_is_idmapped_only_when_that_is_wanted(doors, runtime):
    bundles = doors.bundles
    with volume_of(doors) as data:
        touch = ("touch", "/data/new")
        position = log_position()
        refusal = bundles.run(runtime, bundles.new(runtime, *touch, user=APP, data=data,
                                                   hook=("--idmap", "/data")))
        expect(refusal.status != 0, f"it ran\n{refusal}")
        expect("--idmap-root" in logged_since(position), f"{LOG} does not say why\n{refusal}")
        expect(not (data / "new").exists(), "the container ran")
        bundles.run(runtime, bundles.new(runtime, *touch, user=APP, data=data, hook=(
            "--idmap", "/data", "--idmap-root", "--idmap-only"))).expect_status(0)
        expect_equal("owner of what it made", owner(data / "new"), (0, 0))


@claim.for_each(**RUNTIMES)
def a_root_container_is_refused_by_a_hook(doors, runtime):
    bundles = doors.bundles
    position = log_position()
    refusal = bundles.run(runtime, bundles.new(runtime, "echo", "it ran",
                                               hook=("--require", "non-root")))
    expect(refusal.status != 0 and "it ran" not in refusal.out, f"it ran\n{refusal}")
    if runtime == "runc":  # crun shows no hook's stderr
        refusal.expect_in_stderr("--require", "non-root", "--user 1000:1000")
    for text in "--require", "non-root", "--user 1000:1000":
        expect(text in logged_since(position), f"{LOG} does not say {text}")


@claim.for_each(**RUNTIMES)
def the_door_steps_a_root_container_down_and_every_exec(doors, runtime):
    bundles = doors.bundles
    with volume_of(doors) as data:
        bundle = bundles.new(runtime, *SERVER, data=data)
        door = ("--user", f"{APP}:{APP}", "--own", "/data", *PORT)
        with bundles.running(runtime, bundle, door) as store:
            expect(store.answers(), "no answer")
            expect_all_unprivileged(store.pid())
            expect_equal("owner of what was in it", owner(data / "left"), (APP, APP))
            expect_data_kept(data)
            for flags in (), ("-u", "0"), ("-u", "0:0", "-c", "CAP_SYS_ADMIN"):
                shown = store.exec(*flags, *SHOW).expect_status(0)
                expect_unprivileged(Status.parse(shown.out))


@claim.for_each(**RUNTIMES)
def the_door_says_why_it_refuses(doors, runtime):
    bundles = doors.bundles
    for door, status, reason in (((), 125, "--user"),
                                 (("--user", "4711:4711", "--require", "seccomp"), 1, "seccomp")):
        bundle = bundles.new(runtime, "echo", "it ran")
        before = (bundle / "config.json").read_bytes()
        refusal = bundles.run(runtime, bundle, door).expect_status(status).expect_in_stderr(reason)
        expect_equal("stdout", refusal.out, "")
        expect_equal("config.json", (bundle / "config.json").read_bytes(), before)
    # A volume that isn't there is found out by the hook, which the runtime starts.
    position = log_position()
    refusal = bundles.run(runtime, bundles.new(runtime, "echo", "it ran"),
                          ("--user", "4711:4711", "--own", "/data"))
    expect(refusal.status != 0 and "it ran" not in refusal.out, f"it ran\n{refusal}")
    expect("--own /data" in logged_since(position), f"{LOG} does not say why\n{refusal}")
