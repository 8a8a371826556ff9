"""stepdown as the entrypoint of real containers, started in every way that people start them."""

import json
import time

from engine import *
from harness import *
from seccomp_policies import docker_policy

claim = Claims()
APP = 10001
LOGS = 20001
IMAGE = "stepdown-e2e/app"
SETGID, SETUID = 1 << 6, 1 << 7
SHOW = ("cat", "/proc/self/status")
TOUCH = ("sh", "-ec", "touch /data/new; exec cat /proc/self/status")


# --- who it becomes -----------------------------------------------------------------------------


@claim
def started_as_root_with_default_capabilities(engine):
    engine.state("--user", "0", IMAGE, *SHOW).expect_stepped_down(APP, APP, {APP, LOGS})


@claim
def cap_drop_all_alone_is_refused_and_the_pasted_line_works(engine):
    with engine.volume("touch left-by-root") as volume:
        flags = ("--user", "0", "--cap-drop", "ALL", "-v", f"{volume}:/data")
        refusal = engine.run(*flags, IMAGE, *TOUCH).expect_status(125)
        refusal.expect_in_stderr("stepdown:", "SETGID", "SETUID", "CHOWN", "/data")
        expect_equal("last line of the message", refusal.err.splitlines()[-1],
                     "or start as the user itself: --user 10001:10001")
        expect_equal("stdout of a refusal", refusal.out, "")
        expect_equal("owners after a refusal", engine.owners(volume),
                     {"/mnt": "0:0", "/mnt/left-by-root": "0:0"})

        paste = pasted(refusal)
        state = engine.state(*flags, *paste, IMAGE, *TOUCH)
        state.expect_stepped_down(APP, APP, {APP, LOGS}, bounding=state.capabilities["CapBnd"])
        expect_equal("owners", engine.owners(volume), {
            "/mnt": "10001:10001", "/mnt/left-by-root": "10001:10001", "/mnt/new": "10001:10001"})
        # The other way that the message offers.
        engine.state("--cap-drop", "ALL", "--user", "10001:10001", "-v", f"{volume}:/data", IMAGE,
                     *TOUCH).expect_stepped_down(APP, APP, {APP})


@claim
def the_pasted_line_asks_for_nothing_that_is_not_needed(engine):
    with engine.volume("touch left-by-root") as volume:
        flags = ("--user", "0", "--cap-drop", "ALL", "-v", f"{volume}:/data")
        paste = pasted(engine.run(*flags, IMAGE, *SHOW).expect_status(125))
        expect_equal("words to paste", set(paste[::2]), {"--cap-add"})
        expect_equal("capabilities to paste", sorted(paste[1::2]), ["CHOWN", "SETGID", "SETUID"])
        for left_out in paste[1::2]:
            others = [f"--cap-add={name}" for name in paste[1::2] if name != left_out]
            refusal = engine.run(*flags, *others, IMAGE, *SHOW).expect_status(125)
            expect_equal("what is still missing", pasted(refusal), ["--cap-add", left_out])
    # The image's own /data is app's already.
    refusal = engine.run("--user", "0", "--cap-drop", "ALL", IMAGE, *SHOW).expect_status(125)
    expect_equal("capabilities to paste", sorted(pasted(refusal)[1::2]), ["SETGID", "SETUID"])


@claim
def a_directory_that_root_may_not_list_is_named_as_well(engine):
    with engine.volume("touch file", "chown -R 1234:1234 .", "chmod 700 .") as volume:
        flags = ("--user", "0", "--cap-drop", "ALL", "-v", f"{volume}:/data")
        refusal = engine.run(*flags, IMAGE, *TOUCH).expect_status(125)
        refusal.expect_in_stderr("DAC_READ_SEARCH")
        state = engine.state(*flags, *pasted(refusal), IMAGE, *TOUCH)
        state.expect_stepped_down(APP, APP, {APP, LOGS}, bounding=state.capabilities["CapBnd"])
        expect_equal("owners", set(engine.owners(volume).values()), {"10001:10001"})


