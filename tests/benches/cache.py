#!/usr/bin/env python3
"""Costs of a cache of another registry: cached pulls beside pulls of the same content from an ordinary repository of the same
process, first pulls beside pulls from the upstream itself, and many clients of one blob beside one.

The upstream is a registry of the same build behind a line of 20 ms and 1 Gbit/s. Both sides run in turn; a ratio is the median of the
rounds, with its range.
"""
import argparse
import asyncio
import hashlib
import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bundle_sets import MANIFEST, MIB, Registry, configuration, free_port
from verify import rounds, row


class Line:
    """A line to `target` on which everything takes half of `round_trip` in each direction, with a bandwidth for all connections
    together, or, if that is 0, the one that this machine has."""

    def __init__(self, target, round_trip, bytes_per_second):
        self.target, self.delay, self.port = target, round_trip / 2, free_port()
        self.bytes_per_second, self.sent_at = bytes_per_second, 0
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve(ready)), daemon=True).start()
        ready.wait()

    async def serve(self, ready):
        server = await asyncio.start_server(self.accept, "127.0.0.1", self.port)
        ready.set()
        await server.serve_forever()

    async def accept(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(self.carry(reader, far_writer), self.carry(far_reader, writer), return_exceptions=True)

    async def carry(self, reader, writer):
        """Reads and writes at the same time, so that the delay does not bound the throughput."""
        under_way = asyncio.Queue(maxsize=64)

        async def receive():
            while data := await reader.read(MIB):
                self.sent_at = max(self.sent_at, time.monotonic())
                if self.bytes_per_second:
                    self.sent_at += len(data) / self.bytes_per_second
                await under_way.put((self.sent_at + self.delay, data))
            await under_way.put((0, b""))

        async def send():
            while True:
                due, data = await under_way.get()
                if not data:
                    return writer.close()
                await asyncio.sleep(max(0, due - time.monotonic()))
                writer.write(data)
                await writer.drain()

        await asyncio.gather(receive(), send())


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port)

    def request(self, method, path, body=None, headers={}):
        self.connection.request(method, path, body, headers)
        return self.connection.getresponse()

    def push(self, repository, content):
        answer = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        answer.read()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        location = answer.headers["Location"].split("/", 3)[3]
        location += ("&" if "?" in location else "?") + "digest=" + digest
        answer = self.request("PUT", "/" + location, content)
        answer.read()
        assert answer.status == 201, answer.status
        return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": len(content)}

    def push_image(self, repository, layers):
        config = self.push(repository, json.dumps({"architecture": "amd64", "os": "linux"}).encode())
        config["mediaType"] = "application/vnd.oci.image.config.v1+json"
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        body = json.dumps(manifest).encode()
        answer = self.request("PUT", f"/v2/{repository}/manifests/latest", body, {"Content-Type": MANIFEST})
        answer.read()
        assert answer.status == 201, answer.status
        return "sha256:" + hashlib.sha256(body).hexdigest()

    def pull(self, path):
        answer = self.request("GET", path, headers={"Accept": MANIFEST})
        body = answer.read()
        assert answer.status == 200, f"{path}: {answer.status} {body[:200]}"
        return body


