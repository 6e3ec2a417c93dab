"""The images that the cluster's tests run: the project's own, and an app with Python and both official SDKs."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from node import ROOT, make_image

# What `make images` writes; or a directory of the programs themselves, such as target/debug, which get their libraries along.
GIVEN = pathlib.Path(os.environ.get("LLMROUTE_IMAGES", ROOT / "dist" / "images")).resolve()
OURS = ["operator", "sidecar", "sim"]
APP = "llmroute.dev/app:dev"
# Entry point of the app's image, and where the demo's two apps are in it.
PYTHON, APPS = "/python", "/app"
LOADER = pathlib.Path("/etc/ld.so.cache")
VENV = ROOT / ".cache" / "venv"
# Large, and nothing that an app imports.
SPARED = {"test", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "pip", "_pytest", "pygments", "site-packages",
          "dist-packages", "node_modules"}


@contextlib.contextmanager
def archives(names=(*OURS, "app")):
    """Archives of these images, to import."""
    with tempfile.TemporaryDirectory(prefix="llmroute-images-") as scratch:
        yield [app(scratch) if name == "app" else ours(name, scratch) for name in names]


def ours(name, scratch):
    program = f"llmroute-{name}"
    archive = GIVEN / f"{program}.tar"
    if archive.exists():
        return archive
    if not (GIVEN / program).exists():
        raise SystemExit(f"neither {archive} nor a program {program} beside it: run `make images`, or see LLMROUTE_IMAGES")
    root = pathlib.Path(scratch, name)
    root.mkdir()
    # A debug build is mostly what a debugger wants.
    subprocess.run(["strip", "--strip-debug", "-o", root / program, GIVEN / program], check=True)
    return made(f"llmroute.dev/{name}:dev", scratch, root / program, *libraries(root / program))


def app(scratch):
    """The venv's interpreter and packages, with what they need of the machine's Python: the image is a venv at its root."""
    root = pathlib.Path(scratch, "app")
    library = pathlib.Path(os.__file__).parent
    [packages] = VENV.glob("lib/python3*/site-packages")
    copy(library, root / library.relative_to("/"))
    copy(packages, root / packages.relative_to(VENV))
    copy(ROOT / "tests" / "demo", root / APPS.lstrip("/"))
    shutil.copy(VENV / "pyvenv.cfg", root)
    interpreter = VENV / "bin" / "python"
    return made(APP, scratch, interpreter, f"{root}:/", *libraries(interpreter, *root.rglob("*.so")))


def made(name, scratch, *files):
    archive = pathlib.Path(scratch, f"{name.split('/')[-1]}.tar")
    binary, *more = files
    make_image(name, archive, binary, *more)
    return archive


def copy(source, target):
    """Modules as they are. Files of an image have no time, so compiled ones are marked as right whatever the time (PEP 552)."""
    for folder, inner, files in os.walk(source):
        inner[:] = [name for name in inner if name not in SPARED and not name.startswith("config-")]
        into = target / pathlib.Path(folder).relative_to(source)
        into.mkdir(parents=True, exist_ok=True)
        for name in files:
            path = pathlib.Path(folder, name)
            if path.suffix == ".pyc" and f".{sys.implementation.cache_tag}." in name:
                data = path.read_bytes()
                (into / name).write_bytes(data[:4] + (1).to_bytes(4, "little") + data[8:])
            elif path.suffix != ".pyc" and not name.startswith("_tkinter"):
                shutil.copyfile(path, into / name)


def libraries(*programs):
    """The shared libraries that these need, and the loader's own list of where they are."""
    told = subprocess.run(["ldd", *programs], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    found = sorted(set(re.findall(r"^\t(?:\S+ => )?(/\S+) \(", told, re.MULTILINE)))
    return [*found, *([LOADER] if LOADER.exists() else [])] if found else []
