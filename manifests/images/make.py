#!/usr/bin/env python3
"""make.py NAME BINARY OUT.tar: an image of one static program and nothing else, without a Docker daemon.

The archive is what `docker save` writes, so containerd (`ctr -n k8s.io images import`), podman and docker read it. The same
binary gives the same bytes."""

import hashlib
import io
import json
import pathlib
import platform
import sys
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Not root, and the number that distroless images call `nonroot`.
USER = "65532:65532"


def main(name, binary, out):
    binary, out = pathlib.Path(binary), pathlib.Path(out)
    layer = tar({binary.name: (binary.read_bytes(), 0o755)})
    config = json.dumps({
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"Entrypoint": [f"/{binary.name}"], "User": USER, "WorkingDir": "/", "Env": ["PATH=/"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}"]},
    }).encode()
    files = {"Config": f"{digest(config)}.json", "Layers": [f"{digest(layer)}.tar"]}
    manifest = json.dumps([{"RepoTags": [name], **files}]).encode()
    contents = {files["Config"]: config, files["Layers"][0]: layer, "manifest.json": manifest}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(tar({path: (data, 0o644) for path, data in contents.items()}))
    print(f"{out}: {name}, {len(layer) / 2**20:.1f} MiB")


def tar(files):
    """Files owned by root, without a time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, (data, mode) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def digest(data):
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:])
