# SPDX-License-Identifier: Apache-2.0
"""attnlab peers: what becomes of peers that answer rightly, wrongly, late or not at all; the real ones if installed."""

import json
import math
import subprocess
import sys
from pathlib import Path

import fakepeers
import pytest
import synthetic

from attnlab import ROOT, peers, peertables, results
from attnlab.drawn import Drawn
from attnlab.peer import Absent
from attnlab.peerlibraries import PEERS
from attnlab.peertrial import Rules, is_unstable, measure

PROBLEM = "problem: {query_heads: 2, query_len: 24, head_dim: 16}"
MEASURE = "measure: {invocations: 2, min_time: 2 ms, max_time: 20 ms, timeout: 4 s}"


def config_of(path: Path, variants: str, rest: str = "") -> Path:
    path.write_text(f"name: t\n{PROBLEM}\nmatrix: {{variant: [{variants}]}}\nplacement: none\n{MEASURE}\n{rest}")
    return path


def run_of(config: Path, directory: Path) -> results.Run:
    with peers.opened(config, directory, None, False, "fakepeers") as run:
        run.measure(lambda line: None)
        run.compare_waiting()
    peers.rebuild(directory)
    return results.read(directory)


@pytest.fixture(scope="module", autouse=True)
def workers_find_the_fakes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{ROOT / 'scripts'}:{Path(__file__).parent}")
        yield


@pytest.fixture(scope="module")
def everyone(tmp_path_factory):
    """A run of our variant and every fake."""
    folder = tmp_path_factory.mktemp("peers")
    names = ", ".join(f'"{peer.plain_name()}"' for peer in fakepeers.PEERS)
    return run_of(config_of(folder / "c.yaml", f"naive, {names}"), folder / "run")


def point(run: results.Run, variant: str) -> results.Point:
    return next(p for p in run.points if p.factors["variant"] == variant)


BECOMES = {
    "naive": ("MEASURED", ""),
    "peer:fake-1.2-honest": ("MEASURED", ""),
    "peer:fake-1.2-few": ("MEASURED", ""),
    "peer:fake-1.2-wrong": ("REJECTED", "times the bound"),
    "peer:fake-1.2-remembering": ("REJECTED", "times the bound"),
    "peer:fake-1.2-idle": ("REJECTED", "unwritten"),
    "peer:fake-1.2-spoiling": ("REJECTED", "modifies an input: k"),
    "peer:fake-1.2-missing": ("SKIPPED", "fake cannot be imported"),
    "peer:fake-1.2-slow": ("FAILED", "no result within 4 s"),
    "peer:fake-1.2-crashing": ("FAILED", "signal 6 (Aborted)"),
    "peer:fake-1.2-raising": ("FAILED", "RuntimeError: no kernel for this shape"),
}


@pytest.mark.parametrize("variant", BECOMES)
def test_what_becomes_of(everyone, variant):
    status, reason = BECOMES[variant]
    found = point(everyone, variant)
    assert (found.status, reason in found.reason) == (status, True), found.reason


def test_the_run_is_like_any_other(everyone):
    assert everyone.root["status"] == "complete"
    honest = point(everyone, "peer:fake-1.2-honest")
    assert honest.time_ns.count == 2
    assert 0 < honest.checks["bound_fraction"] < 1
    assert everyone.provenance["peer_fake_version"] == "1.2.3"
    shown = subprocess.run([peers.PROGRAM, "show", everyone.path.parent], capture_output=True, text=True)
    assert "peer:fake-1.2-honest" in shown.stdout


def test_workers_wait_passively_and_the_effect_is_measured(everyone):
    """The last process that told its facts was the one that waits by itself."""
    assert everyone.provenance["wait_policy"] == "passive"
    assert everyone.provenance["peer_fake_waits"] == "by itself"
    assert everyone.provenance["spin_peer:fake-1.2-honest"] > 0


def test_each_point_is_measured_at_its_place_in_the_order(everyone):
    directory = everyone.path.parent
    plan = json.loads((directory / "plan.json").read_text())
    lines = [json.loads(line) for line in (directory / "journal.jsonl").read_text().splitlines()]
    for line in lines:
        assert plan["points"][plan["order"][line["invocation"]][line["position"]]]["id"] == line["point"]
    assert plan["order"][0] != plan["order"][1]


def test_what_is_over_is_not_tried_again(everyone):
    journal = [json.loads(line) for line in (everyone.path.parent / "journal.jsonl").read_text().splitlines()]
    lines = {p.factors["variant"]: [line for line in journal if line["point"] == p.id] for p in everyone.points}
    assert {variant: len(own) for variant, own in lines.items()} == {
        variant: 2 if status == "MEASURED" else 1 for variant, (status, _) in BECOMES.items()
    }


