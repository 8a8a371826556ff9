"""What README and the manual say of gosu, setpriv, tini, bwrap and chown, shown against Debian's
packages of them and against stepdown, side by side. A claim that a new version of a peer makes
untrue fails here, and then the documents change."""

import os
import pathlib

from harness import *
from machine import add_accounts

claim = Claims()
APP = 10001
LOGS = 20001
PYTHON = "/usr/bin/python3"
SETPRIV_APP = ("setpriv", "--reuid=app", "--regid=app", "--init-groups")


class Peers:
    def __init__(self, stepdown, directory):
        self.stepdown = stepdown
        self.directory = pathlib.Path(directory)
        add_accounts(self.directory,
                     passwd=f"app:x:{APP}:{APP}:the app:/srv/app:/usr/sbin/nologin\n"
                            f"letters:x:abc:{APP}::/:\n"
                            f"beyond:x:4294967296:{APP}::/:\n",
                     group=f"app:x:{APP}:\nlogs:x:{LOGS}:app\n")
        bring_loopback_up()
        set_first_unprivileged_port(1024)
        self.linked_gosu = self.directory / "bin" / "gosu"
        self.linked_gosu.parent.mkdir()
        self.linked_gosu.symlink_to(stepdown)

    def new_directory(self, name):
        path = self.directory / name
        path.mkdir(mode=0o755)
        return path

    def dropping(self, *command):
        """{name: the words that run the command as app under it}."""
        return {
            "gosu": ("gosu", "app", *command),
            "setpriv": (*SETPRIV_APP, *command),
            "stepdown": (self.stepdown, "--user", "app", "--", *command),
            "stepdown as gosu": (self.linked_gosu, "app", *command),
        }


def uid_of(*command, **options):
    """The effective uid that `COMMAND… id -u` runs with."""
    return int(run([*command, "id", "-u"], **options).expect_status(0).out)


def expect_refusal(*command):
    refusal = run([*command, "id", "-u"])
    expect(refusal.status == 125 and not refusal.out, f"not refused\n{refusal}")
    return refusal


@claim
def an_id_beyond_32_bits_is_root_under_setpriv(peers):
    expect_equal("setpriv", uid_of("setpriv", "--reuid=4294967296", "--clear-groups"), 0)
    expect_refusal(peers.stepdown, "--user", "4294967296:4294967296", "--")
    expect_refusal(peers.stepdown, "4294967296:1000")


@claim
def a_uid_of_minus_one_stays_root_under_setpriv(peers):
    expect_equal("setpriv", uid_of("setpriv", "--reuid=-1", "--clear-groups"), 0)
    expect_refusal(peers.stepdown, "--user=-1:1000", "--")


@claim
def a_malformed_account_is_root_under_gosu(peers):
    lines = pathlib.Path("/etc/passwd").read_text().splitlines()
    for name in "letters", "beyond":
        expect_equal(f"gosu {name}", uid_of("gosu", name), 0)
        number = 1 + next(i for i, line in enumerate(lines) if line.startswith(f"{name}:"))
        for words in (peers.stepdown, "--user", name, "--"), (peers.linked_gosu, name):
            expect_refusal(*words).expect_in_stderr(f"/etc/passwd:{number}")


@claim
def a_number_without_an_account_has_group_root_under_gosu(peers):
    group = run(["gosu", "1234", "id", "-g"]).expect_status(0)
    expect_equal("gid under gosu", group.out, "0\n")
    expect_refusal(peers.stepdown, "--user", "1234", "--")


@claim
def setpriv_with_a_user_alone_keeps_roots_groups(peers):
    groups = run(["setpriv", "--reuid=app", "id", "-G"]).expect_status(0)
    expect("0" in groups.out.split(), f"setpriv left root's groups\n{groups}")
    groups = run([peers.stepdown, "--user", "app", "--", "id", "-G"]).expect_status(0)
    expect_equal("groups under stepdown", set(groups.out.split()), {str(APP), str(LOGS)})


@claim
def dev_stdout_is_lost_to_the_app_under_gosu_and_setpriv(peers):
    for name, words in peers.dropping("sh", "-c", "echo out > /dev/stdout").items():
        done = run(words)  # stdout is a pipe that root made
        if name.startswith("stepdown"):
            expect_equal(f"stdout under {name}", (done.status, done.out), (0, "out\n"))
        else:
            expect(done.status != 0 and "denied" in done.err, f"{name} made it usable\n{done}")


@claim
def setuid_programs_bring_root_back_under_gosu_and_setpriv(peers):
    program = peers.new_directory("setuid") / "id"
    program.write_bytes(pathlib.Path("/usr/bin/id").read_bytes())
    program.chmod(0o4755)
    for name, words in peers.dropping(program, "-u").items():
        expected = APP if name.startswith("stepdown") else 0
        expect_equal(f"uid in a setuid program under {name}",
                     run(words).expect_status(0).out, f"{expected}\n")


