"""Sentiment: the split, the classifier beside the scores, and a vocabulary and labels that travel with the weights."""

import collections
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import rnnzoo
from rnnzoo import tasks
from rnnzoo.building import create_task, learned_text, new_task
from rnnzoo.cli.main import cli
from rnnzoo.predicting import Predictor
from rnnzoo.registry import LEARNED, METADATA, SEEDS, UNFINISHED, load_preset
from rnnzoo.running import load
from rnnzoo.running._description import task_of
from rnnzoo.runs import Workspace
from rnnzoo.tasks._naive_bayes import NaiveBayes
from rnnzoo.tasks._scores import accuracy
from rnnzoo.tasks._task import Examples
from rnnzoo.tasks._words import words
from rnnzoo.tasks.sentiment import words_and_pairs

SMALL = ["model.units=4", "model.embedding=4", "training.epochs=2", "training.batch_size=8"]
WORDS = {"pos": ("great", "Lovely", "über-cool"), "neg": ("awful", "Dull", "schlecht"), "so-so": ("okay", "average", "fine")}
ASKED = ["The GREAT film was great, really!", "Dull.", "☃ nobody knows 'these' words", "average"]


@pytest.fixture(scope="module")
def task():
    made = tasks.create("sentiment")
    made.train()  # skips where the data are absent
    return made


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """A user's file of 60 reviews with three labels of their own."""
    draw, lines = np.random.default_rng(0), []
    for i in range(60):
        label = sorted(WORDS)[i % 3]
        lines.append(f'"The {draw.choice(["film", "book"])} no{i} was {draw.choice(WORDS[label])}, really!",{label}')
    path = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def mine(reviews, tmp_path_factory):
    """The folder of a run that was trained on them, moved to another place, and nothing else there any more."""
    folder = tmp_path_factory.mktemp("mine")
    rnnzoo.train("sentiment", data=reviews, run_dir=folder / "first", overrides=SMALL)
    return shutil.move(folder / "first", folder / "moved")


def test_no_sentence_is_on_two_sides(task):
    sides = [task.train(), task.validation(), task.first_test()]
    assert [len(side.inputs) for side in sides] == [8530, 1066, 1066]
    for side in sides:
        counts = collections.Counter(side.answers)
        assert counts["negative"] == counts["positive"]
    texts = [tuple(words(text)) for side in sides for text in side.inputs]
    assert len(set(texts)) == len(texts) == 10_662


def test_another_seed_splits_otherwise(task):
    other = tasks.create("sentiment", split_seed=1)
    assert len(set(other.first_test().inputs) & set(task.first_test().inputs)) < 200


def test_the_vocabulary_is_the_training_parts(task):
    """The shipped one is what the training part gives, and has words left for the unknown to be learned from."""
    preset = load_preset("sentiment")
    fresh = new_task(preset)
    fresh.learn(task.train())
    assert fresh.learned == create_task(preset).learned
    counts = collections.Counter(word for text in task.train().inputs for word in words(text))
    vocabulary = fresh.learned["vocabulary"]
    assert min(counts[word] for word in vocabulary) > fresh.rare
    others = set(counts) - set(vocabulary)
    assert max(counts[word] for word in others) <= max(fresh.rare, counts[vocabulary[-1]]) and len(others) > 5000
    assert [counts[word] for word in vocabulary] == sorted((counts[word] for word in vocabulary), reverse=True)


def test_naive_bayes_has_words_and_pairs(task):
    assert words_and_pairs("Not bad.") == ["not", "bad", ".", ("not", "bad"), ("bad", ".")]
    (reference,) = task.references().values()
    held_out = task.first_test()
    words_alone = accuracy(NaiveBayes(task.train(), words, 1).predict(held_out.inputs), held_out.answers)
    assert reference != words_alone and 0.75 < words_alone < 0.82 and 0.75 < reference < 0.82


def test_word_dropout(task):
    """So many words are taken for unknown, others each time, and padding is none."""
    dropping = tasks.create("sentiment", word_dropout=0.25)
    dropping.recall({"vocabulary": ["a", "b"], "labels": ["one", "two"]})
    inputs = np.tile(np.array([[1, 2, 1, 0]], np.int32), (4000, 1))
    targets, weights = np.zeros(4000, np.int32), np.ones(4000)
    varied, *rest = dropping.augment(inputs, targets, weights, np.random.default_rng(0))
    assert varied.dtype == np.int32 and rest[0] is targets and rest[1] is weights
    changed = varied != inputs
    assert (
        set(varied[changed].tolist()) == {3}
        and not changed[:, 3].any()
        and changed[:, :3].mean() == pytest.approx(0.25, abs=0.02)
    )
    other, *_ = dropping.augment(inputs, targets, weights, np.random.default_rng(1))
    assert (other != varied).any() and inputs.max() == 2


