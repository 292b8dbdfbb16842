# SPDX-License-Identifier: Apache-2.0
"""`attnlab peers`: other libraries and our variants on the same arrays, interleaved in one process per invocation.

The run directory is that of `attnbench plan CONFIG -o RUN`; its journal gets such lines as `attnbench run` writes.
Two OpenMP runtimes live in a worker, and thread pools beside them: while one contestant runs, the threads of the others
must not spin, so a worker is told to wait passively before it begins. What that costs or gains is measured at the end.
"""

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from attnlab import ROOT
from attnlab.peertables import problem_text

PROGRAM = ROOT / "build/attnbench"
LIBRARIES = "attnlab.peerlibraries"
PASSIVE = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
SETTINGS = {"OMP_DYNAMIC": "false", "OPENBLAS_NUM_THREADS": "1"}
UNSET = (*PASSIVE, "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "MKL_NUM_THREADS",
         "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # fmt: skip
"""Threads are asked for point by point, none is bound, and a library chooses its kernels itself."""


class Refused(Exception):  # noqa: N818 - as in newvariant
    """What can't be run, and why."""

    def __init__(self, text: str, code: int = 2):
        super().__init__(text)
        self.code = code


def environment(passive: bool) -> dict[str, str]:
    """This process's, as libraries that live together are measured in; `passive`: idle threads sleep."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    return kept | SETTINGS | (PASSIVE if passive else {})


def attnbench(*words: object) -> str:
    if not PROGRAM.is_file():
        raise Refused(f"{PROGRAM} is not there; run scripts/setup")
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise Refused(done.stderr.strip().removeprefix("attnbench: "), done.returncode)
    return done.stdout


def _versioned(variant: str, libraries: tuple) -> str:
    """The name that tells versions apart. Refused: no peer is called so."""
    names = {name: peer.name() for peer in libraries for name in (peer.plain_name(), peer.name())}
    if not variant.startswith("peer:") or variant in names:
        return names.get(variant, variant)
    nearest = get_close_matches(variant, names, 1, 0)[0]
    raise Refused(f"unknown peer '{variant}'; did you mean '{nearest}'?")


def plan(config: Path, run: Path, only: str | None, quick: bool, libraries: tuple) -> None:
    """Makes the run directory; peers are planned under the names of their installed versions."""
    labels = [line.split()[1] for line in attnbench("plan", config).split("\n\n")[0].splitlines()]
    variants = dict.fromkeys(label.split("/")[0] for label in labels)
    named = ",".join(_versioned(variant, libraries) for variant in variants)
    options = (["--only", only] if only else []) + (["--quick"] if quick else [])
    attnbench("plan", config, "-o", run, "--set", f"variant={named}", *options)


class Worker:
    """A process of peerworker; `next` hands out what it says."""

    def __init__(self, run: Path, invocation: int, positions: list[int], module: str, passive: bool):
        self.source, sink = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "attnlab.peerworker", run, str(invocation), str(sink), module],
            stdin=subprocess.PIPE, stdout=sys.stderr, pass_fds=[sink], env=environment(passive))  # fmt: skip
        os.close(sink)
        self.process.stdin.write(json.dumps(positions).encode())
        self.process.stdin.close()
        self.buffer = b""

    def next(self, deadline: float | None) -> str | None:
        """The next line; None: there will be none. TimeoutError: none until `deadline`, of time.monotonic."""
        while b"\n" not in self.buffer:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self.source], [], [], left)[0]:
                raise TimeoutError
            read = os.read(self.source, 1 << 16)
            if not read:
                return None
            self.buffer += read
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def farewell(self) -> str:
        """How it ended."""
        code = self.process.wait()
        return f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit status {code}"

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.source)


class Journal:
    """The journal of a run directory, appended by one process at a time."""

    def __init__(self, run: Path):
        try:
            self.lock = (run / "lock").open("r+")
            self.file = (run / "journal.jsonl").open("r+b")
        except OSError as error:
            raise Refused(f"{run} is no run directory of attnbench: {error.strerror}: {error.filename}") from error
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(f"another process is working in {run}; wait for it, or end it") from error
        whole = self.file.read().rpartition(b"\n")[:2]
        self.file.truncate(len(b"".join(whole)))  # a torn last line
        self.file.seek(0, os.SEEK_END)
        self.lines = [json.loads(line) for line in whole[0].split(b"\n") if line]

    def append(self, text: str) -> dict:
        self.file.write(text.encode() + b"\n")
        self.file.flush()
        os.fdatasync(self.file.fileno())
        self.lines.append(json.loads(text))
        return self.lines[-1]

    def close(self) -> None:
        self.file.close()
        self.lock.close()


class Run:
    """A run directory while it is filled."""

    def __init__(self, directory: Path, module: str):
        self.directory, self.module = directory, module
        self.journal = Journal(directory)
        self.plan = json.loads((directory / "plan.json").read_text())
        self.points, self.order = self.plan["points"], self.plan["order"]
        self.timeout_s = self.plan["header"]["timeout_s"]

    def add_facts(self, facts: dict[str, object]) -> None:
        path = self.directory / "provenance.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(json.loads(path.read_text()) | facts) + "\n")
        partial.replace(path)

    def open_positions(self, invocation: int) -> list[int]:
        """Not held yet, and of no point that an earlier line has ended for good."""
        over = {line["point"] for line in self.journal.lines if line["status"] != "MEASURED"}
        over |= {line["point"] for line in self.journal.lines if line["invocation"] == invocation}
        return [p for p, point in enumerate(self.order[invocation]) if self.points[point]["id"] not in over]

    def _failure(self, invocation: int, position: int, reason: str) -> str:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        return json.dumps({"point": self.points[self.order[invocation][position]]["id"], "invocation": invocation,
                           "position": position, "status": "FAILED", "reason": reason, "started_utc": now})  # fmt: skip

    def _attend(self, worker: Worker, invocation: int) -> Iterator[str]:
        """Lines for the journal until the worker has ended, that of the point it died or hung in included."""
        begun, deadline = None, None
        while True:
            try:
                line = worker.next(deadline)
            except TimeoutError:
                yield self._failure(invocation, begun, f"no result within {self.timeout_s:g} s")
                return
            if line is None:
                end = worker.farewell()
                if begun is not None:
                    yield self._failure(invocation, begun, end)
                elif end != "exit status 0":
                    raise Refused(f"a worker ended outside of any point: {end}", 1)
                return
            word, _, rest = line.partition(" ")
            if word == "BEGIN":
                begun, deadline = int(rest), time.monotonic() + self.timeout_s
            elif word == "FACTS":
                self.add_facts(json.loads(rest))
            else:
                begun, deadline = None, None
                yield line

    def lines(self, invocation: int, positions: Callable[[], list[int]], passive: bool = True) -> Iterator[str]:
        """Walks what is open, in as many workers as it takes."""
        while left := list(positions()):
            worker = Worker(self.directory, invocation, left, self.module, passive)
            try:
                yield from self._attend(worker, invocation)
            finally:
                worker.close()
            if positions() == left:
                raise Refused("a worker ended before its first point", 1)

    def measure(self, advance: Callable[[dict], object]) -> None:
        for invocation in range(len(self.order)):
            for text in self.lines(invocation, lambda i=invocation: self.open_positions(i)):
                advance(self.journal.append(text))

    def compare_waiting(self) -> None:
        """The smallest warm problem on most threads once more, waiting as the libraries do by themselves: a fact each,
        the time so by the time waiting passively."""
        medians: dict[str, list[float]] = {}
        for line in self.journal.lines:
            if line["status"] == "MEASURED":
                medians.setdefault(line["point"], []).append(line["summary"]["median_ns"])
        warm = [p for p in self.points if p["factors"]["cache"] == "warm" and p["id"] in medians]
        if not warm:
            return
        most = max(p["factors"]["threads"] for p in warm)
        block = min((p["factors"] for p in warm if p["factors"]["threads"] == most), key=lambda f: f["flops"])["block"]
        chosen = {p["id"]: p["factors"] for p in warm
                  if (p["factors"]["threads"], p["factors"]["block"]) == (most, block)}  # fmt: skip
        left = [n for n, point in enumerate(self.order[0]) if self.points[point]["id"] in chosen]
        asked = problem_text(next(iter(chosen.values())))
        facts = {"wait_policy": "passive", "spin_threads": most, "spin_problem": asked}
        for text in self.lines(0, lambda: left, passive=False):
            line = json.loads(text)
            left.remove(line["position"])
            if line["status"] == "MEASURED":
                mine = sorted(medians[line["point"]])[len(medians[line["point"]]) // 2]
                facts[f"spin_{chosen[line['point']]['variant']}"] = line["summary"]["median_ns"] / mine
        self.add_facts(facts)


@contextmanager
def opened(config: Path, directory: Path, only: str | None, quick: bool, module: str = LIBRARIES) -> Iterator[Run]:
    """A run directory, made from the config unless it is there already: then it goes on where it was."""
    libraries = import_module(module).PEERS
    if not directory.exists():
        plan(config, directory, only, quick, libraries)
    run = Run(directory, module)
    try:
        for point in run.points:
            _versioned(point["factors"]["variant"], libraries)
        yield run
    finally:
        run.journal.close()


def directory_name(config: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return ROOT / f"results/raw/{stamp}-{config.stem}-{os.uname().nodename}"


def rebuild(directory: Path) -> None:
    attnbench("rebuild", directory)
