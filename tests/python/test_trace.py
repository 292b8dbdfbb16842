# SPDX-License-Identifier: Apache-2.0
"""Looking inside: the worked tables' goldens, a real model's heads and states, the printed numbers, what is refused."""

import importlib.util
from dataclasses import replace
from math import sqrt

import minilm_reference as reference
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from attnlab import senses, trace, traceview
from attnlab.__main__ import app

RIVER = "He sat on the river bank."
STATE_BOUND = 2e-5
"""Of hidden states, queries and keys: tests/python/test_encode.py derives it."""

# 50 and 60 digit arithmetic, rounded: weights and output of one query.
GOLDENS = {
    ("cat5", "none", "cat"): (
        [0.16531008617703832, 0.18638660169892597, 0.21015030659211815, 0.19399318321334745, 0.24415982231857011],
        [0.53051531337328674, 0.43024699767411161],
    ),
    ("cat5", "root", "cat"): (
        [0.17510542908087708, 0.19061221154903031, 0.20749222558274259, 0.19608050788372937, 0.23070962590362064],
        [0.52160794010038085, 0.42731349085389403],
    ),
    ("cat6", "none", "cat"): (
        [0.14185931121506125, 0.15994592676220037, 0.18033852884732632, 0.16647344386228480, 0.14185931121506125,
         0.20952347809806602],
        [0.46944270755061604, 0.39758431717472633],
    ),
    ("cat6", "root", "mat"): (
        [0.15340622755052988, 0.16348628372452753, 0.17422868284309359, 0.16581475489137489, 0.15340622755052988,
         0.18965782343994423],
        [0.45266947318772533, 0.39114194086385985],
    ),
    ("s4", "root", "the"): (
        [0.326689331072803451, 0.333288893332918556, 0.340021775594277991],
        [0.403999733356442362, 0.435322090011450820],
    ),
    ("weightless", "none", "mat"): (
        [0.12638959560529978, 0.19624603744107761, 0.23731044181745300, 0.18297859249109209, 0.25707533264507752],
        [0.55440424617078618, 0.44511200656429941],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "scale", "query"), GOLDENS)
@pytest.mark.parametrize("variant", ["naive", "online", "flash"])
def test_tables_are_the_goldens(name, scale, query, variant):
    found = trace.table(name, scale, query)
    weights, out = GOLDENS[name, scale, query]
    np.testing.assert_allclose(found.steps.weights[found.query], weights, rtol=1e-15, atol=0)
    np.testing.assert_allclose(found.steps.out[found.query], out, rtol=1e-15, atol=0)
    answer = trace.answer(found.steps, variant)
    np.testing.assert_allclose(answer.out[found.query], out, rtol=0, atol=1.2e-7)  # 2u, elements near 1/2
    np.testing.assert_allclose(answer.weights[found.query], weights, rtol=0, atol=1.2e-7)


def test_scores_and_lse_of_the_table():
    found = trace.table("cat5", "none")
    assert found.tokens[found.query] == "cat"
    np.testing.assert_allclose(found.steps.scores[1], [0.17, 0.29, 0.41, 0.33, 0.56], rtol=1e-15)
    np.testing.assert_allclose(found.steps.lse[1], 1.96993225861169419, rtol=1e-15)
    np.testing.assert_allclose(trace.table("cat6").steps.lse[1], 2.02393305781914582, rtol=1e-15)


def test_the_vector_moves():
    """Eight printed decimals of the context word: the answer is right to as many."""
    moved = trace.table("moved")
    np.testing.assert_allclose(moved.steps.out[0], [0.5, 0.8], rtol=0, atol=1e-8)
    np.testing.assert_allclose(moved.steps.weights[0, 0], 0.64293589, rtol=0, atol=1e-8)


def test_scales_divide_by_what_they_name():
    divided = {scale: trace.table("s4", scale).steps for scale in ("root", "d_k", "none")}
    assert [steps.divisor for steps in divided.values()] == [2, 4, 1]
    for steps in divided.values():
        np.testing.assert_array_equal(steps.scaled, steps.scores / steps.divisor)


def test_a_wrong_answer_is_a_disagreement():
    """Of steps that divide by another number, have other scores, or end in another row, than the variant."""
    steps = trace.table("cat5").steps
    unlike = ({"divisor": 1.41}, {"scaled": steps.scaled + 1e-4}, {"out": steps.out + 1e-5})
    for wrong in (replace(steps, **change) for change in unlike):
        with pytest.raises(trace.Disagreement, match=r"naive departs from the steps: .* of the bound"):
            trace.answer(wrong, "naive")
    with pytest.raises(trace.Disagreement):
        trace.answer(replace(steps, v=np.where(steps.v > 0.75, np.nan, steps.v)), "naive")


