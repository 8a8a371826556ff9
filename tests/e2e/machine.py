"""nginx, redis-server and a Python http.server on port 80, each started by root through stepdown on
the machine itself, in mount, network and PID namespaces that hold nothing else."""

import contextlib
import json
import os
import pathlib
import signal

from harness import *

claim = Claims()
APP = 10001
LOGS = 20001
HERE = pathlib.Path(__file__).parent
PYTHON = "/usr/bin/python3"
PORT_80 = ("--port", "80")
CONFINED = (*PORT_80, "--read-only", "--only-ports", "--landlock", "require")
CAPABILITY = {NOTHING: [], NET_BIND_SERVICE: ["cap_net_bind_service"]}


class Machine:
    """The namespaces' accounts and network, and a directory of root's for each claim."""

    def __init__(self, stepdown, directory):
        self.stepdown = stepdown
        self.directory = pathlib.Path(directory)
        self.count = 0
        add_accounts(self.directory,
                     passwd=f"app:x:{APP}:{APP}:the app:/srv/app:/usr/sbin/nologin\n",
                     group=f"app:x:{APP}:\nlogs:x:{LOGS}:someone,app\n")
        bring_loopback_up()

    def new_directory(self):
        self.count += 1
        path = self.directory / f"data{self.count}"
        path.mkdir(mode=0o755)
        return path

    def launch(self, data, *command, options=PORT_80):
        return Program([self.stepdown, "--user", "app", "--own", data, *options, "--", *command])

    def check(self, pid, *words):
        return run([self.stepdown, "check", "--pid", pid, *words])


def add_accounts(directory, passwd, group):
    """Lines appended to copies of the account files, which are mounted over the real ones."""
    for name, lines in ("passwd", passwd), ("group", group):
        copy = pathlib.Path(directory) / name
        copy.write_text(pathlib.Path(f"/etc/{name}").read_text() + lines)
        run(["mount", "--bind", copy, f"/etc/{name}"]).expect_status(0)


def owners_below(top):
    """{(uid, gid)} of everything in the tree."""
    found = set()
    for path in [top, *top.rglob("*")]:
        status = path.lstat()
        found.add((status.st_uid, status.st_gid))
    return found


def expect_all_stepped_down(machine, program, kept):
    """Every thread of every process below the launcher's PID, as the kernel and as `check` see it."""
    program.still_running()
    pids = process_tree(program.pid)
    for pid in pids:
        for thread in threads_of(pid):
            thread.expect_stepped_down(APP, APP, {APP, LOGS}, kept)
    expect_equal("parent of the launcher's PID", Status.of(program.pid).parent, os.getpid())

    rules = ["non-root", "no-root-group", "no-new-privs", "seccomp", f"uid={APP}", f"gid={APP}",
             f"groups={APP}:{LOGS}", "restricted",
             "only-capability=NET_BIND_SERVICE" if kept else "no-capabilities"]
    machine.check(program.pid, "--tree", "--require", ",".join(rules)).expect_status(0)
    machine.check(program.pid, "--tree", "--require", "uid=0").expect_status(1)
    if kept:
        machine.check(program.pid, "--require", "no-capabilities").expect_status(1)

    answer = machine.check(program.pid, "--tree", "--json").expect_status(0)
    seen = json.loads(answer.out)
    expect_equal("check --json: ok", seen["ok"], True)
    expect_equal("check --json: pids", sorted(p["pid"] for p in seen["processes"]), sorted(pids))
    for process in seen["processes"]:
        expect_equal("check --json: uids", set(process["uid"].values()), {APP})
        expect_equal("check --json: gids", set(process["gid"].values()), {APP})
        expect_equal("check --json: groups", set(process["groups"]) | {APP}, {APP, LOGS})
        for name, members in process["capabilities"].items():
            expect_equal(f"check --json: {name}", members, CAPABILITY[kept])
        expect_equal("check --json: no_new_privs", process["no_new_privs"], True)
        expect_equal("check --json: seccomp mode", process["seccomp"]["mode"], 2)