def test_own_labels_and_words(mine, reviews):
    """The vocabulary is of the reviews that were trained on, the labels are those of all of them."""
    learned = json.loads((mine / LEARNED).read_text(encoding="utf-8"))
    zoo = rnnzoo.from_preset(mine)
    assert zoo.task.answer.labels == ["neg", "pos", "so-so"] == learned["labels"]
    assert set(learned["vocabulary"]) == {"the", "was", ",", "really", "!", "film", "book"}.union(
        *({word.lower() for word in some} for some in WORDS.values())
    )
    assert zoo.model.get_layer("inputs_embedding").input_dim == len(learned["vocabulary"]) + 2
    assert zoo.model.output_shape == (None, 3)
    assert set(zoo.predict(ASKED)) <= set(zoo.task.answer.labels)
    assert rnnzoo.evaluate(zoo) == zoo.preset.metadata()["metrics"]
    assert rnnzoo.evaluate(zoo, data=reviews)["data"]["examples"] == 60


@pytest.mark.parametrize("format", ["saved-model", "onnx", "litert", "keras"])
def test_they_travel_in_every_export(format, mine, tmp_path, monkeypatch):
    """Without the data sets, and each answers with nothing but what is in it."""
    pytest.importorskip({"onnx": "onnxruntime", "litert": "ai_edge_litert"}.get(format, "keras"))
    monkeypatch.setenv("RNNZOO_DATA", str(tmp_path / "empty"))
    zoo, out = rnnzoo.from_preset(mine), tmp_path / "out"
    rnnzoo.export(zoo, out, format=format, verify=False)
    (path,) = out.rglob("rnnzoo.json")
    described = json.loads(path.read_text(encoding="utf-8"))
    assert described["input"]["vocabulary"] == list(zoo.task.input.vocabulary)
    assert described["answer"]["labels"] == ["neg", "pos", "so-so"]
    expected = zoo.predict(ASKED)
    if format == "saved-model":
        served = tf.saved_model.load(str(out / "1")).signatures["serving_default"](review=tf.constant(ASKED))
        assert [one.decode() for one in served["sentiment"].numpy()] == expected
    elif format == "keras":
        task = task_of(described, path)
        scores = keras.saving.load_model(out / "model.keras")(task.input.front(task.input.tensor(ASKED)))
        assert task.answer.answers({name: one.numpy() for name, one in task.answer.back(scores, None).items()}) == expected
    else:
        runner = load(out)
        assert runner.predict(ASKED) == expected
        np.testing.assert_allclose(runner.scores(ASKED), zoo.scores(ASKED), atol=1e-4)


def test_a_word_a_line(mine):
    """In one direction it streams, words at a time; in both it says why it cannot."""
    preset = load_preset(mine, ["model.bidirectional=false"])
    zoo = Predictor(rnnzoo.build(preset, seed=1), preset, create_task(preset))
    stream, found = zoo.stream(), []
    for word in ("The", "film", "was", b"GREAT", "!", "☃"):
        found.append(word.decode() if isinstance(word, bytes) else word)
        assert stream.push(word) == zoo.predict([" ".join(found)])[0]
        np.testing.assert_allclose(stream.scores, zoo.scores([" ".join(found)])[0], atol=1e-5)
    with pytest.raises(rnnzoo.InputError, match=r"timestep 7: 'so good' is 2 words \(so, good\); expected one a timestep"):
        stream.push("so good")
    assert not stream.takes("") and zoo.predict([["The", "film"]]) == zoo.predict(["the film"])
    done = CliRunner().invoke(cli, ["predict", str(mine), "--stream", "-"], input="good\n")
    assert done.exit_code == 2 and "both directions" in done.output and len(done.output.splitlines()) == 1


def test_an_unfinished_run_has_its_words(mine, tmp_path):
    """From its beginning, and it does not go on with others."""
    zoo, folder = rnnzoo.from_preset(mine), tmp_path / "run"
    text = (mine / "preset.toml").read_text(encoding="utf-8")
    about = {"epochs": 2, "state": "running"}
    Workspace.begin(folder, text, None, about, False, learned_text(zoo.preset, zoo.task)).close()
    kept = folder / UNFINISHED / LEARNED
    assert kept.read_bytes() == (mine / LEARNED).read_bytes()
    assert create_task(load_preset(folder / UNFINISHED)).learned == zoo.task.learned
    work = Workspace.take_over(folder, {})
    work.set_state("interrupted")
    work.close()
    kept.write_text(kept.read_text(encoding="utf-8").replace('"the"', '"thy"'), encoding="utf-8")
    with pytest.raises(rnnzoo.InputError, match=r"learned\.json: changed since the run began"):
        Workspace.take_over(folder, {})


