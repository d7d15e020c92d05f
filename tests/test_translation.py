"""Translation: the pairs and their split, BLEU, the translation memory, and an encoder-decoder with context end to end."""

import json

import numpy as np
import pytest

import rnnzoo
from rnnzoo import tasks
from rnnzoo.building import as_taught, create_task
from rnnzoo.predicting import Predictor
from rnnzoo.tasks._bleu import bleu
from rnnzoo.tasks._task import Examples
from rnnzoo.tasks.translation import nearest_answers

pytest.importorskip("sacrebleu", reason="the extra `translation` is absent")


@pytest.fixture(scope="module")
def task():
    made = tasks.create("translation")
    made.train()  # skips where the data are absent
    return made


def plain(english):
    """Its letters and digits, apostrophes apart."""
    return "".join(filter(str.isalnum, english.lower()))


def test_the_split(task):
    parts = task.train(), task.validation(), task.first_test()
    counts = [len(part.inputs) for part in parts]
    assert sum(counts) > 89_000 and counts[0] > 0.89 * sum(counts)
    told_apart = [{plain(raw) for raw in part.inputs} for part in parts]
    assert not told_apart[0] & (told_apart[1] | told_apart[2]) and not told_apart[1] & told_apart[2]
    pairs = [pair for part in parts for pair in zip(part.inputs, part.answers, strict=True)]
    assert len(set(pairs)) == len(pairs) and ("I am cold.", "J'ai froid.") in pairs
    assert all(len(english.split()) <= 6 for english, _ in pairs)
    assert not any(set(french) & set("\u202f\u00a0\u2009\u200b’") for _, french in pairs)


def test_what_is_learned_travels(task):
    few = task.train().take(range(0, 80_000, 40))
    other = tasks.create("translation", vocabulary=300, pieces=200)
    assert other.learned is None
    other.learn(few, Examples(["Never mind."], ["Ω"]))
    assert len(other.learned["vocabulary"]) == 300 and "Ω" in other.learned["alphabet"]
    again = tasks.create("translation", vocabulary=300, pieces=200)
    again.recall(json.loads(json.dumps(other.learned)))
    assert again.learned == other.learned
    np.testing.assert_array_equal(again.answer.targets(few.answers)[0], other.answer.targets(few.answers)[0])


def test_bleu_counts_every_reference():
    right = [["Il fait très froid ici.", "Il fait froid ici."], ["Je ne sais pas."]]
    for given in (["Il fait froid ici.", "Je ne sais pas."], ["Il fait très froid ici.", "Je ne sais pas."]):
        score, signature = bleu(given, right)
        assert score == pytest.approx(100) and "tok:13a" in signature and "case:mixed" in signature
    # By hand: 9 of 10 words, 7 of 8 pairs, 5 of 6 triples and 3 of 4 fours are right, and nothing is too short.
    score, _ = bleu(["Il fait froid ici.", "Je ne sais rien."], [["Il fait froid ici."], ["Je ne sais pas."]])
    assert score == pytest.approx(100 * (9 / 10 * 6 / 8 * 4 / 6 * 2 / 4) ** 0.25)


def test_scores_are_of_sentences_not_of_pairs():
    """An input that stands there twice, with two answers, is judged once, by both of them."""
    task = tasks.create("translation")
    examples = Examples(["Go.", "Go.", "I know it well."], ["Va.", "Allez.", "Je le sais bien."])
    found = task.score(examples, ["Allez.", "Allez.", "Je le sais bien."])
    assert found == {"bleu": pytest.approx(100), "exact_match": 1.0}
    assert task.score(examples, ["Allons.", "Allons.", "Je le sais bien."])["exact_match"] == 0.5


def test_the_translation_memory():
    examples = Examples(["I am cold.", "Where is it?", "I am old."], ["a", "b", "c"])
    assert nearest_answers(examples, ["am I old", "where?", "xyz", "I am cold."]) == ["c", "b", "a", "a"]


def test_what_is_exchanged_in_training(task, rng):
    few = task.train().take(range(0, 80_000, 400))
    other = tasks.create("translation", word_dropout=0.3, piece_dropout=0.4, pieces=100)
    other.learn(few)
    targets, weights = other.answer.targets(few.answers)
    source = other.input.front(other.input.tensor(few.inputs)).numpy()
    fed = np.concatenate([np.full_like(targets[:, :1], other.answer.end_token), targets[:, :-1]], axis=1) * (targets != 0)
    found, *rest = other.augment({"source": source, "target": fed}, targets, weights, rng)
    assert rest[0] is targets and rest[1] is weights
    changed = found["source"] != source
    assert (found["source"][changed] == other.input.unknown).all() and not changed[source == 0].any()
    known = (source != 0) & (source != other.input.unknown)
    assert changed[known].mean() == pytest.approx(0.3, abs=0.05)
    exchanged = found["target"] != fed
    able = (fed != 0) & (fed != other.answer.end_token)
    assert not exchanged[~able].any() and exchanged[able].mean() == pytest.approx(0.4, abs=0.05)
    assert found["target"].max() <= other.answer.end_token and (found["target"][able] > 0).all()


@pytest.mark.parametrize("options", [{"pieces": 0}, {"rare": -1}, {"word_dropout": 1}, {"piece_dropout": -0.1}])
def test_options_out_of_range(options):
    with pytest.raises(rnnzoo.InputError, match=f"task_options.{next(iter(options))}="):
        tasks.create("translation", **options)


# The encoder's state at every step


SLOW = [pytest.param(format, marks=pytest.mark.slow) for format in ("saved-model", "litert")]


@pytest.mark.parametrize("format", ["onnx", *SLOW])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
def test_context_in_every_format(format, bidirectional, tmp_path, rng):
    """What is the same at every step goes along with the states; every format writes what the model writes."""
    pytest.importorskip({"onnx": "onnxruntime", "litert": "ai_edge_litert", "saved-model": "tensorflow"}[format])
    changes = [f"model.bidirectional={json.dumps(bidirectional)}", "model.context=true", "model.units=5"]
    preset = rnnzoo.load_preset("addition", [*changes, "model.layers=2", "model.readout_dropout=0.3"])
    model, task = rnnzoo.build(preset), create_task(preset)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    zoo = Predictor(model, preset, task)
    raw = ["1+2", "35+61", "999+1", "0+0"]
    rnnzoo.export(zoo, tmp_path / "out", format=format)  # which holds it against the model
    if format != "saved-model":
        runner = rnnzoo.running.load(tmp_path / "out")
        assert runner.predict(raw) == zoo.predict(raw)
        np.testing.assert_allclose(runner.scores(raw[:1]), zoo.scores(raw[:1]), atol=1e-4)
    # A step at a time what the whole gives with what was written as its target.
    written, outputs = zoo.serving.decoder(task.input.front(task.input.tensor(raw)))
    _, inputs, *_ = as_taught(preset, model, task, raw, zoo.predict(raw))
    whole = model(inputs).numpy()
    steps = min(whole.shape[1], outputs.shape[1])
    used = (written.numpy() != 0)[:, :steps] & (inputs["target"] != 0)[:, :steps]
    np.testing.assert_allclose(outputs.numpy()[:, :steps][used], whole[:, :steps][used], atol=1e-4)
