"""The trace of every variant of every architecture, against TensorFlow's automatic differentiation at every entry."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo.explaining import DenseTrace, RecurrentTrace, gradient_flow, trace
from rnnzoo.explaining._activations import step_jacobian

TOLERANCE = 1e-9  # both sides in 64-bit floats


@pytest.fixture
def double():
    """Models of 64-bit floats."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def assert_close(got, expected):
    expected = np.asarray(expected)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE * max(1.0, np.abs(expected).max(initial=0)))


def automatic(model, feed, y, weights):
    """The outputs, the loss and the gradients of all weights, by TensorFlow."""
    with tf.GradientTape() as tape:
        outputs = model(keras.tree.map_structure(tf.constant, feed), training=False)
        losses = keras.losses.mean_squared_error(y, outputs)
        loss = tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)
    found = tape.gradient(loss, model.trainable_variables, unconnected_gradients="zero")
    paths = [variable.path for variable in model.trainable_variables]
    return outputs, loss, dict(zip(paths, map(tf.convert_to_tensor, found), strict=True))


def test_every_gradient_and_every_step_is_tensorflows(variant, rng, double):
    """And each layer again, a step at a time under a tape: dL/dh_t, both its parts, and dz_t."""
    model = variant.fresh()
    inputs = variant.inputs(rng)
    y = rng.normal(size=model(variant.feed(inputs)).shape)
    traced = trace(model, variant.feed(inputs), y, loss="mean_squared_error")
    outputs, loss, gradients = automatic(model, variant.feed(inputs), y, traced.weights)
    assert_close(traced.outputs, outputs)
    assert_close(np.array(traced.loss), loss)
    # Padding counts for nothing, and what counts is what the architecture's mask says.
    assert (traced.weights > 0).tolist() == variant.used(inputs).tolist()
    for path, gradient in gradients.items():
        assert_close(traced.gradients.get(path, np.zeros(gradient.shape)), gradient)
    assert np.abs(next(iter(traced.gradients.values()))).max() > 0
    for layer in traced.layers.values():
        if isinstance(layer, RecurrentTrace):
            assert_steps(layer)
        else:
            assert_dense(layer)


NOT_THESE = ("glu", "threshold", "get", "serialize", "deserialize")  # halves the units, asks for more, are no activations


@pytest.mark.parametrize("name", [n for n in dir(keras.activations) if n[0].islower() and n not in NOT_THESE])
def test_every_activation_of_keras(name, rng, double):
    """In the recurrence and in the readout, with a mask."""
    model = rnnzoo.many_to_many(
        features=2, outputs=3, units=4, activation=name, output_activation=name, mask_value=0.0, bidirectional=True
    )
    model.set_weights([(0.1 if name == "exponential" else 0.5) * rng.normal(size=weight.shape) for weight in model.weights])
    x, y = rng.normal(size=(3, 5, 2)), rng.normal(size=(3, 5, 3))
    x[1, 3:] = 0
    traced = trace(model, x, y, loss="mean_squared_error")
    outputs, _, gradients = automatic(model, x, y, traced.weights)
    used = traced.weights > 0
    assert_close(traced.outputs[used], outputs.numpy()[used])
    for path, gradient in gradients.items():
        assert_close(traced.gradients[path], gradient)
    for flow in gradient_flow(model, x, y, loss="mean_squared_error"):
        assert 0 <= flow.saturation <= 1 and flow.verdict in ("vanishing", "steady", "exploding")


@pytest.mark.parametrize("name", ["tanh", "gelu", "softmax"])
def test_step_jacobians_are_tensorflows(name, rng):
    kernel, before, z = rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=4)
    start = tf.constant(before[None])
    with tf.GradientTape() as tape:
        tape.watch(start)
        h = keras.activations.get(name)(z + (start - before) @ kernel)
    found = step_jacobian(name, kernel, z, h.numpy()[0])
    assert_close(found, tape.jacobian(h, start).numpy()[0, :, 0].T)


def test_the_twin_with_targets_too(taught_variant, rng, double):
    model = taught_variant.module.teacher_forced(taught_variant.fresh())
    inputs = taught_variant.inputs(rng)
    shape = (4, 3) if model.inputs[1].dtype == "int32" or "target" in model.inputs[1].name else ()
    tokens = next(tensor for tensor in model.inputs if tensor.name == "target")
    target = rng.integers(1, 6, shape) if tokens.dtype == "int32" else rng.normal(size=(4, 3, tokens.shape[-1]))
    feed = {"inputs": next(iter(inputs.values())), "target": target}
    y = rng.normal(size=model(feed).shape)
    traced = trace(model, feed, y, loss="mean_squared_error")
    for path, gradient in automatic(model, feed, y, traced.weights)[2].items():
        assert_close(traced.gradients.get(path, np.zeros(gradient.shape)), gradient)


