#!/usr/bin/env python3
"""make.py NAME BINARY OUT.tar [FILE[:PATH]...]: an image of one static program, without a Docker daemon; of further files
and whole directories too where they are named.

The archive is what `docker save` writes, so containerd (`ctr -n k8s.io images import`), podman and docker read it. The same
binary gives the same bytes."""

import hashlib
import io
import json
import os
import pathlib
import platform
import sys
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Not root, and the number that distroless images call `nonroot`.
USER = "65532:65532"
# Who may not read a program is given a process that nobody can look into, from its first instruction on: `would_dump` in the
# kernel's fs/exec.c.
PROGRAM = 0o111


def main(name, binary, out, *more):
    binary = pathlib.Path(binary)
    files = dict(entry for spec in (f"{binary}:{binary.name}", *more) for entry in found(spec))
    files[binary.name] = (files[binary.name][0], PROGRAM)
    write(name, binary.name, files, out)


def write(name, program, files, out):
    """Writes an image of files, each given as {path: (bytes, mode)}; `program` is the one that it runs."""
    out = pathlib.Path(out)
    layer = tar(files)
    config = json.dumps({
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"Entrypoint": [f"/{program}"], "User": USER, "WorkingDir": "/", "Env": ["PATH=/"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}"]},
    }).encode()
    files = {"Config": f"{digest(config)}.json", "Layers": [f"{digest(layer)}.tar"]}
    manifest = json.dumps([{"RepoTags": [name], **files}]).encode()
    contents = {files["Config"]: config, files["Layers"][0]: layer, "manifest.json": manifest}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(tar({path: (data, 0o644) for path, data in contents.items()}))
    print(f"{out}: {name}, {len(layer) / 2**20:.1f} MiB")


def found(spec):
    """What a file or a directory adds to the image; links are followed."""
    source, _, target = spec.partition(":")
    source, target = pathlib.Path(source), pathlib.PurePath((target or source).lstrip("/"))
    for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
        if file.is_file():
            mode = 0o755 if os.access(file, os.X_OK) else 0o644
            yield str(target / file.relative_to(source) if file != source else target), (file.read_bytes(), mode)


def tar(files):
    """Files owned by root, without a time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, (data, mode) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def digest(data):
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:])
