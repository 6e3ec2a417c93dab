"""A real one-node Kubernetes in namespaces of its own. Where USE_EXISTING_CLUSTER is `true` nothing is started, and commands
go to the cluster of KUBECONFIG."""

import contextlib
import errno
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BIN = ROOT / ".cache" / "cluster" / "bin"
MAKE_IMAGE = ROOT / "manifests" / "images" / "make.py"
INSIDE = HERE / "inside.sh"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
EXISTING = os.environ.get("USE_EXISTING_CLUSTER") == "true"
READY_WITHIN = 120.0
GONE_WITHIN = 20.0


class Node:
    """The node that has its files in `home`; `home` goes away with it."""

    def __init__(self, home):
        self.home = pathlib.Path(home).resolve()

    def start(self, owned=True):
        """Starts it; it is Ready when this returns. An owned one is killed when the thread that calls this ends, in whatever
        way; another lives until `stop`."""
        if EXISTING:
            return
        if os.geteuid() != 0:
            raise SystemExit("a node needs root, for namespaces, mounts and cgroups")
        if not (BIN / "kubelet").exists() or not (BIN / "pause").exists():
            raise SystemExit(f"{BIN} is not complete: run `make cluster-bins`")
        self.stop()
        sweep()
        self.home.mkdir(parents=True)
        make_image("llmroute.dev/pause:dev", self.home / "pause.tar", BIN / "pause")
        owner = ["setpriv", "--pdeathsig", "KILL"] if owned else []
        # `exec` keeps the process, so the number in the cgroup's name is that of `unshare`, with which all ends.
        unshare = 'exec unshare --net --mount --pid --fork --mount-proc --kill-child "$@" llmroute-$$'
        with (self.home / "output").open("wb") as log:
            process = subprocess.Popen([*owner, "sh", "-c", unshare, "sh", INSIDE, BIN, self.home], stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, start_new_session=not owned)
        (self.home / "pid").write_text(str(process.pid))
        deadline = time.monotonic() + READY_WITHIN
        while not (self.home / "up").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                told = self.logs()
                self.stop()
                raise SystemExit(f"{told}\nno node within {READY_WITHIN:.0f} s")
            time.sleep(0.05)

    def stop(self):
        """Ends it, if there is one, and removes all it left."""
        if pid := self.pid():
            init = child(pid)
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            # The first process of a PID namespace is gone once all others are.
            wait_until(lambda: not pathlib.Path(f"/proc/{init}").exists(), "the node's processes end")
            remove_cgroups(f"llmroute-{pid}")
        shutil.rmtree(self.home, ignore_errors=True)

    def pid(self):
        """The number of its `unshare`, or None."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.home / "pid").read_text())
            if str(self.home).encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return pid
        return None

    def command(self, *args):
        """The command line that runs `args` in the node's network, processes and mounts."""
        if EXISTING:
            return [*args]
        pid = self.pid()
        if pid is None:
            raise SystemExit("no node runs here: `make cluster` starts one")
        return ["nsenter", f"--target={child(pid)}", "--net", "--mount", "--pid", f"--wdns={os.getcwd()}", "--", *args]

    def environment(self):
        """What kubectl, helm and ctr need to find it."""
        own = {} if EXISTING else {
            "KUBECONFIG": str(self.home / "pki" / "admin.yaml"),
            "KUBECACHEDIR": str(self.home / "kubectl"),
            "CONTAINERD_ADDRESS": "/run/containerd/containerd.sock",
            "CONTAINERD_NAMESPACE": "k8s.io",
            "CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS": "true",
            "LLMROUTE_NODE": str(self.home),
        }
        clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return {**clean, "PATH": f"{BIN}:{os.environ['PATH']}", **own}

    def run(self, *args, **options):
        """Runs a command there, as `subprocess.run` does; it must succeed."""
        return subprocess.run(self.command(*args), env=self.environment(), **{"check": True, "text": True, **options})

    def output(self, *args, **options):
        """What a command there prints."""
        return self.run(*args, stdout=subprocess.PIPE, **options).stdout

    def image(self, name, binary, *more):
        """Makes an image of local files, as manifests/images/make.py does, and imports it."""
        with tempfile.TemporaryDirectory(prefix="llmroute-image-") as scratch:
            archive = pathlib.Path(scratch, "image.tar")
            make_image(name, archive, binary, *more)
            self.load(archive)

    def load(self, archive):
        """Imports an image archive."""
        if EXISTING:
            raise SystemExit("an existing cluster pulls its images itself")
        self.run("ctr", "images", "import", archive, stdout=subprocess.DEVNULL)

    def logs(self, lines=8):
        """The last lines of what each part of it wrote."""
        files = [self.home / "output", *sorted((self.home / "log").glob("*"))]
        tails = [(f.name, f.read_text(errors="replace").splitlines()[-lines:]) for f in files if f.exists()]
        return "\n".join(line[:240] for name, tail in tails for line in (f"--- {name}", *tail))


@contextlib.contextmanager
def temporary():
    """An owned node in a temporary directory, Ready."""
    with tempfile.TemporaryDirectory(prefix="llmroute-node-", ignore_cleanup_errors=True) as scratch:
        node = Node(pathlib.Path(scratch, "node"))
        node.start()
        try:
            yield node
        finally:
            node.stop()


def make_image(name, archive, binary, *more):
    subprocess.run([MAKE_IMAGE, name, binary, archive, *more], check=True, stdout=subprocess.DEVNULL)


def child(pid):
    """The first process inside, by its number outside."""
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()


def sweep():
    """Removes the cgroups of nodes whose owner was killed."""
    for path in (*CGROUPS.glob("llmroute-*"), *CGROUPS.glob("*/llmroute-*")):
        number = re.fullmatch(r"llmroute-(\d+)", path.name)
        if number and not pathlib.Path(f"/proc/{number[1]}").exists():
            remove_cgroups(path.name)


def remove_cgroups(name):
    """Removes the cgroups of this name and all below them."""
    for top in (*CGROUPS.glob(name), *CGROUPS.glob(f"*/{name}")):
        for path, _, _ in os.walk(top, topdown=False):
            wait_until(lambda: removed(path), f"{path} is empty")


def removed(path):
    with contextlib.suppress(FileNotFoundError):
        try:
            os.rmdir(path)
        except OSError as e:
            if e.errno != errno.EBUSY:
                raise
            return False
    return True


def wait_until(true, what):
    deadline = time.monotonic() + GONE_WITHIN
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {GONE_WITHIN:.0f} s: {what}")
        time.sleep(0.02)