@claim
def a_directory_that_only_the_walk_finds_is_refused_with_its_capability(engine):
    with engine.volume("mkdir -p a/theirs", "touch a/theirs/file", "chmod 700 a/theirs",
                       "chown -R 1234:1234 a/theirs") as volume:
        flags = ["--user", "0", "--cap-drop", "ALL", "--cap-add", "CHOWN", "--cap-add", "SETUID",
                 "--cap-add", "SETGID", "-v", f"{volume}:/data"]
        refusal = engine.run(*flags, IMAGE, *TOUCH).expect_status(125)
        refusal.expect_in_stderr("/data/a/theirs", "--cap-add DAC_READ_SEARCH")
        engine.state(*flags, "--cap-add", "DAC_READ_SEARCH", IMAGE, *TOUCH)
        expect_equal("owners", set(engine.owners(volume).values()), {"10001:10001"})


@claim
def a_user_who_may_not_hand_over_is_refused_and_the_pasted_line_works(engine):
    """A capability that --cap-add gives to a user ends up in the bounding set, where it is useless."""
    with engine.volume("touch left-by-root") as volume:
        mount = ("-v", f"{volume}:/data")
        for user in "10001:10001", "4711:4711":
            refusal = engine.run("--user", user, *mount, IMAGE, *TOUCH).expect_status(125)
            refusal.expect_in_stderr("/data")
        engine.state("--user", "4711:4711", *mount, *pasted(refusal), IMAGE,  # the later flag counts
                     *TOUCH).expect_stepped_down(APP, APP, {APP, LOGS})


@claim
def the_line_for_a_user_names_the_whole_root_start(engine):
    """Without Docker's default capabilities, too, it has to work as it stands."""
    for user in "10001:10001", "4711:4711":
        with engine.volume("touch left-by-root") as volume:
            flags = ("--cap-drop", "ALL", "--user", user, "-v", f"{volume}:/data")
            refusal = engine.run(*flags, IMAGE, *TOUCH).expect_status(125)
            paste = pasted(refusal)
            expect_equal("words to paste", paste, [
                "--user", "0", "--cap-add", "CHOWN", "--cap-add", "SETGID", "--cap-add", "SETUID"])
            state = engine.state(*flags, *paste, IMAGE, *TOUCH)
            state.expect_stepped_down(APP, APP, {APP, LOGS}, bounding=state.capabilities["CapBnd"])
            expect_equal("owners", set(engine.owners(volume).values()), {"10001:10001"})


@claim
def a_path_that_cannot_be_created_blocks_the_plan_as_well_as_the_start(engine):
    words = ("--user", "app", "--own", "/srv/new/deep", "--", *SHOW)
    flags = ("--user", "10001:10001", "--entrypoint", "stepdown", IMAGE)
    engine.run(*flags, *words).expect_status(125).expect_in_stderr("/srv/new")
    engine.run(*flags, "plan", *words).expect_status(1)


@claim
def setuid_and_setgid_are_enough_where_nothing_needs_an_owner(engine):
    with engine.volume("touch file", "chown -R 10001:10001 .") as volume:
        for mount in (), ("-v", f"{volume}:/data"):  # the image's own /data is app's
            state = engine.state("--user", "0", "--cap-drop", "ALL", "--cap-add", "SETUID",
                                 "--cap-add", "SETGID", *mount, IMAGE, *TOUCH)
            # Without SETPCAP the bounding set stays: no_new_privs makes it moot.
            state.expect_stepped_down(APP, APP, {APP, LOGS}, bounding=SETUID | SETGID)


@claim
def started_as_the_user_of_the_image(engine):
    engine.state(IMAGE, *TOUCH).expect_stepped_down(APP, APP, {APP}, bounding=DEFAULT_CAPABILITIES)


@claim
def started_with_user_alone(engine):
    for user in "10001:10001", "10001", "app", "app:app":
        state = engine.state("--user", user, IMAGE, *TOUCH)
        groups = {APP, LOGS} if ":" not in user else {APP}  # Docker adds them only without a GROUP
        state.expect_stepped_down(APP, APP, groups, bounding=DEFAULT_CAPABILITIES)


