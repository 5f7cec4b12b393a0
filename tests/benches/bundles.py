#!/usr/bin/env python3
"""Costs of bundles beside `tar`, `cp`, `openssl dgst -sha256`, and beside skopeo and oras: the table of docs/performance.md.

Each round runs both sides one after the other; a ratio is the median of the rounds, with its range.
Needs curl and openssl; skopeo and oras (ORAS is its path) if they are to be compared.
`openssl` hashes with the processor's instructions, which Debian's `sha256sum` does not.
"""
import argparse
import os
import pathlib
import shutil
import signal
import statistics
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bundle_sets import MIB, Registry, ask, blobs_of, configuration, layout, push_one_by_one, registry_in
from measured import Measured, cpu_seconds, ready_seconds, run

WORKS = ["export", "null", "verify", "import", "small", "again", "delta", "serve", "tools"]


class Bench:
    def __init__(self, options, work):
        self.options, self.work = options, work
        self.binary = os.path.abspath(options.registry)
        print("| work | ours | beside | ratio | goal | peak MiB | temporary MiB |\n|---|---|---|---|---|---|---|", flush=True)

    def ours(self, *arguments, **more) -> Measured:
        return run([self.binary, *map(str, arguments)], self.work, **more)

    def row(self, title, ours, other, goal, unit="s", worst=None):
        """A row: both medians, and the median and range of the ratios of the rounds."""
        ratios = [a / b for a, b in zip(ours, other)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        self.line(title, f"{statistics.median(ours):.3g} {unit}", f"{statistics.median(other):.3g} {unit}", ratio, goal, worst)

    def line(self, title, ours, other="", ratio="", goal="", worst=None):
        peak, temporary = (f"{worst.peak_mib:.0f}", f"{worst.temporary_mib:.0f}") if worst else ("", "")
        print(f"| {title} | {ours} | {other} | {ratio} | {goal} | {peak} | {temporary} |", flush=True)

    def store(self, name, images, layers, size):
        """A store with random images, and the configuration of it."""
        config = configuration(self.work, name)
        if not (self.work / name).exists():
            source = self.work / f"{name}.layout"
            layout(source, images, layers, size)
            self.ours("import", source, "-c", config, "--map", ":=team/app", "--quiet").check()
            shutil.rmtree(source)
        return config

    def large(self):
        count = self.options.blobs
        return self.store("large", max(1, count // 10), min(10, count), int(self.options.gib * 1024) * MIB // count)

    def bundle(self, name, config):
        path = self.work / f"{name}.tar"
        if not path.exists():
            self.ours("export", "**", "-c", config, "-o", path, "--quiet").check()
        return path

    def rounds(self, ours, other, count=None):
        """The measurements of both sides, in turn; the side that begins alternates."""
        pairs = []
        for number in range(count or self.options.rounds):
            sides = [(0, ours), (1, other)][:: 1 if number % 2 == 0 else -1]
            done = {}
            for index, side in sides:
                self.cool()
                done[index] = side()
            pairs.append((done[0], done[1]))
        return [a for a, _ in pairs], [b for _, b in pairs]

    def cool(self):
        """Empties the page cache, if that is wanted."""
        if self.options.cold:
            os.sync()
            pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")

    def shell(self, command) -> Measured:
        return run(["sh", "-ec", command], self.work).check()

    def export(self):
        config, store = self.large(), self.work / "large"
        out, other = self.work / "out.tar", self.work / "other.tar"

        def ours():
            out.unlink(missing_ok=True)
            return self.ours("export", "**", "-c", config, "-o", out, "--quiet").check()

        def tar():
            other.unlink(missing_ok=True)
            return self.shell(f"tar cf {other} -C {store} docker/registry/v2/blobs && sync {other}")

        a, b = self.rounds(ours, tar)
        worst = max(a, key=lambda m: m.peak_mib)
        self.row("export store → file, beside `tar cf` and `sync`", [m.wall for m in a], [m.wall for m in b], "1.10", worst=worst)
        hashing = [self.hashed(store).cpu for _ in a]
        gib = sum(p.stat().st_size for p in blobs_of(store)) / 2**30
        self.row("its CPU, beside 1.15 × `openssl dgst -sha256` + 0.2 s/GiB", [m.cpu for m in a], [h * 1.15 + 0.2 * gib for h in hashing], "1.00")
        for path in (out, other):
            path.unlink()

    def hashed(self, store):
        return self.shell(f"find {store}/docker/registry/v2/blobs -name data -print0 | xargs -0 openssl dgst -sha256 > /dev/null")

    def null(self):
        config, store = self.large(), self.work / "large"
        ours = lambda: self.ours("export", "**", "-c", config, "-o", "-", "--quiet").check()
        a, b = self.rounds(ours, lambda: self.hashed(store))
        self.row("export → `/dev/null`, beside `openssl dgst -sha256`", [m.wall for m in a], [m.wall for m in b], "1.11", worst=max(a, key=lambda m: m.peak_mib))

    def verify(self):
        bundle = self.bundle("large", self.large())
        for jobs in (1, 2):
            ours = lambda: self.ours("bundle", "verify", bundle, "--jobs", jobs, "--quiet").check()
            a, b = self.rounds(ours, lambda: self.shell(f"openssl dgst -sha256 {bundle} > /dev/null"))
            goal = "1.05" if jobs == 1 else "0.53"
            title = f"`bundle verify --jobs {jobs}`, beside `openssl dgst -sha256`"
            self.row(title, [m.wall for m in a], [m.wall for m in b], goal, worst=max(a, key=lambda m: m.peak_mib))

    def imported(self, bundle):
        shutil.rmtree(self.work / "far", ignore_errors=True)
        return self.ours("import", bundle, "-c", configuration(self.work, "far"), "--quiet").check()

    def import_(self):
        bundle, copy = self.bundle("large", self.large()), self.work / "copy.tar"

        def cp():
            copy.unlink(missing_ok=True)
            return self.shell(f"cp {bundle} {copy} && sync {copy}")

        a, b = self.rounds(lambda: self.imported(bundle), cp)
        copy.unlink()
        self.row("import file → store, beside `cp` and `sync`", [m.wall for m in a], [m.wall for m in b], "1.15", worst=max(a, key=lambda m: m.peak_mib))
        size = bundle.stat().st_size / MIB
        self.row("bytes that it writes, beside the bundle's", [m.written_mib for m in a], [size for _ in a], "1.02", unit="MiB")

    def small_bundle(self):
        count = self.options.small
        return self.bundle("small", self.store("small", max(1, count // 100), min(100, count), 4096))

    def small(self):
        bundle = self.small_bundle()
        blobs = blobs_of(self.work / "small")

        def pushes():
            with registry_in(self.binary, self.work, "pushed") as registry:
                return push_one_by_one(registry, blobs)

        a, b = self.rounds(lambda: self.imported(bundle), pushes, 2)
        title = f"import of {len(blobs)} blobs of 4 KiB, beside one push after another"
        self.row(title, [m.wall for m in a], [m.wall for m in b], "0.5", worst=max(a, key=lambda m: m.peak_mib))

    def again(self):
        bundle = self.small_bundle()
        self.imported(bundle)
        done = [self.ours("import", bundle, "-c", configuration(self.work, "far"), "--quiet").check() for _ in range(self.options.rounds)]
        worst = max(done, key=lambda m: m.peak_mib)
        wall, read = statistics.median(m.wall for m in done), max(m.read_mib for m in done)
        self.line("the same import again", f"{wall:.2f} s, reads {read:.1f} MiB", f"bundle of {bundle.stat().st_size / MIB:.0f} MiB", "", "2 s", worst)

    def delta(self):
        config = self.store("images", self.options.images, 2, 1024)
        full, changed, out = self.bundle("images", config), self.work / "changed.layout", self.work / "delta.tar"
        size = layout(changed, 1, 2, 64 * 1024)
        self.ours("import", changed, "-c", config, "--map", ":=team/app", "--quiet").check()
        done = []
        for _ in range(self.options.rounds):
            out.unlink(missing_ok=True)
            done.append(self.ours("export", "**", "-c", config, "--have", full, "-o", out, "--quiet").check())
        worst = max(done, key=lambda m: m.peak_mib)
        wall, extra = statistics.median(m.wall for m in done), (out.stat().st_size - size) / 1024
        self.line(f"delta of {self.options.images} images, one changed", f"{wall:.2f} s", "", "", "3 s", worst)
        self.line("its bytes beside the new content", f"{extra:.0f} KiB", f"{size / 1024:.0f} KiB", "", "64 KiB")

    def serve(self):
        small = self.small_bundle()
        ready = []
        for _ in range(self.options.rounds):
            with Registry(self.binary, "bundle", "serve", small) as registry:
                ready.append(ready_seconds(registry))
        self.line(f"`bundle serve` of {self.options.small} blobs is ready", f"{statistics.median(ready) * 1000:.0f} ms", "", "", "100 ms")
        config = self.store("huge", 1, 4, 128 * MIB)
        bundle = self.bundle("huge", config)
        names = ["sha256:" + p.parent.name for p in blobs_of(self.work / "huge") if p.stat().st_size > MIB]
        with Registry(self.binary, "bundle", "serve", bundle) as ours, registry_in(self.binary, self.work, "huge", keep=True) as other:
            ready_seconds(ours), ready_seconds(other)
            pull = lambda registry: cpu_seconds(registry, [f"{registry.url}/v2/team/app/blobs/{name}" for name in names])
            first = pull(ours)
            pull(other)
            a, b = self.rounds(lambda: pull(ours), lambda: pull(other))
            peak = Measured(peak_mib=ours.peak_mib(), temporary_mib=0)
        self.row("CPU of a pull of 4 blobs of 128 MiB, beside the filesystem driver", a, b, "1.1", worst=peak)
        self.line("the first one, which hashes them", f"{first:.2f} s CPU")

    def tools(self):
        """From a registry to a medium, and from there to another registry."""
        self.large()
        oras = os.environ.get("ORAS") or shutil.which("oras")
        tools = {"skopeo sync": shutil.which("skopeo") and self.skopeo, "oras backup, restore": oras and (lambda *ends: self.oras(oras, *ends))}
        for name, tool in tools.items():
            if not tool:
                self.line(name, "not installed")
                continue
            a, b = self.rounds(lambda: self.end_to_end(self.by_url), lambda: self.end_to_end(tool), self.options.tool_rounds)
            worst, worst_other = (max(side, key=lambda m: m.peak_mib) for side in (a, b))
            self.row(f"registry → file → registry, beside {name}", [m.wall for m in a], [m.wall for m in b], "0.33", worst=worst)
            self.line(f"{name} itself", "", f"{statistics.median(m.wall for m in b):.3g} s", "", "", worst_other)
        a = [self.end_to_end(self.by_store) for _ in range(self.options.tool_rounds)]
        self.line("store → file → store", f"{statistics.median(m.wall for m in a):.3g} s", worst=max(a, key=lambda m: m.peak_mib))

    def end_to_end(self, tool) -> Measured:
        medium = self.work / "medium"
        shutil.rmtree(medium, ignore_errors=True)
        medium.mkdir()
        with registry_in(self.binary, self.work, "large", keep=True) as near, registry_in(self.binary, self.work, "far") as far:
            ready_seconds(near), ready_seconds(far)
            done = tool(near, far, medium)
            assert len(ask(far, "/v2/team/app/tags/list")["tags"]) == max(1, self.options.blobs // 10), "images are missing"
        shutil.rmtree(medium)
        return done

    def by_url(self, near, far, medium):
        sent = self.ours("export", "**", "--from", near.url, "-o", medium / "m.tar", "--quiet").check()
        return sent + self.ours("import", medium / "m.tar", "--to", far.url, "--quiet").check()

    def by_store(self, near, far, medium):
        sent = self.ours("export", "**", "-c", near.config, "-o", medium / "m.tar", "--quiet").check()
        return sent + self.ours("import", medium / "m.tar", "-c", far.config, "--quiet").check()

    def skopeo(self, near, far, medium):
        plain = ["--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"]
        sync = lambda *rest: run(["skopeo", "--insecure-policy", "sync", *plain, *map(str, rest)], self.work).check()
        sent = sync("--src", "docker", "--dest", "dir", f"{near.host}/team/app", medium)
        stored = sync("--src", "dir", "--dest", "docker", medium, f"{far.host}/team")
        return sent + stored + self.shell("true")

    def oras(self, oras, near, far, medium):
        call = lambda *rest: run([oras, *map(str, rest)], self.work).check()
        sent = call("backup", "--plain-http", "--output", medium / "m.tar", f"{near.host}/team/app")
        return sent + call("restore", "--plain-http", "--input", medium / "m.tar", f"{far.host}/team/app")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("registry", help="the binary, of the profile dist")
    parser.add_argument("--work", help="a directory on the disk to measure; else that of TMPDIR")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tool-rounds", type=int, default=3, help="rounds beside other tools")
    parser.add_argument("--gib", type=float, default=1, help="size of the large set")
    parser.add_argument("--blobs", type=int, default=200, help="its blobs, ten an image")
    parser.add_argument("--small", type=int, default=10000, help="blobs of 4 KiB, a hundred an image")
    parser.add_argument("--images", type=int, default=1000, help="images of which one changes")
    parser.add_argument("--cold", action="store_true", help="empty the page cache before each side, as root")
    parser.add_argument("--only", nargs="+", choices=WORKS, default=WORKS, metavar="WORK", help=", ".join(WORKS))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        bench = Bench(options, pathlib.Path(work))
        for name in options.only:
            getattr(bench, "import_" if name == "import" else name)()


if __name__ == "__main__":
    main()
