#!/usr/bin/env python3
"""Costs of wrong passwords: pulls beside clients that push with passwords, with and without as many clients that guess, and how
long a revoked token still counts meanwhile.

Each client has an address of its own, 127.x.y.z, and guesses again a second after it was answered. Clients run at the lowest
priority: they would be on other machines. Both sides run in turn; a ratio is the median of the rounds, with its range. Needs wrk
and htpasswd.
"""
import argparse
import asyncio
import base64
import collections
import hashlib
import json
import multiprocessing
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bundle_sets import Registry, free_port, layout
from verify import rounds, row

PASSWORD = "correct horse"


class Connection:
    """HTTP/1.1 from an address of 127.0.0.0/8."""

    def __init__(self, port, address):
        self.port, self.address = port, address

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(self.address, 0))

    async def request(self, method, path, authorization, body=b""):
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in answer[1:] if ": " in line)}
        content = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(answer[0].split()[1]), headers, content


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def pushes(port, number, answers):
    """One blob each two seconds, with a token for the password."""
    connection = Connection(port, f"127.1.{number // 250}.{number % 250 + 1}")
    await connection.open()
    user, repository = f"user{number}", f"home/user{number}/app"
    while True:
        scope = f"/auth/token?scope=repository:{repository}:pull,push"
        status, _, content = await connection.request("GET", scope, basic(user, PASSWORD))
        answers[f"token {status}"] += 1
        if status == 200:
            bearer = "Bearer " + json.loads(content)["token"]
            blob = os.urandom(4096)
            status, headers, _ = await connection.request("POST", f"/v2/{repository}/blobs/uploads/", bearer)
            place = "/" + headers["location"].split("/", 3)[3]
            place += ("&" if "?" in place else "?") + "digest=sha256:" + hashlib.sha256(blob).hexdigest()
            status, _, _ = await connection.request("PUT", place, bearer, blob)
            answers[f"push {status}"] += 1
        await asyncio.sleep(2)


async def guesses(port, number, answers):
    connection = Connection(port, f"127.2.{number // 250}.{number % 250 + 1}")
    await connection.open()
    for attempt in range(sys.maxsize):
        guess = basic(f"user{attempt % 200}", f"guess {number} {attempt}")
        status, _, _ = await connection.request("GET", "/auth/token", guess)
        answers[f"guess {status}"] += 1
        await asyncio.sleep(1)


async def play(port, count, clients, ended, answers):
    tasks = [asyncio.create_task(client(port, number, answers)) for client in clients for number in range(count)]
    while not ended.is_set():
        await asyncio.sleep(0.05)
        for task in tasks:
            if task.done():
                task.result()
    for task in tasks:
        task.cancel()


def crowd(port, count, clients, ended, report):
    os.nice(19)
    answers = collections.Counter()
    asyncio.run(play(port, count, clients, ended, answers))
    report.send(answers)


class Crowd:
    """Clients in a process of their own, while the `with` block runs."""

    def __init__(self, port, count, clients):
        self.ended, (self.report, far) = multiprocessing.Event(), multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=crowd, args=(port, count, clients, self.ended, far), daemon=True)

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        # None when the process failed, which said why.
        while self.process.is_alive() and not self.report.poll(0.1):
            pass
        self.answers = self.report.recv() if self.report.poll() else None
        self.process.join()