def test_heads_that_look_by_position_are_set_aside():
    """One head gives all to the word before, the other less, but to one word alone."""
    before = np.eye(6, k=-1) + np.eye(6) * (np.arange(6) == 0)
    telling = np.full((6, 6), 1 / 6)
    telling[4] = [0.1, 0.1, 0.5, 0.1, 0.1, 0.1]
    one = trace.table("cat5")
    made = [
        replace(one, tokens=["[CLS]", "a", "b", "c", "d", "[SEP]"], query=4, steps=replace(one.steps, weights=weights))
        for weights in (before, telling)
    ]
    assert trace.most_telling(made) == 1
    assert trace.most_telling(made[:1]) == 0


@pytest.mark.parametrize("layer", range(6))
@pytest.mark.parametrize("variant", ["naive", "flash"])
def test_heads_are_those_of_the_reference(model, weights, layer, variant):
    """Queries and keys off by the bound of states move a score by that times both norms, and a weight by twice that."""
    found = trace.heads(model, RIVER, layer, variant=variant)
    assert found[0].tokens == ["[CLS]", "he", "sat", "on", "the", "river", "bank", ".", "[SEP]"]
    assert found[0].tokens[found[0].query] == "bank"
    before = reference.states(model.tokens([RIVER])[0], weights, layer)[-1]
    wanted = reference.projections(before, weights, layer)
    for each, q, k, v in zip(found, *wanted, strict=True):
        scores = q @ k.T / sqrt(32)
        raised = np.exp(scores - scores.max(-1, keepdims=True))
        share = raised / raised.sum(-1, keepdims=True)
        off = STATE_BOUND * (np.linalg.norm(q, axis=1).max() + np.linalg.norm(k, axis=1).max())
        np.testing.assert_allclose(each.steps.weights, share, rtol=2.1 * off, atol=0)
        room = STATE_BOUND + 2.1 * off * np.abs(v).max()
        np.testing.assert_allclose(each.steps.out, share @ v, rtol=0, atol=room)
        answer = trace.answer(each.steps, variant)
        assert answer.sum_fraction <= 1
        assert answer.out_fraction <= 1


def test_a_long_text_keeps_within_its_bound(model):
    for each in trace.heads(model, "bank river " * 255, 3):
        assert len(each.tokens) == 512
        trace.answer(each.steps, "flash")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def pictures(directory):
    return sorted(path.name for path in directory.iterdir())


def test_trace_of_a_table_prints_every_step(tmp_path):
    result = run("trace", "--table", "cat5", "-o", tmp_path)
    assert result.exit_code == 0, result.output
    for number in ("0.560000", "0.395980", "0.230710", "0.184568 0.115355", "0.521608 0.427313", "1.862575"):
        assert number in result.output
    assert "/ sqrt(2)" in result.output
    assert "\x1b" not in result.output
    assert pictures(tmp_path) == ["trace_cat5.png"]
    with Image.open(tmp_path / "trace_cat5.png") as picture:
        assert min(picture.size) > 300


def test_trace_of_a_sentence(model, tmp_path):
    result = run("trace", RIVER, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    found = trace.heads(model, RIVER, 0)
    steps = found[trace.most_telling(found)].steps
    for number in (*steps.scores[6], *steps.scaled[6], *steps.weights[6]):
        assert f"{number:z.6f}" in result.output
    for number in steps.weights.flat:
        assert f"{number:.3f}" in result.output
    assert pictures(tmp_path) == sorted(f"trace_layer0_head{n}.png" for n in range(12))
    assert max(path.stat().st_size for path in tmp_path.iterdir()) < 60_000


def test_one_head_is_one_picture_and_any_variant(model, tmp_path):
    result = run("trace", RIVER, "--layer", 2, "--head", 11, "--query", "river", "--variant", "naive", "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert "layer 2, head 11" in result.output
    assert "Scores of 'river'" in result.output
    assert "variant naive" in result.output
    assert pictures(tmp_path) == ["trace_layer2_head11.png"]


def test_colour_is_for_terminals_and_a_narrow_one_is_told():
    found = trace.table("cat6")
    answer = trace.answer(found.steps, "naive")
    wide = Console(force_terminal=True, color_system="truecolor", width=100, no_color=False)
    with wide.capture() as coloured:
        traceview.show(wide, found, "naive", answer)
    assert "48;2;" in coloured.get()
    narrow = Console(width=30)
    with narrow.capture() as plain:
        traceview.show(narrow, found, "naive", answer)
    assert f"needs {len('0 the') + 6 * len('  0.123')} columns" in " ".join(plain.get().split())
    assert "\x1b" not in plain.get()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--table", "cat7"], "unknown table 'cat7'; did you mean 'cat6'?"),
        (["--table", "cat5", "--query", "dog"], "no token 'dog'; tokens are 0 the, 1 cat"),
        (["--table", "cat5", "--variant", "flush"], "did you mean 'flash'"),
        (["--table", "cat5", "--head", 1], "--layer and --head are of the model"),
        ([], "give a sentence or --table, and not both"),
        ([RIVER, "--table", "cat5"], "give a sentence or --table, and not both"),
    ],
)
def test_trace_refuses(words, says):
    result = run("trace", *words)
    assert result.exit_code == 2
    assert says in result.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([""], "the text is empty"),
        ([" \t"], "the text is empty"),
        (["\udcff"], "the text is not UTF-8 (character 0)"),
        (["word " * 511], "the text has 513 tokens; the model takes 512"),
        ([RIVER, "--layer", 6], "layer 6 is not there; the model has layers 0 to 5"),
        ([RIVER, "--layer", -1], "layer -1 is not there"),
        ([RIVER, "--head", 12], "head 12 is not there; the model has heads 0 to 11"),
        ([RIVER, "--query", "money"], "no token 'money'"),
    ],
)
def test_trace_of_a_model_refuses(model, words, says):
    result = run("trace", *words)
    assert result.exit_code == 2
    assert says in result.output


