# SPDX-License-Identifier: Apache-2.0
"""One word in many sentences: how alike its vectors are before and after the sentence has been read.

>>> senses = compare(Model(), "bank", SENTENCES)
"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from textwrap import fill

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.text import Text

from attnlab.encode import Model, Refused
from attnlab.figures import COLOURS, MARKERS, STYLE, save
from attnlab.trace import pieces
from attnlab.traceview import print_table, table_of

SENTENCES = ("He deposited money in the bank.", "He sat on the river bank.", "The bank by the river")


@dataclass(frozen=True)
class Place:
    """Where the word stands: a sentence, from 1, its first token there, and whether it stands there again."""

    sentence: int
    token: int
    again: bool

    def __str__(self) -> str:
        return f"{self.sentence}:{self.token}" if self.again else str(self.sentence)


@dataclass(frozen=True)
class Senses:
    """Cosines [pairs, 1 + blocks + 1] of a word's vectors at two places: its static embedding, the states that enter
    the first layer (word, position and type, normalised), and those after each layer."""

    word: str
    parts: list[str]
    sentences: list[str]
    places: list[Place]
    pairs: list[tuple[Place, Place]]
    cosines: np.ndarray

    @property
    def stages(self) -> list[str]:
        return ["static", "input", *(f"layer {n}" for n in range(self.cosines.shape[1] - 2))]

    @property
    def pooling(self) -> str:
        if len(self.parts) == 1:
            return f"'{self.word}' is one piece of the vocabulary: its vector is taken as it is"
        return f"'{self.word}' is split into {' '.join(self.parts)}: its vector is the mean of these pieces' vectors"


def occurrences(ids: list[int], tokens: list[str], word: list[int]) -> list[int]:
    """Where the word's pieces stand in a row, as a whole word: the piece after them continues none."""
    width = len(word)
    return [
        n for n in range(1, len(ids) - width) if ids[n : n + width] == word and not tokens[n + width].startswith("##")
    ]


def compare(model: Model, word: str, sentences: list[str], variant: str = "flash") -> Senses:
    """Every pair of places at which the word stands. Refused: a sentence lacks it, or it stands at one place only."""
    word_ids, parts = pieces(model, word, "the word")
    word_ids, parts = word_ids[1:-1], parts[1:-1]
    if "[UNK]" in parts:
        raise Refused(f"'{word}' holds letters that the model has no piece for")
    rows = model.weights["embeddings.word_embeddings.weight"][word_ids]
    places, stages = [], []
    for number, sentence in enumerate(sentences, 1):
        ids, tokens = pieces(model, sentence, f"sentence {number}")
        found = occurrences(ids, tokens, word_ids)
        if not found:
            raise Refused(f"'{word}' is not in sentence {number}: {sentence}")
        _, states = model.run([ids], variant, states=True)
        for start in found:
            places.append(Place(number, start, len(found) > 1))
            own = states[:, start : start + len(word_ids)]
            stages.append(np.concatenate([rows[None], own]).astype(np.float64).mean(1))
    if len(places) < 2:
        raise Refused(f"'{word}' stands at one place only; give another sentence to compare with")
    unit = np.stack([vectors / np.linalg.norm(vectors, axis=-1, keepdims=True) for vectors in stages])
    chosen = list(combinations(range(len(places)), 2))
    cosines = np.array([(unit[a] * unit[b]).sum(-1) for a, b in chosen])
    return Senses(word, parts, sentences, places, [(places[a], places[b]) for a, b in chosen], cosines)


def show(console: Console, senses: Senses) -> None:
    for number, sentence in enumerate(senses.sentences, 1):
        at = ", ".join(str(place.token) for place in senses.places if place.sentence == number)
        console.print(Text(f"{number}  {sentence}  ('{senses.word}' at token {at})"))
    console.print(Text(f"{senses.pooling}."))
    console.print()
    title = f"Cosine of '{senses.word}' in two sentences"
    rows = [(f"{a} and {b}", *(f"{c:.4f}" for c in row))
            for (a, b), row in zip(senses.pairs, senses.cosines, strict=True)]  # fmt: skip
    print_table(console, title, table_of(["sentences", *senses.stages], rows))
    console.print(Text("static: the word's row of the embedding table. input: with its position, normalised. "
                       "layer n: what layer n gives."))  # fmt: skip


def _picture(senses: Senses, variant: str) -> Figure:
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for n, ((a, b), row) in enumerate(zip(senses.pairs, senses.cosines, strict=True)):
        look = {"color": COLOURS[n % len(COLOURS)], "marker": MARKERS[n % len(MARKERS)]}
        axes.plot(range(len(row)), row, label=f"{a} and {b}", **look)
    axes.set_xticks(range(len(senses.stages)), senses.stages)
    axes.set_ylabel("cosine")
    axes.legend(title="sentences")
    figure.suptitle(f"'{senses.word}' in different sentences", x=0.01, ha="left", fontsize=11, fontweight="bold")
    listed = "   ".join(f"{n}: {sentence}" for n, sentence in enumerate(senses.sentences, 1))
    footer = f"{listed}\nMiniLM-L6, attention by {variant}. {senses.pooling}."
    lines = "\n".join(fill(line, 130) for line in footer.split("\n"))
    figure.supxlabel(lines, x=0.01, ha="left", fontsize=6.5, color="#555555")
    return figure


def write(senses: Senses, variant: str, directory: Path) -> Path:
    """The cosines against the depth, a curve a pair, as senses_WORD.png."""
    directory.mkdir(parents=True, exist_ok=True)
    kept = "".join(letter if letter.isalnum() else "_" for letter in senses.word.lower())
    path = directory / f"senses_{kept}.png"
    with mpl.rc_context(STYLE):
        save(_picture(senses, variant), path, 110)
    return path
