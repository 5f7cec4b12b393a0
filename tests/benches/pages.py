#!/usr/bin/env python3
"""Costs of the web page, over a generated store: one of many repositories, and one repository of many tags.

    tests/benches/pages.py REGISTRY [--repositories 10000] [--tags 10000] [--rounds 50] [--pull-rounds 9]

Prints for each page the median and the 95th percentile of its time, its length, and its length with gzip; then the memory
of the registry, and pulls at full speed beside 50 clients that read pages (h2load, of nghttp2-client), in turn with pulls alone.
"""
import argparse
import gzip
import hashlib
import http.client
import json
import pathlib
import socket
import statistics
import subprocess
import tempfile
import time

IMAGE = "application/vnd.oci.image.manifest.v1+json"


class Store:
    """The data directory, written as pushes leave it."""

    def __init__(self, root):
        self.base = root / "docker/registry/v2"

    def write(self, path, content):
        file = self.base / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def blob(self, content):
        digest = hashlib.sha256(content).hexdigest()
        self.write(f"blobs/sha256/{digest[:2]}/{digest}/data", content)
        return digest

    def image(self, name, tags, number):
        """An image of its own with a shared layer; `tags` point at it."""
        config = {"os": "linux", "architecture": "amd64", "created": "2026-01-02T03:04:05Z", "config": {"Labels": {"n": str(number)}},
                  "history": [{"created_by": f"RUN step {step} # buildkit"} for step in range(10)]}
        parts = [json.dumps(config).encode(), b"shared layer" * 4096]
        digests = [self.blob(part) for part in parts]
        descriptors = [{"mediaType": kind, "digest": f"sha256:{digest}", "size": len(part)} for kind, digest, part in zip(
            ["application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"], digests, parts)]
        manifest = json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "config": descriptors[0], "layers": descriptors[1:]}).encode()
        digest = self.blob(manifest)
        link = f"sha256:{digest}".encode()
        self.write(f"repositories/{name}/_manifests/revisions/sha256/{digest}/link", link)
        for layer in digests:
            self.write(f"repositories/{name}/_layers/sha256/{layer}/link", f"sha256:{layer}".encode())
        for tag in tags:
            self.write(f"repositories/{name}/_manifests/tags/{tag}/current/link", link)
            self.write(f"repositories/{name}/_manifests/tags/{tag}/index/sha256/{digest}/link", link)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(port, path, accept="text/html"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    begin = time.perf_counter()
    connection.request("GET", path, headers={"Accept": accept})
    response = connection.getresponse()
    body = response.read()
    elapsed = time.perf_counter() - begin
    connection.close()
    assert response.status == 200, (path, response.status, body[:200])
    return elapsed, body


def peak_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def visitors(port, paths, directory):
    """50 visitors that read a page a second, each time other ones; they would be on other machines, so they come after the registry."""
    running = []
    for first in range(len(paths)):
        addresses = directory / f"pages-{first}"
        addresses.write_text("".join(f"http://127.0.0.1:{port}{path}\n" for path in paths[first:] + paths[:first]))
        clients = len(range(first, 50, len(paths)))
        command = ["nice", "-n", "19", "h2load", "--h1", "-c", str(clients), "--rps", "1", "-D", "60", "-H", "Accept: text/html",
                   "-i", addresses]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
    return running


def pulls(registry, port):
    """Manifests and small blobs that four clients pull in a second, by the program's own measurement."""
    command = [registry, "bench", f"http://127.0.0.1:{port}", "-c", "4", "--rounds", "1", "--duration", "3s", "--format", "json",
               "-w", "manifest-get-tag", "-w", "pull-large"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["rows"]
    return {row["work"]: row["a"]["operations_per_second"] for row in rows}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("registry")
    parser.add_argument("--repositories", type=int, default=10_000)
    parser.add_argument("--tags", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=50, help="requests of each page")
    parser.add_argument("--pull-rounds", type=int, default=9, help="pulls alone and beside visitors")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        store = Store(root / "data")
        for number in range(options.repositories):
            store.image(f"r{number:05}", ["v1"], number)
        for number in range(options.tags):
            store.image("many/tags", [f"v1.{number}.0"], f"t{number}")
        port = free_port()
        config = root / "config.yml"
        config.write_text(f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}/data}}, delete: {{enabled: true}}}}\n"
                          f"log: {{level: error, accesslog: {{disabled: true}}}}\nhttp: {{addr: 127.0.0.1:{port}}}\n"
                          "ui: {enabled: true, survey: 1h}\n")
        server = subprocess.Popen([options.registry, "serve", str(config)])
        try:
            measure(options, root, port, server.pid)
        finally:
            server.terminate()
            server.wait()


def measure(options, root, port, pid):
    deadline = time.time() + 180
    while time.time() < deadline:
        try:
            if get(port, "/ui/-/storage", "application/json")[1].strip() != b"null":
                break
        except (AssertionError, OSError):
            pass
        time.sleep(0.5)
    middle = f"v1.{options.tags // 2}.0"
    pages = ["/ui/", f"/ui/?after=r{options.repositories // 2:05}", "/ui/?sort=size", "/ui/?q=r0999", "/ui/r00001/-/tags", "/ui/r00001/-/tags/v1",
             "/ui/many/tags/-/tags", "/ui/many/tags/-/tags?sort=version", f"/ui/many/tags/-/tags/{middle}",
             f"/ui/many/tags/-/delete?tag={middle}", "/ui/-/storage", "/ui/-/collections"]
    # The survey that was just made is read at the next look.
    time.sleep(16)
    print("| page | median ms | p95 ms | KiB | gzip KiB |\n|---|---|---|---|---|")
    for page in pages:
        get(port, page)
        times, body = [], b""
        for _ in range(options.rounds):
            elapsed, body = get(port, page)
            times.append(elapsed * 1000)
        times.sort()
        p95 = times[int(len(times) * 0.95) - 1]
        print(f"| `{page}` | {statistics.median(times):.1f} | {p95:.1f} | {len(body) / 1024:.1f} | {len(gzip.compress(body)) / 1024:.1f} |", flush=True)
    print(f"\npeak memory {peak_mib(pid):.0f} MiB")
    # A person does not search or preview all the time.
    paths = [page for page in pages if "delete" not in page and "q=" not in page]
    for path, title in [(["/ui/r00001/-/tags", "/ui/", "/ui/r00001/-/tags/v1"], "usual pages"), (paths, "all pages")]:
        ratios = {}
        for _ in range(options.pull_rounds):
            alone = pulls(options.registry, port)
            others = visitors(port, path, root)
            beside = pulls(options.registry, port)
            for visitor in others:
                assert visitor.poll() is None, "the visitors are gone"
                visitor.terminate()
                visitor.wait()
            for work, rate in alone.items():
                ratios.setdefault(work, []).append(beside[work] / rate)
        for work, all_of_work in ratios.items():
            print(f"{work} beside 50 visitors of {title}, a page a second each: {statistics.median(all_of_work):.2f} "
                  f"({min(all_of_work):.2f} to {max(all_of_work):.2f}) of the rate alone", flush=True)


if __name__ == "__main__":
    main()
