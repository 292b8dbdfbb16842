# SPDX-License-Identifier: Apache-2.0
"""The worker of `attnlab peers`: one invocation in a process of its own, a journal line for each position it is given.

python -m attnlab.peerworker RUN INVOCATION DESCRIPTOR MODULE, the positions as a JSON array on standard input. To the
descriptor go "BEGIN position" once inputs and oracle stand, the line itself, and "FACTS object" for the provenance.
"""

import ctypes
import json
import math
import os
import signal
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import numpy as np

from attnlab import native
from attnlab.drawn import Drawn
from attnlab.peer import Absent, Peer
from attnlab.peertrial import Rules, Trial, measure

MAX_SETS = 4096
NEEDED = {"capture": "", "lse": 0, "layout": "dense", "placement": "none"}
"""What a point must say: inputs are drawn, the answer alone is compared, and nothing binds the threads of a library."""


class Ours(Peer):
    """A variant of the ladder, through libattnbench.so."""

    def __init__(self, drawn: Drawn, threads: int, factors: dict):
        words = [] if factors["parameters"] == "auto" else factors["parameters"].split(",")
        parameters = {name: int(value) for name, value in (word.split("=") for word in words)}
        self.answerer = drawn.answer(factors["variant"], threads, factors["isa"], parameters)
        self.run = self.answerer.run
        self.threads = threads

    def poison(self, drawn: Drawn) -> None:
        """Its answer stands in the drawn arrays."""

    def answers(self) -> dict[str, np.ndarray]:
        return {}

    def threads_read_back(self) -> int:
        return self.threads


class Block:
    """The inputs and oracles that points of one block share; sets beyond the first serve cold caches."""

    def __init__(self, threads: int, last_level_bytes: int):
        self.threads, self.last_level_bytes = threads, last_level_bytes
        self.leave()

    def leave(self) -> None:
        self.number, self.sets = -1, []

    def enter(self, factors: dict) -> list[Drawn]:
        if factors["block"] != self.number:
            self.leave()
            self.sets = [Drawn(factors, self.threads)]
            self.number = factors["block"]
        count = 1
        if factors["cache"] == "cold":
            one = self.sets[0]
            size = sum(one.array(name).nbytes for name in ("q", "k", "v", "out"))
            count = min(2 * self.last_level_bytes // size + 2, MAX_SETS)
        while len(self.sets) < count:
            self.sets.append(Drawn(factors, self.threads))
        return self.sets[:count]


def _objection(factors: dict) -> str:
    for name, value in NEEDED.items():
        if factors[name] != value:
            return f"attnlab peers does not measure {name} {factors[name]}" + (f"; say {value}" if value else "")
    default = np.float32(1 / math.sqrt(factors["head_dim"]))
    return "" if np.float32(factors["scale"]) == default else "attnlab peers measures the default scale alone"


def _trial(sets: list[Drawn], contestants: list[Peer], rules: Rules) -> Trial:
    """Warms up on negated values, whose answer is another one."""
    negated = [drawn.array("dout" if drawn.backward else "q") for drawn in sets]

    def negate() -> None:
        for array, contestant in zip(negated, contestants, strict=True):
            np.negative(array, out=array)
            contestant.load()

    def poison(which: int) -> None:
        sets[which].poison()
        contestants[which].poison(sets[which])

    def real_values() -> None:
        negate()
        for which in range(len(sets)):
            poison(which)

    def before_each(which: int) -> None:  # half a rotation ahead, so that a cold set's output stays out of the cache
        poison((which + len(sets) // 2) % len(sets))

    return measure([c.run for c in contestants], rules, negate, real_values, before_each)


def _timing_reason(threads: int, delivered: int, trial: Trial) -> str:
    if threads > len(os.sched_getaffinity(0)):
        return "oversubscribed"
    if delivered < threads:
        return f"{delivered} of {threads} threads delivered"
    return "unstable" if trial.unstable else ""


class Worker:
    def __init__(self, run: Path, invocation: int, descriptor: int, module: str):
        self.plan = json.loads((run / "plan.json").read_text())
        machine = json.loads((run / "provenance.json").read_text())
        self.invocation, self.descriptor = invocation, descriptor
        header = self.plan["header"]
        self.rules = Rules(*(header[name] for name in Rules.__dataclass_fields__))
        self.peers = {n: p for p in import_module(module).PEERS for n in (p.plain_name(), p.name())}
        most = max(point["factors"]["threads"] for point in self.plan["points"])
        self.block = Block(most, machine["l3_bytes"] or machine["l2_bytes"])
        self.told: dict[str, str] = {}

    def say(self, text: str) -> None:
        data = text.encode() + b"\n"
        while data:
            data = data[os.write(self.descriptor, data) :]

    def walk(self, positions: list[int]) -> None:
        for position in positions:
            point = self.plan["points"][self.plan["order"][self.invocation][position]]
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
            line = {"point": point["id"], "invocation": self.invocation, "position": position, "started_utc": now}
            try:
                line |= self.attempt(position, point["factors"])
            except (Absent, native.Unsupported) as why:
                line |= {"status": "SKIPPED", "reason": str(why)}
            except Exception as why:  # whatever a library throws is its row's business
                status = "SKIPPED" if isinstance(why, MemoryError) else "FAILED"
                line |= {"status": status, "reason": f"{type(why).__name__}: {str(why)[:400]}"}
                self.block.leave()  # it may hold the values of the warm-up
            self.say(json.dumps(line))

    def attempt(self, position: int, factors: dict) -> dict:
        """The members of the line that this point adds."""
        objection = _objection(factors)
        if objection:
            return {"status": "SKIPPED", "reason": objection}
        sets, threads = self.block.enter(factors), factors["threads"]
        self.say(f"BEGIN {position}")
        peer = self.peers.get(factors["variant"])
        contestants = [peer(drawn, threads) if peer else Ours(drawn, threads, factors) for drawn in sets]
        trial = _trial(sets, contestants, self.rules)
        last = contestants[trial.last]
        verdict = sets[trial.last].judge(last.answers(), rounds_weights=factors["type"] != "f32")
        if not verdict.accepted:
            self.block.leave()  # whatever it damaged must not meet the next one
        if peer:
            self.tell(peer.facts())
        delivered = last.threads_read_back()
        timing_reason = _timing_reason(threads, delivered, trial)
        costs = {name: verdict.numbers.pop(name) for name in ("flops", "min_bytes", "live_pairs")}
        del costs["live_pairs"]
        return {
            "status": "MEASURED" if verdict.accepted else "REJECTED",
            "reason": verdict.reason,
            "timing_valid": not timing_reason,
            "timing_reason": timing_reason,
            "ended_by": trial.ended_by,
            "threads_delivered": delivered,
            "cpus": [-1] * delivered,
            "workspace_bytes": 0 if peer else last.answerer.workspace_bytes,
            "summary": _json_numbers(trial.summary | costs),
            "check": _json_numbers(verdict.numbers),
            "samples_ns": trial.samples_ns,
        }

    def tell(self, facts: dict[str, str]) -> None:
        if not facts.items() <= self.told.items():
            self.told |= facts
            self.say(f"FACTS {json.dumps(facts)}")


def _json_numbers(numbers: dict) -> dict:
    """As the journal writes what JSON has no number for: "nan", "inf", "-inf"."""
    return {name: value if math.isfinite(value) else str(value) for name, value in numbers.items()}


def main() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: not to outlive the parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to answer
    run, invocation, descriptor, module = sys.argv[1:]
    Worker(Path(run), int(invocation), int(descriptor), module).walk(json.load(sys.stdin))


if __name__ == "__main__":
    main()