def test_what_was_measured_stays(everyone):
    journal = everyone.path.parent / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"point": "torn')
    with peers.opened(Path("unused"), everyone.path.parent, None, False, "fakepeers") as run:
        run.measure(lambda line: pytest.fail("measured again"))
    assert journal.read_bytes() == whole


def test_two_processes_do_not_share_a_run(everyone):
    directory = everyone.path.parent
    locked = peers.opened(Path("unused"), directory, None, False, "fakepeers")
    with locked, pytest.raises(peers.Refused, match="another process"):
        peers.Journal(directory)


def test_cold_points_rotate(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PROBLEM", "problem: {query_len: 1, key_len: 65536, head_dim: 64}")
    run = run_of(config_of(tmp_path / "c.yaml", 'naive, "peer:fake-honest"', "cache: cold"), tmp_path / "run")
    assert {p.status for p in run.points} == {"MEASURED"}


def test_threads_that_were_not_delivered_spoil_the_timing(tmp_path):
    run = run_of(config_of(tmp_path / "c.yaml", '"peer:fake-few"', "threads: 2"), tmp_path / "run")
    assert point(run, "peer:fake-1.2-few").timing_notes[0] in ("1 of 2 threads delivered", "oversubscribed")


def test_a_run_that_attnbench_planned_is_gone_on_with(tmp_path):
    config = config_of(tmp_path / "c.yaml", 'naive, "peer:fake-honest"')
    subprocess.run([peers.PROGRAM, "plan", config, "-o", tmp_path / "run"], check=True, capture_output=True)
    run = run_of(config, tmp_path / "run")
    assert {p.factors["variant"]: p.status for p in run.points} == {"naive": "MEASURED", "peer:fake-honest": "MEASURED"}


def test_what_is_not_drawn_or_bound_is_skipped(tmp_path):
    config = tmp_path / "c.yaml"
    problem = "{query_len: 24, head_dim: 16, lse: true}"
    config.write_text(f"problem: {problem}\nvariant: naive\nplacement: none\n{MEASURE}\n")
    found = point(run_of(config, tmp_path / "run"), "naive")
    assert (found.status, found.reason) == ("SKIPPED", "attnlab peers does not measure lse 1")


def attnlab(*words: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "attnlab", *map(str, words)], capture_output=True, text=True)


def test_an_unknown_peer_is_named_with_the_nearest(tmp_path):
    done = attnlab("peers", config_of(tmp_path / "c.yaml", '"peer:torch-flesh"'), "-o", tmp_path / "run")
    assert done.returncode == 2
    assert "unknown peer 'peer:torch-flesh'; did you mean 'peer:torch-flash'?" in done.stderr
    assert not (tmp_path / "run").exists()


def test_refusals(tmp_path):
    done = attnlab("peers", tmp_path / "absent.yaml", "-o", tmp_path / "run")
    assert (done.returncode, "absent.yaml" in done.stderr) == (2, True)
    (tmp_path / "empty").mkdir()
    done = attnlab("peers", config_of(tmp_path / "c.yaml", "naive"), "-o", tmp_path / "empty")
    assert (done.returncode, "is no run directory" in done.stderr) == (2, True)


def test_attnbench_leaves_peers_alone(tmp_path):
    config = config_of(tmp_path / "c.yaml", 'naive, "peer:torch-flash"')
    done = subprocess.run([peers.PROGRAM, "run", config, "-o", tmp_path / "run", "--quick"], capture_output=True)
    assert done.returncode == 0
    found = point(results.read(tmp_path / "run"), "peer:torch-flash")
    assert (found.status, "attnlab peers" in found.reason) == ("SKIPPED", True)


def test_a_trial_ends_by_its_rules():
    calls = []
    rules = Rules(min_time_ns=1, max_time_ns=1e12, target_ci=1e9, max_iterations=50)
    order = []
    trial = measure([lambda: calls.append(0), lambda: calls.append(1)], rules, lambda: order.append("warm"),
                    lambda: order.append("real"), lambda which: order.append(which))  # fmt: skip
    assert trial.ended_by == "target"
    assert len(trial.samples_ns) == 6  # what the confidence needs
    assert calls[-6:] == [0, 1] * 3
    assert order == ["warm", "real", *[0, 1] * 3]
    assert trial.last == 1
    assert measure([lambda: None], Rules(1e12, 1e12, 0, 7), *[lambda *_: None] * 3).ended_by == "max_iterations"
    assert measure([lambda: None], Rules(1, 1, 0, 7), *[lambda *_: None] * 3).ended_by == "max_time"


