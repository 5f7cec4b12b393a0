#!/usr/bin/env python3
"""Costs of `registry verify`: beside `sha256sum` of the same files on one core, two jobs beside one, and pulls beside the
verification of the running registry at its default rate.

Both sides run in turn over a warm cache; a ratio is the median of the rounds, with its range.
"""
import argparse
import http.client
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bundle_sets import MIB, Registry, ask, configuration, free_port, layout
from measured import run

# A part of the cycle is due at once, and is all of it: this cycle began in 1970.
OLD_CYCLE = '{"cycle": {"begun_ms": 1000}}'


def row(title, ours, other):
    ratios = [a / b for a, b in zip(ours, other)]
    ratio = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    print(f"| {title} | {statistics.median(ours):.3g} | {statistics.median(other):.3g} | {ratio} |", flush=True)


def rounds(count, ours, other):
    """The results of both sides; the side that begins alternates."""
    pairs = []
    for number in range(count):
        sides = [(0, ours), (1, other)][:: 1 if number % 2 == 0 else -1]
        done = {index: side() for index, side in sides}
        pairs.append((done[0], done[1]))
    return [a for a, _ in pairs], [b for _, b in pairs]


class Bench:
    def __init__(self, options, work):
        self.options, self.work, self.binary = options, work, os.path.abspath(options.binary)
        for name, images, layers, size in [
            ("large", 1, options.large, options.large_mib * MIB),
            ("small", max(1, options.small // 20), 20, options.small_bytes),
        ]:
            source = work / f"{name}.layout"
            layout(source, images, layers, size)
            self.shell(f"{self.binary} import {source} -c {configuration(work, name)} --map :=team/app --quiet")
            shutil.rmtree(source)

    def shell(self, command):
        return run(["sh", "-ec", command], self.work).check()

    def verify(self, name, jobs, pinned=""):
        command = f"{pinned} {self.binary} verify --since-start --jobs {jobs} --progress none".split()
        return run([*command, str(configuration(self.work, name))], self.work).check()

    def hashes(self):
        for name in ("large", "small"):
            store = self.work / name / "docker/registry/v2"
            for title, files in (("data", f"{store}/blobs -name data"), ("all files that it reads", f"{store} -type f")):
                # Finding the files is a part of both sides, on the same core.
                hashed = f"taskset -c 0 sh -c 'find {files} -print0 | xargs -0 {self.options.hasher}' > /dev/null"
                self.shell(hashed)
                ours, other = rounds(
                    self.options.rounds,
                    lambda: self.verify(name, 1, "taskset -c 0"),
                    lambda: self.shell(hashed),
                )
                row(f"{name}: verify beside {self.options.hasher} of {title}, one core, s", [m.wall for m in ours], [m.wall for m in other])
                row(f"{name}: the same, CPU s", [m.cpu for m in ours], [m.cpu for m in other])
            print(f"| {name}: memory, MiB | {max(m.peak_mib for m in ours):.0f} | | |", flush=True)

    def jobs(self):
        for name in ("large", "small"):
            ours, other = rounds(self.options.rounds, lambda: self.verify(name, 2).wall, lambda: self.verify(name, 1).wall)
            row(f"{name}: two jobs beside one, s", ours, other)

    def pulls_a_second(self, verifies):
        """Pulls of a manifest and a small blob over one connection while the registry verifies, or does not."""
        port, debug = free_port(), free_port()
        config = configuration(self.work, "large", port)
        text = config.read_text().replace("http: {", f"http: {{debug: {{addr: '127.0.0.1:{debug}'}}, ")
        if verifies:
            text += "verify: {enabled: true, cycle: 24h}\n"
        config.write_text(text)
        state = self.work / "large/docker/registry/sampan/verify"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(parents=True)
        (state / "state").write_text(OLD_CYCLE)
        with Registry(self.binary, "serve", config, port=port, config=config) as registry:
            page = Registry(self.binary, port=debug, config=config)
            while not registry.answers():
                pass
            while verifies and not (ask(page, "/debug/verify")["running"] or {}).get("bytes"):
                assert ask(page, "/debug/verify")["last"] is None, "the verification was over at once: --large-mib"
                time.sleep(0.01)
            connection, count, begun = http.client.HTTPConnection(registry.host), 0, time.monotonic()
            path = "/v2/team/app/manifests/0"
            while time.monotonic() - begun < self.options.seconds:
                connection.request("GET", path, headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
                body = connection.getresponse().read()
                if count == 0:
                    config_blob = "/v2/team/app/blobs/" + json.loads(body)["config"]["digest"]
                path = config_blob if count % 2 == 0 else "/v2/team/app/manifests/0"
                count += 1
            rate = count / (time.monotonic() - begun)
            if verifies and not ask(page, "/debug/verify")["running"]:
                print("the verification was over before the pulls: raise --large", file=sys.stderr)
            return rate

    def pulls(self):
        ours, other = rounds(self.options.rounds, lambda: self.pulls_a_second(True), lambda: self.pulls_a_second(False))
        row("pulls/s beside a verification, beside pulls alone", ours, other)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="*", choices=[[], "hashes", "jobs", "pulls"], default=[])
    parser.add_argument("--binary", default="target/release/registry")
    parser.add_argument("--work", help="a directory on the disk to measure")
    parser.add_argument("--large", type=int, default=16, help="large blobs")
    parser.add_argument("--large-mib", type=int, default=64, help="the size of each")
    parser.add_argument("--small", type=int, default=20_000, help="small blobs")
    parser.add_argument("--small-bytes", type=int, default=4096, help="the size of each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10, help="how long each side pulls")
    parser.add_argument("--hasher", default="sha256sum", help="such as `openssl dgst -sha256`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        bench = Bench(options, pathlib.Path(work))
        print("| work | ours | beside | ratio |\n|---|---|---|---|", flush=True)
        for name in options.works or ["hashes", "jobs", "pulls"]:
            getattr(bench, name)()


if __name__ == "__main__":
    main()
