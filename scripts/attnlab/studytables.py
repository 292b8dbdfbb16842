# SPDX-License-Identifier: Apache-2.0
"""The table of claims, and the quantities behind it."""

import csv
import io
from math import isinf

from attnlab import text
from attnlab.studies import Quantity, StudyRun
from attnlab.tables import provenance

SOURCES, FIGURES = "../../experiments/studies", "../figures"  # from results/tables/
EXPLANATION = """\
Law: HOLDS when every quantity that the law expects something of lies in its interval, DEPARTS when one does not,
RECORDED when nothing was expected. Claim: whether the source's sentence is right. S0 to S4 are the five sources;
what no source says is of the literature."""


def _order(claim: str) -> tuple[str, int]:
    """C2 before C11, and those of the sources before L1."""
    return claim.rstrip("0123456789"), int("".join(c for c in claim if c.isdigit()) or 0)


def _cell(words: str) -> str:
    return words.replace("|", "\\|")


def _expected(quantity: Quantity) -> str:
    low, high = (text.significant(bound, 6, trim=True) for bound in (quantity.low, quantity.high))
    if not quantity.expected:
        return "-"
    if quantity.low == quantity.high:
        return low
    if isinf(quantity.low):
        return "a number" if isinf(quantity.high) else f"<= {high}"
    return f">= {low}" if isinf(quantity.high) else f"{low} to {high}"


def _tally(run: StudyRun) -> str:
    laws = [claim.law_verdict for study in run.studies for claim in study.claims]
    seconds = sum(study.elapsed_ns for study in run.studies) / 1e9
    counts = ", ".join(f"{laws.count(v)} {v}" for v in ("HOLDS", "DEPARTS", "RECORDED"))
    where = text.count(len(run.studies), "study", "studies")
    return f"{text.count(len(laws), 'claim')} in {where}: {counts}; {seconds:.0f} s"


def markdown(run: StudyRun) -> str:
    """Claims in the order of their numbers, each with links from results/tables/ to its study and its figure."""
    lines = [f"# {run.name}", ""]
    lines += [f"{key}: {value}  " for key, value in provenance(run)]
    lines += ["", _tally(run), "", EXPLANATION, "", "| claim | of | says | law | claim is | because | study |"]
    lines.append("|---|---|---|---|---|---|---|")
    rows = [(claim, study) for study in run.studies for claim in study.claims]
    for claim, study in sorted(rows, key=lambda row: _order(row[0].claim)):
        name = f"[{study.name}]({SOURCES}/{study.name}.c)"
        name += f", [figure]({FIGURES}/study_{study.name}.png)" if study.quantities else ""
        cells = (claim.claim, study.source, study.statement, claim.law_verdict, claim.claim_verdict, claim.because)
        lines.append("| " + " | ".join(map(_cell, cells)) + f" | {name} |")
    if len(run.studies) == 1:
        lines += ["", f"Law: {run.studies[0].law}", ""]
        lines += ["| quantity | of | expected | measured | law |", "|---|---|---|---:|---|"]
        for q in run.studies[0].quantities:
            place = ", ".join(filter(None, (q.series, f"{q.axis} {q.at:.6g}" if q.axis else "")))
            shown = text.significant(q.measured, 6, trim=True)
            lines.append(f"| {_cell(q.name)} | {_cell(place)} | {_expected(q)} | {shown} | {q.law_verdict} |")
    return "\n".join(lines) + "\n"


def comma_separated(run: StudyRun) -> str:
    """Every quantity a row."""
    out = io.StringIO()
    names = ("claim", "name", "series", "axis", "at", "measured", "low", "high", "law_verdict")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("study", *names))
    for study in run.studies:
        for quantity in study.quantities:
            writer.writerow((study.name, *(getattr(quantity, name) for name in names)))
    return out.getvalue()
