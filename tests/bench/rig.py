"""The machine under the bench: namespace, cores, priorities, processes. Only processes started here are ended."""
import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
CPU_GROUPS = Path("/sys/fs/cgroup/cpu")  # cgroup v1
LOAD_CORE, PROXY_CORE = 0, 1


def loopback_only():
    """Moves this process into a network namespace that has only loopback; needs root."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        print(f"no network namespace ({os.strerror(ctypes.get_errno())}): going on in this one", flush=True)
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
    return True


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def cpu_group():
    """Puts this process and all it starts into a scheduling group of its own, so that other work on the machine gets
    what is left. Yields a way to put a process into the group that only gets idle time. Where cgroup v1 is missing or
    not ours to write, nothing is done."""
    group, idle = CPU_GROUPS / f"llmroute-bench-{os.getpid()}", CPU_GROUPS / f"llmroute-bench-{os.getpid()}-idle"
    try:
        group.mkdir()
        idle.mkdir()
        (group / "cpu.shares").write_text("262144")
        (group / "cpu.rt_runtime_us").write_text("900000")
        (idle / "cpu.idle").write_text("1")
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError as e:
        print(f"no scheduling group: {e}", flush=True)

    def put_idle(pid):
        with contextlib.suppress(OSError):
            (idle / "cgroup.procs").write_text(str(pid))

    try:
        yield put_idle
    finally:
        with contextlib.suppress(OSError):
            (CPU_GROUPS / "cgroup.procs").write_text(str(os.getpid()))
        for g in (group, idle):
            with contextlib.suppress(OSError):
                g.rmdir()


def tree(pid):
    """A process and all below it."""
    pids = [pid]
    for p in pids:
        for children in Path(f"/proc/{p}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                pids += map(int, children.read_text().split())
    return pids


def schedule(pids, policy, priority=0):
    """Sets the scheduling policy of every thread of these processes and of their children."""
    for pid in (p for root in pids for p in tree(root)):
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                os.sched_setscheduler(int(task), policy, os.sched_param(priority))


def start(cmd, core, log=None, env=None, cwd=None, stdout=None):
    """Starts a process on one core, in a process group of its own. Not in a session of its own: the kernel's scheduler
    may group by session, and a low priority would then count only within that group."""
    clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("OTEL_")}
    os.sched_setaffinity(0, {core})  # inherited
    try:
        return subprocess.Popen(list(map(str, cmd)), cwd=cwd, env={**clean, **(env or {})}, stdin=subprocess.DEVNULL,
                                stdout=stdout or log, stderr=log, process_group=0, text=True)
    finally:
        os.sched_setaffinity(0, {LOAD_CORE})


def stop(proc, seconds=10):
    """Ends a process that was started here, with its children; returns its exit code."""
    for sig, wait in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(proc.pid, sig)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return proc.wait(wait)
    return None


def wait_until(ready, proc, seconds=20):
    """Whether `ready()` came true while the process lived."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and proc.poll() is None:
        if ready():
            return True
        time.sleep(0.05)
    return False


def listening(port):
    with socket.socket() as s:
        s.settimeout(0.5)
        return s.connect_ex(("127.0.0.1", port)) == 0
