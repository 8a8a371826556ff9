"""The built-in profiles, each with what it is for: Debian's nginx, redis-server and PostgreSQL with
Debian's own configuration, started by root on the machine in namespaces of their own."""

import json
import os
import pathlib
import signal

from harness import *
from legacy import POSTGRES
from machine import HERE, PYTHON, add_accounts, expect_comm, owners_below

claim = Claims()
APP, LOGS, NONROOT = 10001, 20001, 65532
ETC = pathlib.Path("/etc")
# What the profiles hand over, here empty and root's: the machine's own stays as it is.
DIRECTORIES = ["/run", "/var/lib/nginx", "/var/log/nginx", "/var/lib/redis", "/var/log/redis",
               "/var/lib/postgresql", "/var/log/postgresql"]


class Profiles:
    """The namespaces' accounts and network, and the paths that the profiles own."""

    def __init__(self, stepdown, directory):
        self.stepdown = stepdown
        self.directory = pathlib.Path(directory)
        add_accounts(self.directory,
                     passwd=f"app:x:{APP}:{APP}:the app:/srv/app:/usr/sbin/nologin\n",
                     group=f"app:x:{APP}:\nlogs:x:{LOGS}:someone,app\n")
        self.accounts = {name: (int(uid), int(gid)) for name, _, uid, gid, *_ in
                         (line.split(":") for line in (ETC / "passwd").read_text().splitlines())}
        bring_loopback_up()

    def fresh(self):
        for path in DIRECTORIES:
            run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", path]).expect_status(0)
        set_first_unprivileged_port(1024)

    def launch(self, profile, *words, **options):
        return Program([self.stepdown, "--profile", profile, *words], **options)

    def groups(self, user):
        return set(os.getgrouplist(user, self.accounts[user][1]))

    def expect_confined(self, program, user, kept=NOTHING):
        """All threads of all processes, as the kernel and as `check` see them."""
        uid, gid = self.accounts[user]
        program.still_running()
        for pid in process_tree(program.pid):
            for thread in threads_of(pid):
                thread.expect_stepped_down(uid, gid, self.groups(user), kept)
        run([self.stepdown, "check", "--pid", program.pid, "--tree", "--require",
             f"restricted,no-root-group,uid={uid},gid={gid}"]).expect_status(0)


def expect_owned(path, owner):
    expect_equal(f"owners in {path}", owners_below(pathlib.Path(path)), {owner})


@claim
def nginx_serves_debians_site(profiles):
    profiles.fresh()
    page = pathlib.Path("/var/www/html").glob("index*.html").__next__()
    with profiles.launch("nginx", "--", "nginx", "-g", "daemon off;") as nginx:
        wait_until("port 80", lambda: nginx.still_running() and http_get("/" + page.name))
        expect_equal("GET", http_get("/" + page.name), (200, page.read_bytes()))
        expect_comm(nginx, "nginx")
        expect(len(process_tree(nginx.pid)) > 1, "there should be a master and workers")
        profiles.expect_confined(nginx, "www-data", NET_BIND_SERVICE)
        www_data = profiles.accounts["www-data"]
        expect_owned("/var/lib/nginx", www_data)
        expect_owned("/var/log/nginx", www_data)
        expect("GET /" in pathlib.Path("/var/log/nginx/access.log").read_text(), "no access log")
        expect_equal("PID file", int(pathlib.Path("/run/nginx.pid").read_text()), nginx.pid)
        expect_equal("status after SIGTERM", nginx.stop(), 0)
    expect(not os.path.exists("/run/nginx.pid"), "the PID file should be gone")


@claim
def nginx_keeps_its_hands_off_what_is_others_in_run(profiles):
    profiles.fresh()
    other = pathlib.Path("/run/other")
    other.mkdir()
    (other / "file").write_text("")
    with profiles.launch("nginx", "--", "nginx", "-g", "daemon off;") as nginx:
        wait_until("port 80", lambda: nginx.still_running() and http_get("/"))
        expect_owned("/run/other", (0, 0))


