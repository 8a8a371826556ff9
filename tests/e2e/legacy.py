"""Programs that insist on being root, started by root on the machine in every mode that gives them
one, and what of that root there is to see from outside. The table of what works how is README's."""

import contextlib
import fcntl
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

from harness import *
from machine import add_accounts, owners_below

claim = Claims()
ASSETS = pathlib.Path(__file__).parent / "legacy"
POSTGRES = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"),
               key=lambda path: int(path.parent.name))
APP, LOGS = 10001, 20001
RANGE, BY_HAND, LENGTH = 100000, 300000, 65536
LEGACY_ROOT = sum(1 << number for number in (0, 1, 3, 5, 6, 7))  # linux/capability.h
NS_GET_PARENT, NS_GET_OWNER_UID = 0xB702, 0xB704  # ioctl_ns(2)


class Legacy:
    """The namespaces' accounts and network, and a directory of root's for each claim."""

    def __init__(self, stepdown, directory):
        self.stepdown = stepdown
        self.directory = pathlib.Path(directory)
        self.count = 0
        add_accounts(self.directory,
                     passwd=f"app:x:{APP}:{APP}:the app:/srv/app:/usr/sbin/nologin\n",
                     group=f"app:x:{APP}:\nlogs:x:{LOGS}:someone,app\n")
        self.accounts = {name: (int(uid), int(gid)) for name, _, uid, gid, *_ in
                         (line.split(":") for line in
                          pathlib.Path("/etc/passwd").read_text().splitlines())}
        self.groups = {name: set(os.getgrouplist(name, gid))
                       for name, (_, gid) in self.accounts.items()}
        self.ranges = [self.directory / name for name in ("subuid", "subgid")]
        self.set_ranges(None)
        for path in self.ranges:
            run(["mount", "--bind", path, f"/etc/{path.name}"]).expect_status(0)
        run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"]).expect_status(0)
        bring_loopback_up()
        set_first_unprivileged_port(1024)
        links = self.directory / "links"
        links.mkdir()
        (links / "gosu").symlink_to(stepdown)
        self.path = {"gosu": f"{POSTGRES}:{os.environ['PATH']}",
                     "stepdown": f"{links}:{POSTGRES}:{os.environ['PATH']}"}

    def set_ranges(self, account):
        for path in self.ranges:
            path.write_text(f"{account}:{RANGE}:{LENGTH}\n" if account else "")

    def new_directory(self):
        self.count += 1
        path = self.directory / f"data{self.count}"
        path.mkdir(mode=0o755)
        return path

    def launch(self, mode, account, data, *words, **environment):
        """stepdown in that mode; `words` may begin with more options."""
        self.set_ranges(account if mode.first_id == RANGE else None)
        return Program([self.stepdown, "--user", account, "--own", data, "--chdir", data,
                        *mode.options(*self.accounts[account]), *words],
                       env={**os.environ, "PATH": self.path["gosu"], **environment})

    def check(self, pid, *rules):
        run([self.stepdown, "check", "--pid", pid, "--tree", "--require",
             ",".join(rules)]).expect_status(0)


# --- modes and programs -------------------------------------------------------------------------


@dataclasses.dataclass
class Mode:
    words: tuple
    # Where outside the ids from 1 on inside lie; None: there are none.
    first_id: int = None
    by_hand: bool = False
    kept: int = NOTHING
    user_namespace: bool = False
    supervised: bool = False

    def options(self, uid, gid):
        if not self.by_hand:
            return self.words
        lines = [("--uid-map", f"0:{uid}:1"), ("--uid-map", f"1:{self.first_id}:{LENGTH}"),
                 ("--gid-map", f"0:{gid}:1"), ("--gid-map", f"1:{self.first_id}:{LENGTH}")]
        return *self.words, *(word for line in lines for word in line)

    def outside(self, own, inside):
        """What an id that a program takes by its number is to the machine."""
        return own if self.first_id is None else self.first_id + inside - 1


