"""Names and Shakespeare: the parts, n-grams beside the scores, an input that says nothing, hidden characters, own texts."""

import collections
import math

import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo import data, epochs, results, tasks
from rnnzoo.cards import reaches, summary
from rnnzoo.evaluating import read_split
from rnnzoo.registry import Source, load_preset
from rnnzoo.running import _tensors
from rnnzoo.tasks._constant import ConstantInput
from rnnzoo.tasks._next import NextCharacterAnswer
from rnnzoo.tasks._ngrams import Ngrams
from rnnzoo.tasks.baby_names import NAMES
from rnnzoo.tasks.shakespeare import ALPHABET, HIDDEN, TEXT
from rnnzoo.userdata import read


@pytest.fixture(scope="module")
def made():
    """A task's name -> the task, its parts made once; skips where the data are absent."""
    found = {name: tasks.create(name) for name in ("baby_names", "shakespeare")}
    for task in found.values():
        task.train()
    return found


def test_no_name_is_on_two_sides(made):
    task = made["baby_names"]
    sides = [task.train().answers, task.validation().answers, task.first_test().answers]
    assert [len(side) for side in sides] == [25631, 3218, 3184] and sum(map(len, sides)) == 32_033
    assert len(set().union(*sides)) == sum(len(set(side)) for side in sides) == 29_494
    assert sorted(name for side in sides for name in side) == sorted(data.read(NAMES).decode().split())
    assert max(map(len, task.train().answers)) == task.answer.max_length
    assert set(tasks.create("baby_names", split_seed=1).first_test().answers) != set(sides[2])


def test_the_parts_of_the_text(made):
    """Each is one text, every character of which but the first is to be predicted."""
    task, text = made["shakespeare"], data.read(TEXT).decode()
    parts = [task.validation(), task.train(), task.first_test()]
    begin = 0
    for part, length in zip(parts, [55_769, 948_085, 111_540], strict=True):
        assert "".join(part.inputs) == text[begin : begin + length - 1]
        assert "".join(part.answers) == text[begin + 1 : begin + length]
        begin += length
    assert begin == len(text) and "".join(sorted(set(text))) == ALPHABET
    assert all(len(raw) == len(answer) for part in parts for raw, answer in zip(part.inputs, part.answers, strict=True))


def test_some_characters_are_hidden(made):
    task = made["shakespeare"]
    inputs = np.random.default_rng(0).integers(0, 66, 200_000)
    before = inputs.copy()
    found, targets, weights = task.augment(inputs, 1, 2, np.random.default_rng(1))
    hidden = found != inputs
    assert (inputs == before).all() and (targets, weights) == (1, 2)
    assert (found[hidden] == task.input.unknown).all() and not hidden[inputs == 0].any()
    assert hidden.mean() == pytest.approx(HIDDEN * 65 / 66, rel=0.15)


def test_ngrams(rng):
    """Against the rule written with dictionaries; and the probabilities of all that may come add up to one."""
    sequences = [rng.integers(1, 5, size).astype(np.int32) for size in (30, 1, 7)]
    ngrams = Ngrams(sequences, 3, 4)
    counts = collections.defaultdict(collections.Counter)
    for sequence in sequences:
        padded = [0, 0, *sequence.tolist()]
        for i in range(2, len(padded)):
            for length in range(3):
                counts[tuple(padded[i - length : i])][padded[i]] += 1

    def probability(symbol, before, order):
        p = 1 / 4
        for length in range(order):
            after = counts[tuple(before[len(before) - length :])]
            if after:
                p = (after[symbol] + len(after) * p) / (after.total() + len(after))
        return p

    held_out = [rng.integers(1, 5, 20).astype(np.int32), np.array([3], np.int32)]
    for order in (1, 2, 3):
        costs = []
        for sequence in held_out:
            padded = [0, 0, *sequence.tolist()]
            costs += [-math.log(probability(padded[i], padded[i - 2 : i], order)) for i in range(2, len(padded))]
        assert ngrams.nats(held_out, order) == pytest.approx(np.mean(costs))
    for begin in ([], [2], [4, 1]):
        came = [math.exp(-_last(ngrams, begin, symbol)) for symbol in range(1, 5)]
        assert sum(came) == pytest.approx(1)


def _last(ngrams, begin, symbol):
    """What the last symbol of a sequence costs."""
    whole = ngrams.nats([np.array([*begin, symbol])], 3) * (len(begin) + 1)
    return whole - (ngrams.nats([np.array(begin)], 3) * len(begin) if begin else 0)


def test_an_input_that_says_nothing():
    start = ConstantInput("start", "the network")
    assert start.check("start") == start.check(b"start") == start.join(list("start"), False) == "start"
    for wrong in ("", "emma", "Start", 3, None, "start "):
        with pytest.raises(rnnzoo.InputError, match="expected the word start: nothing else goes into the network"):
            start.check(wrong)
    ones = start.front(start.tensor(["start"] * 3)).numpy()
    np.testing.assert_array_equal(ones, _tensors.front(start.describe(), ["start"] * 3))
    assert ones.tolist() == [[1.0]] * 3
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected the word start"):
        start.front(tf.constant(["start", "emma"]))