@claim
def redis_serves_and_keeps_its_data_with_debians_configuration(profiles):
    profiles.fresh()
    command = ["--", "redis-server", "/etc/redis/redis.conf", "--daemonize", "no", "--appendonly",
               "yes"]
    for start in "first", "second":
        with profiles.launch("redis", *command) as server:
            wait_until("port 6379", lambda: server.still_running() and redis_answers(6379))
            with Redis(6379) as redis:
                if start == "first":
                    for number in range(1000):
                        redis.ask("SET", f"key{number}", "v" * number)
                    redis.ask("SAVE")
                expect_equal("DBSIZE", redis.ask("DBSIZE"), "1000")
                expect_equal("GET key999", redis.ask("GET", "key999"), "v" * 999)
            expect_comm(server, "redis-server")
            profiles.expect_confined(server, "redis")
            expect_equal("PID file", int(pathlib.Path("/run/redis/redis-server.pid").read_text()),
                         server.pid)
            expect_equal("status after SIGTERM", server.stop(), 0)
    for path in "/var/lib/redis", "/var/log/redis", "/run/redis":
        expect_owned(path, profiles.accounts["redis"])
    mode = pathlib.Path("/var/lib/redis/dump.rdb").stat().st_mode & 0o777
    expect_equal("mode of dump.rdb", oct(mode), oct(0o660))


@claim
def redis_without_a_configuration_saves_where_it_may(profiles):
    profiles.fresh()
    with profiles.launch("redis", "--", "redis-server") as server:
        wait_until("port 6379", lambda: server.still_running() and redis_answers(6379))
        with Redis(6379) as redis:
            redis.ask("SET", "key", "value")
            redis.ask("SAVE")
    expect(os.path.exists("/var/lib/redis/dump.rdb"), "the data should be in /var/lib/redis")


@claim
def postgres_makes_a_cluster_and_serves_it(profiles):
    profiles.fresh()
    data = "/var/lib/postgresql/main"
    run([profiles.stepdown, "--profile", "postgres", "--", POSTGRES / "initdb", "-D", data],
        timeout=60).expect_status(0)

    def ask(statement):
        """As postgres itself, over the socket in /run/postgresql."""
        return run([profiles.stepdown, "--profile", "postgres", "--", POSTGRES / "psql", "-AtqX",
                    "-c", statement, "postgres"])

    with profiles.launch("postgres", "--", POSTGRES / "postgres", "-D", data) as server:
        wait_until("the socket", lambda: server.still_running() and ask("SELECT 1").status == 0)
        ask("CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS n").expect_status(0)
        expect_equal("sum", ask("SELECT sum(n) FROM numbers").out.strip(), "500500")
        expect_comm(server, "postgres")
        profiles.expect_confined(server, "postgres")
        expect_equal("status after SIGINT", server.stop(signal.SIGINT, 30), 0)
    # Handed over again, with what it wrote: the server insists on 0700.
    with profiles.launch("postgres", "--", POSTGRES / "postgres", "-D", data) as server:
        wait_until("the socket", lambda: server.still_running() and ask("SELECT 1").status == 0)
        expect_equal("sum", ask("SELECT sum(n) FROM numbers").out.strip(), "500500")
        expect_equal("status after SIGINT", server.stop(signal.SIGINT, 30), 0)
    for path in "/var/lib/postgresql", "/run/postgresql":
        expect_owned(path, profiles.accounts["postgres"])


@claim.for_each(**{"first unprivileged port 1024": (1024, NET_BIND_SERVICE),
                   "first unprivileged port 0": (0, NOTHING)})
