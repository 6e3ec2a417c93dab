#!/usr/bin/env python3
"""check.py NAME IMAGE.tar: every digest is right, and the program inside is static, runs where nothing else is, as another than
root, and is root's alone to read."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile


def main(name, image):
    with tarfile.open(image) as archive:
        files = {entry.name: archive.extractfile(entry).read() for entry in archive}
    [manifest] = json.loads(files.pop("manifest.json"))
    assert manifest["RepoTags"] == [name], manifest
    assert sorted(files) == sorted([manifest["Config"], *manifest["Layers"]]), sorted(files)
    for path, data in files.items():
        assert hashlib.sha256(data).hexdigest() == path.split(".")[0], f"{path} is not named for its digest"
    config = json.loads(files[manifest["Config"]])
    layers = [f"sha256:{path.removesuffix('.tar')}" for path in manifest["Layers"]]
    assert config["rootfs"] == {"type": "layers", "diff_ids": layers}, config["rootfs"]
    user, group = config["config"]["User"].split(":")
    assert int(user) > 0 and int(group) > 0, "it must not run as root"

    with tempfile.TemporaryDirectory(prefix="llmroute-image-") as root:
        os.chmod(root, 0o755)
        unpacked = unpack(image, manifest, root)
        [entry] = config["config"]["Entrypoint"]
        assert unpacked == [(entry.lstrip("/"), 0, 0o111)], unpacked
        program = pathlib.Path(root, entry.lstrip("/"))
        linked = subprocess.run(["ldd", program], capture_output=True, text=True)
        said = linked.stdout + linked.stderr
        assert "statically linked" in said or "not a dynamic executable" in said, said
        alone = ["chroot", f"--userspec={user}:{group}", root, entry] if os.geteuid() == 0 else [program]
        ran = subprocess.run([*alone, "--version"], capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
        assert ran.returncode == 0, f"{alone}: {ran.stderr}"
    print(f"{image}: digests right, static, runs as {user}: {ran.stdout.strip()}")


def unpack(image, manifest, root):
    """Unpacks the layers and says what they hold: paths, owners, modes."""
    names = []
    with tarfile.open(image) as archive:
        for path in manifest["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(path)) as layer:
                layer.extractall(root, filter="data")
                names += [(entry.name, entry.uid, entry.mode) for entry in layer]
    return names


if __name__ == "__main__":
    main(*sys.argv[1:])