@claim
def started_with_an_arbitrary_user_it_keeps_that_identity(engine):
    with engine.directory_of(4711, 4711) as data:
        flags = ("--user", "4711:4711", "-v", f"{data}:/data")
        engine.state(*flags, IMAGE, *TOUCH).expect_stepped_down(
            4711, 4711, {4711}, bounding=DEFAULT_CAPABILITIES)
        status = (data / "new").stat()
        expect_equal("owner of the new file", (status.st_uid, status.st_gid), (4711, 4711))
        engine.run(*flags, "--entrypoint", "stepdown", IMAGE, "--user", "app", "--exact-user", "--",
                   *SHOW).expect_status(125)
    # The image's /data is app's: nobody could write there, so it does not start.
    engine.run("--user", "4711:4711", IMAGE, *SHOW).expect_status(125).expect_in_stderr("/data")


@claim
def cap_drop_all_with_user(engine):
    for user in "10001:10001", "app":
        groups = {APP} if ":" in user else {APP, LOGS}
        engine.state("--user", user, "--cap-drop", "ALL", IMAGE, *TOUCH).expect_stepped_down(
            APP, APP, groups)


@claim
def user_with_group_add_keeps_the_group_that_it_cannot_drop(engine):
    state = engine.state("--user", "10001:10001", "--group-add", "2000", IMAGE, *TOUCH)
    state.expect_stepped_down(APP, APP, {APP, 2000}, bounding=DEFAULT_CAPABILITIES)


@claim
def root_with_group_add_keeps_the_group_only_when_told_to(engine):
    flags = ("--user", "0", "--group-add", "2000", "--entrypoint", "stepdown", IMAGE)
    engine.state(*flags, "--user", "app", "--", *SHOW).expect_stepped_down(APP, APP, {APP, LOGS})
    engine.state(*flags, "--user", "app", "--keep-groups", "--", *SHOW).expect_stepped_down(
        APP, APP, {APP, LOGS, 2000})


@claim
def the_flags_of_a_hardened_compose_file(engine):
    hardened = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    with engine.volume("chown 10001:10001 .") as volume:
        mount = ("-v", f"{volume}:/data")
        engine.state("--user", "10001:10001", *hardened, *mount, IMAGE, *TOUCH).expect_stepped_down(
            APP, APP, {APP})
        # The same by root: what no-new-privileges forbids is nothing that stepdown needs.
        state = engine.state("--user", "0", *hardened, "--cap-add", "SETUID", "--cap-add", "SETGID",
                             *mount, IMAGE, *TOUCH)
        state.expect_stepped_down(APP, APP, {APP, LOGS}, bounding=SETUID | SETGID)


# --- where it writes ----------------------------------------------------------------------------


@claim
def read_only_with_a_volume(engine):
    for user, groups, bounding in (("0", {APP, LOGS}, NOTHING),
                                   ("10001:10001", {APP}, DEFAULT_CAPABILITIES)):
        with engine.volume("chown 10001:10001 ." if user != "0" else "true") as volume:
            engine.state("--read-only", "--user", user, "-v", f"{volume}:/data", IMAGE,
                         *TOUCH).expect_stepped_down(APP, APP, groups, bounding=bounding)


@claim
def read_only_with_a_tmpfs(engine):
    """Docker gives a tmpfs the mode of the directory that the image has there (0755), and root."""
    flags = ("--read-only", "--tmpfs", "/data")
    engine.state("--user", "0", *flags, IMAGE, *TOUCH).expect_stepped_down(APP, APP, {APP, LOGS})
    user = ("--user", "10001:10001")
    engine.run(*user, *flags, IMAGE, *TOUCH).expect_status(125).expect_in_stderr("/data")
    engine.state(*user, "--read-only", "--tmpfs", "/data:uid=10001,gid=10001", IMAGE,
                 *TOUCH).expect_stepped_down(APP, APP, {APP}, bounding=DEFAULT_CAPABILITIES)