USERNS = ("--userns=root",)
PROFILE = ("--profile", "legacy-root")
MODES = {
    "no mode": Mode(()),
    "--userns=root": Mode(USERNS, user_namespace=True),
    "--userns=root with ranges": Mode(USERNS, RANGE, user_namespace=True),
    "--userns=root with maps": Mode(USERNS, BY_HAND, by_hand=True, user_namespace=True),
    "legacy-root": Mode(PROFILE, kept=LEGACY_ROOT, user_namespace=True),
    "legacy-root with ranges": Mode(PROFILE, RANGE, kept=LEGACY_ROOT, user_namespace=True),
    "legacy-root with maps": Mode(PROFILE, BY_HAND, by_hand=True, kept=LEGACY_ROOT,
                                  user_namespace=True),
    "--pretend-root": Mode(("--pretend-root",), supervised=True),
    "--pretend-root=static": Mode(("--pretend-root=static",)),
}


@dataclasses.dataclass
class LegacyProgram:
    """A program that wants root, and how to tell that it serves."""

    command: object  # of its data directory: the words
    serves: object  # a function that returns True, or raises, or returns False: not yet
    becomes: str  # whom its workers, or itself, become by the account's name; None: it stays root
    stays: bool = False  # the master keeps its identity
    account: str = "app"
    options: tuple = ()
    gosu: str = "gosu"
    status: int = 0  # after SIGTERM

    def prepare(self, data):
        (data / "www").mkdir()
        (data / "www" / "page").write_text("hello from port 80")
        (data / "left-by-root").write_text("x")


def serves_page():
    return expect_equal("GET /page", http_get("/page"), (200, b"hello from port 80")) or True


def serves_redis():
    if not redis_answers(6379):
        return False
    with Redis(6379) as redis:
        redis.ask("SET", "key", "value")
        redis.ask("SAVE")
        return redis.ask("GET", "key") == "value"


def serves_postgres():
    # By TCP: the socket serves its entrypoint as well, while that makes the database.
    ask = run([POSTGRES / "psql", "-h", "127.0.0.1", "-U", "postgres", "-XAtc",
               "SELECT how FROM made"], env={**os.environ, "PGPASSWORD": "secret"})
    return ask.status == 0 and expect_equal("answer", ask.out, "by the entrypoint\n") is None


def redis(gosu):
    return LegacyProgram(
        command=lambda data: (ASSETS / "redis-entrypoint.sh", "--save", "60", "1"),
        serves=serves_redis, becomes="redis", gosu=gosu)


def postgres(gosu, account):
    return LegacyProgram(
        command=lambda data: (ASSETS / "postgres-entrypoint.sh", "postgres"),
        serves=serves_postgres, becomes="postgres", gosu=gosu, account=account,
        options=("--own", "/run/postgresql"))


PORT_80 = ("--port", "80")
PROGRAMS = {
    "nginx": LegacyProgram(
        command=lambda data: ("nginx", "-p", data, "-c", ASSETS / "nginx.conf", "-e", "stderr"),
        serves=serves_page, becomes="www-data", stays=True, options=PORT_80),
    "apache2": LegacyProgram(
        command=lambda data: ("apache2", "-f", ASSETS / "apache2.conf", "-DFOREGROUND"),
        serves=serves_page, becomes="www-data", stays=True, options=PORT_80),
    "redis, gosu": redis("gosu"),
    "redis, stepdown as gosu": redis("stepdown"),
    "postgres, gosu": postgres("gosu", "postgres"),
    "postgres, stepdown as gosu": postgres("stepdown", "postgres"),
    "postgres for another user": postgres("gosu", "app"),
    "entrypoint that exits unless root": LegacyProgram(
        command=lambda data: (ASSETS / "insists-on-root.sh", data / "www"),
        serves=serves_page, becomes=None, options=PORT_80, status=-signal.SIGTERM),
}


# --- the table ----------------------------------------------------------------------------------


@dataclasses.dataclass
class Works:
    drops: bool = True  # its workers, or itself, become who they want to be
    says: str = ""


@dataclasses.dataclass
class Ends:
    """The program gives up by itself, and says this."""

    text: str
    status: int = 1


