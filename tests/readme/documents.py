"""What the documents say, taken apart."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def blocks(language):
    """The fenced blocks of the README in a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def flags_told():
    """{flag: what its row says} of the README's table of flags."""
    return dict(re.findall(r"^\| `--([a-z-]+)[^|]*\| (.*) \|$", README, re.M))


def targets_told():
    """Every `make …` that a document names, in a fence or in a sentence."""
    sentences = re.findall(r"`make ([a-z-]+)`", README + ARCHITECTURE)
    return set(sentences) | {line.split()[1] for block in blocks("sh") for line in block.splitlines() if line.startswith("make ")}


def targets():
    """Every target of the Makefile that is not a file, and those that `make help` lists."""
    phony = re.findall(r"^\.PHONY: ([a-z-]+)$", MAKEFILE, re.M)
    return set(phony), set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.M))


def metrics_told():
    """Every metric of ours that the README names, with what stands in braces written out."""
    told = set()
    for before, choices, after in re.findall(r"`(llmroute_\w+)(?:\{([\w,]+)\}(\w*))?`", README):
        told |= {f"{before}{choice}{after}" for choice in choices.split(",")}
    return told


def missing_places():
    """What a document names in `code` and the repository has not: links, paths, and in ARCHITECTURE.md modules and items as Rust writes them."""
    both = README + ARCHITECTURE
    missing = [link for link in re.findall(r"\]\(([^):#]+)\)", both) if not (ROOT / link).exists()]
    tops = top_folders()
    for path in re.findall(r"`(\.?\w[\w.-]*(?:/[\w.-]+)+)/?`", both):
        missing += [path] if path.split("/")[0] in tops and not is_path(path) else []
    for owner, items in re.findall(r"`(\w+)::(\w+|\{[\w, ]+\})", ARCHITECTURE):
        missing += [f"{owner}::{item}" for item in re.findall(r"\w+", items) if not is_item(owner, item)]
    for row in ARCHITECTURE.partition("file in `crates/sidecar/src`")[2].partition("\n\n")[0].splitlines()[2:]:
        modules = re.findall(r"`(\w+)", row.split("|")[2])
        missing += [module for module in modules if not is_path(f"sidecar/src/{module}")]
    return missing


def top_folders():
    """Where a path of the repository can begin; others, such as a media type or what is built, are none of ours."""
    files = subprocess.check_output(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True)
    return {path.removeprefix("crates/").split("/")[0] for path in files.splitlines()} | {"crates"}


def is_path(name):
    """A file or folder of the repository, or one of `crates/` as ARCHITECTURE.md shortens it, with or without `.rs`."""
    return any((base / f"{name}{end}").exists() for base in (ROOT, ROOT / "crates") for end in ("", ".rs"))


def is_item(owner, item):
    """A module or item of one of our crates, or of a module of the sidecar, which is a file, a folder or both."""
    sidecar = ROOT / "crates/sidecar/src"
    crate = ROOT / "crates" / owner / "src"
    folder = crate if crate.exists() else sidecar / owner
    sources = [*folder.rglob("*.rs"), *sidecar.rglob(f"{owner}*.rs")]
    declared = re.compile(rf"\b(?:mod|fn|struct|enum|trait|type|const) {item}\b|\bpub use .*\b{item}\b")
    return any(source.stem == item or declared.search(source.read_text()) for source in sources)