@claim.for_each(root=("0",), user=("10001:10001",))
def a_tmpfs_that_everybody_may_write_to_keeps_its_owner(engine, user):
    # Where the image has no such directory Docker makes it 1777, like /tmp.
    done = engine.run("--read-only", "--user", user, "--tmpfs", "/scratch", "--entrypoint",
                      "stepdown", IMAGE, "--user", "app", "--own", "/scratch", "--", "sh", "-ec",
                      "touch /scratch/new; stat -c '%a %u:%g' /scratch /scratch/new")
    expect_equal("modes and owners", done.expect_status(0).out.splitlines(),
                 ["1777 0:0", "644 10001:10001"])


@claim.for_each(root=("0",), user=("10001:10001",))
def read_only_without_a_place_for_data_is_refused_and_the_pasted_line_works(engine, user):
    flags = ("--read-only", "--user", user)
    refusal = engine.run(*flags, IMAGE, *TOUCH).expect_status(125).expect_in_stderr("/data")
    state = engine.state(*flags, *pasted(refusal), IMAGE, *TOUCH)
    expect_equal("uids", state.uids, (APP,) * 4)


@claim
def read_only_without_anything_to_own_needs_nothing(engine):
    engine.state("--read-only", "--user", "0", "--entrypoint", "stepdown", IMAGE, "--user", "app",
                 "--", *SHOW).expect_stepped_down(APP, APP, {APP, LOGS})


@claim
def a_named_volume_of_root_is_handed_over_with_all_that_is_in_it(engine):
    with engine.volume("mkdir -p a/b", "touch a/b/file a/hidden", "chmod 600 a/hidden",
                       "ln -s /etc/shadow a/planted", "chown 1234:1234 a/b/file") as volume:
        flags = ("-v", f"{volume}:/data")
        engine.run("--user", "10001:10001", *flags, IMAGE, *TOUCH).expect_status(125)
        before = engine.run("--user", "0", *flags, IMAGE, "sh", "-ec",
                            "touch /data/a/b/new; cat /data/a/hidden; stat -c %u:%g /etc/shadow")
        expect_equal("owner of what the planted link names", before.expect_status(0).out, "0:42\n")
        owners = engine.owners(volume)
        expect_equal("number of entries", len(owners), 7)
        expect_equal("owners", set(owners.values()), {"10001:10001"})
        # From now on it needs no root.
        engine.state("--user", "10001:10001", *flags, IMAGE, *TOUCH).expect_stepped_down(
            APP, APP, {APP}, bounding=DEFAULT_CAPABILITIES)


@claim
def a_bind_mount_with_user_of(engine):
    with engine.directory_of(4242, 4343) as data:
        (data / "theirs").write_text("x")
        state = engine.state("--user", "0", "-v", f"{data}:/data", "--entrypoint", "stepdown",
                             IMAGE, "--user-of", "/data", "--", *TOUCH)
        state.expect_stepped_down(4242, 4343, {4343})
        status = (data / "new").stat()
        expect_equal("owner of the new file", (status.st_uid, status.st_gid), (4242, 4343))
    with engine.directory_of(APP, APP) as data:  # that uid has an entry: its name, home and groups
        home = engine.run("--user", "0", "-v", f"{data}:/data", "--entrypoint", "stepdown", IMAGE,
                          "--user-of", "/data", "--", "sh", "-c", "id -un; echo $HOME")
        expect_equal("name and home", home.expect_status(0).out, "app\n/srv/app\n")
    with engine.directory_of(0, 0) as data:  # root's: --user's, or nobody's
        flags = ("--user", "0", "-v", f"{data}:/data", "--entrypoint", "stepdown", IMAGE,
                 "--user-of", "/data")
        engine.run(*flags, "--", *SHOW).expect_status(125)
        engine.state(*flags, "--user", "app", "--", *SHOW).expect_stepped_down(APP, APP, {APP, LOGS})


# --- README's Dockerfile ------------------------------------------------------------------------


@claim.for_each(nothing=(), the_user=("--user", "10001:10001"), root=("--user", "0"))
def the_readme_image_starts_with(engine, *flags):
    root = "0" in flags
    state = engine.state(*flags, "stepdown-e2e/readme", *TOUCH)
    state.expect_stepped_down(APP, APP, {APP}, bounding=NOTHING if root else DEFAULT_CAPABILITIES)