def test_next_characters():
    answer = NextCharacterAnswer("next", "ab\n")
    outputs = np.eye(3, dtype=np.float32)[[[0, 1, 2], [2, 2, 0]]]
    inputs = np.array([[1, 2, 1], [3, 1, 0]])
    named = {name: tensor.numpy() for name, tensor in answer.back(tf.constant(outputs), tf.constant(inputs)).items()}
    assert answer.answers(named) == ["ab\n", "\n\n"]
    assert answer.answers(_tensors.back(answer.describe(), outputs, inputs)) == ["ab\n", "\n\n"]
    targets, weights = answer.targets(["ab\n", "\n\n"])
    assert targets.tolist() == [[0, 1, 2], [2, 2, 0]] and weights.tolist() == [[1, 1, 1], [1, 1, 0]]
    for wrong in ("", "abc", "a☃"):
        with pytest.raises(rnnzoo.InputError, match=r"empty|never comes"):
            answer.parse(wrong)


def test_nats_are_the_better_the_lower():
    seeds = {"seeds": {"0": {"held_out": {"nats_per_character": 1.5}}, "1": {"held_out": {"nats_per_character": 1.7}}}}
    assert summary(seeds)["held_out", "nats_per_character"] == (pytest.approx(1.6), 1.7)
    assert reaches("nats_per_character", 1.5, 1.6) and not reaches("nats_per_character", 1.7, 1.6)
    assert reaches("accuracy", 0.9, 0.8) and not reaches("accuracy", 0.7, 0.8)


@pytest.mark.parametrize("name", ["baby-names", "shakespeare"])
def test_the_weights_are_better_than_ngrams(name):
    for metrics in load_preset(name).metadata()["metrics"].values():
        assert all(metrics["nats_per_character"] < value for key, value in metrics.items() if key.endswith("gram_nats"))


@pytest.mark.parametrize("at", [1, 7, 40, 299, 300, 301, 450, 700])
@pytest.mark.parametrize(("wrong", "said"), [("☃", "'☃' never comes in the answer"), ("\udce9", "not UTF-8")])
def test_a_character_that_never_comes_is_told_of_by_its_place(at, wrong, said, tmp_path):
    text = ("To be,\nor not to be.\n\n" * 40)[:at] + wrong + ("To be,\nor not to be.\n\n" * 40)[at + 1 :]
    (tmp_path / "own.txt").write_text(text, errors="surrogateescape")
    task = tasks.create(load_preset("shakespeare").task)
    line, column = text[:at].count("\n") + 1, at - text.rfind("\n", 0, at)
    with pytest.raises(rnnzoo.InputError) as error:
        read(Source(tmp_path / "own.txt"), task)
    assert str(error.value) == f"{tmp_path / 'own.txt'}, line {line}, column {column}: {said}"
    assert read(Source(tmp_path / "own.txt", skip_bad=True), task).skipped[0] == str(error.value)


OWN = {
    "baby-names": ("anna\nbob\nclara\nanna\ndora\neve\n", ["model.units=4", "training.epochs=1"]),
    "shakespeare": ("To be, or not to be. " * 60, ["model.units=4", "training.epochs=1", "training.truncate=8"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(OWN))
def test_a_text_of_your_own(name, tmp_path, monkeypatch):
    """A name a line, or one text, of which the last part is held out."""
    monkeypatch.setattr(epochs, "knows_xla", lambda model: False)
    monkeypatch.setattr(results, "write_saved_model", lambda predictor, folder: None)
    text, overrides = OWN[name]
    (tmp_path / "own.txt").write_text(text)
    task = tasks.create(load_preset(name).task)
    train, held_out = read_split(Source(tmp_path / "own.txt"), task)
    if name == "shakespeare":
        assert "".join(train.inputs + held_out.inputs) == text[:-1] and len(held_out.inputs) == 3
    else:
        assert sorted(train.answers + held_out.answers) == ["anna", "anna", "bob", "clara", "dora", "eve"]
        assert len(held_out.answers) >= 1 and not set(train.answers) & set(held_out.answers)
    run = rnnzoo.train(name, run_dir=tmp_path / "run", data=tmp_path / "own.txt", overrides=overrides)
    assert set(run.metrics["held_out"]) == {"examples", "nats_per_character"}
    assert rnnzoo.generate(tmp_path / "run", count=2, seed=0, length=5)
    (tmp_path / "own.txt").write_text(text + "\a" * 3)  # no letter
    with pytest.raises(rnnzoo.InputError, match=r"own.txt, line \d+"):
        rnnzoo.train(name, run_dir=tmp_path / "other", data=tmp_path / "own.txt")
