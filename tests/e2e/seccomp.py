"""The policy default: Debian's servers under it, read-only and with their profiles, do real work
and are refused nothing; and what an attacker would want is refused."""

import contextlib
import hashlib
import json
import os
import pathlib
import platform
import re
import signal

from harness import *
from legacy import POSTGRES
from profiles import APP, Profiles

claim = Claims()
ASSETS = pathlib.Path(__file__).parent / "seccomp"
# What is refused by intention, and how programs take it.
KNOWN = {("clone3", "ENOSYS"): "its flags lie in memory: libcs make threads with clone instead"}


class Seccomp(Profiles):
    """What the profiles' tests use, and a directory of root's for each claim."""

    def __init__(self, stepdown, directory):
        super().__init__(stepdown, directory)
        self.count = 0
        self.attempts = self.directory / "attempts"
        run(["gcc", "-O2", "-Wall", "-Wextra", "-o", self.attempts, ASSETS / "attempts.c"]
            ).expect_status(0)
        self.filters = filters_of("self")  # what we are under ourselves

    def fresh(self):
        super().fresh()
        self.count += 1
        path = self.directory / f"data{self.count}"
        path.mkdir(mode=0o755)
        return path

    def confined(self, log, *words, supervised=True, policy="default"):
        """A command line of stepdown with the policy, which logs to `log` where somebody can."""
        return [self.stepdown, "--seccomp", policy, "--seccomp-log", "--read-only",
                *(["--init"] if supervised else []), "--log-file", log, "--log-level", "info",
                "--log-format", "json", *words]

    def app(self, program, supervised=True):
        """The pid of the application."""
        if not supervised:
            return program.pid
        return wait_until("the application", lambda: program.still_running()
                          and process_tree(program.pid)[1:])[0]

    def expect_filtered(self, program, user, kept=NOTHING, supervised=True):
        """Each thread of the application has stepped down and is under two filters of ours."""
        uid, gid = self.accounts[user]
        program.still_running()
        for pid in process_tree(self.app(program, supervised)):
            for thread in threads_of(pid):
                thread.expect_stepped_down(uid, gid, self.groups(user), kept)
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a worker that ended
                expect_equal(f"filters of {pid}", filters_of(pid), self.filters + 2)
        # Of the supervisor they are true as well.
        run([self.stepdown, "check", "--pid", program.pid, "--tree", "--require",
             f"non-root,no-root-group,no-new-privs,seccomp,uid={uid},gid={gid}"]).expect_status(0)