@claim
def the_readme_image_starts_with_the_callers_own_user(engine):
    with engine.directory_of(4711, 4711) as data:
        engine.state("--user", "4711:4711", "-v", f"{data}:/data", "stepdown-e2e/readme",
                     *TOUCH).expect_stepped_down(4711, 4711, {4711}, bounding=DEFAULT_CAPABILITIES)


# --- real programs ------------------------------------------------------------------------------


@claim.for_each(**{
    "docker's default, first unprivileged port 0": ((), NOTHING),
    "first unprivileged port 1024": (("--sysctl", "net.ipv4.ip_unprivileged_port_start=1024"),
                                     NET_BIND_SERVICE),
})
def nginx_serves_port_80(engine, sysctl, kept):
    with engine.running("--user", "0", *sysctl, "stepdown-e2e/web") as web:
        answer = web.ask(lambda: http_get("/page"))
        expect_equal("GET /page", answer, (200, b"hello from port 80"))
        web.expect_stepped_down(APP, APP, {APP, LOGS}, kept)
        expect_equal("number of processes", len(process_tree(web.pid())), 3)
        wait_until("the access log", lambda: "GET /page" in web.logs().out)  # through /dev/stdout
        web.exec("stepdown", "check").expect_status(0)


@claim
def a_low_port_that_cannot_be_served_is_refused_with_the_flag_that_helps(engine):
    flags = ("--user", "10001:10001", "--sysctl", "net.ipv4.ip_unprivileged_port_start=1024")
    refusal = engine.run(*flags, "stepdown-e2e/web").expect_status(125)
    refusal.expect_in_stderr("80", "ip_unprivileged_port_start")
    paste = pasted(refusal)
    with engine.running(*flags, *paste, "stepdown-e2e/web") as web:  # the later flag counts
        expect_equal("GET /page", web.ask(lambda: http_get("/page"))[0], 200)
        expect_equal("uids", Status.of(web.pid()).uids, (APP,) * 4)


@claim.for_each(gosu=("gosu",), su_exec=("su-exec",))
def docker_librarys_entrypoint_calls_our_link(engine, dropper):
    image = f"stepdown-e2e/{dropper}"
    words = engine.run("--entrypoint", "sh", image, "-c", "id -u redis; id -g redis; id -G redis")
    uid, gid, *groups = map(int, words.expect_status(0).out.split())
    with engine.volume("touch left-by-root") as volume:
        flags = ("-v", f"{volume}:/data", image, "--appendonly", "yes")
        for start in range(2):
            with engine.running(*flags) as container:

                def count():
                    with Redis(6379) as redis:
                        return redis.ask("INCR", "starts")

                container.ask(lambda: redis_answers(6379))
                expect_equal("starts", container.ask(count), str(start + 1))
                container.expect_stepped_down(uid, gid, groups)
                expect_equal("PID 1", Status.of(container.pid()).name, "redis-server")
                container.exec("stepdown", "check").expect_status(0)
                stop(container, status=0)
        owners = engine.owners(volume)
        expect("/mnt/appendonlydir" in owners, f"no append-only file: {owners}")
        expect_equal("owners", set(owners.values()), {f"{uid}:{gid}", f"{uid}:0"})
    # The script's other branch: started as somebody else it calls nobody.
    with engine.running("--user", f"{uid}:{gid}", image) as container:
        container.ask(lambda: redis_answers(6379))
        expect_equal("uids", Status.of(container.pid()).uids, (uid,) * 4)


# --- programs that insist on being root ---------------------------------------------------------

LEGACY = "stepdown-e2e/legacy"
WITHOUT_PRIVILEGE = ("--user", "10001:10001", "--cap-drop", "ALL")
UNCONFINED = ("--security-opt", "seccomp=unconfined")
FIRST, LENGTH = 100000, 65536
RANGES = ("--uid-map", f"0:{APP}:1", "--uid-map", f"1:{FIRST}:{LENGTH}",
          "--gid-map", f"0:{APP}:1", "--gid-map", f"1:{FIRST}:{LENGTH}")
