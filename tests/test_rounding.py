"""Rounding trained weights: scales are folded, and what has not converged is refused."""

import numpy as np
import pytest

import rnnzoo
from rnnzoo.rounding import LIMIT, RoundingRefused, round_to, round_weights

MODELS = {
    "one layer": lambda: rnnzoo.many_to_one(vocabulary_size=5, outputs=1, units=1, activation="linear"),
    "relu": lambda: rnnzoo.many_to_many(vocabulary_size=5, outputs=1, units=1, activation="relu"),
    "two directions": lambda: rnnzoo.bidirectional(vocabulary_size=5, outputs=2, units=1, activation="linear"),
    "two layers": lambda: rnnzoo.deep(vocabulary_size=5, outputs=1, units=1, dense=(), activation="linear"),
    "two units": lambda: rnnzoo.many_to_one(vocabulary_size=5, outputs=2, units=2, activation="linear"),
}
IDS = np.array([[1, 2, 3, 4], [4, 4, 0, 0], [2, 0, 0, 0]])


def scaled_by_hand(model, rng, noise):
    """The model with integer weights, every unit scaled at random, and a little noise; and its outputs before that."""
    weights = [rng.integers(0, 4, w.shape).astype(float) for w in model.get_weights()]
    readout = model.get_layer("readout")
    model.set_weights(weights)
    readout.kernel.assign(np.eye(*readout.kernel.shape))
    hidden = [layer for layer in model.layers if layer.name.startswith("hidden")]
    if len(hidden) == 2:
        hidden[1].cell.kernel.assign(np.eye(1))
    outputs = model(IDS).numpy()
    below = None
    for layer in hidden:
        directions = [layer.forward_layer, layer.backward_layer] if hasattr(layer, "forward_layer") else [layer]
        for rnn in directions:
            scale = rng.uniform(0.3, 3.0, rnn.units)
            kernel = rnn.cell.kernel.numpy() * scale
            rnn.cell.kernel.assign(kernel if below is None else kernel / below[:, None])
            rnn.cell.bias.assign(rnn.cell.bias.numpy() * scale)
            rnn.cell.recurrent_kernel.assign(rnn.cell.recurrent_kernel.numpy() * scale / scale[:, None])
            start = 0 if rnn is directions[0] else rnn.units
            rows = readout.kernel.numpy()
            if layer is hidden[-1]:
                rows[start : start + rnn.units] /= scale[:, None]
                readout.kernel.assign(rows)
        below = scale
    model.set_weights([w + rng.uniform(-noise, noise, w.shape) for w in model.get_weights()])
    return outputs


@pytest.mark.parametrize("kind", MODELS)
def test_integers_are_found_behind_any_scale(kind, rng):
    model = MODELS[kind]()
    outputs = scaled_by_hand(model, rng, noise=1e-4)
    assert round_weights(model) < LIMIT
    for weight in model.get_weights():
        np.testing.assert_array_equal(weight, np.round(weight))
    np.testing.assert_array_equal(model(IDS).numpy(), outputs)


@pytest.mark.parametrize("kind", MODELS)
def test_what_has_not_converged_is_refused(kind, rng):
    model = MODELS[kind]()
    scaled_by_hand(model, rng, noise=0.0)
    readout = model.get_layer("readout")
    readout.bias.assign(readout.bias + 0.11)
    before = model.get_weights()
    with pytest.raises(RoundingRefused, match=r"readout/bias would move by 0\.110"):
        round_weights(model)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_tanh_cannot_be_scaled():
    with pytest.raises(RoundingRefused, match="cannot be scaled"):
        round_weights(rnnzoo.many_to_one(features=2, outputs=1, units=1))


def test_sixteen_bits(rng):
    model = rnnzoo.many_to_one(features=3, outputs=2, units=4, dropout=0.5)
    before = model.get_weights()
    round_to(model, "float32")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    round_to(model, "float16")
    changed = 0
    for old, new in zip(before, model.get_weights(), strict=True):
        if old.dtype == np.float32:
            np.testing.assert_array_equal(new, old.astype(np.float16))
            changed += (old != new).sum()
        else:  # the state of dropout's random numbers
            np.testing.assert_array_equal(old, new)
    assert changed > 10
    model.get_layer("readout").kernel.assign(np.full((4, 2), 7e4))
    kept = model.get_weights()
    with pytest.raises(rnnzoo.TrainingError, match=r"readout/kernel: a weight is too large for float16"):
        round_to(model, "float16")
    for old, new in zip(kept, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