def filters_of(pid):
    """How many seccomp filters it is under, proc_pid_status(5)."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^Seccomp_filters:\s*(\d+)$", text, re.MULTILINE)[1])


def refusals(log):
    """{(call, errno)} of what the policy refused."""
    lines = log.read_text().splitlines() if log.exists() else []
    messages = [json.loads(line)["msg"] for line in lines]
    found = [re.match(r"the policy default refused ((?:\S+ )?\w+)\(.*?\) with (\w+)", message)
             for message in messages]
    return {match.groups() for match in found if match}


def expect_nothing_refused(log):
    expect_equal("refused beside what is known", refusals(log) - set(KNOWN), set())


def put_under_load(url, connections=8, seconds=2):
    """By wrk, for that time: every request is answered with success."""
    done = run(["wrk", "--threads", "1", "--connections", connections, "--duration",
                f"{seconds}s", "--timeout", "30s", url], timeout=60).expect_status(0)
    expect("Socket errors" not in done.out and "Non-2xx" not in done.out, f"failures\n{done}")
    requests = re.search(r"(\d+) requests in", done.out)
    expect(requests and int(requests[1]) > 0, f"no requests\n{done}")


WITH_AND_WITHOUT = {"with --init": (True,), "without --init": (False,)}


# --- real programs ------------------------------------------------------------------------------


@claim.for_each(**WITH_AND_WITHOUT)
def nginx_serves_files_under_load(seccomp, supervised):
    data = seccomp.fresh()
    log = data / "log"
    page = next(pathlib.Path("/var/www/html").glob("index*.html"))
    command = ["--profile", "nginx", "--", "nginx", "-g", "daemon off;"]
    with Program(seccomp.confined(log, *command, supervised=supervised)) as nginx:
        wait_until("port 80", lambda: nginx.still_running() and http_get("/" + page.name))
        put_under_load(f"http://127.0.0.1/{page.name}")
        expect_equal("GET", http_get("/" + page.name), (200, page.read_bytes()))
        # A reload forks again. A worker that goes closes what is idle, which is no failure of ours.
        master = seccomp.app(nginx, supervised)
        before = set(process_tree(master))
        os.kill(master, signal.SIGHUP)
        wait_until("workers are replaced", lambda: len(now := set(process_tree(master))) > 1
                   and now & before == {master})
        put_under_load(f"http://127.0.0.1/{page.name}", seconds=1)
        seccomp.expect_filtered(nginx, "www-data", NET_BIND_SERVICE, supervised)
        expect_equal("status after SIGTERM", nginx.stop(), 0)
    expect_nothing_refused(log)


@claim.for_each(**WITH_AND_WITHOUT)
def redis_writes_its_append_only_file_under_load(seccomp, supervised):
    data = seccomp.fresh()
    log = data / "log"
    command = ["--profile", "redis", "--", "redis-server", "/etc/redis/redis.conf", "--daemonize",
               "no", "--appendonly", "yes", "--save", ""]
    with Program(seccomp.confined(log, *command, supervised=supervised)) as server:
        wait_until("port 6379", lambda: server.still_running() and redis_answers(6379))
        with Redis(6379) as redis:
            redis.ask("CONFIG", "RESETSTAT")  # of the errors with which it said that it starts
        benchmark = run(["redis-benchmark", "-n", "5000", "-c", "20", "-q", "-t",
                         "set,get,incr,lpush,lrange_100,mset"], timeout=60).expect_status(0)
        expect("rror" not in benchmark.out + benchmark.err, f"failures\n{benchmark}")
        expect_equal("results", len(re.findall(r"requests per second", benchmark.out)), 7)
        with Redis(6379) as redis:
            expect_equal("error replies", redis.info("stats")["total_error_replies"], "0")
            # Both fork; the server refuses to begin one while the other goes on.
            for command, field in (("BGREWRITEAOF", "aof_rewrite"), ("BGSAVE", "rdb_bgsave")):
                redis.ask(command)
                wait_until(command, lambda: "0" == redis.info("persistence")[
                    f"{field}_in_progress"], seconds=30)
            persistence = redis.info("persistence")
            for field in "aof_last_bgrewrite", "aof_last_write", "rdb_last_bgsave":
                expect_equal(field, persistence[f"{field}_status"], "ok")
        seccomp.expect_filtered(server, "redis", supervised=supervised)
        expect_equal("status after SIGTERM", server.stop(seconds=30), 0)
    expect(any(pathlib.Path("/var/lib/redis").glob("appendonlydir/*.aof")),
           "there is no append-only file")
    expect_nothing_refused(log)


@claim
def redis_rewrites_its_configuration_where_it_is_writable(seccomp):
    data = seccomp.fresh()
    log = data / "log"
    copy = data / "redis"
    run(["cp", "-a", "/etc/redis", copy]).expect_status(0)
    run(["mount", "--bind", copy, "/etc/redis"]).expect_status(0)
    for options, answer in ((), "-ERR"), (("--writable", "/etc/redis"), "OK"):
        command = ["--profile", "redis", *options, "--", "redis-server", "/etc/redis/redis.conf",
                   "--daemonize", "no"]
        with Program(seccomp.confined(log, *command)) as server:
            wait_until("port 6379", lambda: server.still_running() and redis_answers(6379))
            with Redis(6379) as redis:
                try:
                    said = redis.ask("CONFIG", "REWRITE")
                except Failure as failure:
                    said = str(failure)
            expect(answer in said, f"CONFIG REWRITE with {options}: {said}")
    run(["umount", "/etc/redis"]).expect_status(0)
    expect_nothing_refused(log)


@claim
def postgres_makes_a_cluster_and_carries_pgbench(seccomp):
    log = seccomp.fresh() / "log"
    data = "/var/lib/postgresql/main"

    def postgres(program, *words):
        return seccomp.confined(log, "--profile", "postgres", "--", POSTGRES / program, *words)

    run(postgres("initdb", "-D", data), timeout=60).expect_status(0)
    with Program(postgres("postgres", "-D", data)) as server:
        wait_until("the server", lambda: server.still_running()
                   and run(postgres("pg_isready")).status == 0, seconds=30)
        run(postgres("pgbench", "--initialize", "--quiet", "postgres"), timeout=60
            ).expect_status(0)
        done = run(postgres("pgbench", "--client", 4, "--jobs", 2, "--transactions", 250,
                            "postgres"), timeout=60).expect_status(0)
        for line in ("number of transactions actually processed: 1000/1000",
                     "number of failed transactions: 0 "):
            expect(line in done.out, f"no {line!r}\n{done}")
        # More processes of its own: parallel workers.
        run(postgres("psql", "-X", "-v", "ON_ERROR_STOP=1", "-c", "SET force_parallel_mode = on",
                     "-c", "SELECT count(*) FROM pgbench_accounts", "-c", "VACUUM FULL",
                     "postgres")).expect_status(0)
        seccomp.expect_filtered(server, "postgres")
        expect_equal("status after SIGINT", server.stop(signal.SIGINT, 30), 0)
    expect_nothing_refused(log)


@claim
def node_serves_under_load(seccomp):
    data = seccomp.fresh()
    log = data / "log"
    content = data / "content"
    content.write_text("hello from node")
    command = ["--profile", "web", "--user", "app", "--", "node", ASSETS / "server.js", 80, content]
    with Program(seccomp.confined(log, *command)) as node:
        wait_until("port 80", lambda: node.still_running() and http_get("/"), seconds=30)
        put_under_load("http://127.0.0.1/")
        digest = hashlib.pbkdf2_hmac("sha256", content.read_bytes(), b"salt", 1)
        expect_equal("GET", http_get("/"), (200, digest.hex().encode()))
        seccomp.expect_filtered(node, "app", NET_BIND_SERVICE)
        expect_equal("status after SIGTERM", node.stop(), 0)
    expect_nothing_refused(log)


@claim
def gunicorn_serves_under_load(seccomp):
    log = seccomp.fresh() / "log"
    command = ["--profile", "web", "--user", "app", "--chdir", ASSETS, "--", "gunicorn", "--bind",
               "127.0.0.1:80", "--workers", "2", "--threads", "2", "application:application"]
    with Program(seccomp.confined(log, *command)) as gunicorn:
        wait_until("port 80", lambda: gunicorn.still_running() and http_get("/?up"), seconds=30)
        put_under_load("http://127.0.0.1/?hello")
        expect_equal("GET", http_get("/?hello"), (200, b"hello"))
        seccomp.expect_filtered(gunicorn, "app", NET_BIND_SERVICE)
        expect_equal("status after SIGTERM", gunicorn.stop(seconds=40), 0)
    expect_nothing_refused(log)


SHELL = """
set -eu
mkdir original
cp -p /etc/passwd /etc/group /etc/hosts original
cp -r --preserve=mode,timestamps original copy
tar -cf - copy | gzip | gunzip | tar -xf - -C . --transform s/copy/again/
diff -r copy again
mkfifo pipe
(echo through a pipe > pipe &)
read -r line < pipe
sort -R /etc/passwd | sort -u | wc -l | grep -q .
find . -newer /etc/passwd | xargs -r touch -d yesterday
dd if=/dev/zero of=file bs=4096 count=16 status=none
truncate -s 1M file
ln file other && ln -s file link && mv link moved && chmod 600 file && stat file > /dev/null
flock file timeout 10 nice -n 1 true
sleep 0.1 & wait
perl -e 'fork // die; wait'
rm -r original copy again file other moved pipe "$(mktemp -d --tmpdir=.)"
echo "$line"
"""


@claim
def a_shell_and_coreutils_do_their_work(seccomp):
    data = seccomp.fresh()
    log = data / "log"
    work = data / "work"
    done = run(seccomp.confined(log, "--user", "app", "--own", work, "--chdir", work, "--", "sh",
                                "-c", SHELL))
    expect_equal("stdout", done.expect_status(0).out, "through a pipe\n")
    expect_nothing_refused(log)


@claim
def a_stepdown_within_a_stepdown_adds_its_own_filters(seccomp):
    data = seccomp.fresh()
    outer, inner = data / "outer", data / "inner"
    seen = ["grep", "Seccomp_filters", "/proc/self/status"]
    inner.mkdir()
    os.chown(inner, APP, APP)
    done = run(seccomp.confined(outer, "--user", "app", "--writable", inner, "--",
                                *seccomp.confined(inner / "log", "--user", "app", "--", *seen),
                                supervised=False)).expect_status(0)
    expect_equal("filters", done.out.split(), ["Seccomp_filters:", str(seccomp.filters + 4)])
    expect_nothing_refused(inner / "log")


@claim
def a_legacy_root_drops_by_gosu_and_adds_users(seccomp):
    """useradd(8) asks for the kernel's audit first, and takes no EPERM for an answer."""
    data = seccomp.fresh()
    log = data / "log"
    gosu = data / "gosu"
    gosu.symlink_to(seccomp.stepdown)
    etc = data / "root" / "etc"
    etc.mkdir(parents=True)
    for name in "passwd", "group":
        (etc / name).write_bytes(pathlib.Path(f"/etc/{name}").read_bytes())
    maps = ["--uid-map", f"0:{APP}:1", "--uid-map", "1:100000:60000",
            "--gid-map", f"0:{APP}:1", "--gid-map", "1:100000:60000"]
    script = (f"useradd --prefix {data}/root --uid 4711 --no-create-home --no-log-init newcomer && "
              f"{gosu} www-data id -u")
    done = run(seccomp.confined(log, "--profile", "legacy-root", "--user", "app", *maps, "--own",
                                data / "root", "--", "sh", "-c", script)).expect_status(0)
    expect_equal("id", done.out, f"{seccomp.accounts['www-data'][0]}\n")
    newcomer = (etc / "passwd").read_text().splitlines()[-1].split(":")
    expect_equal("the last of passwd", (newcomer[0], newcomer[2]), ("newcomer", "4711"))
    expect_equal("refused", refusals(log) - set(KNOWN), {("socket", "EPROTONOSUPPORT")})