def web_serves_port_80_and_ends_as_pid_1(profiles, first_port, kept):
    profiles.fresh()
    set_first_unprivileged_port(first_port)
    data = profiles.directory / "web"
    data.mkdir(exist_ok=True)
    (data / "page").write_text("hello from port 80")
    serve = f"exec {PYTHON} -m http.server 80 --directory {data}"
    with profiles.launch("web", "--user", "app", "--", "sh", "-c", serve) as web:
        wait_until("port 80", lambda: web.still_running() and http_get("/page"))
        expect_equal("GET /page", http_get("/page"), (200, b"hello from port 80"))
        # The parent keeps no capability, the application what it asked for.
        parent, app = process_tree(web.pid)
        Status.of(app).expect_stepped_down(APP, APP, {APP, LOGS}, kept)
        run([profiles.stepdown, "check", "--pid", web.pid, "--tree"]).expect_status(0)
        expect_equal("umask", [line for line in pathlib.Path(f"/proc/{app}/status").read_text()
                               .splitlines() if line.startswith("Umask")], ["Umask:\t0027"])
        expect_equal("status after SIGTERM", web.stop(), 128 + signal.SIGTERM)


IDLE = ("--", "sleep", "1000")
BY_NUMBER = {"default": ("app", APP, {APP, LOGS}), "restricted": ("app", APP, {APP, LOGS}),
             "distroless": (None, NONROOT, {NONROOT})}


@claim.for_each(**{name: (name, *case) for name, case in BY_NUMBER.items()})
def check_finds_restricted_what_runs_with_the_profile(profiles, name, user, uid, groups):
    profiles.fresh()
    words = ("--user", user) if user else ()
    with profiles.launch(name, *words, *IDLE) as idle:
        wait_until("sleep", lambda: Status.of(idle.pid).name == "sleep")
        Status.of(idle.pid).expect_stepped_down(uid, uid, groups)
        run([profiles.stepdown, "check", "--pid", idle.pid, "--require",
             f"restricted,no-capabilities,no-root-group,uid={uid},gid={uid}"]).expect_status(0)


@claim
def restricted_takes_the_pod_as_it_was_started(profiles):
    """A user of the cluster's choice, everything dropped, fsGroup among the groups."""
    profiles.fresh()
    with Program(["setpriv", "--reuid", "4711", "--regid", "4711", "--groups", "4711,2000",
                  "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs",
                  profiles.stepdown, "--profile", "restricted", "--user", "app", *IDLE]) as idle:
        wait_until("sleep", lambda: Status.of(idle.pid).name == "sleep")
        Status.of(idle.pid).expect_stepped_down(4711, 4711, {4711, 2000})


@claim
def restricted_refuses_root(profiles):
    profiles.fresh()
    refused = run([profiles.stepdown, "--profile", "restricted", "--user", "root", "--", "true"])
    refused.expect_status(125)
    expect("--allow-root" in refused.err, f"it does not say why\n{refused}")


@claim
def legacy_root_is_root_inside_and_the_user_outside(profiles):
    profiles.fresh()
    with profiles.launch("legacy-root", "--user", "app", *IDLE) as idle:
        wait_until("sleep", lambda: Status.of(idle.pid).name == "sleep")
        expect_equal("uids outside", Status.of(idle.pid).uids, (APP,) * 4)
        run([profiles.stepdown, "check", "--pid", idle.pid, "--require",
             f"user-namespace,uid={APP},no-new-privs"]).expect_status(0)


@claim
def every_built_in_profile_is_valid_and_listed(profiles):
    directory = HERE.parent.parent / "profiles"
    names = sorted(path.stem for path in directory.glob("*.toml"))
    listed = run([profiles.stepdown, "profile", "list"]).expect_status(0).out.splitlines()
    expect_equal("profile list", [line.split()[0] for line in listed], names)
    for name in names:
        path = directory / f"{name}.toml"
        expect_equal(f"profile show {name}",
                     run([profiles.stepdown, "profile", "show", name]).expect_status(0).out,
                     path.read_text())
        run([profiles.stepdown, "profile", "check", path]).expect_status(0)
        plan = run([profiles.stepdown, "plan", "--profile", name, "--user", "app", "--json", "--",
                    "true"])
        expect_equal(f"plan --profile {name}", json.loads(plan.out)["identity"]["user"], "app")