def test_unstable():
    assert not is_unstable([100, 101] * 8, 0.02)
    assert not is_unstable([100, 900], 0.02)
    assert is_unstable([100, 150, 200, 250] * 4, 0.02)
    assert is_unstable([100, 101] * 8 + [110, 111] * 8, 0.02)


PROBLEMS = {
    "dense": {},
    "causal": {"mask": "causal=top_left"},
    "ragged": {"mask": "lengths=ragged"},
    "grouped": {"key_heads": 2},
    "grouped causal": {"key_heads": 2, "mask": "causal=top_left"},
    "one query": {"query_len": 1},
    "bf16": {"type": "bf16"},
    "backward": {"pass": "backward"},
    "backward causal": {"pass": "backward", "mask": "causal=top_left"},
}
FACTORS = {"batch": 3, "query_heads": 4, "key_heads": 4, "query_len": 100, "key_len": 100, "head_dim": 32,
           "value_dim": 32, "type": "f32", "mask": "none", "pattern": "normal", "pass": "forward",
           "seed": 3}  # fmt: skip


@pytest.mark.parametrize("changes", PROBLEMS.values(), ids=PROBLEMS.keys())
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.plain_name())
def test_a_real_peer_answers_what_is_asked(peer, changes):
    drawn = Drawn(FACTORS | changes)
    try:
        made = peer(drawn, 2)
    except Absent as why:
        pytest.skip(str(why))
    made.run()
    drawn.poison()
    made.poison(drawn)
    assert not drawn.judge().accepted
    made.load()
    made.run()
    verdict = drawn.judge(made.answers(), rounds_weights=drawn.type != "f32")
    assert verdict.accepted, verdict.reason
    assert made.threads_read_back() == 2


def table_of(tmp_path, points) -> str:
    synthetic.write(tmp_path / "results.h5", points)
    run = results.read(tmp_path / "results.h5")
    assert peertables.has_peers(run)
    return peertables.markdown(run)


def test_goals_are_met_or_missed_by_so_much(tmp_path):
    def pair(ours, theirs, **factors):
        return [synthetic.point(ours, variant="flash", **factors),
                synthetic.point(theirs, variant="peer:torch-2.15-flash", **factors),
                synthetic.point([1e9] * 3, variant="peer:openvino-2026.4", **factors)]  # fmt: skip

    text = table_of(tmp_path, [
        *pair([100e3] * 3, [130e3, 150e3, 140e3]),
        *pair([100e3] * 3, [135e3] * 3, mask="causal=top_left"),
        *pair([100e3] * 3, [120e3, 131e3, 129e3], query_len=128, type="f32"),
        *pair([100e3] * 3, [390e3] * 3, query_len=1, key_len=4096),
        *pair([100e3] * 3, [100e3] * 3, type="bf16"),
    ])  # fmt: skip
    goals = [line for line in text.splitlines() if line.startswith("| 8 heads")][:5]
    ends = [line.rstrip("| ").rsplit("| ", 1)[1] for line in goals]
    assert ends[0] == "1.2 x the best: met"
    assert ends[1] == "1.5 x the best: missed by 10 %"
    assert ends[2] == "1.3 x the best: missed by 0.8 %, not certain"
    assert ends[3] == "4 x torch: missed by 2.5 %"
    assert ends[4] == "-"
    assert "1.40 [1.30, 1.50]" in text
    assert "GB/s" in goals[3]


def test_the_ratio_is_of_invocations_that_ran_both():
    ours = results.Point("a", "", {}, 1.0, medians_ns={0: 100.0, 1: 200.0})
    other = results.Point("b", "", {}, 1.0, medians_ns={1: 400.0, 2: 1e9})
    ratio = peertables.faster(ours, other)
    assert (ratio.median, ratio.count) == (2.0, 1)
    assert peertables.faster(ours, results.Point("c", "", {}, 1.0)) is None


def test_what_is_left_out_is_told_with_its_reason(tmp_path):
    text = table_of(tmp_path, [synthetic.point([1e5] * 3, variant="flash"),
                               synthetic.point([math.nan], variant="peer:openvino-absent", status="SKIPPED",
                                               reason="openvino cannot be imported")])  # fmt: skip
    assert "- peer:openvino-absent, 1 point: openvino cannot be imported" in text
    assert "1.2 x the best: not measured" in text