NGINX = ("sh", "-ec", "mkdir -p /data/www; echo hello > /data/www/page; "
         "exec nginx -p /data -c /assets/nginx.conf -e stderr")


@claim.for_each(**{
    "--userns": ("--userns",),
    "--userns=keep": ("--userns=keep",),
    "with maps": ("--userns", *RANGES),
    "--profile legacy-root": ("--profile", "legacy-root"),
})
def a_user_namespace_is_refused_under_dockers_filter(engine, *mode):
    words = (LEGACY, "--user", "app", *mode, "--", "echo", "the app ran")
    for flags in (), WITHOUT_PRIVILEGE:
        refusal = engine.run(*flags, *words).expect_status(125)
        refusal.expect_in_stderr("stepdown:", "seccomp filter", "--pretend-root",
                                 "--security-opt seccomp=")
        expect_equal("stdout of a refusal", refusal.out, "")
        plan = engine.run(*flags, LEGACY, "plan", *words[1:]).expect_status(1)
        expect("seccomp filter" in plan.out, f"plan does not say why\n{plan}")


@claim.for_each(root=(), without_privilege=WITHOUT_PRIVILEGE)
def userns_works_without_that_filter(engine, *flags):
    with engine.running(*flags, *UNCONFINED, LEGACY, "--user", "app", "--userns", "--", "sh", "-c",
                        "id -u; cat /proc/self/uid_map; touch /etc/new; exec sleep 60") as container:
        wait_until("sleep", lambda: Status.of(container.pid()).name == "sleep")
        expect_equal("id -u and uid_map", container.logs().out.split(), ["0", "0", str(APP), "1"])
        expect("Permission denied" in container.logs().err, "it could write to /etc")
        container.expect_only({APP})
        for name, held in Status.of(container.pid()).capabilities.items():
            expect_equal(name, held, NOTHING)
        expect(not os.path.samefile(f"/proc/{container.pid()}/ns/user", "/proc/self/ns/user"),
               "it is in no user namespace of its own")


@claim
def nginx_on_a_low_port_has_its_www_data_workers_with_the_legacy_root_profile(engine):
    with engine.running(*UNCONFINED, "--sysctl", "net.ipv4.ip_unprivileged_port_start=1024", LEGACY,
                        "--user", "app", "--own", "/data", "--profile", "legacy-root", *RANGES,
                        "--port", "80", "--", *NGINX) as web:
        expect_equal("GET /page", web.ask(lambda: http_get("/page")), (200, b"hello\n"))
        web.expect_only({APP, FIRST + 33 - 1}, kept=NET_BIND_SERVICE)
        stop(web, status=0)


PRETENCES = {f"{how}, {name}": (flags, how) for how in ("--pretend-root", "--pretend-root=static")
             for name, flags in {"as root": (), "without privilege": WITHOUT_PRIVILEGE}.items()}


@claim.for_each(**PRETENCES)
def pretended_root_satisfies_nginx(engine, flags, how):
    with engine.directory_of(APP, APP) as data, engine.running(
            *flags, "-v", f"{data}:/data", LEGACY, "--user", "app", "--own", "/data", how, "--",
            *NGINX) as web:
        expect_equal("GET /page", web.ask(lambda: http_get("/page")), (200, b"hello\n"))
        web.expect_only({APP})
        expect("ignored" not in web.logs().err, f"nginx knows that it isn't root\n{web.logs()}")
        web.exec("stepdown", "check").expect_status(0)
        stop(web, status=0)


@claim.for_each(**PRETENCES)
def pretended_root_gains_nothing(engine, flags, how):
    shown = engine.run(*flags, LEGACY, "--user", "app", how, "--", "sh", "-c",
                       "id -u; id -g; test $(id -u) = 0 && echo root; chown root /etc/passwd && "
                       "echo chowned; cat /etc/shadow; echo x > /etc/new; touch /tmp/mine; "
                       "stat -c %u:%g /tmp/mine; cat /proc/self/status").expect_status(0)
    expect_equal("what it was told", shown.out.splitlines()[:5],
                 ["0", "0", "root", "chowned", f"{APP}:{APP}"])
    expect_equal("refusals of the kernel", shown.err.count("ermission denied"), 2)
    state = Status.parse(shown.out)
    expect_equal("uids", state.uids, (APP,) * 4)
    expect_equal("gids", state.gids, (APP,) * 4)
    for name in "CapPrm", "CapEff", "CapInh", "CapAmb":
        expect_equal(name, state.capabilities[name], NOTHING)
    expect(state.no_new_privs, "no_new_privs is not set")


