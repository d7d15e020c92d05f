"""What is pooled over time, against NumPy: forward, backward, a timestep at a time, and in every format."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo.layers import MaskedPooling, PoolingStep, reference
from rnnzoo.layers.pooling import POOLINGS
from rnnzoo.rounding import RoundingRefused, round_weights
from rnnzoo.stepping import step_model

EVERY = pytest.mark.parametrize("how", POOLINGS)


@pytest.fixture
def ragged(rng):
    """(4, 6, 3) vectors below zero, so that padding of zeros would be the largest, and their mask; a row is all padding."""
    mask = np.arange(6) < np.array([6, 3, 0, 1])[:, None]
    mask[1] = [False, True, False, True, True, False]
    return -1 - rng.random((4, 6, 3)).astype("float32"), mask


def by_hand(x, mask, how):
    rows = [row[used] for row, used in zip(x, mask, strict=True)]
    parts = {"mean": lambda row: row.mean(0), "max": lambda row: row.max(0), "last": lambda row: row[-1]}
    return np.array([np.concatenate([parts[p](r) if len(r) else 0 * r.sum(0) for p in how.split("_")]) for r in rows])


@EVERY
def test_it_is_numpys(how, ragged):
    x, mask = ragged
    layer = MaskedPooling(how)
    for used in (mask, np.ones_like(mask)):
        np.testing.assert_allclose(layer(x, mask=tf.constant(used)), by_hand(x, used, how), atol=1e-6)
        np.testing.assert_allclose(
            np.concatenate([reference.pool(x, part, used) for part in how.split("_")], -1), by_hand(x, used, how), atol=1e-6
        )
    np.testing.assert_allclose(layer(x), by_hand(x, np.ones_like(mask), how), atol=1e-6)
    filled = np.where(mask[..., None], x, np.float32(1e30))  # what stands where nothing counts is not looked at
    np.testing.assert_array_equal(layer(filled, mask=tf.constant(mask)), layer(x, mask=tf.constant(mask)))


@EVERY
def test_its_shape_and_config(how):
    inputs = keras.Input((None, 3))
    layer = MaskedPooling(how)
    assert layer(inputs).shape == (None, 3 * len(how.split("_")))
    assert MaskedPooling.from_config(layer.get_config()).how == how
    assert PoolingStep.from_config(PoolingStep(how).get_config()).how == how
    step = PoolingStep(how)
    symbolic = step(keras.Input((3,)), [keras.Input((width,)) for width in step.widths(3).values()])
    eager = step(tf.ones((2, 3)), [tf.ones((2, width)) for width in step.widths(3).values()])
    assert [one.shape[1:] for one in symbolic] == [one.shape[1:] for one in eager]


@pytest.mark.parametrize("how", [None, "mask"])
def test_the_last_of_two_directions_are_their_final_states(how, ragged, rng):
    """Of the second half of the width, the first used timestep's: what `Bidirectional` returns without its sequences."""
    x, mask = ragged
    x, mask = (
        np.concatenate([x, rng.normal(size=x.shape)], axis=-1).astype("float32"),
        mask if how else np.ones((4, 6), bool),
    )
    mean = MaskedPooling("mean")(x, mask=tf.constant(mask))
    rows = [row[used] for row, used in zip(x, mask, strict=True)]
    ends = np.array([np.concatenate([row[-1, :3], row[0, 3:]]) if len(row) else np.zeros(6) for row in rows])
    found = MaskedPooling("last_mean", bidirectional=True)(x, mask=tf.constant(mask) if how else None)
    np.testing.assert_allclose(found, np.concatenate([ends, mean], axis=-1), atol=1e-6)
    arguments = {"features": 6, "outputs": 2, "units": 4, "mask_value": 0.0 if how else None, "bidirectional": True}
    pooled, plain = rnnzoo.many_to_one(**arguments, pooling="last_mean"), rnnzoo.many_to_one(**arguments)
    x = np.where(mask[..., None], x, 0).astype("float32")
    weights = [rng.normal(size=weight.shape) for weight in plain.weights]
    plain.set_weights(weights)
    pooled.set_weights([*weights[:-2], np.concatenate([weights[-2], np.zeros((8, 2))]), weights[-1]])
    np.testing.assert_allclose(pooled(x), plain(x), atol=1e-5)


@pytest.mark.parametrize("part", ["mean", "max", "last", "first"])
def test_the_way_back_is_tensorflows(part, ragged):
    """Those that share the maximum share its gradient."""
    x, mask = ragged
    x = np.round(x, 1).astype("float64")
    x[0, 2] = x[0, 4] = -0.5
    layers = {
        "last": lambda given, mask: MaskedPooling("last_mean", dtype="float64")(given, mask=mask)[:, :3],
        "first": lambda given, mask: MaskedPooling("last_mean", bidirectional=True, dtype="float64")(
            tf.concat([given, given], -1), mask=mask
        )[:, 3:6],
    }
    layer = layers.get(part) or MaskedPooling(part, dtype="float64")
    d_pooled = np.random.default_rng(1).normal(size=(4, 3))
    with tf.GradientTape() as tape:
        given = tf.constant(x)
        tape.watch(given)
        total = tf.reduce_sum(layer(given, mask=tf.constant(mask)) * d_pooled)
    found = reference.pool_back(x, reference.pool(x, part, mask), d_pooled, part, mask)
    np.testing.assert_allclose(found, tape.gradient(total, given), atol=1e-12)