@dataclasses.dataclass
class Repeats:
    """It starts itself again for ever, and says this each time."""

    text: str


WORKS = Works()
# httpd's child takes a failed setgid(2) for a module that declined, and goes on as it is.
LIKE_THE_MASTER = Works(drops=False, says="setgid: unable to set group id")
TABLE = {
    "nginx": {
        "no mode": WORKS,
        "--userns=root": Ends("(22: Invalid argument)"),
        "--userns=root with ranges": Ends("(1: Operation not permitted)"),
        "--userns=root with maps": Ends("(1: Operation not permitted)"),
        "legacy-root": Ends("(22: Invalid argument)"),
        "legacy-root with ranges": WORKS,
        "legacy-root with maps": WORKS,
        "--pretend-root": WORKS,
        "--pretend-root=static": WORKS,
    },
    "apache2": {
        "no mode": WORKS,
        "--userns=root": LIKE_THE_MASTER,
        "--userns=root with ranges": LIKE_THE_MASTER,
        "--userns=root with maps": LIKE_THE_MASTER,
        "legacy-root": LIKE_THE_MASTER,
        "legacy-root with ranges": WORKS,
        "legacy-root with maps": WORKS,
        "--pretend-root": WORKS,
        "--pretend-root=static": WORKS,
    },
    "redis, gosu": {
        "no mode": WORKS,
        "--userns=root": Ends("Invalid argument"),
        "--userns=root with ranges": Ends("Operation not permitted"),
        "--userns=root with maps": Ends("Operation not permitted"),
        "legacy-root": Ends("Invalid argument"),
        "legacy-root with ranges": WORKS,
        "legacy-root with maps": WORKS,
        "--pretend-root": WORKS,
        "--pretend-root=static": Repeats("entrypoint as 0"),
    },
    "postgres, gosu": {
        "no mode": WORKS,
        "--userns=root": Ends("Invalid argument"),
        "--userns=root with ranges": Ends("Operation not permitted"),
        "--userns=root with maps": Ends("Operation not permitted"),
        "legacy-root": Ends("Invalid argument"),
        "legacy-root with ranges": WORKS,
        "legacy-root with maps": WORKS,
        "--pretend-root": WORKS,
        "--pretend-root=static": Repeats("entrypoint as 0"),
    },
    "entrypoint that exits unless root": {
        "no mode": Ends("this must be run as root"),
        **{name: WORKS for name in MODES if name != "no mode"},
    },
}
# stepdown under gosu's name sees that it wouldn't become anybody, and says so instead.
for name in "redis", "postgres":
    TABLE[f"{name}, stepdown as gosu"] = {**TABLE[f"{name}, gosu"],
                                          "--pretend-root=static": Ends("stepdown:", 125)}
# The server compares the owner of its data, which is the kernel's truth, with who it is.
TABLE["postgres for another user"] = {
    **TABLE["postgres, gosu"],
    "--pretend-root": Ends("has wrong ownership"),
}


@claim.for_each(**{f"{program}: {mode}": (program, mode)
                   for program, row in TABLE.items() for mode in row})
def a_program_that_wants_root(machine, program, mode):
    cell, program, mode = TABLE[program][mode], PROGRAMS[program], MODES[mode]
    data = machine.new_directory()
    program.prepare(data)
    shutil.rmtree("/run/postgresql", ignore_errors=True)
    with machine.launch(mode, program.account, data, *program.options, "--",
                        *program.command(data), DATA=str(data), PGDATA=str(data / "db"),
                        PATH=machine.path[program.gosu]) as running:
        if isinstance(cell, Works):
            works(machine, program, mode, cell, running)
        elif isinstance(cell, Ends):
            status = wait_for_end(running)
            said = (running.written["stderr"] + running.written["stdout"]).decode()
            expect(cell.text in said, f"it does not say {cell.text!r}\n{running}")
            expect_equal("exit status", status, cell.status)
        else:
            wait_until(f"{cell.text!r} for the tenth time", lambda: (
                running.still_running()
                and running.written["stdout"].count(cell.text.encode()) >= 10))
            expect_only_ids_of_the_target(machine, mode, program, running, set())
    ours = expected_ids(machine, mode, program)
    expect(all(set(owner) <= ours for owner in owners_below(data)),
           f"owners in the data directory: {owners_below(data)}, expected of {ours}")