@claim.for_each(as_root=(False,), without_privilege=(True,))
def the_gosu_entrypoint_runs_through_under_pretend_root(engine, unprivileged):
    words = engine.run("--entrypoint", "sh", LEGACY, "-c", "id -u redis; id -g redis")
    uid, gid = map(int, words.expect_status(0).out.split())
    flags = ("--user", f"{uid}:{gid}", "--cap-drop", "ALL") if unprivileged else ()
    with engine.directory_of(uid, gid) as data, engine.running(
            *flags, "-v", f"{data}:/data", LEGACY, "--user", "redis", "--own", "/data",
            "--pretend-root", "--", "/assets/redis-entrypoint.sh", "redis-server",
            "--appendonly", "yes") as container:
        container.ask(lambda: redis_answers(6379))
        expect_equal("who the entrypoint was", [
            line for line in container.logs().out.splitlines() if line.startswith("entrypoint")],
            ["entrypoint as 0", f"entrypoint as {uid}"])
        container.expect_only({uid})
        container.exec("stepdown", "check").expect_status(0)
        stop(container, status=0)
        written = (data / "appendonlydir").stat()
        expect_equal("owner of what it wrote", (written.st_uid, written.st_gid), (uid, gid))


# --- the container's surroundings ---------------------------------------------------------------


@claim
def from_scratch_with_nothing_but_two_static_programs(engine):
    shown = engine.run("stepdown-e2e/scratch").expect_status(0)  # no USER: as root
    Status.parse(shown.out).expect_stepped_down(APP, APP, {APP})
    expect("RootAgain:\tno" in shown.out, f"it became root again\n{shown}")
    engine.state("--user", "10001:10001", "--cap-drop", "ALL",
                 "stepdown-e2e/scratch").expect_stepped_down(APP, APP, {APP})
    # No passwd(5) in there, so no names; and a command that isn't there.
    engine.run("--entrypoint", "/stepdown", "stepdown-e2e/scratch", "--user", "app", "--",
               "/probe").expect_status(125).expect_in_stderr("app")
    engine.run("stepdown-e2e/scratch", "/none").expect_status(127)


@claim.for_each(pipe=(), terminal=("-t",))
def the_app_can_open_dev_stdout_by_its_name(engine, *terminal):
    script = "echo out > /dev/stdout; echo err > /dev/stderr"
    said = engine.run("--user", "0", *terminal, IMAGE, "sh", "-ec", script).expect_status(0)
    expect("out" in said.out, f"nothing on stdout\n{said}")
    expect("err" in (said.out if terminal else said.err), f"nothing on stderr\n{said}")


@claim
def without_own_stdio_it_cannot(engine):
    engine.run("--user", "0", "--entrypoint", "stepdown", IMAGE, "--user", "app", "--own-stdio",
               "never", "--", "sh", "-c", "echo out > /dev/stdout").expect_status(2)


@claim
def check_judges_every_process_of_a_container(engine):
    sleep = ("sh", "-c", "sleep 60 & sleep 60")
    for user in "0", "10001:10001":
        with engine.running("--user", user, IMAGE, *sleep) as container:
            wait_until("both programs", lambda: len(process_tree(container.pid())) == 3)
            # An exec is a process of its own, with its own identity: check leaves itself out.
            container.exec("stepdown", "check").expect_status(0)
            answer = json.loads(container.exec("stepdown", "check", "--json").expect_status(0).out)
            expect_equal("number of processes", len(answer["processes"]), 3)
            expect_equal("uids", {p["uid"]["effective"] for p in answer["processes"]}, {APP})
            container.exec("stepdown", "check", "--require", "uid=0").expect_status(1)
    with engine.running("--user", "0", "--entrypoint", "sleep", IMAGE, "60") as container:
        container.exec("stepdown", "check").expect_status(1)


