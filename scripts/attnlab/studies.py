# SPDX-License-Identifier: Apache-2.0
"""What studies measured, as their result file tells it. Schema: results/README.md."""

from dataclasses import dataclass
from math import isnan
from pathlib import Path

from attnlab.results import Origin, Unreadable, attributes, check_schema, columns, open_file

SCHEMA, SCHEMA_VERSION = "attnbench-studies", 1


@dataclass(frozen=True)
class Quantity:
    """One number, and the interval that the law expects it in: NaN to NaN when it expects nothing."""

    claim: str
    name: str
    series: str
    axis: str
    at: float
    measured: float
    low: float
    high: float
    law_verdict: str

    @property
    def expected(self) -> bool:
        return not isnan(self.low)


@dataclass(frozen=True)
class Claim:
    claim: str
    law_verdict: str
    claim_verdict: str
    because: str


@dataclass(frozen=True)
class Study:
    name: str
    source: str
    statement: str
    law: str
    settings: str
    seed: int
    elapsed_ns: float
    claims: list[Claim]
    quantities: list[Quantity]


@dataclass
class StudyRun(Origin):
    """The studies of one call of attnbench study, in the order in which they ran."""

    studies: list[Study]

    @property
    def name(self) -> str:
        return "claims" if len(self.studies) != 1 else self.studies[0].name

    @property
    def id(self) -> str:
        return f"study-{self.name}-{self.date}"

    @property
    def config(self) -> str:
        seeds = ", ".join(str(seed) for seed in sorted({s.seed for s in self.studies}))
        sets = " ".join(dict.fromkeys(s.settings for s in self.studies if s.settings))
        return f"seed {seeds}" + (f", {sets}" if sets else "")


def is_study_file(where: Path) -> bool:
    """Whether a run directory or result file holds studies; false for what can't be read."""
    try:
        _, opened = open_file(where)
    except Unreadable:
        return False
    with opened as file:
        return attributes(file).get("schema") == SCHEMA


def _rows(group, kind: type, renamed: dict[str, str]) -> dict[int, list]:
    """The rows of a group as objects, by study_index."""
    table = columns(group)
    names = [renamed.get(name, name) for name in kind.__dataclass_fields__]
    rows: dict[int, list] = {}
    for n, index in enumerate(table["study_index"]):
        rows.setdefault(index, []).append(kind(*(table[name][n] for name in names)))
    return rows


def read(where: Path) -> StudyRun:
    """Of a run directory, or of a result file. Unreadable: it holds no studies."""
    path, opened = open_file(where)
    with opened as file:
        try:
            root = attributes(file)
            check_schema(path, root, SCHEMA, SCHEMA_VERSION)
            study = columns(file["study"])
            claims = _rows(file["claim"], Claim, {})
            quantities = _rows(file["quantity"], Quantity, {"name": "quantity"})
            own = ("name", "source", "statement", "law", "settings", "seed", "elapsed_ns")
            rows = [
                Study(*(study[name][n] for name in own), claims.get(n, []), quantities.get(n, []))
                for n in range(len(study["name"]))
            ]
            return StudyRun(path, root, attributes(file["provenance"]), rows)
        except (OSError, KeyError) as error:
            raise Unreadable(f"{path} is not a result file of attnbench: {error}") from error