def test_other_options_need_other_words(task):
    """An option that is changed makes the folder's vocabulary another one's, which is then not taken."""
    assert create_task(load_preset("sentiment")).learned is not None
    fewer = load_preset("sentiment", ["task_options.vocabulary=50"])
    assert create_task(fewer).learned is None
    assert rnnzoo.build(fewer).get_layer("inputs_embedding").input_dim == 52
    with pytest.raises(rnnzoo.InputError, match="changed since the weights were trained"):
        rnnzoo.building.load_trained(fewer)


def test_damaged_vocabularies(mine, tmp_path):
    def broken(change):
        folder = tmp_path / change.__name__
        shutil.copytree(mine, folder)
        change(folder / LEARNED)
        with pytest.raises(rnnzoo.InputError) as error:
            rnnzoo.from_preset(folder)
        assert "\n" not in str(error.value) and "learned.json" in str(error.value)
        return str(error.value)

    def missing(path):
        path.unlink()

    def altered(path):
        path.write_text(path.read_text(encoding="utf-8").replace('"the"', '"thy"'), encoding="utf-8")

    def truncated(path):
        path.write_text(path.read_text(encoding="utf-8")[:40], encoding="utf-8")

    def without_labels(path):
        content = json.loads(path.read_text(encoding="utf-8"))
        del content["labels"]
        path.write_text(json.dumps(content), encoding="utf-8")
        metadata = json.loads((path.parent / METADATA).read_text())
        metadata["learned_sha256"] = rnnzoo.building.sha256(path)
        (path.parent / METADATA).write_text(json.dumps(metadata))

    assert "missing; train again" in broken(missing)
    assert "the checksum is not the one in metadata.json" in broken(altered)
    assert "the checksum" in broken(truncated)
    assert "damaged (KeyError('labels'))" in broken(without_labels)
    (tmp_path / "truncated" / METADATA).unlink()
    with pytest.raises(rnnzoo.InputError, match=r"learned.json: damaged \(JSONDecodeError"):
        create_task(load_preset(tmp_path / "truncated"))


def test_reviews_that_teach_nothing(tmp_path):
    (tmp_path / "one.csv").write_text("\n".join(f"film {i},good" for i in range(9)))
    (tmp_path / "empty.csv").write_text("\n".join(f"film {i},{'good' if i else ''}" for i in range(9)))
    (tmp_path / "other.csv").write_text("A fine film.,positive\nA poor film.,bad\n")
    for arguments, said in (
        (["train", "sentiment", "--data", "one.csv"], "one.csv: every answer is 'good'; expected at least two labels"),
        (["train", "sentiment", "--data", "empty.csv"], "empty.csv, line 1: the sentiment is empty; expected a label"),
        (
            ["evaluate", "sentiment", "--data", "other.csv"],
            "other.csv, line 2: 'bad' is no answer; expected one of negative, ",
        ),
        (["train", "sentiment", "--set", "task_options.vocabulary=0"], "vocabulary=0 and rare=1; expected at least 1 and 0"),
        (
            ["train", "sentiment", "--set", "task_options.word_dropout=1.0"],
            "word_dropout=1.0: expected from 0 up to but not",
        ),
    ):
        arguments = [str(tmp_path / one) if one.endswith(".csv") else one for one in arguments]
        done = CliRunner().invoke(cli, [*arguments, *(["-o", str(tmp_path / "run")] if arguments[0] == "train" else [])])
        assert done.exit_code == 2 and said in done.output and len(done.output.splitlines()) == 1, done.output
    assert not (tmp_path / "run").exists()


def test_labels_are_learned_in_order():
    made = tasks.create("sentiment")
    assert made.answer.parse("whatever") == "whatever" and made.learned is None
    made.learn(Examples(["a", "a b", "b"], ["x", "z", "x"]), Examples(["c"], ["y"]))
    assert made.learned == {"vocabulary": ["a", "b"], "labels": ["x", "y", "z"]}
    again = tasks.create("sentiment")
    again.recall(json.loads(json.dumps(made.learned)))
    assert again.learned == made.learned and again.answer.targets(["z"])[0].tolist() == [2]
    with pytest.raises(rnnzoo.InputError, match="'whatever' is no answer; expected one of x, y, z"):
        made.answer.parse("whatever")


def test_a_bag_of_words_is_ahead():
    """As the card says."""
    runs = json.loads((load_preset("sentiment").folder / SEEDS).read_text())["seeds"].values()
    figures = [(run["held_out"]["accuracy"], run["held_out"]["naive_bayes_accuracy"]) for run in runs]
    assert len(figures) >= 3 and np.mean([own for own, _ in figures]) >= 0.755
    assert "naive Bayes" in load_preset("sentiment").limits