def assert_steps(layer):
    act = keras.activations.get(layer.activation)
    with tf.GradientTape() as tape:
        h = first = tf.constant(layer.initial_state)
        x = tf.constant(layer.inputs)
        tape.watch([first, x])
        states, before, z = {}, {}, {}
        for t in layer.order:
            before[t] = h
            z[t] = tf.matmul(x[:, t], layer.kernel) + tf.matmul(h, layer.recurrent_kernel)
            z[t] = z[t] if layer.bias is None else z[t] + layer.bias
            tape.watch(z[t])
            new = act(z[t])
            h = new if layer.mask is None else tf.where(layer.mask[:, t, None], new, h)
            h = tf.identity(h)
            tape.watch(h)
            states[t] = h
        steps = range(len(states))
        loss = tf.add_n([tf.reduce_sum(states[t] * layer.d_from_output[:, t]) for t in steps])
    watched = [[states[t] for t in steps], [z[t] for t in steps], first, x]
    d_h, d_z, d_first, d_x = tape.gradient(loss, watched, unconnected_gradients="zero")
    assert_close(layer.states, np.stack([states[t] for t in steps], 1))
    assert_close(layer.states_before, np.stack([before[t] for t in steps], 1))
    assert_close(layer.pre_activations, np.stack([z[t] for t in steps], 1))
    assert_close(layer.d_states, np.stack(d_h, 1))
    assert_close(layer.d_pre_activations, np.stack(d_z, 1))
    assert_close(layer.d_initial_state, d_first)
    assert_close(layer.d_inputs, d_x)
    # Each step's own share, and the sum that it becomes.
    for t in steps:
        assert_close(layer.kernel_shares[t], layer.inputs[:, t].T @ d_z[t].numpy())
        assert_close(layer.recurrent_kernel_shares[t], before[t].numpy().T @ d_z[t].numpy())
        assert_close(layer.bias_shares[t], d_z[t].numpy().sum(0))
    running = layer.running(layer.kernel_shares)
    assert_close(running[layer.order[0]], layer.kernel_shares.sum(0))
    assert_close(running[layer.order[-1]], layer.kernel_shares[layer.order[-1]])


def flat(array):
    return array.reshape(-1, array.shape[-1])


def assert_dense(layer):
    assert isinstance(layer, DenseTrace)
    act = keras.activations.get(layer.activation)
    with tf.GradientTape() as tape:
        z = tf.constant(layer.pre_activations)
        tape.watch(z)
        y = act(z)
        loss = tf.reduce_sum(y * layer.d_outputs)
    assert_close(layer.outputs, y)
    assert_close(layer.d_pre_activations, tape.gradient(loss, z))
    assert_close(layer.kernel_shares.sum(0), flat(layer.inputs).T @ flat(layer.d_pre_activations))


def test_the_gradients_are_what_the_shares_add_up_to(full, rng):
    model = full.model
    inputs = full.inputs(rng)
    y = rng.normal(size=model(full.feed(inputs)).shape)
    traced = trace(model, full.feed(inputs), y, loss="mean_squared_error")
    for name, layer in traced.layers.items():
        if isinstance(layer, RecurrentTrace):
            whole = layer.recurrent_kernel_shares.sum(0)
            gradients = [traced.gradients[path] for path in traced.gradients if "recurrent_kernel" in path]
            assert any(np.allclose(whole, gradient) for gradient in gradients if gradient.shape == whole.shape), name


def test_without_a_target_there_is_the_way_forward(plain, rng):
    traced = trace(plain.model, plain.feed(plain.inputs(rng)))
    assert traced.loss is None and traced.losses is None and not traced.gradients
    np.testing.assert_allclose(traced.outputs, plain.run(traced_inputs(traced, plain)), atol=1e-5)
    assert all(layer.d_pre_activations is None for layer in traced.layers.values())
    kept = traced.kept()
    assert {name for name, *_ in kept} == set(traced.layers)
    for name, what, shape, size in kept:
        assert size == np.prod(shape) * (1 if what == "mask" else 4), (name, what)


def traced_inputs(traced, variant):
    return {name: array.astype(variant.model.inputs[i].dtype) for i, (name, array) in enumerate(traced.inputs.items())}
