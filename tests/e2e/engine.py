"""A dockerd of our own, in the namespaces that `run` made for it, and the images of the tests."""

import contextlib
import hashlib
import itertools
import os
import pathlib
import platform
import re
import shlex
import shutil
import signal
import subprocess

from harness import *

HERE = pathlib.Path(__file__).parent
CACHE = pathlib.Path("/var/cache/stepdown-e2e")
PACKAGES = ("adduser", "libcap2-bin", "nginx-light", "python3-minimal", "redis-server")
DEFAULT_CAPABILITIES = 0xA80425FB  # moby/profiles: the 14 that a container of root's has


def root_archive():
    """The tar of a small Debian, made once; named by what is in it."""
    release = dict(line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().split()
                   if "=" in line)["VERSION_CODENAME"]
    key = hashlib.sha256("\n".join((release, platform.machine(), *PACKAGES)).encode()).hexdigest()
    archive = CACHE / f"root-{release}-{key[:12]}.tar"
    if not archive.exists():
        CACHE.mkdir(exist_ok=True)
        unfinished = archive.with_name(f".{os.getpid()}.tar")
        try:
            # The list of sources stays out of the image: nothing is installed in there later.
            run(["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}",
                 '--customize-hook=rm -f "$1/etc/apt/sources.list"',
                 "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
                 release, unfinished, mirror_of(release)], timeout=240).expect_status(0)
            unfinished.rename(archive)
        finally:
            unfinished.unlink(missing_ok=True)
    return archive


def mirror_of(release):
    """Where apt itself gets that release from."""
    targets = run(["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)"])
    for line in targets.expect_status(0).out.splitlines():
        codename, _, uri = line.partition(" ")
        if codename == release:
            return uri
    raise Failure(f"apt knows no repository of {release}; run apt-get update\n{targets}")


class Engine:
    RUN = ("run", "--network", "none", "--pull", "never")

    def __init__(self, stepdown, archive, directory):
        self.stepdown = stepdown
        self.directory = pathlib.Path(directory)
        self.numbers = itertools.count(1)
        self.log = self.directory / "dockerd.log"
        # What dockerd and its client would write into the machine's own directories (key.json, the
        # client's configuration, /run/docker) ends with this mount namespace.
        overlay = {name: self.directory / f"etc-{name}" for name in ("upper", "work")}
        for path in overlay.values():
            path.mkdir()
        run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/etc,upperdir={overlay['upper']},"
             f"workdir={overlay['work']}", "/etc"]).expect_status(0)
        run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"]).expect_status(0)
        socket = f"unix://{self.directory}/docker.sock"
        self.environment = {**os.environ, "DOCKER_HOST": socket, "DOCKER_BUILDKIT": "0",
                            "DOCKER_CONFIG": str(self.directory / "client")}
        self.daemon = subprocess.Popen(
            ["dockerd", "--iptables=false", "--bridge=none", "--ip-forward=false",
             "--exec-opt", "native.cgroupdriver=cgroupfs",
             "--cgroup-parent", self.directory.parent.name,
             "--data-root", self.directory / "data", "--exec-root", self.directory / "exec",
             "--pidfile", self.directory / "dockerd.pid", "-H", socket],
            stdin=subprocess.DEVNULL, stdout=open(self.log, "wb"), stderr=subprocess.STDOUT,
            env=self.environment)
        try:
            wait_until("dockerd", self._answers, 60)
            self._make_images(archive)
        except BaseException:
            self.stop()
            raise

    def _answers(self):
        if self.daemon.poll() is not None:
            raise Failure(f"dockerd ended:\n{self.log.read_text()[-3000:]}")
        return self.docker("version").status == 0

    def _make_images(self, archive):
        self.docker("import", archive, "stepdown-e2e/root", timeout=120).expect_status(0)
        probe = self.directory / "probe"
        run(["gcc", "-static", "-O2", "-Wall", "-Wextra", "-o", probe,
             HERE / "probe.c"]).expect_status(0)
        page = self.directory / "page"
        page.write_text("hello from port 80")
        self.build("app")
        self.build("web", HERE / "nginx.conf", page)
        self.build("no-command")
        self.build("legacy", shutil.which("gosu"), HERE / "legacy" / "nginx.conf",
                   HERE / "legacy" / "redis-entrypoint.sh")
        self.build("scratch", probe)
        for dropper in "gosu", "su-exec":
            self.build("docker-library", arguments={"DROPPER": dropper}, tag=dropper)
        self.build("readme", dockerfile=dockerfile_of_the_readme())

    def build(self, name, *files, arguments={}, tag=None, dockerfile=None):
        context = self.directory / f"context-{tag or name}"
        if dockerfile is None:
            shutil.copytree(HERE / "images" / name, context)
        else:
            context.mkdir()
            (context / "Dockerfile").write_text(dockerfile)
        for file in (self.stepdown, *files):
            shutil.copy(file, context)
        shutil.copy(self.stepdown, context / "stepdown")
        words = [word for pair in arguments.items() for word in ("--build-arg", "=".join(pair))]
        self.docker("build", "--network=none", "--force-rm", *words, "-t",
                    f"stepdown-e2e/{tag or name}", context, timeout=120).expect_status(0)

    def docker(self, *words, timeout=30):
        return run(["docker", *words], timeout=timeout, env=self.environment)

    def stop(self):
        """Ends every container, then dockerd, which ends its containerd."""
        if self.daemon.poll() is None:
            containers = self.docker("ps", "-aq").out.split()
            if containers:
                self.docker("rm", "-f", "-v", *containers)
            self.daemon.send_signal(signal.SIGTERM)
            try:
                self.daemon.wait(20)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait(10)

    # --- containers ---

    def run(self, *words, timeout=30):
        """docker run, in the foreground: flags, image, command. It ends when the container does."""
        name = f"run{next(self.numbers)}"
        try:
            return self.docker(*self.RUN, "--name", name, *words, timeout=timeout)
        finally:
            self.docker("rm", "-f", "-v", name)

    def state(self, *words):
        """What the app showed of its /proc/self/status. It has to be what the engine started."""
        state = Status.parse(self.run(*words).expect_status(0).out)
        expect_equal("PID of the app", state.pid, 1)
        return state

    @contextlib.contextmanager
    def running(self, *words):
        """docker run -d: a Container, until the end of the block."""
        name = f"run{next(self.numbers)}"
        try:
            self.docker(*self.RUN, "-d", "--name", name, *words).expect_status(0)
            yield Container(self, name)
        finally:
            self.docker("rm", "-f", "-v", name)

    @contextlib.contextmanager
    def volume(self, *script):
        """A named volume in which a container of root's has run the script; at first it is empty
        and belongs to root."""
        name = f"volume{next(self.numbers)}"
        self.docker("volume", "create", name).expect_status(0)
        try:
            # Mounted where the image has an empty directory of root's, else Docker would copy what
            # is at /data, with its owner, into the new volume.
            self.run("--user", "0", "--entrypoint", "sh", "-v", f"{name}:/mnt", "stepdown-e2e/app",
                     "-ec", "; ".join(["cd /mnt", *script])).expect_status(0)
            yield name
        finally:
            self.docker("volume", "rm", "-f", name)

    def owners(self, volume):
        """{path: "uid:gid"} of everything in it."""
        seen = self.run("--user", "0", "--entrypoint", "find", "-v", f"{volume}:/mnt",
                        "stepdown-e2e/app", "/mnt", "-printf", "%p %U:%G\\n").expect_status(0)
        return dict(line.split(" ") for line in seen.out.splitlines())

    @contextlib.contextmanager
    def directory_of(self, uid, gid, mode=0o755):
        """A directory on the machine, to be bind-mounted."""
        path = self.directory / f"bind{next(self.numbers)}"
        path.mkdir()
        path.chmod(mode)
        os.chown(path, uid, gid)
        yield path


