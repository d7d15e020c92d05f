"""Entities: the weights that ship, and a run on sentences of one's own with all that travels with it."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import rnnzoo
from rnnzoo import tasks
from rnnzoo.building import new_task
from rnnzoo.cli.main import cli
from rnnzoo.registry import LEARNED, SEEDS, Source, load_preset
from rnnzoo.running import load
from rnnzoo.tasks._task import marked
from rnnzoo.tasks.entities import APART, LABELS
from rnnzoo.userdata import read


@pytest.fixture(scope="module")
def task():
    made = tasks.create("entities")
    made.train()  # skips where the data are absent
    return made


def test_what_ships_is_of_the_training_part(task):
    made = tasks.create("entities")
    made.learn(task.train())
    shipped = load_preset("entities").learned()
    assert made.learned == shipped and made.answer.labels == list(LABELS) and set(made.input.apart) == set(APART)


def spans(labels):
    """The entities of labels, by a regular expression over one letter for each."""
    kinds = sorted({label[2:] for label in labels} - {""})
    found = set()
    for kind in kinds:
        text = "".join({f"B-{kind}": "B", f"I-{kind}": "I"}.get(label, "O") for label in labels)
        found |= {(kind, *match.span()) for match in re.finditer("BI*", text)}
    return found


def test_the_scores_are_those_of_another_count(task, zoo):
    few = task.first_test().take(range(0, 2001, 10))
    given = zoo("entities").predict(few.inputs)
    pairs = [(spans(g), spans(r)) for g, r in zip(given, few.answers, strict=True)]
    hits, marked_, right = (sum(map(len, side)) for side in zip(*((g & r, g, r) for g, r in pairs), strict=True))
    scores = task.score(few, given)
    assert scores["entity_f1"] == pytest.approx(2 * hits / (marked_ + right)) and 0.4 < scores["entity_f1"] < 0.9
    assert scores["entity_precision"] == pytest.approx(hits / marked_) and scores["entity_recall"] == pytest.approx(
        hits / right
    )
    same = [one == other for g, r in zip(given, few.answers, strict=True) for one, other in zip(g, r, strict=True)]
    assert scores["token_accuracy"] == pytest.approx(np.mean(same))


def test_every_seed_is_above_the_lexicon():
    for run in json.loads((load_preset("entities").folder / SEEDS).read_text())["seeds"].values():
        assert run["held_out"]["entity_f1"] > run["held_out"]["lexicon_entity_f1"] + 0.1


def test_the_command_line_marks_them(zoo, monkeypatch):
    monkeypatch.setattr(rnnzoo, "from_preset", zoo)
    task, raw = zoo("entities").task, ["Barack Obama visits London", "wow\u2028 (http://t.co/x)"]
    pieces = [task.pieces(one, answer) for one, answer in zip(raw, zoo("entities").predict(raw), strict=True)]
    plain, coloured = (CliRunner().invoke(cli, ["predict", "entities", *raw], color=color).output for color in (False, True))
    assert (
        plain == "".join(f"{marked(one)}\n" for one in pieces).replace("\u2028", "\\u2028") and "[Barack Obama]PER" in plain
    )
    assert re.sub("\x1b\\[[0-9;]*m", "", coloured) == plain and coloured.count("\x1b[0m") == plain.count("]")
    first, second = json.loads(CliRunner().invoke(cli, ["predict", "entities", *raw, "--json"]).output)
    assert first["answer"][:3] == ["B-PER", "I-PER", "O"] and first["tokens"] == raw[0].split()
    assert first["entities"][0] == {"type": "PER", "text": "Barack Obama", "start": 0, "end": 12}
    assert second["tokens"] == ["wow", "(", "http://t.co/x", ")"]


def test_tokens_of_ones_own(zoo):
    (answer,) = zoo("entities").predict([["Barack Obama", "visits", "Paris", "."]])
    assert len(answer) == 4 and zoo("entities").predict(["Barack Obama\tvisits\tParis\t."]) == [answer]


def test_labels_that_there_are_not(zoo, tmp_path):
    (tmp_path / "a.conll").write_text("a\tO\nb\tB-place\n")
    with pytest.raises(rnnzoo.InputError, match=r"a.conll, line 2: 'B-place' is no label; expected one of 'O', 'B-LOC'"):
        rnnzoo.evaluate(zoo("entities"), data=tmp_path / "a.conll")


@pytest.mark.parametrize("name", ["a.conll", "a.csv", "a"])
def test_a_sentence_that_is_no_utf_8_is_told_of_alone(name, tmp_path):
    task = new_task(rnnzoo.load_preset("entities"))
    (tmp_path / name).write_text("Ann I-PER\nsmiles O\r\n\nin O\nOrléans I-LOC\n\nwow O\n", encoding="latin-1")
    with pytest.raises(rnnzoo.InputError, match=rf"{name}, line 5: not UTF-8$"):
        read(Source(tmp_path / name), task)
    found = read(Source(tmp_path / name, skip_bad=True), task)
    assert found.examples.answers == [["B-PER", "O"], ["O"]] and found.examples.inputs == ["Ann\tsmiles\t", "wow\t"]
    assert found.skipped == [f"{tmp_path / name}, line 5: not UTF-8"]
    (tmp_path / name).write_text("Ann I-PER\n", encoding="utf-16")
    with pytest.raises(rnnzoo.InputError, match=rf"{name}: UTF-16; expected text in UTF-8$"):
        read(Source(tmp_path / name, skip_bad=True), task)


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """A run on sentences of one's own, with types and a way of writing of their own; its data are gone."""
    folder = tmp_path_factory.mktemp("mine")
    names = {"plant": ["Ulme", "Rote Beete", "Farn"], "town": ["Ulm", "Bad Urach", "Fürth"]}
    blocks = []
    for i in range(60):
        kind = list(names)[i % 2]
        tags = [f"{'BI'[min(j, 1)]}-{kind}" for j, _ in enumerate(names[kind][i % 3].split())]
        rows = zip(["@x's", f"w{i % 7}", *names[kind][i % 3].split(), "."], ["O", "O", *tags, "O"], strict=True)
        blocks.append("".join(f"{token}\tX\t{tag}\n" for token, tag in rows) * (1 + i % 3))
    (folder / "data").write_text("\n".join(blocks), encoding="utf-8")
    small = ["model.units=6", "model.embedding=5", "training.epochs=10", "training.learning_rate=0.02"]
    small += ["model.dropout=0.0", "model.readout_dropout=0.0", "training.batch_size=8"]
    rnnzoo.train("entities", run_dir=folder / "run", data=folder / "data", overrides=small)
    (folder / "data").rename(folder / "other.conll")
    return folder