class Bench:
    def __init__(self, options, work):
        self.options, self.work = options, work
        binary = os.path.abspath(options.binary)
        up = free_port()
        config = configuration(work, "upstream", up)
        self.upstream = Registry(binary, "serve", config, port=up, config=config)
        self.line = Line(up, options.milliseconds / 1000, options.mbit * 1e6 / 8)
        port, self.debug = free_port(), free_port()
        config = configuration(work, "cache", port)
        text = config.read_text().replace(
            "http: {", f"http: {{debug: {{addr: '127.0.0.1:{self.debug}', prometheus: {{enabled: true}}}}, "
        )
        text += (
            f"proxy: {{upstreams: [{{name: up, url: 'http://127.0.0.1:{self.line.port}', prefix: up, connections: 64,"
            " tags: {fresh: 1h}}]}\n"
        )
        config.write_text(text)
        self.cache = Registry(binary, "serve", config, port=port, config=config)

    def __enter__(self):
        for registry in (self.upstream, self.cache):
            registry.__enter__()
            while not registry.answers():
                pass
        self.direct, self.far, self.near = Client(self.upstream.port), Client(self.line.port), Client(self.cache.port)
        return self

    def __exit__(self, *_):
        self.cache.__exit__()
        self.upstream.__exit__()

    def metric(self, name):
        page = Client(self.debug).pull("/metrics").decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(name))

    def curl(self, port, path):
        command = ["curl", "-sf", "-o", "/dev/null", "-w", "%{time_total} %{time_starttransfer}", f"http://127.0.0.1:{port}{path}"]
        total, first = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        return float(total), float(first)

    def hits(self):
        """Requests a second for cached content, beside an ordinary repository."""
        layer = os.urandom(self.options.large_mib * MIB)
        blob = self.direct.push("app", layer)
        digest = self.direct.push_image("app", [blob])
        self.near.push("plain", layer)
        self.near.push_image("plain", [blob])
        for path in ("manifests/latest", f"blobs/{blob['digest']}"):
            self.near.pull(f"/v2/up/app/{path}")

        def rate(path):
            count, begun = 0, time.monotonic()
            while time.monotonic() - begun < self.options.seconds:
                self.near.pull(path)
                count += 1
            return count / (time.monotonic() - begun)

        for title, path in [("by digest", f"manifests/{digest}"), ("by a fresh tag", "manifests/latest")]:
            row(f"cached manifest {title}, requests/s", *rounds(
                self.options.rounds, lambda: rate(f"/v2/up/app/{path}"), lambda: rate(f"/v2/plain/{path}")))
        port, path = self.cache.port, f"blobs/{blob['digest']}"
        row(f"cached blob of {self.options.large_mib} MiB, s", *rounds(
            self.options.rounds, lambda: self.curl(port, f"/v2/up/app/{path}")[0], lambda: self.curl(port, f"/v2/plain/{path}")[0]))

    def misses(self):
        """First pulls, beside pulls from the upstream."""
        size = self.options.large_mib * MIB
        new = iter([self.direct.push("app", os.urandom(size))["digest"] for _ in range(self.options.rounds + 1)])
        small = iter([self.direct.push("app", os.urandom(100_000))["digest"] for _ in range(self.options.rounds * 20 + 1)])
        # The first request opens the connection.
        self.curl(self.cache.port, f"/v2/up/app/blobs/{next(small)}")

        def first_byte(port, prefix):
            times = []
            for _ in range(20):
                digest = next(small) if prefix else self.digest
                times.append(self.curl(port, f"/v2/{prefix}app/blobs/{digest}")[1])
            return statistics.median(times)

        self.digest = self.direct.push("app", os.urandom(100_000))["digest"]
        row("first byte of a blob that is not cached, s", *rounds(
            self.options.rounds, lambda: first_byte(self.cache.port, "up/"), lambda: first_byte(self.line.port, "")))
        other = self.direct.push("app", os.urandom(size))["digest"]
        row(f"blob of {self.options.large_mib} MiB that is not cached, s", *rounds(
            self.options.rounds,
            lambda: self.curl(self.cache.port, f"/v2/up/app/blobs/{next(new)}")[0],
            lambda: self.curl(self.line.port, f"/v2/app/blobs/{other}")[0]))

    def crowd(self):
        """Many clients of one new blob, beside one from the upstream."""
        size = self.options.crowd_mib * MIB
        new = iter([self.direct.push("app", os.urandom(size))["digest"] for _ in range(self.options.rounds)])
        other = self.direct.push("app", os.urandom(size))["digest"]
        fetched = []

        stored = self.near.push("plain", os.urandom(size))["digest"]

        def pull(paths):
            begun = time.monotonic()
            clients = [
                subprocess.Popen(["curl", "-sf", "-o", "/dev/null", f"http://127.0.0.1:{self.cache.port}{path}"])
                for path in paths
            ]
            assert all(client.wait() == 0 for client in clients)
            return time.monotonic() - begun

        def many():
            path, before = f"/v2/up/app/blobs/{next(new)}", self.metric("registry_proxy_pulled_bytes_total")
            took = pull([path] * self.options.clients)
            fetched.append((self.metric("registry_proxy_pulled_bytes_total") - before) / size)
            return took

        title = f"{self.options.clients} clients of a new blob of {self.options.crowd_mib} MiB, beside one of the upstream, s"
        row(title, *rounds(self.options.rounds, many, lambda: self.curl(self.line.port, f"/v2/app/blobs/{other}")[0]))
        title = f"{self.options.clients} clients of a new blob of {self.options.crowd_mib} MiB, beside as many of an ordinary one, s"
        again = iter([self.direct.push("app", os.urandom(size))["digest"] for _ in range(self.options.rounds)])
        row(title, *rounds(
            self.options.rounds,
            lambda: pull([f"/v2/up/app/blobs/{next(again)}"] * self.options.clients),
            lambda: pull([f"/v2/plain/blobs/{stored}"] * self.options.clients)))
        print(f"| bytes from the upstream, beside the blob's | {statistics.median(fetched):.3f} | 1 | |", flush=True)
        print(f"| memory of the cache, MiB | {self.cache.peak_mib():.0f} | | |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="*", choices=[[], "hits", "misses", "crowd"], default=[])
    parser.add_argument("--binary", default="target/release/registry")
    parser.add_argument("--work", help="a directory on the disk to measure")
    parser.add_argument("--large-mib", type=int, default=128)
    parser.add_argument("--crowd-mib", type=int, default=1024)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--milliseconds", type=float, default=20, help="the time of the line to the upstream and back")
    parser.add_argument("--mbit", type=float, default=1000, help="its bandwidth in Mbit/s; 0 is that of this machine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="how long each side asks for manifests")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work, Bench(options, pathlib.Path(work)) as bench:
        print("| work | cache | beside | ratio |\n|---|---|---|---|", flush=True)
        for name in options.works or ["hits", "misses", "crowd"]:
            getattr(bench, name)()


if __name__ == "__main__":
    main()
