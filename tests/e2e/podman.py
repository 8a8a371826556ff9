"""stepdown as the entrypoint of podman's containers: their default filter allows unshare(2)."""

from engine import *
from harness import *

claim = Claims()
ASSETS = HERE / "legacy"
IMAGE = "stepdown-e2e/root"
APP = 10001
BOTH = {"crun": ("crun",), "runc": ("runc",)}
RANGES = ("--uid-map", f"0:{APP}:1", "--uid-map", "1:100000:65536",
          "--gid-map", f"0:{APP}:1", "--gid-map", "1:100000:65536")


class Podman(Engine):
    """podman with one of its runtimes, in the namespaces that `run` made for it."""

    numbers = itertools.count(1)  # they share the storage

    def __init__(self, runtime, stepdown, storage, prefix=(), flags=()):
        self.directory = storage
        self.command = (*prefix, "podman", "--root", storage / "root", "--runroot",
                        storage / "runroot", "--tmpdir", storage / "tmp", "--runtime", runtime,
                        "--cgroup-manager=cgroupfs", "--events-backend=file")
        # More than the machine lets podman give, it would try to give.
        self.RUN = ("run", "--pull", "never", "--network", "none", "--ulimit", "nofile=1024:4096",
                    "--ulimit", "nproc=1000:1000", "--stop-timeout", "1", *flags,
                    "-v", f"{stepdown}:/usr/local/bin/stepdown:ro",
                    "-v", "/usr/sbin/gosu:/usr/local/bin/gosu:ro", "-v", f"{ASSETS}:/assets:ro")

    def docker(self, *words, timeout=30):  # podman's commands are docker's
        return run([*self.command, *words], timeout=timeout)

    def stepping_down(self, *words):
        """The words for run that start `stepdown WORDS…` as the entrypoint."""
        return "--entrypoint", "stepdown", IMAGE, *words


class Podmans:
    """podman under crun and under runc: each wants the cgroups in its own way."""

    def __init__(self, stepdown, archive, directory):
        self.engines = {}
        storage = pathlib.Path(directory)
        stepdown = shutil.copy(stepdown, storage / "stepdown")
        # What podman would write into the machine's own directories ends with this mount namespace.
        for path in "/etc", "/var/lib":
            overlay = {name: storage / f"{path.replace('/', '-')}-{name}"
                       for name in ("upper", "work")}
            for layer in overlay.values():
                layer.mkdir()
            run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={path},"
                 f"upperdir={overlay['upper']},workdir={overlay['work']}", path]).expect_status(0)
        run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"]).expect_status(0)
        # crun refuses a hierarchy that is half of version 1: it gets one of version 2.
        self.second = subprocess.Popen(
            ["unshare", "--mount", "sh", "-ec", "umount -l /sys/fs/cgroup; mount -t cgroup2 none "
             "/sys/fs/cgroup; echo ready; exec sleep infinity"], stdout=subprocess.PIPE)
        try:
            expect_equal("mounting cgroup2", self.second.stdout.readline(), b"ready\n")
            # runc refuses to go without cgroups.
            self.engines["runc"] = Podman("runc", stepdown, storage,
                                          flags=("--cgroup-parent", f"/{storage.parent.name}"))
            self.engines["crun"] = Podman(
                "crun", stepdown, storage, ("nsenter", f"--mount=/proc/{self.second.pid}/ns/mnt"),
                ("--cgroups=disabled",))
            self.engines["crun"].docker("import", archive, IMAGE, timeout=120).expect_status(0)
        except BaseException:
            self.stop()
            raise

    def __getitem__(self, runtime):
        return self.engines[runtime]

    def stop(self):
        for engine in self.engines.values():
            engine.docker("rm", "-a", "-f", "-t", "0", "-v")
        self.second.kill()
        self.second.wait(10)


@claim.for_each(**BOTH)
def userns_works_under_the_default_filter(podmans, runtime):
    podman = podmans[runtime]
    shown = podman.run(*podman.stepping_down(
        "--user", f"{APP}:{APP}", "--own", "/data", "--userns", "--", "sh", "-ec",
        "id -u; cat /proc/self/uid_map; touch /data/new; stat -c %u:%g /data/new; ! touch /etc/new;"
        "cat /proc/self/status")).expect_status(0)
    lines = shown.out.splitlines()
    expect_equal("id -u", lines[0], "0")
    expect_equal("uid_map", lines[1].split(), ["0", str(APP), "1"])
    expect_equal("owner of a new file, inside", lines[2], "0:0")
    status = Status.parse(shown.out)
    for name in SET_NAMES:
        expect_equal(name, status.capabilities[name], NOTHING)
    expect(status.no_new_privs, "no_new_privs is not set")
    with podman.running(*podman.stepping_down(
            "--user", f"{APP}:{APP}", "--userns", "--", "sleep", "60")) as container:
        wait_until("sleep", lambda: Status.of(container.pid()).name == "sleep")
        container.expect_only({APP})
        expect(not os.path.samefile(f"/proc/{container.pid()}/ns/user", "/proc/self/ns/user"),
               "it is in no user namespace of its own")


@claim.for_each(**BOTH)
def userns_works_without_any_privilege(podmans, runtime):
    podman = podmans[runtime]
    shown = podman.run("--user", f"{APP}:{APP}", "--cap-drop", "ALL", *podman.stepping_down(
        "--user", f"{APP}:{APP}", "--userns", "--", "sh", "-ec",
        "id -u; cat /proc/self/uid_map")).expect_status(0)
    expect_equal("id -u and uid_map", shown.out.split(), ["0", "0", str(APP), "1"])


@claim.for_each(**BOTH)
def nginx_on_port_80_has_its_www_data_workers_with_the_legacy_root_profile(podmans, runtime):
    podman = podmans[runtime]
    with podman.running(*podman.stepping_down(
            "--user", f"{APP}:{APP}", "--own", "/data", "--profile", "legacy-root", *RANGES,
            "--port", "80", "--", "sh", "-ec", "mkdir /data/www; echo hello > /data/www/page; "
            "exec nginx -p /data -c /assets/nginx.conf -e stderr")) as web:
        expect_equal("GET /page", web.ask(lambda: http_get("/page")), (200, b"hello\n"))
        with network_of(web.pid()):
            first_port = pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()
        expect_equal("first unprivileged port", first_port, "1024\n")
        web.expect_only({APP, 100000 + 33 - 1}, kept=NET_BIND_SERVICE)


@claim.for_each(**{f"{runtime}, {name}": (runtime, name != "as root") for runtime in BOTH
                   for name in ("as root", "without any privilege")})
def the_gosu_entrypoint_runs_through_under_pretend_root(podmans, runtime, unprivileged):
    podman = podmans[runtime]
    shown = podman.run("--entrypoint", "sh", IMAGE, "-c", "id -u redis; id -g redis")
    uid, gid = map(int, shown.expect_status(0).out.split())
    flags = ("--user", f"{uid}:{gid}", "--cap-drop", "ALL") if unprivileged else ()
    with podman.directory_of(uid, gid) as data, podman.running(
            *flags, "-v", f"{data}:/data", *podman.stepping_down(
                "--user", "redis", "--own", "/data", "--chdir", "/data", "--pretend-root", "--",
                "/assets/redis-entrypoint.sh", "redis-server")) as container:
        container.ask(lambda: redis_answers(6379))
        expect_equal("who the entrypoint was", [
            line for line in container.logs().out.splitlines() if line.startswith("entrypoint")],
            ["entrypoint as 0", f"entrypoint as {uid}"])
        container.expect_only({uid})

