"""Content and registries for bundles.py."""
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time

from measured import Measured, high_water

MIB = 2**20
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def layout(directory, images, layers, size) -> int:
    """An OCI layout with `images` of `layers` random layers each, tagged 0, 1, 2 …; the bytes of its content."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    total = 0

    def blob(content, media_type):
        nonlocal total
        name = hashlib.sha256(content).hexdigest()
        (blobs / name).write_bytes(content)
        total += len(content)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(content)}

    manifests = []
    for tag in range(images):
        entries = [blob(os.urandom(size), "application/vnd.oci.image.layer.v1.tar+gzip") for _ in range(layers)]
        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [e["digest"] for e in entries]}}
        config = blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": entries}
        descriptor = blob(json.dumps(manifest).encode(), MANIFEST)
        manifests.append({**descriptor, "annotations": {"org.opencontainers.image.ref.name": str(tag)}})
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return total


def blobs_of(store):
    return list((store / "docker/registry/v2/blobs").rglob("data"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def configuration(work, name, port=5000) -> pathlib.Path:
    path = work / f"{name}.yml"
    path.write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {work / name}}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}', secret: for-measuring}}\n"
    )
    return path


class Registry:
    """A running registry, which ends with the `with` block."""

    def __init__(self, binary, *arguments, port=None, config=None):
        self.port, self.config = port or free_port(), config
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        more = [] if config else ["--addr", self.host]
        self.command = [binary, *map(str, arguments), *more]

    def __enter__(self):
        self.began = time.monotonic()
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def answers(self) -> bool:
        if self.process.poll() is not None:
            raise SystemExit(f"{self.command} ended with {self.process.returncode}")
        try:
            connection = http.client.HTTPConnection(self.host)
            connection.request("GET", "/v2/")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def cpu(self) -> float:
        """Its processor time in seconds: the scheduler's count of all threads that it has."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def peak_mib(self) -> float:
        return high_water(self.process.pid) / MIB


@contextlib.contextmanager
def registry_in(binary, work, name, keep=False):
    """A registry over the store `name`, which is empty at first unless it is to be kept."""
    if not keep:
        shutil.rmtree(work / name, ignore_errors=True)
    port = free_port()
    config = configuration(work, name, port)
    with Registry(binary, "serve", config, port=port, config=config) as registry:
        yield registry


def ask(registry, path):
    connection = http.client.HTTPConnection(registry.host)
    connection.request("GET", path)
    return json.load(connection.getresponse())


def push_one_by_one(registry, blobs) -> Measured:
    """Pushes files by POST and PUT over one connection, each after the one before."""
    while not registry.answers():
        pass
    contents = [path.read_bytes() for path in blobs]
    connection = http.client.HTTPConnection(registry.host)

    def request(method, path, body, wanted):
        connection.request(method, path, body)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == wanted, f"{method} {path}: {answer.status}"
        return answer

    began = time.monotonic()
    for content in contents:
        location = request("POST", "/v2/team/app/blobs/uploads/", None, 202).headers["Location"]
        location += ("&" if "?" in location else "?") + "digest=sha256:" + hashlib.sha256(content).hexdigest()
        request("PUT", location.removeprefix(registry.url), content, 201)
    return Measured(wall=time.monotonic() - began)