@EVERY
def test_a_timestep_at_a_time(how, rng):
    x = rng.normal(size=(2, 7, 3)).astype("float32") - 2
    step = PoolingStep(how)
    states = [np.zeros((2, width), "float32") for width in step.widths(3).values()]
    for t in range(7):
        pooled, *states = step(x[:, t], states)
        np.testing.assert_allclose(pooled, by_hand(x[:, : t + 1], np.ones((2, t + 1), bool), how), atol=1e-6)


@EVERY
def test_the_step_of_a_model(how, rng):
    model = rnnzoo.many_to_one(
        vocabulary_size=6, embedding=3, outputs=2, units=4, layers=2, pooling=how, readout_dropout=0.4
    )
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    ids, step = rng.integers(1, 6, (3, 5)).astype("int32"), step_model(model)
    states = {name: tf.zeros((3, *tensor.shape[1:])) for name, tensor in step.input.items() if name != "inputs"}
    assert {"state", "state_2", "pooling_count"} < set(states)
    for t in range(5):
        found = dict(step({"inputs": tf.constant(ids[:, t]), **states}))
        np.testing.assert_allclose(found.pop("outputs"), model(ids[:, : t + 1]), atol=1e-5)
        states = found


def test_what_is_refused(rng):
    with pytest.raises(rnnzoo.InputError, match=r"pooling='men': expected one of last, mean.*did you mean 'mean'"):
        rnnzoo.many_to_one(features=2, outputs=1, pooling="men")
    model = rnnzoo.many_to_one(features=2, outputs=1, units=2, activation="linear", pooling="mean_max")
    with pytest.raises(RoundingRefused, match="pooled over time"):
        round_weights(model)
    both = rnnzoo.many_to_one(features=2, outputs=1, units=2, bidirectional=True, pooling="max")
    with pytest.raises(rnnzoo.InputError, match="both directions"):
        step_model(both)


@pytest.mark.parametrize("format", ["onnx", "litert"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("how", ["mean_max", "last_mean"])
def test_exports_and_streams(format, bidirectional, how, tmp_path, rng):
    """A preset that pools, of either kind, in the formats without TensorFlow: at once, by steps, and ragged."""
    pytest.importorskip({"onnx": "onnxruntime", "litert": "ai_edge_litert"}[format])
    from rnnzoo.building import create_task
    from rnnzoo.predicting import Predictor

    changes = [f'model.pooling="{how}"', f"model.bidirectional={json.dumps(bidirectional)}", "model.units=4"]
    changes += ["model.activation=tanh", "task_options.max_timesteps=12", "task_options.training_examples=50"]
    preset = rnnzoo.load_preset("temporal-order", changes)
    model = rnnzoo.build(preset)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    zoo = Predictor(model, preset, create_task(preset))
    texts = ["abXcdaYdb", "XY", "aXbYcdab"]
    rnnzoo.export(zoo, tmp_path / "out", format=format)  # which holds it against the model, in both ways
    runner = rnnzoo.running.load(tmp_path / "out")
    np.testing.assert_allclose(runner.scores(texts), zoo.scores(texts), atol=1e-4)
    if not bidirectional:
        stream = zoo.stream()
        for text in texts:
            stream.reset()
            answers = list(stream.answers(text))
            assert answers[-1] == zoo.predict([text])[0]
            np.testing.assert_allclose(stream.scores, zoo.scores([text])[0], atol=1e-5)
        state = stream.state
        stream.reset()
        stream.restore(state)
        assert stream.push("d") == zoo.predict(["aXbYcdabd"])[0]


def test_it_is_drawn_over_time(tmp_path):
    """Every used timestep's state leads to what is pooled, and nothing else does."""
    from rnnzoo.explaining._network_of import network
    from rnnzoo.explaining._unfolded import Given, plan

    for bidirectional in (False, True):
        model = rnnzoo.many_to_one(features=2, outputs=1, pooling="max", bidirectional=bidirectional, mask_value=0.0)
        found = network(model)
        (axis,) = found.axes()
        picture = plan(found, Given({axis: 4}, {axis: [True, True, False, True]}, {}, ["y"]))
        sources = {arrow.source for arrow in picture.arrows if arrow.target == ("pooling", None)}
        below = "[hidden/forward, hidden/backward]" if bidirectional else "hidden"
        assert sources == {(below, 1), (below, 2), (below, 4)}
        assert ("pooling", None) in {arrow.source for arrow in picture.arrows if arrow.target == ("readout", None)}
        assert plan(found).nodes["pooling", None].text == "p"