def expect_comm(program, name):
    """The launcher's PID has become the server, not its parent."""
    expect_equal("name of the launcher's PID", Status.of(program.pid).name, name)


BOTH_KINDS_OF_HOST = {
    "first unprivileged port 1024": (1024, NET_BIND_SERVICE),
    "first unprivileged port 0": (0, NOTHING),
}


@claim.for_each(**BOTH_KINDS_OF_HOST)
def nginx_serves_port_80(machine, first_port, kept, options=PORT_80):
    set_first_unprivileged_port(first_port)
    data = machine.new_directory()
    (data / "www").mkdir()
    page = os.urandom(300_000)
    (data / "www" / "page").write_bytes(page)
    command = ["nginx", "-p", data, "-c", HERE / "nginx.conf", "-e", "stderr"]
    with machine.launch(data, *command, options=options) as nginx:
        wait_until("port 80", lambda: nginx.still_running() and http_get("/page"))
        expect_equal("GET /page", http_get("/page"), (200, page))
        expect_equal("GET /none", http_get("/none")[0], 404)
        expect_comm(nginx, "nginx")
        expect(len(process_tree(nginx.pid)) == 3, "there should be a master and two workers")
        expect_all_stepped_down(machine, nginx, kept)
        # access_log is opened by its name, /dev/stdout, after the drop: a pipe that root made.
        nginx.wait_for_output("stdout", "GET /none")
        # A reload makes the master fork again: the new workers are no less confined.
        before = set(process_tree(nginx.pid))
        os.kill(nginx.pid, signal.SIGHUP)
        wait_until("workers are replaced", lambda: len(
            now := process_tree(nginx.pid)) == 3 and len(before & set(now)) == 1)
        expect_equal("GET /page", http_get("/page"), (200, page))
        expect_all_stepped_down(machine, nginx, kept)
        expect_equal("owners in the data directory", owners_below(data), {(APP, APP)})
        expect_equal("status after SIGTERM", nginx.stop(), 0)


@claim
def nginx_serves_port_80_read_only(machine):
    nginx_serves_port_80(machine, 1024, NET_BIND_SERVICE, options=CONFINED)


@claim.for_each(**BOTH_KINDS_OF_HOST)
def redis_serves_port_80_and_keeps_its_data(machine, first_port, kept, options=PORT_80):
    set_first_unprivileged_port(first_port)
    data = machine.new_directory()
    (data / "left-by-root").write_text("x")
    command = ["redis-server", "--port", "80", "--dir", data, "--appendonly", "yes",
               "--logfile", "/dev/stdout"]
    with machine.launch(data, *command, options=options) as server:
        wait_until("port 80", lambda: server.still_running() and redis_answers())
        with Redis() as redis:
            for number in range(1000):
                redis.ask("SET", f"key{number}", "v" * number)
            redis.ask("BGREWRITEAOF")
            wait_until("the rewrite", lambda: (
                info := redis.info("persistence"))["aof_rewrite_in_progress"] == "0"
                and info["aof_last_bgrewrite_status"] == "ok"
                and info["aof_rewrite_scheduled"] == "0")
            redis.ask("SAVE")
        expect_comm(server, "redis-server")
        expect(len(threads_of(server.pid)) > 1, "redis should have its background threads")
        expect_all_stepped_down(machine, server, kept)
        server.wait_for_output("stdout", "Ready to accept connections")
        expect_equal("status after SIGTERM", server.stop(), 0)
    expect(list(data.glob("appendonlydir/*.aof")), "there is no append-only file")
    expect_equal("owners in the data directory", owners_below(data), {(APP, APP)})

    # The next start finds its own data and nothing to hand over.
    with machine.launch(data, *command, options=options) as server:
        wait_until("port 80", lambda: server.still_running() and redis_answers())
        with Redis() as redis:
            expect_equal("DBSIZE", redis.ask("DBSIZE"), "1000")
            expect_equal("GET key999", redis.ask("GET", "key999"), "v" * 999)
        expect_all_stepped_down(machine, server, kept)


