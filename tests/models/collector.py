#!/usr/bin/env python3
"""Exhaustive check of the collector's lock and its pending deletions: one blob, one manifest that needs it, every interleaving.

The rules are those of src/engine/lease/mod.rs and src/engine/gc/lock.rs. Each step of a program below is one atomic access to
the store, and a process may stop for any length before any of them. A request to delete is a message: the store carries it out
at some later moment, or never, and its answer may be lost. Time passes in ticks, which may come at any moment:

    age of what a run last wrote   0          1                     2                      3
    the run                        may delete is over: it was silent for too long
    registries                     believe that it is going on      honour its pending deletions    have forgotten it
    a deletion sent at age 0       may be carried out at any moment until here              is carried out no more

A promise is broken when a client was told that the blob is here, or that the manifest is stored, and in the end one of them is
not. The exit code is 0 when no promise can be broken, and 1 with the steps that break one.

usage: collector.py [--quick] [--all] [RULE...]

Each RULE leaves one rule out: --no-silence-check, --no-deadline, --no-keeping-of-unknown, --no-afterlife, --no-own-files,
--retries, --no-look-at-young, --no-sight, --no-second-walk, --no-look. --all shows that the rules hold, and that leaving any of them out is
noticed. --no-exclusion lets two runs go on at once, which the rules allow.
"""
import sys

RULES = {
    "--no-silence-check": "a run that was silent for too long never goes on",
    "--no-deadline": "a deletion that begins after its deadline is not carried out, wherever the process was stopped",
    "--no-keeping-of-unknown": "a batch whose deletion was not answered stays pending",
    "--no-afterlife": "registries honour pending deletions for a while after the run has expired",
    "--no-own-files": "each run has files of its own, which no other run writes or removes before they have run out",
    "--retries": "a deletion is not sent again while an earlier request for it may still be carried out",
    "--no-look-at-young": "during a run the registry confirms a blob only after a look at what is pending",
    "--no-sight": "after the look, an upload sees that its link is still there, before it stores the data",
    "--no-second-walk": "the collector walks again after it has published",
    "--no-look": "registries look at what is pending",
}
MAX_AGE = 3


