"""What every part of the e2e tests uses: claims, expectations with time limits, the state of a
process as /proc shows it, and clients for HTTP and redis.

A claim is a function whose name says what is true; it fails by raising. Nothing can be skipped."""

import contextlib
import ctypes
import dataclasses
import fcntl
import http.client
import os
import signal
import socket
import struct
import subprocess
import threading
import time
import traceback

CLONE_NEWNET = 0x40000000  # setns(2)
SET_NAMES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
NET_BIND_SERVICE = 1 << 10
NOTHING = 0


class Failure(Exception):
    pass


# --- claims -------------------------------------------------------------------------------------


class Claims:
    """The tests of one part, in the order in which they are written."""

    def __init__(self):
        self.functions = []

    def __call__(self, function):
        self.functions.append((function.__name__, function, ()))
        return function

    def for_each(self, **cases):
        """The same claim for several named cases; the case's values are the function's arguments."""

        def register(function):
            for name, arguments in cases.items():
                self.functions.append((f"{function.__name__}[{name}]", function, arguments))
            return function

        return register

    def run(self, part, only, results, *fixture):
        """Runs what `only` (names, all when empty) selects and appends a line for each to `results`."""
        chosen = [entry for entry in self.functions
                  if not only or any(word in entry[0] for word in only)]
        if not chosen:
            report(results, part, f"no claim has {' or '.join(only)} in its name")
        for name, function, arguments in chosen:
            begin = time.monotonic()
            try:
                with time_limit(90):
                    function(*fixture, *arguments)
                failure = None
            except Exception as error:  # whatever it was, the next claim must run
                failure = describe(error)
            report(results, f"{part}/{name}", failure, time.monotonic() - begin)


def describe(error):
    if isinstance(error, Failure):
        return str(error) or "it does not say why"  # an empty text would count as success
    return "".join(traceback.format_exception(error)).rstrip()


def report(results, name, failure, seconds=0.0):
    print(f"{'FAIL' if failure else 'ok  '} {name}  ({seconds:.1f} s)", flush=True)
    if failure:
        print("     " + failure.replace("\n", "\n     "), flush=True)
    with open(results, "a") as file:
        file.write(f"{'failed' if failure else 'passed'} {name}\n")


@contextlib.contextmanager
def time_limit(seconds):
    def give_up(*_):
        raise Failure(f"not done after {seconds} s")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


# --- expectations -------------------------------------------------------------------------------


def expect(condition, message):
    if not condition:
        raise Failure(message)


def expect_equal(what, seen, expected):
    if seen != expected:
        raise Failure(f"{what}: {shortened(seen)} instead of {shortened(expected)}")


def shortened(value):
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}… ({len(text)} characters)"


def wait_until(what, predicate, seconds=15):
    """The first true value of predicate(); OSError counts as not yet."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            value = predicate()
            if value:
                return value
        except OSError as error:
            last = error
        time.sleep(0.05)
    raise Failure(f"{what}: not within {seconds} s ({last})")


@dataclasses.dataclass
class Result:
    command: list
    status: int
    out: str
    err: str

    def __str__(self):
        return (f"command: {' '.join(self.command)}\nstatus:  {self.status}\n"
                f"stdout:  {self.out.strip()[-1500:]}\nstderr:  {self.err.strip()[-1500:]}")

    def expect_status(self, status):
        expect(self.status == status, f"exit status {self.status} instead of {status}\n{self}")
        return self

    def expect_in_stderr(self, *texts):
        for text in texts:
            expect(text in self.err, f"stderr does not name {text!r}\n{self}")
        return self


def run(command, timeout=30, **options):
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, stdin=options.pop("stdin", subprocess.DEVNULL),
                              capture_output=True, text=True, errors="replace", timeout=timeout,
                              **options)
    except subprocess.TimeoutExpired as error:
        out, err = (b"" if text is None else text for text in (error.stdout, error.stderr))
        raise Failure(f"{' '.join(command)}: not done after {timeout} s\n{out!r}\n{err!r}") from None
    return Result(command, done.returncode, done.stdout, done.stderr)


# --- processes ----------------------------------------------------------------------------------


@dataclasses.dataclass
class Status:
    """/proc/PID/status, proc_pid_status(5)."""

    pid: int
    parent: int
    name: str
    uids: tuple
    gids: tuple
    groups: frozenset
    capabilities: dict
    no_new_privs: bool
    seccomp: int

    @staticmethod
    def parse(text):
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        try:
            return Status(
                pid=int(fields["Pid"]),
                parent=int(fields["PPid"]),
                name=fields["Name"].strip(),
                uids=tuple(map(int, fields["Uid"].split())),
                gids=tuple(map(int, fields["Gid"].split())),
                groups=frozenset(map(int, fields["Groups"].split())),
                capabilities={name: int(fields[name], 16) for name in SET_NAMES},
                no_new_privs=fields["NoNewPrivs"].strip() == "1",
                seccomp=int(fields["Seccomp"]),
            )
        except KeyError as missing:
            raise Failure(f"no {missing} in what should be /proc/PID/status:\n{text}") from None

    @staticmethod
    def of(pid):
        with open(f"/proc/{pid}/status") as file:
            return Status.parse(file.read())

    def expect_stepped_down(self, uid, gid, groups, kept=NOTHING, bounding=None):
        """All four ids, the groups as a set (the gid always counted in), `kept` in all five sets
        (`bounding` where it could not be reduced), no_new_privs, and a filter."""
        who = f"process {self.pid} ({self.name})"
        expect_equal(f"{who}: uids", self.uids, (uid,) * 4)
        expect_equal(f"{who}: gids", self.gids, (gid,) * 4)
        expect_equal(f"{who}: groups", self.groups | {gid}, frozenset(groups) | {gid})
        for name in SET_NAMES:
            expected = bounding if name == "CapBnd" and bounding is not None else kept
            expect_equal(f"{who}: {name}", f"{self.capabilities[name]:#x}", f"{expected:#x}")
        expect(self.no_new_privs, f"{who}: no_new_privs is not set")
        expect_equal(f"{who}: Seccomp", self.seccomp, 2)


def process_tree(root):
    """`root` and every process below it."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry)] = Status.of(entry).parent
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def threads_of(pid):
    """The status of every thread: an escape hatch hides in the one that nobody looked at. A server's
    workers come and go: of one that has ended meanwhile there are none."""
    threads = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                threads.append(Status.of(f"{pid}/task/{thread}"))
    return threads