class Bench:
    def __init__(self, options, work):
        self.options, self.work, self.binary = options, work, os.path.abspath(options.binary)
        users = subprocess.run(
            ["htpasswd", "-nbBC", str(options.cost), "user", PASSWORD], check=True, capture_output=True, text=True
        ).stdout.strip().removeprefix("user")
        (work / "htpasswd").write_text("".join(f"user{number}{users}\n" for number in range(options.clients)))
        self.port = free_port()
        self.config = work / "config.yml"
        self.config.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {work / 'store'}}}}}\n"
            f"auth: {{htpasswd: {{realm: bench, path: {work / 'htpasswd'}}}}}\n"
            "access: {rules: [{who: anonymous, may: pull, on: 'public/**'}, {who: users, may: [pull, push], on: 'home/${user}/**'}]}\n"
            f"http: {{addr: '127.0.0.1:{self.port}', secret: for-measuring}}\n"
        )
        layout(work / "layout", 1, 1, 4096)
        self.run("import", work / "layout", "-c", self.config, "--map", ":=public/app", "--quiet")
        index = json.loads((work / "layout/index.json").read_text())
        manifest = json.loads((work / "layout/blobs/sha256" / index["manifests"][0]["digest"][7:]).read_text())
        paths = ["/v2/public/app/manifests/0", f"/v2/public/app/blobs/{manifest['layers'][0]['digest']}"]
        (work / "pulls.lua").write_text(
            f"local paths, next = {{'{paths[0]}', '{paths[1]}'}}, 0\n"
            f"function delay() return {options.pause} end\n"
            "function request() next = next % #paths + 1; return wrk.format('GET', paths[next]) end\n"
        )

    def run(self, *command):
        done = subprocess.run([self.binary, *map(str, command)], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{command}: {done.stderr}")
        return done.stdout

    def pulls_a_second(self, clients):
        with Crowd(self.port, self.options.clients, clients) as crowd:
            # The first logins are compared.
            time.sleep(self.options.warm_up)
            command = f"wrk -t 1 -c 16 -d {self.options.seconds}s -s {self.work / 'pulls.lua'} http://127.0.0.1:{self.port}"
            said = subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout
        if crowd.answers is None or "Non-2xx" in said or "Socket errors" in said:
            sys.exit(said)
        self.answers[len(clients)] += crowd.answers
        return float(re.search(r"Requests/sec:\s+([0-9.]+)", said)[1])

    def pulls(self):
        self.answers = {1: collections.Counter(), 2: collections.Counter()}
        ours, other = rounds(
            self.options.rounds, lambda: self.pulls_a_second([pushes, guesses]), lambda: self.pulls_a_second([pushes])
        )
        row("pulls/s beside pushes and guesses, beside pushes alone", ours, other)
        for count, answers in self.answers.items():
            print(f"answers, {'with' if count == 2 else 'without'} guesses: {dict(sorted(answers.items()))}", flush=True)

    def status(self, token):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v2/public/app/manifests/0", method="HEAD")
        request.add_header("Authorization", token)
        try:
            return urllib.request.urlopen(request).status
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError:
            return None

    def revocation(self):
        with Crowd(self.port, self.options.clients, [pushes, guesses]):
            time.sleep(self.options.warm_up)
            times = []
            for number in range(self.options.rounds):
                command = ["token", "create", f"robot{number}", "--may", "pull", "--on", "public/**", "--expires", "1h"]
                made = self.run(*command, "--format", "json", "-c", self.config)
                made = json.loads(made)
                token = basic(made["name"], made["secret"])
                assert self.status(token) == 200, self.status(token)
                self.run("token", "revoke", made["id"], "-c", self.config)
                revoked = time.monotonic()
                sent = revoked
                while self.status(token) == 200:
                    time.sleep(0.05)
                    sent = time.monotonic()
                times.append(sent - revoked)
        print(f"the first refused request was sent {min(times):.1f} to {max(times):.1f} s after a token was revoked", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="*", choices=[[], "pulls", "revocation"], default=[])
    parser.add_argument("--binary", default="target/dist/registry")
    parser.add_argument("--work", help="a directory on the disk to measure")
    parser.add_argument("--clients", type=int, default=200, help="how many push, and how many guess")
    parser.add_argument("--cost", type=int, default=10, help="of bcrypt")
    parser.add_argument("--pause", type=int, default=2, help="milliseconds between two pulls of one of the 16 that pull")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=20, help="seconds before each side pulls")
    parser.add_argument("--seconds", type=int, default=8, help="how long each side pulls")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        bench = Bench(options, pathlib.Path(work))
        with Registry(bench.binary, "serve", bench.config, port=bench.port, config=bench.config) as registry:
            while registry.process.poll() is None and not bench.status(""):
                pass
            for name in options.works or ["pulls", "revocation"]:
                getattr(bench, name)()


if __name__ == "__main__":
    main()