@claim
def docker_exec_bypasses_the_entrypoint_and_check_shows_it(engine):
    with engine.running("--user", "0", IMAGE, "sleep", "60") as container:
        container.exec("stepdown", "check").expect_status(0)
        container.engine.docker("exec", "-d", container.name, "sleep", "60").expect_status(0)
        wait_until("the exec", lambda: container.exec("stepdown", "check").status == 1)


def stop(container, status):
    """docker stop: SIGTERM, and SIGKILL (137) only after twenty seconds."""
    begin = time.monotonic()
    container.engine.docker("stop", "-t", "20", container.name).expect_status(0)
    expect(time.monotonic() - begin < 10, "docker stop had to wait: the signal had no effect")
    expect_equal("exit status", int(container.inspect("{{.State.ExitCode}}")), status)


@claim
def docker_stop_reaches_the_app(engine):
    script = "trap 'echo stopped; exit 43' TERM; echo ready; while :; do sleep 0.1; done"
    with engine.running("--user", "0", IMAGE, "sh", "-c", script) as container:
        wait_until("the script", lambda: "ready" in container.logs().out)
        stop(container, status=43)
        expect("stopped" in container.logs().out, "the app did not see SIGTERM")


@claim
def the_exit_status_is_the_apps_or_says_whose_it_is(engine):
    engine.run("--user", "0", IMAGE, "sh", "-c", "exit 7").expect_status(7)
    engine.run("--user", "0", IMAGE, "no-such-program").expect_status(127)
    engine.run("--user", "0", IMAGE, "/etc/passwd").expect_status(126)
    engine.run("--user", "0", "--entrypoint", "stepdown", IMAGE, "--user", "nobody-knows", "--",
               "true").expect_status(125).expect_in_stderr("nobody-knows")


@claim
def no_command_says_that_an_entrypoint_empties_cmd(engine):
    engine.run("--user", "0", "stepdown-e2e/no-command").expect_status(125).expect_in_stderr(
        "ENTRYPOINT", "CMD")


@claim
def no_secret_of_root_survives_the_drop(engine):
    done = engine.run("--user", "0", IMAGE, "sh", "-c", "cat /etc/shadow; ls /proc/self/fd")
    expect("Permission denied" in done.err and "root:" not in done.out, f"it read shadow\n{done}")
    expect_equal("open descriptors", done.out.split(), ["0", "1", "2", "3"])  # 3 is ls's own


# --- Docker's own seccomp policy ----------------------------------------------------------------


@claim
def dockers_own_policy_means_here_what_it_means_there(engine):
    """The calls of attempts.c, made in a container and under stepdown with the container's policy."""
    attempts = engine.directory / "attempts"
    run(["gcc", "-static", "-O2", "-Wall", "-Wextra", "-o", attempts,
         HERE / "seccomp" / "attempts.c"]).expect_status(0)
    user = f"{APP}:{APP}"
    unprivileged = ("--user", user, "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
                    "-v", f"{attempts}:/attempts:ro")
    with engine.running(*unprivileged, "--entrypoint", "sleep", IMAGE, "1000") as container:
        policy = engine.directory / "docker.json"
        policy.write_text(docker_policy(engine, container.name))
        there = container.exec("/attempts").expect_status(0).out.splitlines()
    ready = engine.directory / "docker.bpf"
    run([engine.stepdown, "seccomp", "compile", policy, "-o", ready]).expect_status(0)

    def under(choice):
        seen = run([engine.stepdown, "--user", user, "--seccomp", choice, "--", attempts])
        return seen.expect_status(0).out.splitlines()

    # TIOCSTI and TIOCLINUX are refused here whatever the policy says.
    def comparable(lines):
        return [line for line in lines if not line.startswith("TIOC")]

    expect_equal("verdicts of the JSON", comparable(under(policy)), comparable(there))
    expect_equal("verdicts of what was compiled", comparable(under(ready)), comparable(there))
    expect(comparable(under("none")) != comparable(there), "the policy should make a difference")
