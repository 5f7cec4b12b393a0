#!/usr/bin/env python3
"""Costs of `registry migrate` from a directory to another: beside `cp -a` and `sync`, and of a second pass over an unchanged
store beside `find` over both.

Both sides run in turn; a ratio is the median of the rounds, with its range. Memory is the peak of the process (VmHWM).
"""
import argparse
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bundle_sets import MANIFEST, MIB, configuration, layout
from measured import run
from verify import rounds, row

# The files of a tag with an image of its own: two of data, links to both, the tag and its history.
FILES_OF_A_TAG = 6
TAGS = 200


def many_files(root, files):
    """A store of about so many files, most of them links: repositories with tags of small images."""
    base = root / "docker/registry/v2"

    def put(path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def blob(content):
        name = hashlib.sha256(content).hexdigest()
        put(base / "blobs/sha256" / name[:2] / name / "data", content)
        return name

    def descriptor(kind, content):
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{blob(content)}", "size": len(content)}

    layer = descriptor("layer.v1.tar", b"layer")
    for number in range(files // FILES_OF_A_TAG):
        repository = base / "repositories" / f"team-{number // TAGS}" / "app"
        tag = f"v{number % TAGS}"
        config = descriptor("config.v1+json", json.dumps({"architecture": "amd64", "os": "linux", "number": number}).encode())
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
        name = blob(json.dumps(manifest).encode())
        link = f"sha256:{name}".encode()
        for linked in (config, layer):
            digest = linked["digest"]
            put(repository / "_layers/sha256" / digest.removeprefix("sha256:") / "link", digest.encode())
        put(repository / "_manifests/revisions/sha256" / name / "link", link)
        put(repository / "_manifests/tags" / tag / "current/link", link)
        put(repository / "_manifests/tags" / tag / "index/sha256" / name / "link", link)


class Bench:
    def __init__(self, options, work):
        self.options, self.work, self.binary = options, work, os.path.abspath(options.binary)

    def shell(self, command):
        return run(["sh", "-ec", command], self.work).check()

    def pass_of(self, name):
        source, target = configuration(self.work, name), configuration(self.work, f"{name}-target")
        return run([self.binary, "migrate", "--quiet", "--from", str(source), "--to", str(target)], self.work).check()

    def without(self, directory, work):
        shutil.rmtree(self.work / directory, ignore_errors=True)
        os.sync()
        return work()

    def first(self, name, title):
        """A first pass beside a copy. The pass syncs each file; the copy syncs once, at its end."""
        source, copy = self.work / name, self.work / f"{name}-copy"
        ours, other = rounds(
            self.options.rounds,
            lambda: self.without(f"{name}-target", lambda: self.pass_of(name)),
            lambda: self.without(f"{name}-copy", lambda: self.shell(f"cp -a {source} {copy}; sync")),
        )
        shutil.rmtree(copy)
        row(f"{title}: first pass beside `cp -a` and `sync`, s", [m.wall for m in ours], [m.wall for m in other])
        print(f"| {title}: memory, MiB | {max(m.peak_mib for m in ours):.0f} | | |", flush=True)

    def large(self):
        source = self.work / "large.layout"
        layout(source, 1, self.options.large, self.options.large_mib * MIB)
        self.shell(f"{self.binary} import {source} -c {configuration(self.work, 'large')} --map :=team/app --quiet")
        shutil.rmtree(source)
        self.first("large", f"{self.options.large} blobs of {self.options.large_mib} MiB")

    def many(self):
        many_files(self.work / "many", self.options.files)
        count = sum(len(files) for _, _, files in os.walk(self.work / "many"))
        self.first("many", f"{count} files")
        self.pass_of("many")
        both = f"find {self.work / 'many'} {self.work / 'many-target'} -type f -size +1000M > /dev/null"
        ours, other = rounds(self.options.rounds, lambda: self.pass_of("many"), lambda: self.shell(both))
        row(f"{count} files: second pass beside `find -size` over both, s", [m.wall for m in ours], [m.wall for m in other])
        print(f"| {count} files: memory of a second pass, MiB | {max(m.peak_mib for m in ours):.0f} | | |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="*", choices=[[], "large", "many"], default=[])
    parser.add_argument("--binary", default="target/release/registry")
    parser.add_argument("--work", help="a directory on the disk to measure")
    parser.add_argument("--large", type=int, default=16, help="large blobs")
    parser.add_argument("--large-mib", type=int, default=64, help="the size of each")
    parser.add_argument("--files", type=int, default=190_000, help="files of the store with many")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        bench = Bench(options, pathlib.Path(work))
        print("| work | ours | beside | ratio |\n|---|---|---|---|", flush=True)
        for name in options.works or ["large", "many"]:
            getattr(bench, name)()


if __name__ == "__main__":
    main()
