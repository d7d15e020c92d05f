"""Surnames: the split, the classifier beside the scores, text of any characters, and what works without the data."""

import collections
import json

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import rnnzoo
from rnnzoo import data, tasks
from rnnzoo.cli.main import cli
from rnnzoo.registry import SEEDS, list_presets, load_preset
from rnnzoo.running import _tensors
from rnnzoo.tasks._naive_bayes import NaiveBayes
from rnnzoo.tasks._open_text import OpenTextInput
from rnnzoo.tasks._pairs import PairsInput, common_pairs
from rnnzoo.tasks._scores import accuracy, macro_f1
from rnnzoo.tasks._task import Examples
from rnnzoo.tasks.surnames import ALPHABET, LANGUAGES, RARE, trigrams

ON_DATA = [
    name
    for name in list_presets()
    if tasks.create(load_preset(name).task, **load_preset(name).task_options).source != "generated"
]


@pytest.fixture(scope="module")
def task():
    made = tasks.create("surnames")
    made.train()  # skips where the data are absent
    return made


def test_no_name_is_on_two_sides(task):
    sides = [task.train(), task.validation(), task.first_test()]
    assert [len(side.inputs) for side in sides] == [14426, 1794, 1792]
    spellings = [{name.casefold() for name in side.inputs} for side in sides]
    assert len(set().union(*spellings)) == sum(map(len, spellings))
    pairs = [pair for side in sides for pair in zip(side.inputs, side.answers, strict=True)]
    assert len(pairs) == len(set(pairs)) == 18012
    assert max(collections.Counter(name for name, _ in pairs).values()) == 6


def test_every_language_has_its_tenth(task):
    counts = [collections.Counter(side.answers) for side in (task.train(), task.validation(), task.first_test())]
    assert all(set(count) == set(LANGUAGES) for count in counts)
    for language in LANGUAGES:
        total = sum(count[language] for count in counts)
        for count in counts[1:]:  # but for names that several languages have
            assert count[language] == pytest.approx(total / 10, abs=max(2, 0.02 * total))


def test_another_seed_splits_otherwise(task):
    other = tasks.create("surnames", split_seed=1)
    assert set(other.first_test().inputs) != set(task.first_test().inputs)


def test_the_alphabet_is_that_of_the_training_part(task):
    counts = collections.Counter(character for name in set(task.train().inputs) for character in set(name))
    assert "".join(sorted(c for c, count in counts.items() if count >= RARE)) == ALPHABET
    learned = tasks.create("surnames")
    learned.learn(task.train())
    assert learned.input.alphabet == ALPHABET and learned.answer.labels == sorted(LANGUAGES)
    rare = [name for name in task.train().inputs if set(name) - set(ALPHABET)]
    assert len(rare) == 21  # what an unknown character means is learned from these


def test_naive_bayes():
    """By hand; what was never seen is likelier where little was seen."""
    assert trigrams("Li") == ["^^L", "^Li", "Li$", "i$$"]
    bayes = NaiveBayes(Examples(["ab", "ab", "ac", "xy"], ["one", "one", "one", "two"]), trigrams, 0.3)
    assert bayes.predict(["ab", "xy", "x", "", "☃"]) == ["one", "two", "two", "two", "two"]
    prior, known, unseen = bayes._scores["one"]
    # 12 trigrams of "one", of 7 kinds; with those of "two" and one for the unseen there are 12 kinds.
    assert prior == np.log(3)
    assert known["^^a"] == pytest.approx(np.log(3.3 / (12 + 0.3 * 12))) and unseen == pytest.approx(np.log(0.3 / 15.6))


def test_accuracy_and_macro_f1():
    given, right = ["a", "a", "b", "c"], ["a", "b", "b", "b"]
    assert accuracy(given, right) == 0.5
    assert macro_f1(given, right) == pytest.approx((2 / 3 + 2 / 4 + 0) / 3)
    assert macro_f1(right, right) == 1