@claim
def a_legacy_root_has_chroot_with_its_capability_alone(seccomp):
    log = seccomp.fresh() / "log"
    command = ["--", "chroot", "/", "true"]
    profile = ["--profile", "legacy-root", "--user", "app"]
    run(seccomp.confined(log, *profile, *command)).expect_status(125)  # chroot(1)'s own
    expect_equal("refused", refusals(log) - set(KNOWN), {("chroot", "EPERM")})
    run(seccomp.confined(log, *profile, "--keep-cap", "SYS_CHROOT", *command)).expect_status(0)


# --- what is refused ----------------------------------------------------------------------------

# By attempts.c: what the policy says, and what the log says of it; None: nothing.
REFUSED = {
    "clone-newuser": ("EPERM", "clone"),
    "clone3": ("ENOSYS", "clone3"),
    **{name: ("EPERM", name) for name in
       ("setns", "mount", "keyctl", "add_key", "request_key", "bpf", "perf_event_open",
        "userfaultfd", "io_uring_setup", "set_mempolicy", "ptrace", "process_vm_readv",
        "pidfd_getfd", "personality", "socketpair")},
    "personality-exec": ("EPERM", "personality"),
    **{f"socket-{name}": ("EPERM", "socket") for name in ("vsock", "alg", "netlink", "alias")},
    "socket-audit": ("EPROTONOSUPPORT", "socket"),
    # The ways into the kernel that the policy doesn't cover.
    **({"x32": ("SYS", None), "i386": ("SYS", None)} if platform.machine() == "x86_64" else {}),
}
TERMINAL = {"TIOCSTI": "EPERM", "TIOCSTI-alias": "EPERM"}


