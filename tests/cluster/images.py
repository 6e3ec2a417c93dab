"""The images that the cluster's tests run: the project's own, and an app with Python and both official SDKs."""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from node import EXISTING, MAKE_IMAGE, ROOT

sys.path.append(str(MAKE_IMAGE.parent))

import make

# Archives as `make test-images` writes them; or the programs themselves, as in target/debug, which get their libraries along.
GIVEN = pathlib.Path(os.environ.get("LLMROUTE_IMAGES", ROOT / "dist" / "images-dev")).resolve()
ALL = ("operator", "sidecar", "sim", "app")
APP = "llmroute.dev/app:dev"
# Entry point of the app's image, and where the demo's two apps are in it.
PYTHON, APPS = "/python", "/app"
LOADER = pathlib.Path("/etc/ld.so.cache")
VENV = ROOT / ".cache" / "venv"
# Large, and nothing that an app imports.
SPARED = {"test", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "distutils", "pydoc_data", "pip",
          "setuptools", "pkg_resources", "_pytest", "pygments", "site-packages", "dist-packages"}


@contextlib.contextmanager
def archives(names=ALL):
    """Archives of these images, to import; an existing cluster must find them by itself."""
    with tempfile.TemporaryDirectory(prefix="llmroute-images-") as scratch:
        yield [app(scratch) if name == "app" else ours(name, scratch) for name in ([] if EXISTING else names)]


def ours(name, scratch):
    program = f"llmroute-{name}"
    archive = GIVEN / f"{program}.tar"
    if archive.exists():
        return archive
    if not (GIVEN / program).exists():
        raise SystemExit(f"neither {archive} nor a program {program} beside it: run `make test-images`, or set LLMROUTE_IMAGES")
    # A debug build is mostly what a debugger wants.
    stripped, archive = (pathlib.Path(scratch, file) for file in (program, f"{name}.tar"))
    subprocess.run(["strip", "--strip-debug", "-o", stripped, GIVEN / program], check=True)
    make.main(f"llmroute.dev/{name}:dev", stripped, archive, *libraries(stripped))
    return archive


def app(scratch):
    """The venv's interpreter and packages, with what they need of the machine's Python: the image is a venv at its root."""
    library, [packages] = pathlib.Path(os.__file__).parent, VENV.glob("lib/python3*/site-packages")
    interpreter = VENV / "bin" / "python"
    trees = {library: library, packages: packages.relative_to(VENV), ROOT / "tests" / "demo": APPS}
    files = dict(entry for source, target in trees.items() for entry in modules(source, pathlib.PurePath("/", target)))
    native = [path for source in trees for path in source.rglob("*.so") if not spared(path.relative_to(source))]
    more = {f"{VENV / 'pyvenv.cfg'}:/pyvenv.cfg", f"{interpreter}:{PYTHON}", *libraries(interpreter, *native)}
    archive = pathlib.Path(scratch, "app.tar")
    make.write(APP, PYTHON.lstrip("/"), files | dict(entry for spec in more for entry in make.found(spec)), archive)
    return archive


def modules(source, target):
    """Modules as they are. Files of an image have no time, so compiled ones are marked as right whatever the time (PEP 552)."""
    for folder, inner, names in os.walk(source):
        inner[:] = [name for name in inner if not spared(pathlib.PurePath(name))]
        for path in (pathlib.Path(folder, name) for name in names):
            data = path.read_bytes()
            if path.suffix == ".pyc":
                if not path.name.endswith(f".{sys.implementation.cache_tag}.pyc"):
                    continue
                data = data[:4] + (1).to_bytes(4, "little") + data[8:]
            yield str(target / path.relative_to(source)).lstrip("/"), (data, 0o644)


def spared(path):
    return any(part in SPARED or part.startswith(("config-", "_tkinter")) for part in path.parts)


def libraries(*programs):
    """The shared libraries that these need, and the loader's own list of where they are."""
    told = subprocess.run(["ldd", *programs], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    found = sorted(set(re.findall(r"^\t(?:\S+ => )?(/\S+) \(", told, re.MULTILINE)))
    return [*found, *([str(LOADER)] if LOADER.exists() else [])] if found else []
