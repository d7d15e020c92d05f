"""Temporal order, copying memory, and what they need: a label at every timestep, the shift start."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo import tasks
from rnnzoo.layers import Shift, Timescales
from rnnzoo.running import _tensors
from rnnzoo.tasks._labels import LabelsAnswer

# The shift


def test_the_shift_moves_every_state_on():
    kernel = Shift()((5, 5)).numpy()
    states = np.arange(5.0)
    np.testing.assert_array_equal(states @ kernel, np.roll(states, 1))
    np.testing.assert_array_equal(kernel @ kernel.T, np.eye(5))
    with pytest.raises(ValueError, match=r"square matrix; the shape is \(5, 4\)"):
        Shift()((5, 4))


def test_the_shift_by_name(tmp_path):
    """A linear layer with it is a shift register: what came in is there again after as many timesteps as there are units."""
    model = rnnzoo.many_to_many(features=1, outputs=1, units=4, activation="linear", recurrent_initializer="shift")
    hidden, readout = model.get_layer("hidden"), model.get_layer("readout")
    hidden.cell.kernel.assign([[1, 0, 0, 0]])
    readout.kernel.assign([[0], [0], [0], [1]])
    numbers = np.array([[[1], [2], [3], [0], [0], [0]]], "float32")
    np.testing.assert_array_equal(model(numbers)[0, :, 0], [0, 0, 0, 1, 2, 3])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(again.get_layer("hidden").cell.recurrent_initializer, Shift)
    with pytest.raises(rnnzoo.InputError, match=r"'shfit' is no initializer that Keras knows \(did you mean 'shift'\?\)"):
        rnnzoo.many_to_one(features=1, outputs=1, recurrent_initializer="shfit")


# Paces of forgetting


def test_timescales_are_spread_over_their_logarithm():
    keras.utils.set_random_seed(3)
    kernel = Timescales()((400, 400)).numpy()
    u = 1 - np.diag(kernel)
    np.testing.assert_array_equal(kernel, np.diag(np.diag(kernel)))
    assert 0.001 <= u.min() < 0.0012 and 0.27 < u.max() <= 0.3
    # A third of them within each third of the logarithm.
    thirds = np.histogram(np.log(u), np.linspace(np.log(0.001), np.log(0.3), 4))[0]
    assert (np.abs(thirds - 400 / 3) < 30).all()
    assert not np.array_equal(kernel, Timescales()((400, 400)))
    np.testing.assert_array_equal(Timescales(seed=4)((5, 5)), Timescales(seed=4)((5, 5)))
    for wrong in ({"least": 0}, {"most": 1}, {"least": 0.5, "most": 0.4}):
        with pytest.raises(ValueError, match="0 < least <= most < 1"):
            Timescales(**wrong)
    with pytest.raises(ValueError, match=r"square matrix; the shape is \(5, 4\)"):
        Timescales()((5, 4))


def test_timescales_by_name(tmp_path):
    """A layer of them forgets, unit by unit, at its own pace."""
    model = rnnzoo.many_to_one(
        features=1, outputs=1, units=4, activation="linear", recurrent_initializer="timescales", use_bias=False
    )
    hidden = model.get_layer("hidden")
    hidden.cell.kernel.assign([[1, 1, 1, 1]])
    numbers = np.array([[[1], [0], [0], [0]]], "float32")
    np.testing.assert_allclose(hidden(numbers)[0], np.diag(hidden.cell.recurrent_kernel) ** 3, rtol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").get_layer("hidden").cell.recurrent_initializer
    assert isinstance(again, Timescales) and (again.least, again.most) == (0.001, 0.3)


# Labels

ANSWER = LabelsAnswer("tags", ["A", "B", "C"])


@pytest.mark.parametrize("joined", [False, True])
def test_labels_there_and_back(joined, rng):
    answer = LabelsAnswer("tags", "ABC", joined=joined)
    meant = ["CAB", "B"] if joined else [["C", "A", "B"], ["B"]]
    assert [answer.parse(text) for text in (["CAB", "B"] if joined else ["C A B", "B"])] == meant
    targets, weights = answer.targets(meant)
    np.testing.assert_array_equal(targets, [[2, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(weights, [[1, 1, 1], [1, 0, 0]])
    outputs, inputs = np.eye(3, dtype="float32")[targets], np.array([[5, 6, 7], [5, 0, 0]], np.int32)
    assert answer.correct(targets, outputs, weights).numpy().all()
    wrong = outputs.copy()
    wrong[1, 0] = [1, 0, 0]  # where it counts
    wrong[1, 2] = [0, 0, 1]  # where it does not
    assert answer.correct(targets, tf.constant(wrong), weights).numpy().tolist() == [True, False]
    named = {name: tensor.numpy() for name, tensor in answer.back(tf.constant(outputs), tf.constant(inputs)).items()}
    assert named["tags"].tolist() == [[b"C", b"A", b"B"], [b"B", b"", b""]] and named["lengths"].tolist() == [3, 1]
    assert answer.answers(named) == meant
    assert answer.answers(_tensors.back(answer.describe(), outputs, inputs)) == meant


@pytest.mark.parametrize("padding", [None, -9.0])
def test_labels_of_vectors(padding, rng):
    answer = LabelsAnswer("tags", ["A", "B", "C"], padding=padding)
    inputs, outputs = rng.normal(size=(2, 4, 2)).astype("float32"), rng.normal(size=(2, 4, 3)).astype("float32")
    inputs[1, 2:] = -9.0
    lengths = [4, 4 if padding is None else 2]
    expected = [[["A", "B", "C"][i] for i in row[:length].argmax(-1)] for row, length in zip(outputs, lengths, strict=True)]
    named = {name: tensor.numpy() for name, tensor in answer.back(tf.constant(outputs), tf.constant(inputs)).items()}
    assert answer.answers(named) == expected
    assert answer.answers(_tensors.back(answer.describe(), outputs, inputs)) == expected


@pytest.mark.parametrize(("text", "said"), [("", "the answer is empty"), ("A X", r"'X' \(timestep 2\) is no label; expec")])
def test_labels_that_are_none(text, said):
    with pytest.raises(rnnzoo.InputError, match=said):
        ANSWER.parse(text)


# Temporal order


def test_where_the_two_marks_are():
    """Pascanu et al.: the first between L/10 and 2L/10, the second between 4L/10 and 5L/10."""
    task = tasks.create("temporal_order", training_examples=2_000)
    examples = task.train()
    lengths = np.array([len(text) for text in examples.inputs])
    assert lengths.min() == 10 and lengths.max() == 200 and lengths.std() > 45
    orders = {}
    for text, answer in zip(examples.inputs, examples.answers, strict=True):
        first, second = (i for i, symbol in enumerate(text) if symbol in "XY")
        assert len(text) // 10 <= first < max(len(text) * 2 // 10, len(text) // 10 + 1)
        assert len(text) * 4 // 10 <= second < max(len(text) * 5 // 10, len(text) * 4 // 10 + 1)
        assert answer == text[first] + text[second]
        orders[answer] = orders.get(answer, 0) + 1
    assert set(orders) == {"XX", "XY", "YX", "YY"} and min(orders.values()) > 400
    assert set("".join(examples.inputs)) == set("abcdXY")
    for name, test in task.tests().items():
        if name != "held_out":
            assert {len(text) for text in test().inputs} == {int(name.removeprefix("length_"))}


def test_no_stage_has_what_is_held_out():
    task = tasks.create("temporal_order", training_examples=5_000, max_timesteps=12)
    held_out = set(task.first_test().inputs)
    for examples in (task.up_to(10, 0), task.up_to(12, 1), task.validation()):
        assert len(examples.inputs) > 1_000 and not held_out & set(examples.inputs)


# Copying memory


def test_what_is_to_be_copied():
    task = tasks.create("copy_memory", wait=7, training_examples=500)
    for text, answer in zip(*task.train()[:2], strict=True):
        assert len(text) == len(answer) == 27 and text[10:] == "......:.........." and answer == "." * 17 + text[:10]
    assert set("".join(task.train().inputs)) == set("abcdefgh.:")
    with pytest.raises(rnnzoo.InputError, match=r"expected 10 of the symbols abcdefgh, 6 times \., :, 10 times \."):
        task.input.check("abcdefgh")
    assert tasks.create("copy_memory").references()["memoryless_nats_per_character"] == pytest.approx(10 * math.log(8) / 120)


def test_recall_counts_symbols():
    task = tasks.create("copy_memory", held_out_examples=4)
    examples = task.first_test()
    swapped = str.maketrans("abcdefgh", "bcdefgha")
    given = [answer[:-3] + answer[-3:].translate(swapped) if i == 0 else answer for i, answer in enumerate(examples.answers)]
    assert task.score(examples, given) == {"exact_match": 0.75, "recall": pytest.approx(1 - 3 / 40)}


def test_the_nats_of_right_answers():
    """Of a model that is right with a probability that is known: two thirds, whatever it reads."""
    from rnnzoo.evaluating import evaluate
    from rnnzoo.predicting import Predictor
    from rnnzoo.registry import load_preset

    preset = load_preset("copy-memory", ["task_options.wait=3", "task_options.held_out_examples=7", "model.units=2"])
    task = tasks.create("copy_memory", **preset.task_options)
    model = rnnzoo.build(preset)
    readout = model.get_layer("readout")
    readout.kernel.assign(np.zeros(readout.kernel.shape))
    bias = np.zeros(9)
    bias[8] = np.log(16)  # of blanks: 16 / (8 + 16)
    readout.bias.assign(bias)
    found = evaluate(Predictor(model, preset, task))["held_out"]
    expected = (13 * np.log(24 / 16) + 10 * np.log(24)) / 23
    assert found["nats_per_character"] == pytest.approx(expected, rel=1e-5) and found["recall"] == 0