def test_the_weights_are_above_naive_bayes():
    """In both metrics, with every seed."""
    for run in json.loads((load_preset("surnames").folder / SEEDS).read_text())["seeds"].values():
        assert run["held_out"]["accuracy"] > run["held_out"]["naive_bayes_accuracy"]
        assert run["held_out"]["macro_f1"] > run["held_out"]["naive_bayes_macro_f1"]


def test_references_are_those_of_the_tests_alone(task, tmp_path):
    zoo = rnnzoo.from_preset("surnames")
    (tmp_path / "own.csv").write_text("Nakamura,Japanese\nKowalczyk,Polish\n")
    assert set(rnnzoo.evaluate(zoo, data=tmp_path / "own.csv")["data"]) == {"examples", "accuracy", "macro_f1"}
    assert set(task.references()) == {"naive_bayes_accuracy", "naive_bayes_macro_f1"}


STRANGE = [
    "☃",
    "Łukasz",
    "a" * 300,
    "e\u0301",
    "\ufeffLi",
    "Li\ufffe",
    "N\0",
    "😀Kim",
    "\u2028",
    " ",
    "Li\n",
    "\ufffd",
    "ſ",
    "~\x7f",
]


@pytest.fixture(scope="module")
def text():
    return OpenTextInput("name", "abié", "a name", "bia")


def test_the_fronts_give_every_character_an_id(text):
    checked = [text.check(raw) for raw in [*STRANGE, "abié", "Zab\u00e9"]]
    ids = _tensors.front(json.loads(json.dumps(text.describe())), checked)
    graph = text.front(text.tensor(checked)).numpy()
    np.testing.assert_array_equal(ids, graph)
    assert ids.dtype == graph.dtype == np.int32 and ids.max() == text.unknown == 5 == text.vocabulary_size - 1
    assert ids[-2, :5].tolist() == [1, 2, 3, 4, 0] and ids[-1, :5].tolist() == [5, 1, 2, 4, 0]
    assert [np.count_nonzero(row) for row in ids] == [text.steps(one) for one in checked]


# Pairs


@pytest.fixture(scope="module")
def pairs():
    return PairsInput("name", "abAIé", [" a", "ab", "ba", "\ufffda", "éi"], "a name", "bia", most=9)


def test_pairs_that_enough_texts_have():
    texts = ["Ab", "ab", "bab", "☃a", "☃ab", "xx"]
    assert common_pairs(texts, "abA", 2) == [" a", " \ufffd", "ab", "\ufffda"]
    assert common_pairs(texts, "abA", 4) == ["ab"]


def test_every_character_comes_with_its_pair(pairs):
    """In the graph, in NumPy, and by hand; in a batch and alone."""
    checked = [pairs.check(raw) for raw in [*STRANGE, "abba", "ABab", "éI☃a", "a"]]
    ids = _tensors.front(json.loads(json.dumps(pairs.describe())), checked)
    graph = pairs.front(pairs.tensor(checked)).numpy()
    np.testing.assert_array_equal(ids, graph)
    assert ids.dtype == graph.dtype == np.int32 and ids.max() < pairs.vocabulary_size == 12
    about = json.loads(json.dumps(pairs.describe()))
    np.testing.assert_array_equal(_tensors.used(about, ids).sum(axis=1), list(map(pairs.steps, checked)))
    for text, row in zip(checked, ids, strict=True):
        before = " "
        for character, (one, two) in zip(text, row, strict=False):
            assert one == (pairs.alphabet.index(character) + 1 if character in pairs.alphabet else pairs.unknown)
            now = character.lower() if character in pairs.alphabet else "\ufffd"
            assert two == (pairs.pairs.index(before + now) + 7 if before + now in pairs.pairs else 0)
            before = now
        assert not row[len(text) :].any()
        np.testing.assert_array_equal(pairs.front(pairs.tensor([text])).numpy()[0], row[: len(text)])


def test_a_pair_is_no_timestep(pairs):
    with pytest.raises(rnnzoo.InputError, match="a timestep is a character and the one before it"):
        pairs.timestep("a")