class World:
    """The rules in force, and the programs."""

    def __init__(self, left_out, runs, clients, exclusion):
        has = lambda rule: rule not in left_out
        self.silence_check = has("--no-silence-check")
        self.deadline = has("--no-deadline")
        self.keep_unknown = has("--no-keeping-of-unknown")
        self.afterlife = has("--no-afterlife")
        self.own_files = has("--no-own-files")
        self.retries = not has("--retries")
        self.look_at_young = has("--no-look-at-young")
        self.sight = has("--no-sight")
        self.second_walk = has("--no-second-walk")
        self.look = has("--no-look")
        self.exclusion = exclusion
        self.runs, self.clients = runs, clients

    # A state is (data, link, manifest, pending, ages, messages, pcs of the runs, clients).
    # data and link: "none", "old", "young". pending: the runs whose batch is published (one at most without files of their own).
    # ages: of each run's notice, None when there is none. messages: (what, run, age), sorted; "what" is link, data, or, without
    # files of their own, batch and notice. clients: (pc, told).

    def start(self):
        runs = tuple("begin" for _ in range(self.runs))
        return ("old", "old", False, frozenset(), (None,) * self.runs, (), runs, self.clients)

    def goes_on(self, age):
        return age is not None and age < 2

    def is_doomed(self, state):
        _, _, _, pending, ages, *_ = state
        if not self.look:
            return False
        if not self.own_files:
            # The one file counts while registries believe the one notice.
            return bool(pending) and any(self.goes_on(age) for age in ages)
        until = MAX_AGE if self.afterlife else 2
        return any(ages[run] is not None and ages[run] < until for run in pending)

    def steps(self, state):
        data, link, manifest, pending, ages, messages, pcs, clients = state
        # Time passes.
        if any(age is not None and age < MAX_AGE for age in ages) or messages:
            older = tuple(age if age is None else min(age + 1, MAX_AGE) for age in ages)
            left = tuple(sorted((what, run, age + 1) for what, run, age in messages if age + 1 < MAX_AGE))
            yield "time passes", (data, link, manifest, pending, older, left, pcs, clients)
        # The store carries out a request, or drops it.
        for index, (what, run, _) in enumerate(messages):
            left = messages[:index] + messages[index + 1 :]
            new = {
                "link": (data, "none", manifest, pending, ages),
                "data": ("none", link, manifest, pending, ages),
                "batch": (data, link, manifest, frozenset(), ages),
                "notice": (data, link, manifest, pending, (None,) * len(ages)),
            }[what]
            yield f"the store deletes {what} for run {run}", (*new, left, pcs, clients)
            yield f"the deletion of {what} by run {run} is lost", (data, link, manifest, pending, ages, left, pcs, clients)
        for run, pc in enumerate(pcs):
            for name, new_pc, (d, l, m, p, a, sent) in self.run_steps(run, pc, state):
                new_pcs = pcs[:run] + (new_pc,) + pcs[run + 1 :]
                yield f"run {run}: {name}", (d, l, m, p, a, tuple(sorted(messages + sent)), new_pcs, clients)
        for index, (pc, told) in enumerate(clients):
            for new_pc, new_told, (d, l, m) in self.client_steps(pc, told, state):
                new = clients[:index] + ((new_pc, new_told),) + clients[index + 1 :]
                yield f"client {index}: {pc}", (d, l, m, pending, ages, messages, pcs, new)

    def run_steps(self, run, pc, state):
        data, link, manifest, pending, ages, messages, _, _ = state
        same = (data, link, manifest, pending, ages, ())
        age = ages[run]
        aged = lambda new: ages[:run] + (new,) + ages[run + 1 :]
        alone = lambda new: tuple(new if other == run else None for other in range(len(ages)))
        if pc in ("over", "unknown"):
            return
        if pc == "begin":
            others = any(self.goes_on(other) for number, other in enumerate(ages) if number != run)
            if others and self.exclusion:
                return
            # Takes the lock, and removes expired files.
            if self.own_files:
                kept = tuple(None if other == MAX_AGE else other for other in aged(0))
                left = frozenset(owner for owner in pending if kept[owner] is not None)
                yield "takes the lock", "mark", (data, link, manifest, left, kept, ())
            else:
                yield "takes the lock", "mark", (data, link, manifest, frozenset(), alone(0), ())
            return
        yield "dies", "over", same
        if age is None:
            yield "finds that its notice is gone", "over", same
        elif age > 0:
            if self.silence_check:
                yield "was silent for too long", "over", same
            else:
                yield "renews its notice", pc, (data, link, manifest, pending, aged(0), ())
        may_act = age is not None and (age == 0 or (not self.silence_check and age < 2))

        if pc == "mark":
            yield "marks", "publish" if self.dead(state) else "release", same
        if pc == "publish":
            new = pending | {run} if self.own_files else frozenset({run})
            then = "walk" if self.second_walk else "links"
            yield "publishes the batch", then, (data, link, manifest, new, ages, ())
        if pc == "walk":
            yield "walks again", self.dead(state) or "clear", same
        deletions = (("links", "link", "data"), ("only the link", "link", "clear"), ("data", "data", "clear"))
        for step, what, then in deletions:
            if pc == step:
                if self.deadline and may_act:
                    yield f"sends the deletion of {what}", f"{step} sent", (*same[:5], ((what, run, 0),))
                if not self.deadline and may_act:
                    yield f"sees that it may delete {what}", f"{step} allowed", same
            if pc == f"{step} allowed":
                yield f"sends the deletion of {what}", f"{step} sent", (*same[:5], ((what, run, 0),))
            if pc == f"{step} sent":
                is_done = {"link": link, "data": data}[what] == "none"
                under_way = any((w, r) == (what, run) for w, r, _ in messages)
                if is_done and not under_way:
                    yield f"is answered about {what}", then, same
                # Without an answer, or after an error, the run does not know the fate of the request.
                yield f"is not answered about {what}", "unknown" if self.keep_unknown else then, same
                if self.retries and under_way:
                    # The driver repeats the request, gets an answer, and reports success.
                    done = (data, "none") if what == "link" else ("none", link)
                    yield f"deletes {what} by a second request", then, (*done, manifest, pending, ages, ())
        if pc == "clear":
            if self.own_files:
                yield "clears its batch", "release", (data, link, manifest, pending - {run}, ages, ())
            else:
                yield "clears the batch", "release", (*same[:5], (("batch", run, 0),))
        if pc == "release":
            if self.own_files:
                yield "gives the lock back", "over", (data, link, manifest, pending, aged(None), ())
            elif age is not None:
                yield "gives the lock back", "over", (*same[:5], (("notice", run, 0),))

    def dead(self, state):
        """Where to begin to delete, if anything is garbage."""
        data, link, manifest, *_ = state
        if manifest or link == "young":
            return None
        if data == "old":
            return "links"
        return "only the link" if link == "old" else None

    def client_steps(self, pc, told, state):
        data, link, manifest, *_ = state
        same = (data, link, manifest)
        is_doomed = self.is_doomed(state)
        after = (("manifest.link", "here", same), ("end", "here", same))
        if pc == "head.stat":
            if data != "none" and link == "young" and not self.look_at_young:
                yield from after
            else:
                yield "head.link" if data != "none" and link != "none" else "upload.link", told, same
        if pc == "head.link":
            yield "head.look", told, (data, "young", manifest)
        if pc == "head.look":
            yield "upload.link" if is_doomed else "head.verify", told, same
        if pc == "head.verify":
            if data != "none" and link != "none":
                yield from after
            else:
                yield "upload.link", told, same
        if pc == "upload.link":
            yield "upload.look", told, (data, "young", manifest)
        if pc == "upload.look":
            then = "upload.sight" if self.sight else "upload.commit"
            yield "upload.hold" if is_doomed else then, told, same
        if pc == "upload.sight":
            yield "upload.commit" if link != "none" else "upload.link", told, same
        if pc == "upload.hold":
            yield "end", told, same  # 503
            if not is_doomed:
                yield "upload.link", told, same
        if pc == "upload.commit":
            yield "upload.confirm", told, ("young", link, manifest)
        if pc == "upload.confirm":
            # The bytes are not staged any more, so the upload can only write a missing link again.
            for new_pc, new_told, _ in after:
                yield new_pc, new_told, (data, "young", manifest)
        if pc == "manifest.link":
            yield "manifest.look", told, (data, "young" if link != "none" else link, manifest)
        if pc == "manifest.look":
            yield "manifest.hold" if is_doomed else "manifest.check", told, same
        if pc == "manifest.hold":
            yield "end", "", same  # 503: the client begins anew, with the answers that it has.
            if not is_doomed:
                yield "manifest.link", told, same
        if pc == "manifest.check":
            if data != "none" and link != "none":
                yield "manifest.write", told, same
            else:
                yield "refused", told, same
        if pc == "manifest.write":
            yield "end", "manifest", (data, link, True)

    def broken(self, state):
        data, link, manifest, _, _, messages, pcs, clients = state
        if manifest and (data == "none" or link == "none"):
            return "a stored manifest lacks its blob"
        if any(pc == "refused" for pc, _ in clients):
            return "a client was told that the blob is here, and its manifest is refused"
        at_rest = all(pc == "end" for pc, _ in clients) and all(pc in ("over", "unknown") for pc in pcs) and not messages
        if at_rest and any(told for _, told in clients) and (data == "none" or link == "none"):
            return "a client was told that the blob is here, and it is gone"
        return None