def test_own_types(mine):
    zoo = rnnzoo.from_preset(mine / "run")
    learned = json.loads((mine / "run" / LEARNED).read_text(encoding="utf-8"))
    assert learned["labels"] == ["O", "B-plant", "B-town", "I-plant", "I-town"] == zoo.task.answer.labels
    assert "@x's" in learned["vocabulary"] and "@" not in learned["apart"] and "$" in learned["apart"]
    assert zoo.task.input.tokens("@x's w1") == ["@x's", "w1"] and zoo.model.output_shape == (None, None, 5)
    scores = rnnzoo.evaluate(zoo, data=mine / "other.conll")["data"]
    assert set(scores) == {"examples", "entity_precision", "entity_recall", "entity_f1", "token_accuracy"}
    assert scores["examples"] == 60 and scores["entity_f1"] > 0.9
    assert rnnzoo.evaluate(mine / "run") == zoo.preset.metadata()["metrics"]


@pytest.mark.parametrize("format", ["saved-model", "onnx"])
def test_they_travel(format, mine, tmp_path):
    pytest.importorskip({"onnx": "onnxruntime"}.get(format, "keras"))
    zoo, asked = rnnzoo.from_preset(mine / "run"), ["Rote Beete in Ulm", "@x's wow\tBad\tUrach.", "☃"]
    if format == "onnx":
        rnnzoo.export(zoo, tmp_path / "out", format=format, verify=False)
        assert load(tmp_path / "out").predict(asked) == zoo.predict(asked)
        return
    (folder,) = (mine / "run" / "saved_model").glob("*/1")
    served = tf.saved_model.load(str(folder)).signatures["serving_default"](sentence=tf.constant(asked))
    assert zoo.task.answer.answers({name: one.numpy() for name, one in served.items()}) == zoo.predict(asked)