@pytest.mark.parametrize("command", ["trace", "senses"])
def test_without_the_model_the_remedy_is_told(monkeypatch, command):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = run(command, "bank")
    assert result.exit_code == 2
    assert "the model is not installed" in result.output
    assert "run scripts/setup --model" in result.output


def test_senses_are_those_of_the_reference(model, weights):
    found = senses.compare(model, "bank", list(senses.SENTENCES))
    assert [place.token for place in found.places] == [6, 6, 2]
    assert [f"{a} {b}" for a, b in found.pairs] == ["1 2", "1 3", "2 3"]
    np.testing.assert_allclose(found.cosines[:, 0], 1, rtol=0, atol=1e-15)  # static: one vector
    states = [reference.states(ids, weights) for ids in model.tokens(senses.SENTENCES)]
    own = [each[:, place.token] for each, place in zip(states, found.places, strict=True)]
    for (a, b), cosines in zip(((0, 1), (0, 2), (1, 2)), found.cosines, strict=True):
        norms = np.linalg.norm(own[a], axis=1), np.linalg.norm(own[b], axis=1)
        wanted = (own[a] * own[b]).sum(1) / norms[0] / norms[1]
        room = 2 * STATE_BOUND * sqrt(384) * (1 / norms[0] + 1 / norms[1])  # an angle moves by |dx| / |x|
        assert (np.abs(cosines[1:] - wanted) <= room).all()
    assert found.cosines[2, -1] > found.cosines[0, -1]  # the river's banks are nearer than the money's is to one


def test_pieces_of_a_split_word_are_averaged(model):
    sentences = ["It was unbelievably good.", "Unbelievably he sat."]
    found = senses.compare(model, "unbelievably", sentences)
    assert found.parts == ["un", "##bel", "##ie", "##va", "##bly"]
    assert found.pooling.endswith("un ##bel ##ie ##va ##bly: its vector is the mean of these pieces' vectors")
    means = []
    for sentence, start in zip(sentences, (3, 1), strict=True):
        _, states = model.run(model.tokens([sentence]), states=True)
        means.append(states[-1, start : start + 5].astype(np.float64).mean(0))
    wanted = means[0] @ means[1] / np.linalg.norm(means[0]) / np.linalg.norm(means[1])
    np.testing.assert_allclose(found.cosines[0, -1], wanted, rtol=1e-14)


def test_two_places_in_one_sentence(model):
    found = senses.compare(model, "apple", ["Please buy an apple and orange, apple unveiled new phones"])
    assert [str(place) for place in found.places] == ["1:4", "1:8"]
    assert senses.occurrences([0, 7, 8, 7, 9], ["[CLS]", "bank", "##s", "bank", "[SEP]"], [7]) == [3]


def test_the_senses_command(model, tmp_path):
    result = run("senses", "bank", "-o", tmp_path)
    assert result.exit_code == 0, result.output
    for text in (*senses.SENTENCES, "is one piece of the vocabulary"):
        assert text in result.output
    for number in senses.compare(model, "bank", list(senses.SENTENCES)).cosines.flat:
        assert f"{number:.4f}" in result.output
    assert pictures(tmp_path) == ["senses_bank.png"]
    assert (tmp_path / "senses_bank.png").stat().st_size < 60_000


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["bank", RIVER, "the cat sat"], "'bank' is not in sentence 2: the cat sat"),
        (["bank", RIVER, "embankments banks"], "'bank' is not in sentence 2"),
        (["bank", RIVER], "'bank' stands at one place only"),
        (["bank", RIVER, ""], "sentence 2 is empty"),
        (["", RIVER], "the word is empty"),
        (["bank", RIVER, "bank " * 600], "sentence 2 has 602 tokens; the model takes 512"),
        (["\U0001f30a", RIVER], "letters that the model has no piece for"),
    ],
)
def test_senses_refuses(model, words, says):
    result = run("senses", *words)
    assert result.exit_code == 2
    assert says in result.output