@claim
def the_bounding_set_and_no_new_privs_are_left_alone_by_gosu_and_setpriv(peers):
    for name, words in peers.dropping("cat", "/proc/self/status").items():
        state = Status.parse(run(words).expect_status(0).out)
        if name.startswith("stepdown"):
            state.expect_stepped_down(APP, APP, {APP, LOGS})
        else:
            expect_equal(f"{name}: uids", state.uids, (APP,) * 4)
            expect(state.capabilities["CapBnd"] != 0, f"{name} empties the bounding set")
            expect(not state.no_new_privs, f"{name} sets no_new_privs")


@claim
def a_file_that_root_had_open_stays_open_under_gosu_and_setpriv(peers):
    secret = peers.directory / "secret"
    secret.write_text("of root")
    secret.chmod(0o600)
    for name, words in peers.dropping("cat", "/proc/self/fd/0").items():
        if name == "stepdown as gosu":
            continue  # keeps them as gosu does: scripts rely on it
        descriptor = os.open(secret, os.O_RDONLY)
        try:
            done = run(["sh", "-c", f'exec 7<&{descriptor}; exec "$@"', "sh", *words[:-2],
                        "sh", "-c", "cat <&7"], pass_fds=[descriptor])
        finally:
            os.close(descriptor)
        expect_equal(f"what the app reads under {name}", done.out,
                     "" if name == "stepdown" else "of root")


@claim
def started_as_the_user_already_gosu_and_setpriv_fail(peers):
    for name, words in peers.dropping("id", "-u").items():
        if name == "stepdown as gosu":
            continue
        done = run([*SETPRIV_APP, "--bounding-set=-all", "--no-new-privs", *words])
        if name == "stepdown":
            expect_equal("uid under stepdown", done.expect_status(0).out, f"{APP}\n")
        else:
            expect(done.status != 0 and "not permitted" in done.err, f"{name} works\n{done}")


@claim
def a_low_port_is_out_of_reach_under_gosu(peers):
    bind = (PYTHON, "-c", "import socket; socket.socket().bind(('', 80)); print('bound')")
    done = run(["gosu", "app", *bind])
    expect("PermissionError" in done.err, f"it could bind\n{done}")
    done = run([peers.stepdown, "--user", "app", "--port", "80", "--", *bind])
    expect_equal("stdout under stepdown", done.expect_status(0).out, "bound\n")


@claim
def chown_follows_a_planted_symlink_on_the_way(peers):
    """The habit `chown -R app /data/app/cache` of entrypoints, when /data/app is the app's."""

    def plant(name):
        top = peers.new_directory(name)
        (top / "victim" / "cache").mkdir(parents=True)
        (top / "victim" / "cache" / "file").write_text("root's")
        (top / "data").mkdir()
        os.chown(top / "data", APP, APP)
        (top / "data" / "app").symlink_to(top / "victim")
        return top / "data" / "app" / "cache", top / "victim" / "cache" / "file"

    path, file = plant("planted-for-chown")
    run(["chown", "-R", "app", path]).expect_status(0)
    expect_equal("owner after chown -R", file.stat().st_uid, APP)
    path, file = plant("planted-for-stepdown")
    expect_refusal(peers.stepdown, "--user", "app", "--own", path, "--")
    expect_equal("owner after stepdown --own", file.stat().st_uid, 0)


@claim
def chown_gives_away_what_a_hard_link_names(peers):
    def plant(name):
        top = peers.new_directory(name)
        (top / "victim").write_text("root's")
        (top / "data").mkdir()
        os.chown(top / "data", APP, APP)
        os.link(top / "victim", top / "data" / "mine")
        return top / "data", top / "victim"

    path, file = plant("linked-for-chown")
    run(["chown", "-R", "app", path]).expect_status(0)
    expect_equal("owner after chown -R", file.stat().st_uid, APP)
    path, file = plant("linked-for-stepdown")
    run([peers.stepdown, "--user", "app", "--own", path, "--", "true"]).expect_status(0)
    expect_equal("owner after stepdown --own", file.stat().st_uid, 0)


@claim
def tini_and_bwrap_stay_as_a_parent(peers):
    others = {
        "tini": ("tini", "-s", "--"),
        "bwrap": ("bwrap", "--dev-bind", "/", "/", "--unshare-user", "--uid", APP, "--gid", APP),
    }
    show = ("sh", "-c", "echo $$")
    for name, words in {**others, **peers.dropping()}.items():
        with Program([*words, *show]) as program:
            program.wait_for_output("stdout", "\n")
            program.process.wait(10)
            same = int(program.written["stdout"]) == program.pid
        expect_equal(f"same PID under {name}", same, name not in others)


@claim
def tini_does_not_change_the_user(peers):
    expect_equal("uid under tini", uid_of("tini", "-s", "--"), 0)