class Program:
    """A program started in the background: its pid, and what it wrote so far."""

    def __init__(self, command, **options):
        self.command = [str(word) for word in command]
        self.written = {"stdout": b"", "stderr": b""}
        self.process = subprocess.Popen(self.command,
                                        stdin=options.pop("stdin", subprocess.DEVNULL),
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        process_group=0, **options)
        self.pid = self.process.pid
        self.readers = [threading.Thread(target=self._read, args=(name,), daemon=True)
                        for name in self.written]
        for reader in self.readers:
            reader.start()

    def _read(self, name):
        descriptor = getattr(self.process, name).fileno()
        while block := os.read(descriptor, 65536):
            self.written[name] += block

    def __str__(self):
        texts = {name: text.decode(errors="replace") for name, text in self.written.items()}
        return f"command: {' '.join(self.command)}\n{texts}"

    def wait_for_output(self, name, text, seconds=15):
        try:
            wait_until(f"{text!r} on {name}", lambda: text.encode() in self.written[name], seconds)
        except Failure as failure:
            raise Failure(f"{failure}\n{self}") from None

    def still_running(self):
        status = self.process.poll()
        expect(status is None, f"ended early with status {status}\n{self}")
        return True

    def stop(self, number=signal.SIGTERM, seconds=10):
        """Its exit status after the signal."""
        self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"signal {number} did not end it\n{self}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)  # it starts no more
            for pid in process_tree(self.pid)[::-1]:  # its workers as well, whatever their group
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(10)
        for reader in self.readers:
            reader.join(5)


# --- networks and clients -----------------------------------------------------------------------


def bring_loopback_up():
    request = struct.pack("16sh14x", b"lo", 0x1)  # IFF_UP, netdevice(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, request)  # SIOCSIFFLAGS


def set_first_unprivileged_port(port):
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w") as file:
        file.write(str(port))


@contextlib.contextmanager
def network_of(pid):
    """The network namespace of that process, for this thread."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(descriptor):
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    other = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(other)
        try:
            yield
        finally:
            enter(own)
    finally:
        os.close(other)
        os.close(own)


def http_get(path, port=80):
    """Status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Redis:
    """As much of the protocol as the tests need: https://redis.io/docs/reference/protocol-spec/"""

    def __init__(self, port=80):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.stream = self.socket.makefile("rwb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def ask(self, *words):
        words = [str(word).encode() for word in words]
        self.stream.write(b"*%d\r\n" % len(words))
        for word in words:
            self.stream.write(b"$%d\r\n%s\r\n" % (len(word), word))
        self.stream.flush()
        line = self.stream.readline().rstrip()
        if line[:1] == b"$":
            length = int(line[1:])
            return None if length < 0 else self.stream.read(length + 2)[:-2].decode()
        if line[:1] == b"-" or not line:
            raise Failure(f"redis answered {line!r} to {words!r}")
        return line[1:].decode()

    def info(self, section):
        return dict(line.split(":", 1) for line in self.ask("INFO", section).splitlines()
                    if ":" in line)


def redis_answers(port=80):
    try:
        with Redis(port) as redis:
            return redis.ask("PING") == "PONG"
    except Failure:  # still loading its data
        return False