def wait_for_end(running):
    """Its exit status; then all that it wrote has been read."""
    try:
        status = running.process.wait(20)
    except subprocess.TimeoutExpired:
        raise Failure(f"it does not end\n{running}") from None
    for reader in running.readers:
        reader.join(5)
    return status


def works(machine, program, mode, cell, running):
    def served():
        try:
            return running.still_running() and program.serves()
        except (http.client.HTTPException, Failure) as failure:
            running.still_running()
            raise OSError(failure) from None

    try:
        wait_until("it serves", served, 20)
    except Failure as failure:
        raise Failure(f"{failure}\n{running}") from None
    own, _ = machine.accounts[program.account]
    uids = {own}
    if program.becomes and cell.drops:
        becomes = mode.outside(own, machine.accounts[program.becomes][0])
        uids = {own, becomes} if program.stays else {becomes}
    expect_only_ids_of_the_target(machine, mode, program, running, uids)
    running.wait_for_output("stderr", cell.says)
    expected = program.status
    if expected < 0 and waits_for_the_app(mode, program):  # init: 128+n
        expected = 128 - expected
    expect_equal("status after SIGTERM", running.stop(), expected)


def waits_for_the_app(mode, program):
    """The launcher's PID is a supervisor, and the app a child."""
    return mode.supervised or (mode.user_namespace and program.options == PORT_80)


def expected_ids(machine, mode, program):
    """Uids and gids that the machine may see at all."""
    ours = {*machine.accounts[program.account]}
    if program.becomes and mode.first_id is not None:
        ours |= {mode.outside(None, number) for number in machine.accounts[program.becomes]}
    return ours


# --- from outside -------------------------------------------------------------------------------


def expect_only_ids_of_the_target(machine, mode, program, running, uids):
    """Every thread of the tree, as the kernel shows it out here and as `check` does."""
    uid, gid = machine.accounts[program.account]
    pids = process_tree(running.pid)
    if waits_for_the_app(mode, program):
        expect_supervisor(machine, program, running.pid)
        pids.remove(running.pid)
    seen = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # postgres's come and go
            for thread in threads_of(pid):
                expect_no_root(machine, mode, program, thread)
                seen |= set(thread.uids)
    if uids:
        expect_equal("uids of the app's processes", seen, uids)
    machine.check(running.pid, "non-root", "no-root-group", "no-new-privs", "seccomp")
    if not mode.kept and program.options != PORT_80:
        machine.check(running.pid, "restricted", "no-capabilities")
    if not waits_for_the_app(mode, program) and mode.user_namespace:
        machine.check(running.pid, "user-namespace")


def expect_no_root(machine, mode, program, thread):
    uid, gid = machine.accounts[program.account]
    who = f"process {thread.pid} ({thread.name})"
    own_range = set() if mode.first_id is None else range(mode.first_id, mode.first_id + LENGTH)
    for what, allowed, ids in (("uids", {uid}, thread.uids), ("gids", {gid}, thread.gids),
                               ("groups", machine.groups[program.account], thread.groups)):
        expect(all(number in allowed or number in own_range for number in ids),
               f"{who}: {what} {ids}")
    kept = mode.kept
    if mode.user_namespace:
        expect_namespace_owned_by(who, thread.pid, uid)
    elif program.options == PORT_80:
        kept = NET_BIND_SERVICE
    for name, held in thread.capabilities.items():
        expect(held & ~kept == 0, f"{who}: {name} {held:#x}")
    expect(thread.no_new_privs, f"{who}: no_new_privs is not set")
    expect_equal(f"{who}: Seccomp", thread.seccomp, 2)