def outcomes(done):
    return dict(line.split() for line in done.expect_status(0).out.splitlines())


@claim.for_each(**WITH_AND_WITHOUT)
def what_an_attacker_wants_is_refused(seccomp, supervised):
    log = seccomp.fresh() / "log"
    expected = TERMINAL | {name: verdict for name, (verdict, _) in REFUSED.items()}
    seen = outcomes(run(seccomp.confined(log, "--user", "app", "--", seccomp.attempts,
                                         supervised=supervised)))
    expect_equal("outcomes", seen, expected)
    if supervised:
        told = {(call, verdict) for verdict, call in REFUSED.values() if call}
        expect_equal("told in the log", refusals(log), told)


@claim
def without_the_policy_nobody_else_would_refuse_it(seccomp):
    """Else what the claim above sees would not be the policy's doing."""
    log = seccomp.fresh() / "log"
    seen = outcomes(run(seccomp.confined(log, "--user", "app", "--", seccomp.attempts,
                                         policy="none")))
    same = [name for name, (verdict, _) in REFUSED.items() if seen[name] == verdict]
    expect_equal("refused without the policy", same, [])
    expect_equal("of the terminal filter", {name: seen[name] for name in TERMINAL}, TERMINAL)
    expect_equal("told in the log", refusals(log), set())
    bare = outcomes(run(["setpriv", f"--reuid={APP}", f"--regid={APP}", "--clear-groups",
                         seccomp.attempts]))
    same = [name for name, verdict in TERMINAL.items() if bare[name] == verdict]
    expect_equal("refused without any filter", same, [])


@claim
def nobody_gets_a_user_namespace_with_all_capabilities(seccomp):
    log = seccomp.fresh() / "log"
    command = ["--user", "app", "--", "unshare", "--user", "grep", "CapEff", "/proc/self/status"]
    refused = run(seccomp.confined(log, *command)).expect_status(1)
    refused.expect_in_stderr("Operation not permitted")
    expect_equal("told in the log", refusals(log), {("unshare", "EPERM")})
    run(seccomp.confined(log, *command, policy="none")).expect_status(0)


@claim
def what_the_log_advises_is_what_helps(seccomp):
    log = seccomp.fresh() / "log"
    command = ["--user", "app", "--", "strace", "-o", "/dev/null", "true"]
    expect(run(seccomp.confined(log, *command)).status != 0, "strace should not work")
    advice = "--keep-cap SYS_PTRACE would allow it"
    expect(advice in log.read_text(), f"no {advice!r} in {log.read_text()!r}")
    run(seccomp.confined(log, "--keep-cap", "SYS_PTRACE", *command)).expect_status(0)