@pytest.mark.slow
def test_names_of_ones_own(tmp_path):
    """With an alphabet and labels of their own, which travel with the weights."""
    rows = [f"{start}{end},{label}" for label, start in (("greek", "Παπα"), ("thai", "สม")) for end in ("α", "β", "γ", "δ")]
    path = tmp_path / "names.csv"
    path.write_text("\n".join(f"{row.replace(',', str(i) + ',')}" for row in rows for i in range(5)), encoding="utf-8")
    small = ["model.units=4", "training.epochs=1"]
    run = rnnzoo.train("surnames", run_dir=tmp_path / "run", data=path, overrides=small)
    path.unlink()
    zoo = rnnzoo.from_preset((tmp_path / "run").rename(tmp_path / "moved"))
    assert zoo.task.answer.labels == ["greek", "thai"] and set("Παπαส") <= set(zoo.task.input.alphabet)
    assert zoo.predict(["Παπαα1"]) == run.predictor.predict(["Παπαα1"])
    rnnzoo.export(zoo, tmp_path / "names.onnx", format="onnx")
    from rnnzoo.running import load

    assert load(tmp_path / "names.onnx").predict(["Παπαα1", "สมβ2"]) == zoo.predict(["Παπαα1", "สมβ2"])


def test_what_is_no_unicode_is_unknown(text):
    assert text.check(b"a\xffb") == "a\ufffdb" and text.check("a\udcffb") == "a\ufffdb"
    assert text.check("\ud83d\ude00") == "😀"
    for raw, message in (("", "the name is empty"), (b"", "is empty"), (5, "int 5 is no text"), (None, "is no text")):
        with pytest.raises(rnnzoo.InputError, match=message):
            text.check(raw)
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected a name; got an empty string"):
        text.front(tf.constant(["a", ""]))


def test_single_timesteps_and_rows(text):
    assert [text.timestep(one) for one in ("a", b"b", "é", "☃", 3, 5)] == [1, 2, 4, 5, 3, 5]
    assert text.join([1, 2, 5, 0, 0], padded=True) == "ab\ufffd"
    for wrong in ("ab", "", 6, 0):
        with pytest.raises(rnnzoo.InputError):
            text.timestep(wrong)


def test_a_file_comes_before_a_name(tmp_path, monkeypatch):
    """Any text is a surname; the name of a file that is there means the file, as everywhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text("Nakamura\nPapadopoulos\n")
    found = CliRunner().invoke(cli, ["predict", "surnames", "names.txt", "--json"])
    assert [one["input"] for one in json.loads(found.output)] == ["Nakamura", "Papadopoulos"]
    (tmp_path / "names.txt").unlink()
    found = CliRunner().invoke(cli, ["predict", "surnames", "names.txt", "☃", "--json"])
    assert [one["input"] for one in json.loads(found.output)] == ["names.txt", "☃"]


@pytest.mark.parametrize(
    "name", [name if name in ("surnames", "sentiment") else pytest.param(name, marks=pytest.mark.slow) for name in ON_DATA]
)
def test_without_the_data(name, tmp_path, monkeypatch):
    """All that needs no examples works; the rest says in one line what to fetch."""
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is absent")
    monkeypatch.setenv("RNNZOO_DATA", str(tmp_path / "empty"))
    assert not data.cache().exists()
    zoo = rnnzoo.from_preset(name)
    example = load_preset(name).metadata()["examples"][0]
    for arguments in (
        ["list"],
        ["info", name],
        ["build", name],
        ["predict", name, str(example["input"])],
        ["explain", name, str(example["input"])],
        ["export", name, "--format", "onnx", "-o", str(tmp_path / "model")],
        ["run", str(tmp_path / "model"), str(example["input"])],
    ):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
    assert len(zoo.task.raw_inputs()) >= 8
    for arguments in (["train", name, "-o", str(tmp_path / "run")], ["evaluate", name]):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 1 and len(done.output.splitlines()) == 1
        assert "missing, and the download failed" in done.output and "download https://" in done.output
    assert {path.name for path in tmp_path.iterdir()} == {"model"}