def expect_namespace_owned_by(who, pid, uid):
    """A child of the machine's own, and the target's: what is held in there counts nowhere else."""
    with open(f"/proc/{pid}/ns/user") as namespace, open("/proc/self/ns/user") as ours:
        parent = fcntl.ioctl(namespace, NS_GET_PARENT)
        try:
            expect(os.path.sameopenfile(parent, ours.fileno()),
                   f"{who}: its user namespace is not a child of the machine's")
        finally:
            os.close(parent)
        owner = fcntl.ioctl(namespace, NS_GET_OWNER_UID, bytes(4))
    expect_equal(f"{who}: owner of its user namespace", int.from_bytes(owner, sys.byteorder), uid)


def expect_supervisor(machine, program, pid):
    """Dropped like the app. It has the capability that it binds with; or that the app has, else it
    could not read the app's memory (ptrace(2), access mode checking)."""
    uid, gid = machine.accounts[program.account]
    port = program.options == PORT_80
    kept = {name: NET_BIND_SERVICE for name in ("CapPrm", "CapEff", "CapBnd") if port}
    for thread in threads_of(pid):
        who = f"supervisor {thread.pid}"
        expect_equal(f"{who}: uids", thread.uids, (uid,) * 4)
        expect_equal(f"{who}: gids", thread.gids, (gid,) * 4)
        expect(thread.groups <= machine.groups[program.account],
               f"{who}: groups {thread.groups}")
        expect(thread.no_new_privs, f"{who}: no_new_privs is not set")
        for name, held in thread.capabilities.items():
            expect(held & ~kept.get(name, NOTHING) == 0, f"{who}: {name} {held:#x}")
        expect(os.path.samefile(f"/proc/{thread.pid}/ns/user", "/proc/self/ns/user"),
               f"{who} is in a user namespace")


# --- games --------------------------------------------------------------------------------------


def expect_refused(what, attempts):
    for name, outcome in attempts.items():
        expect(outcome in ("EPERM", "EACCES"), f"{what}, then {name}: {outcome}")


@claim.for_each(**{mode: (mode,) for mode in MODES if mode != "no mode"})
def games_of_root_inside_gain_nothing_outside(machine, name):
    mode = MODES[name]
    program = LegacyProgram(command=None, serves=None, becomes=None,
                            options=PORT_80 if mode.user_namespace else ())
    data = machine.new_directory()
    secret = machine.new_directory() / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    before = secret.stat()
    mounts = pathlib.Path("/proc/self/mounts").read_text()
    with machine.launch(mode, "app", data, *program.options, "--", ASSETS / "games", secret,
                        os.getpid(), data) as running:
        running.wait_for_output("stdout", '"uid"')
        first = json.loads(running.written["stdout"].splitlines()[0])
        expect_equal("inside", first, {"uid": 0, "euid": 0, "gid": 0, "id": 0, "games": 15})
        wait_until("every game is played", lambda: (
            running.still_running() and running.written["stdout"].count(b"\n") == 16))
        games = list(map(json.loads, running.written["stdout"].splitlines()[1:]))
        for game in games:
            expect_refused(game["game"], game["forbidden"])
            if mode.user_namespace:  # it holds CAP_NET_BIND_SERVICE
                expect_equal(f"{game['game']}, then ptrace of the supervisor", game["launcher"],
                             "EPERM")
            if "unshare" not in game["game"]:  # that one is in a namespace of its own making
                for thread in threads_of(game["pid"]):
                    expect_no_root(machine, mode, program, thread)
        machine.check(running.pid, "non-root", "no-root-group", "no-new-privs", "seccomp")
        running.still_running()
    expect_equal("mounts", pathlib.Path("/proc/self/mounts").read_text(), mounts)
    after = secret.stat()
    expect_equal("the secret", (secret.read_text(), after.st_mode, after.st_uid, after.st_ino),
                 ("root's", before.st_mode, 0, before.st_ino))
    expect_equal("owners in the data directory", owners_below(data), {(APP, APP)})


# --- what follows from it -----------------------------------------------------------------------


