"""Runs a program and says what it cost: time, processor, memory, disk."""
import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

MIB = 2**20
# Between two looks at a running program: its peak memory is the kernel's, its temporary files are the largest seen.
LOOK_SECONDS = 0.02


@dataclasses.dataclass
class Measured:
    wall: float = 0
    cpu: float = 0
    peak_mib: float = 0
    # Files without a name that it has open, and files below TMPDIR.
    temporary_mib: float = 0
    read_mib: float = 0
    written_mib: float = 0
    status: int = 0
    said: str = ""

    def check(self):
        if self.status != 0:
            sys.exit(f"status {self.status}: {self.said}")
        return self

    def __add__(self, other):
        return Measured(
            self.wall + other.wall, self.cpu + other.cpu, max(self.peak_mib, other.peak_mib),
            max(self.temporary_mib, other.temporary_mib), self.read_mib + other.read_mib, self.written_mib + other.written_mib,
        )


def run(command, work) -> Measured:
    """Runs `command` with its output to /dev/null and a TMPDIR of its own."""
    with tempfile.TemporaryDirectory(dir=work) as temporary, tempfile.TemporaryFile(dir=work) as said:
        environment = {**os.environ, "TMPDIR": temporary}
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=environment)
        watch = Watch(process.pid, pathlib.Path(temporary))
        watch.start()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        wall = time.monotonic() - began
        watch.stop()
        # A process that ended and was not waited for still has its counts, with those of its children.
        counts = dict(line.split(": ") for line in pathlib.Path(f"/proc/{process.pid}/io").read_text().splitlines())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        return Measured(
            wall, usage.ru_utime + usage.ru_stime, watch.peak / MIB, watch.temporary / MIB, int(counts["rchar"]) / MIB,
            int(counts["write_bytes"]) / MIB, process.returncode, f"{command}: {said.read().decode(errors='replace')}",
        )


class Watch(threading.Thread):
    """Looks at a program while it runs."""

    def __init__(self, pid, temporary):
        super().__init__(daemon=True)
        self.pid, self.directory, self.ended = pid, temporary, threading.Event()
        self.peak = self.temporary = 0

    def run(self):
        while not self.ended.wait(LOOK_SECONDS):
            self.peak = max(self.peak, high_water(self.pid))
            self.temporary = max(self.temporary, unnamed(self.pid) + named(self.directory))

    def stop(self):
        self.ended.set()
        self.join()


def high_water(pid) -> int:
    """The peak of a process's memory in bytes; 0 once it ended."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def unnamed(pid) -> int:
    sizes = 0
    try:
        for handle in os.scandir(f"/proc/{pid}/fd"):
            # Those of the harness are its standard error.
            if handle.name not in "012" and os.readlink(handle.path).endswith(" (deleted)"):
                sizes += os.stat(handle.path).st_blocks * 512
    except OSError:
        pass
    return sizes


def named(directory) -> int:
    sizes = 0
    for path, _, files in os.walk(directory):
        for file in files:
            try:
                sizes += os.lstat(os.path.join(path, file)).st_blocks * 512
            except OSError:
                pass
    return sizes


def ready_seconds(registry) -> float:
    """Waits for the first answer; the time since its start."""
    while True:
        if registry.answers():
            return time.monotonic() - registry.began


def cpu_seconds(registry, urls) -> float:
    """The processor time of a registry while curl pulls these one after another, over one connection."""
    before = registry.cpu()
    arguments = [word for url in urls for word in ("-o", "/dev/null", url)]
    subprocess.run(["curl", "-fsS", *arguments], check=True)
    return registry.cpu() - before