def check(world):
    """The number of states, and what breaks a promise in them, with the steps that lead there."""
    start = world.start()
    came_from, todo = {start: None}, [start]
    while todo:
        state = todo.pop()
        problem = world.broken(state)
        if problem:
            steps = []
            while came_from[state]:
                state, name = came_from[state]
                steps.append(name)
            return len(came_from), problem, steps[::-1]
        for name, new in world.steps(state):
            if new not in came_from:
                came_from[new] = (state, name)
                todo.append(new)
    return len(came_from), None, []


def scenes(quick):
    """How many runs, and where the clients begin."""
    head, upload = ("head.stat", ""), ("upload.link", "")
    yield 1, (head, upload)
    yield 2, (head,)
    yield 2, (upload,)
    if not quick:
        yield 1, (head, head)
        yield 1, (upload, upload)


def verdict(left_out, quick, exclusion=True):
    total = 0
    for runs, clients in scenes(quick):
        states, problem, steps = check(World(left_out, runs, clients, exclusion))
        total += states
        if problem:
            return total, problem, steps
    return total, None, []


def main(arguments):
    unknown = set(arguments) - set(RULES) - {"--quick", "--all", "--no-exclusion"}
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}\n{__doc__}")
    quick, exclusion = "--quick" in arguments, "--no-exclusion" not in arguments
    left_out = {argument for argument in arguments if argument in RULES}
    states, problem, steps = verdict(left_out, quick, exclusion)
    if problem:
        print(f"{problem}, after {len(steps)} steps:\n  " + "\n  ".join(steps))
        return 1
    print(f"no promise is broken in {states} states")
    if "--all" not in arguments:
        return 0
    states, problem, _ = verdict(set(), quick, exclusion=False)
    print(f"two runs at once: {problem or 'no promise is broken'} in {states} states")
    failed = bool(problem)
    for rule, says in RULES.items():
        _, problem, steps = verdict({rule}, quick)
        print(f"{rule} ({says}): {f'noticed after {len(steps)} steps' if problem else 'NOT NOTICED'}")
        failed |= problem is None
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
