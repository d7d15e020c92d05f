"""The penalty on gradients that vanish or explode, against itself written with TensorFlow's own gradients."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo.layers import SimpleRNN

BATCH, TIMESTEPS, FEATURES, UNITS = 5, 7, 2, 4
ACTIVATIONS = {"tanh": tf.tanh, "relu": tf.nn.relu}
SLOPES = {"tanh": lambda h: 1 - h**2, "relu": lambda h: tf.cast(h > 0, h.dtype)}


def error(output):
    """Something to learn: every number of it has a gradient of its own."""
    return tf.reduce_sum(tf.sin(3.0 * output) * tf.cast(tf.range(1, tf.size(output) + 1), output.dtype)[: output.shape[-1]])


def plainly(x, mask, kernel, recurrent, bias, activation, sequences):
    """The error and the penalty's gradient of the recurrent kernel, a row and a timestep at a time, by a tape alone."""
    activate, slope = ACTIVATIONS[activation], SLOPES[activation]
    recurrent = tf.Variable(recurrent)
    with tf.GradientTape(persistent=True) as tape:
        pre, states = {}, []
        for b in range(len(x)):
            state, row = tf.zeros((1, UNITS), x.dtype), []
            for t in range(TIMESTEPS):
                if mask[b, t]:
                    pre[b, t] = x[b, t][None] @ kernel + state @ recurrent + bias
                    state = activate(pre[b, t])
                row.append(state if mask[b].any() and mask[b, : t + 1].any() else tf.zeros_like(state))
            states.append(tf.concat(row, 0))
        output = tf.stack(states)
        total = error(output if sequences else output[:, -1])
    penalties = []
    with tf.GradientTape() as outer:
        for b in range(len(x)):
            used = np.flatnonzero(mask[b])
            for before, t in itertools.pairwise(used):
                d_z = tape.gradient(total, pre[b, t])
                if np.any(d_z):
                    back = (d_z @ tf.transpose(recurrent)) * slope(activate(pre[b, before]))
                    norm = tf.norm(back) if np.any(back) else tf.reduce_sum(back)  # at 0 a norm has no gradient
                    penalties.append((norm / tf.norm(d_z) - 1) ** 2)
        penalty = tf.add_n(penalties) / len(penalties)
    return tape.gradient(total, recurrent), outer.gradient(penalty, recurrent), penalty


CASES = [
    ("tanh", False, "none"),
    ("tanh", True, "right"),
    ("tanh", False, "scattered"),
    ("relu", True, "none"),
    ("relu", False, "right"),
    ("relu", True, "scattered"),
]


@pytest.mark.parametrize(("activation", "sequences", "kind"), CASES)
def test_as_written_by_hand(activation, sequences, kind, rng):
    x = rng.normal(size=(BATCH, TIMESTEPS, FEATURES))
    lengths = np.array([7, 1, 4, 6, 2])
    mask = {
        "none": np.ones((BATCH, TIMESTEPS), bool),
        "right": np.arange(TIMESTEPS) < lengths[:, None],
        "scattered": rng.random((BATCH, TIMESTEPS)) < 0.6,
    }[kind]
    layer = SimpleRNN(UNITS, activation=activation, return_sequences=sequences, dtype="float64")
    layer.build((None, TIMESTEPS, FEATURES))
    layer.cell.bias.assign(rng.normal(size=UNITS))

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            total = error(layer(x, mask=None if kind == "none" else tf.constant(mask), training=True))
        return tape.gradient(total, layer.trainable_variables)

    plain = gradients()
    layer.keep_gradient = 2.5
    gradients = tf.function(gradients.python_function, autograph=False)
    ours = gradients()
    own, penalty, size = plainly(tf.constant(x), mask, *map(tf.constant, layer.get_weights()), activation, sequences)
    assert size > 0.01
    np.testing.assert_allclose(plain[1], own, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours[1], own + 2.5 * penalty, rtol=1e-9, atol=1e-9)
    for with_it, without in ((ours[0], plain[0]), (ours[2], plain[2])):
        np.testing.assert_allclose(with_it, without, rtol=1e-12)


def test_gradients_that_have_all_but_vanished_count_alike(rng):
    """Their squares are nothing in 32 bits."""
    x, shares = rng.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype("float32"), []
    layer = SimpleRNN(UNITS)
    layer.build((None, TIMESTEPS, FEATURES))
    layer.keep_gradient = 1.0
    for scale in (1.0, 1e-30):

        @tf.function(autograph=False)
        def gradient(scale=scale):
            with tf.GradientTape() as tape:
                total = scale * tf.reduce_sum(layer(x, training=True))
            return tape.gradient(total, layer.cell.recurrent_kernel)

        shares.append(gradient().numpy())
    layer.keep_gradient = 0.0
    np.testing.assert_allclose(shares[0] - gradient_of(layer, x), shares[1], rtol=1e-4, atol=1e-6)


def gradient_of(layer, x):
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(x, training=True))
    return tape.gradient(total, layer.cell.recurrent_kernel).numpy()


def test_it_keeps_gradients_where_they_vanish(tmp_path):
    """Small weights, which training by a recipe with the penalty alone makes larger; nothing stays of it afterwards."""
    from rnnzoo.building import build, create_task
    from rnnzoo.recipes import prepare

    sets = ["training.optimizer=sgd", "training.learning_rate=1e-9", "model.recurrent_initializer=identity"]
    preset = rnnzoo.load_preset("digit-sum-running", [*sets, "model.units=4", "training.keep_gradient=1e8"])
    task = create_task(preset)
    model = build(preset, seed=0, task=task)
    layer = model.get_layer("hidden")
    layer.cell.recurrent_kernel.assign(0.1 * np.eye(4, dtype="float32"))
    examples = task.train().take(range(64))
    prepare(preset, model, task, examples).run()
    assert np.all(np.diag(layer.cell.recurrent_kernel.numpy()) > 0.101)
    prepare(rnnzoo.load_preset("digit-sum-running"), model, task, examples)
    assert layer.keep_gradient == 0


def test_what_it_cannot_do_is_a_line(rng):
    layer = keras.layers.Bidirectional(SimpleRNN(UNITS, activation="elu"))
    x = rng.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype("float32")
    layer.build(x.shape)
    layer.backward_layer.keep_gradient = 1.0
    with pytest.raises(rnnzoo.InputError, match=r"keep_gradient needs .*one of the activations linear, relu, sigmoid, tanh"):
        tf.function(lambda: layer(x, training=True), autograph=False)()
    layer(x)  # and is none where nothing is trained
    preset = rnnzoo.load_preset("seven-segment", ["training.keep_gradient=1"])
    with pytest.raises(rnnzoo.InputError, match=r"training\.keep_gradient: there is no recurrent layer"):
        rnnzoo.train(preset)