@claim
def redis_serves_port_80_and_keeps_its_data_read_only(machine):
    redis_serves_port_80_and_keeps_its_data(machine, 1024, NET_BIND_SERVICE, options=CONFINED)


@claim.for_each(**BOTH_KINDS_OF_HOST)
def python_http_server_serves_port_80(machine, first_port, kept, options=PORT_80):
    set_first_unprivileged_port(first_port)
    data = machine.new_directory()
    (data / "page").write_text("hello from port 80")
    server = f"exec {PYTHON} -m http.server 80 --directory {data} 2> /dev/stdout"
    with machine.launch(data, "sh", "-c", server, options=options) as python:
        wait_until("port 80", lambda: python.still_running() and http_get("/page"))
        expect_equal("GET /page", http_get("/page"), (200, b"hello from port 80"))
        expect("python" in Status.of(python.pid).name, "the launcher's PID is not the server")
        expect_all_stepped_down(machine, python, kept)
        python.wait_for_output("stdout", "GET /page")
        expect_equal("owners in the data directory", owners_below(data), {(APP, APP)})
        expect_equal("status after SIGTERM", python.stop(), -signal.SIGTERM)


@claim
def python_http_server_serves_port_80_read_only(machine):
    python_http_server_serves_port_80(machine, 1024, NET_BIND_SERVICE, options=CONFINED)


@claim.for_each(**BOTH_KINDS_OF_HOST)
def plan_says_what_will_be_and_does_nothing(machine, first_port, kept):
    set_first_unprivileged_port(first_port)
    data = machine.new_directory()
    plan = run([machine.stepdown, "plan", "--user", "app", "--own", data, "--port", "80", "--json",
                "--", "true"]).expect_status(0)
    seen = json.loads(plan.out)
    expect_equal("ok", seen["ok"], True)
    identity = {key: seen["identity"][key] for key in ("user", "uid", "gid")}
    expect_equal("identity", identity, {"user": "app", "uid": APP, "gid": APP})
    expect_equal("groups", set(seen["identity"]["groups"]), {APP, LOGS})
    expect_equal("capabilities to keep", seen["capabilities"]["keep"], CAPABILITY[kept])
    expect_equal("own", seen["own"], [str(data)])
    expect_equal("owners", owners_below(data), {(0, 0)})


@claim
def a_low_port_nobody_asked_for_is_not_served(machine):
    set_first_unprivileged_port(1024)
    data = machine.new_directory()
    with machine.launch(data, PYTHON, "-m", "http.server", "80", options=()) as python:
        python.wait_for_output("stderr", "PermissionError")
        expect_equal("status", python.process.wait(10), 1)


@claim
def root_does_not_come_back_through_a_setuid_program(machine):
    set_first_unprivileged_port(0)
    data = machine.new_directory()
    program = data / "setuid-id"
    program.write_bytes(pathlib.Path("/usr/bin/id").read_bytes())
    program.chmod(0o4755)
    # --own would rightly clear the set-id bit of what it hands over, so this one stays root's.
    done = run([machine.stepdown, "--user", "app", "--", program, "-u"]).expect_status(0)
    expect_equal("uid in a setuid root program", done.out.strip(), str(APP))


@claim
def check_finds_the_servers_that_did_not_step_down(machine):
    set_first_unprivileged_port(0)
    data = machine.new_directory()
    with contextlib.ExitStack() as stack:
        nginx = stack.enter_context(Program(
            ["nginx", "-p", data, "-c", HERE / "nginx.conf", "-e", "stderr"]))
        wait_until("port 80", lambda: nginx.still_running() and http_get("/"))
        refused = machine.check(nginx.pid, "--tree").expect_status(1)
        expect("uid 0" in refused.out, f"check does not say why\n{refused}")
        machine.check(nginx.pid, "--tree", "--require", "non-root").expect_status(1)
        machine.check(nginx.pid, "--require", "uid=0,gid=0").expect_status(0)
        expect_equal("check --json: ok", json.loads(
            machine.check(nginx.pid, "--tree", "--json").expect_status(1).out)["ok"], False)
    machine.check(nginx.pid).expect_status(125)  # it is gone: an error, not a failed rule