@claim
def a_named_port_is_served_to_whom_the_app_became_and_no_other_port_is(machine):
    """Unlike a root that drops, www-data inside still has the port: it belongs to the app."""
    bind = ("import os, socket; os.setgid(33); os.setuid(33); one = socket.socket(); "
            "one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); one.bind(('', 80)); "
            "print('port 80', flush=True); socket.socket().bind(('', 81))")
    mode = MODES["legacy-root with ranges"]
    with machine.launch(mode, "app", machine.new_directory(), *PORT_80, "--", "/usr/bin/python3",
                        "-c", bind) as running:
        expect_equal("status", wait_for_end(running), 1)
        running.wait_for_output("stdout", "port 80")
        running.wait_for_output("stderr", "PermissionError")


@claim
def an_ordinary_user_has_its_ranges_too(machine):
    """newuidmap(1) and newgidmap(1) write what stepdown may not."""
    data = machine.new_directory()
    program = dataclasses.replace(PROGRAMS["redis, gosu"], options=())
    program.prepare(data)
    run(["chown", "-R", f"{APP}:{APP}", data]).expect_status(0)
    machine.set_ranges("app")
    mode = MODES["legacy-root with ranges"]
    with Program(["setpriv", f"--reuid={APP}", f"--regid={APP}", "--clear-groups",
                  machine.stepdown, "--user", "app", "--own", data, "--chdir", data, *mode.words,
                  "--", *program.command(data)], env={**os.environ, "PATH": machine.path["gosu"]}
                 ) as running:
        works(machine, program, mode, WORKS, running)


@claim
def when_the_supervisor_dies_nobody_is_root(machine):
    script = "while id -u; do sleep 0.05; done"
    with machine.launch(MODES["--pretend-root"], "app", machine.new_directory(), "--", "sh", "-c",
                        script) as running:
        running.wait_for_output("stdout", "0\n0\n")
        app = process_tree(running.pid)[1]
        try:
            os.kill(running.pid, signal.SIGKILL)
            running.process.wait(10)
            said = running.written["stdout"].count(b"0\n")
            time.sleep(1)
            # At most one answer was on its way. After that the call fails, whatever id makes of it.
            expect(running.written["stdout"].count(b"0\n") <= said + 1,
                   f"id says 0 without a supervisor\n{running}")
        finally:
            for pid in process_tree(app):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


# --- README -------------------------------------------------------------------------------------

README_COLUMNS = (
    ("no mode",),
    ("--userns=root", "--userns=root with ranges", "--userns=root with maps", "legacy-root"),
    ("legacy-root with ranges", "legacy-root with maps"),
    ("--pretend-root",),
    ("--pretend-root=static",),
)
README_ROWS = (
    ("nginx",),
    ("apache2",),
    ("redis, gosu", "redis, stepdown as gosu"),
    ("postgres, gosu", "postgres, stepdown as gosu"),
    ("postgres for another user",),
    ("entrypoint that exits unless root",),
)


@claim
def the_table_of_the_readme_says_the_same(machine):
    text = (pathlib.Path(__file__).parent.parent.parent / "README.md").read_text()
    table = re.search(r"<!-- test: legacy -->\n((?:\|.*\n)+)", text)
    expect(table, "README.md has no table marked 'test: legacy'")
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in table[1].splitlines()[2:]]
    expect_equal("number of rows", len(rows), len(README_ROWS))
    for programs, (title, *cells) in zip(README_ROWS, rows):
        expect(programs[0].split()[0].strip(",") in title, f"the row of {programs[0]}: {title}")
        expect_equal("number of cells", len(cells), len(README_COLUMNS))
        for modes, cell in zip(README_COLUMNS, cells):
            for program, mode in itertools.product(programs, modes):
                expected = "yes" if isinstance(TABLE[program][mode], Works) else "no"
                expect_equal(f"README of {program}: {mode}", cell.split()[0], expected)
    expect_equal("programs in README", {program for row in README_ROWS for program in row},
                 set(TABLE))
    expect_equal("modes in README", {mode for column in README_COLUMNS for mode in column},
                 set(MODES))