class Container:
    def __init__(self, engine, name):
        self.engine = engine
        self.name = name

    def inspect(self, template):
        return self.engine.docker("inspect", "--format", template, self.name).expect_status(
            0).out.strip()

    def pid(self):
        """Of its PID 1, as seen out here."""
        pid = int(self.inspect("{{.State.Pid}}"))
        expect(pid > 0, f"the container ended: {self.logs()}")
        return pid

    def logs(self):
        return self.engine.docker("logs", self.name)

    def exec(self, *words):
        return self.engine.docker("exec", self.name, *words)

    def ask(self, question, seconds=15):
        """The first true answer of question(), asked from inside the container's network."""

        def asked():
            with network_of(self.pid()):
                return question()

        return wait_until(f"{self.name} answers", asked, seconds)

    def expect_stepped_down(self, *arguments, **more):
        """Every process in it."""
        for pid in process_tree(self.pid()):
            for thread in threads_of(pid):
                thread.expect_stepped_down(*arguments, **more)

    def expect_only(self, uids, kept=NOTHING):
        """The uids of its processes, as the machine sees them. They hold nothing out here, but PID 1
        what is `kept`; what they hold in a user namespace of their own counts nowhere else."""
        first, seen = self.pid(), set()
        for pid in process_tree(first):
            for thread in threads_of(pid):
                who = f"process {pid} ({thread.name})"
                seen |= set(thread.uids)
                expect(0 not in {*thread.gids, *thread.groups}, f"{who}: it has group 0")
                expect(thread.no_new_privs, f"{who}: no_new_privs is not set")
                if not os.path.samefile(f"/proc/{pid}/ns/user", "/proc/self/ns/user"):
                    continue
                for name in "CapPrm", "CapEff", "CapInh", "CapAmb":
                    served = pid == first and name in ("CapPrm", "CapEff")
                    held = thread.capabilities[name]
                    expect(held & ~(kept if served else NOTHING) == 0, f"{who}: {name} {held:#x}")
        expect_equal("uids in the container", seen, uids)


def pasted(refusal):
    """The flags of the line that stepdown's message gives for docker run."""
    line = re.search(r"docker: +(\S.*?)(?:  |;|$)", refusal.err, re.MULTILINE)
    expect(line, f"the message has no line of flags for docker\n{refusal}")
    return shlex.split(line.group(1))


def dockerfile_of_the_readme():
    """README's Dockerfile word for word, but for the image that it starts from."""
    text = (HERE.parent.parent / "README.md").read_text()
    block = re.search(r"<!-- test: dockerfile -->\n```dockerfile\n(.*?)```", text, re.DOTALL)
    expect(block, "README.md has no block marked 'test: dockerfile'")
    dockerfile, count = re.subn(r"^FROM .*$", "FROM stepdown-e2e/root", block.group(1),
                                flags=re.MULTILINE)
    expect_equal("FROM lines in README's Dockerfile", count, 1)
    for line in ("USER 10001:10001",
                 'ENTRYPOINT ["stepdown","--user","app","--own","/data","--"]'):
        expect(line in dockerfile.splitlines(), f"README's Dockerfile has no line {line}")
    return dockerfile
