"""`SimpleRNN` against the NumPy reference and against Keras's own layer, on random weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnnzoo.layers import SimpleRNN, reference
from rnnzoo.layers.simple_rnn import UNROLLED_TIMESTEPS

BATCH, TIMESTEPS, FEATURES, UNITS = 4, 5, 2, 3
LONG = UNROLLED_TIMESTEPS + 2
MASKS = {
    "none": None,
    "right": [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 0, 0, 0]],
    "left": [[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1], [0, 0, 0, 1, 1]],
    "arbitrary": [[1, 0, 1, 0, 1], [0, 1, 1, 0, 0], [1, 0, 0, 1, 1], [0, 0, 1, 0, 0]],
    "nothing used": [[1, 1, 1, 0, 0], [0, 0, 0, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]],
}
# What a drop-in must take over; the twin of each is Keras's layer with the same arguments.
OPTIONS = {
    "plain": {},
    "sequences": {"return_sequences": True},
    "state": {"return_state": True},
    "sequences and state": {"return_sequences": True, "return_state": True},
    "backwards": {"go_backwards": True, "return_state": True},
    "backwards sequences": {"go_backwards": True, "return_sequences": True, "return_state": True},
    "zero output": {"zero_output_for_mask": True, "return_state": True},
    "zero output sequences": {"zero_output_for_mask": True, "return_sequences": True},
    "zero output backwards": {"zero_output_for_mask": True, "return_sequences": True, "go_backwards": True},
    "no bias": {"use_bias": False, "return_sequences": True},
    "no activation": {"activation": None, "return_sequences": True},
    "softmax": {"activation": "softmax", "return_sequences": True},
    "unrolled": {"unroll": True, "return_sequences": True, "return_state": True},
}


def mask_of(name, timesteps=TIMESTEPS):
    """A mask of `MASKS`, its columns stretched to that many timesteps."""
    if MASKS[name] is None:
        return None
    return np.array(MASKS[name], bool)[:, np.arange(timesteps) * TIMESTEPS // timesteps]


def random_weights(layer, rng, features=FEATURES):
    """Builds the layer and fills every weight with random numbers, biases included."""
    if not layer.built:
        layer.build((BATCH, None, features))
    layer.set_weights([rng.uniform(-0.8, 0.8, weight.shape) for weight in layer.weights])
    return layer


def twins(rng, **arguments):
    """rnnzoo's layer and Keras's, with the same arguments and weights."""
    ours = random_weights(SimpleRNN(UNITS, **arguments), rng)
    stock = keras.layers.SimpleRNN(UNITS, **arguments)
    stock.build((BATCH, None, FEATURES))
    stock.set_weights(ours.get_weights())
    return ours, stock


def assert_same(ours, stock, rtol=1e-5, atol=1e-6):
    """The same structure and numbers."""
    ours, stock = (list(got) if isinstance(got, list | tuple) else [got] for got in (ours, stock))
    assert len(ours) == len(stock)
    for a, b in zip(ours, stock, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def gradients(layer, x, mask, initial_state, weigh):
    """Gradients of the weighted sum of everything that the layer returns: of input, initial state and weights."""
    x, initial_state = tf.convert_to_tensor(x), tf.convert_to_tensor(initial_state)
    with tf.GradientTape() as tape:
        tape.watch([x, initial_state])
        results = layer(x, initial_state=initial_state, mask=mask)
        loss = sum(tf.reduce_sum(a * w) for a, w in zip(tf.nest.flatten(results), weigh, strict=False))
    # Where a row's every step is masked, nothing may depend on x: zeros then, not None.
    return tape.gradient(loss, [x, initial_state, *layer.trainable_weights], unconnected_gradients="zero")


# Against the reference


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
def test_forward_and_gradients_equal_the_reference(rng, activation, mask):
    """In float64, so that 1e-10 tells a right formula from one that is nearly right."""
    layer = SimpleRNN(UNITS, activation=activation, return_sequences=True, return_state=True, dtype="float64")
    kernel, recurrent_kernel, bias = random_weights(layer, rng).get_weights()
    x, mask = rng.normal(size=(BATCH, TIMESTEPS, FEATURES)), mask_of(mask)
    initial_state = rng.normal(size=(BATCH, UNITS))
    states = reference.forward(x, kernel, recurrent_kernel, bias, activation, mask, initial_state)
    # Before the first step that counts Keras shows zeros, where the reference shows the initial state.
    shown = np.ones((BATCH, TIMESTEPS), bool) if mask is None else np.cumsum(mask, axis=1) > 0

    got, final = layer(x, mask=mask, initial_state=initial_state)
    np.testing.assert_allclose(got, np.where(shown[..., None], states, 0.0), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(final, states[:, -1], rtol=1e-10, atol=1e-12)

    d_states, d_final = rng.normal(size=states.shape), rng.normal(size=(BATCH, UNITS))
    d_inside = np.where(shown[..., None], d_states, 0.0)
    d_inside[:, -1] += d_final
    expected = reference.backward(x, states, d_inside, kernel, recurrent_kernel, activation, mask, initial_state)
    names = ("x", "initial_state", "kernel", "recurrent_kernel", "bias")
    for name, gradient in zip(names, gradients(layer, x, mask, initial_state, (d_states, d_final)), strict=True):
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("mask", ["none", "right"])
def test_past_the_unrolled_length_it_equals_the_reference(rng, mask):
    layer = random_weights(SimpleRNN(UNITS, return_sequences=True, dtype="float64"), rng)
    x, mask = rng.normal(size=(BATCH, LONG, FEATURES)), mask_of(mask, LONG)
    np.testing.assert_allclose(layer(x, mask=mask), reference.forward(x, *layer.get_weights(), mask=mask), rtol=1e-9)


def test_the_final_state_is_that_of_the_last_used_timestep(rng):
    layer = random_weights(SimpleRNN(UNITS), rng)
    x, mask = rng.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype("float32"), mask_of("right")
    final = layer(x, mask=mask).numpy()
    for row, length in enumerate(mask.sum(axis=1)):
        np.testing.assert_allclose(final[row], layer(x[row : row + 1, :length])[0], rtol=1e-5, atol=1e-6)


# Against Keras


@pytest.mark.parametrize("timesteps", [1, TIMESTEPS, UNROLLED_TIMESTEPS, LONG])
def test_any_length_equals_keras(rng, timesteps):
    ours, stock = twins(rng, return_sequences=True)
    x = rng.normal(size=(BATCH, timesteps, FEATURES)).astype("float32")
    assert_same(ours(x), stock(x), atol=1e-5)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("options", OPTIONS)
def test_every_option_equals_keras(rng, options, mask):
    ours, stock = twins(rng, **OPTIONS[options])
    x = rng.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype("float32")
    mask, initial_state = mask_of(mask), rng.normal(size=(BATCH, UNITS)).astype("float32")
    assert_same(ours(x, mask=mask), stock(x, mask=mask))
    assert_same(ours(x, mask=mask, initial_state=initial_state), stock(x, mask=mask, initial_state=initial_state))


@pytest.mark.parametrize("options", ["state", "backwards sequences", "zero output sequences", "no bias"])
def test_gradients_equal_keras(rng, options):
    ours, stock = twins(rng, **OPTIONS[options])
    x = rng.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype("float32")
    initial_state = rng.normal(size=(BATCH, UNITS)).astype("float32")
    shape = (BATCH, TIMESTEPS, UNITS) if ours.return_sequences else (BATCH, UNITS)
    weigh = [rng.normal(size=shape).astype("float32"), rng.normal(size=(BATCH, UNITS)).astype("float32")]
    given = x, mask_of("nothing used"), initial_state, weigh
    assert_same(gradients(ours, *given), gradients(stock, *given), atol=1e-5)


@pytest.mark.parametrize("shape", [(None, TIMESTEPS), (None, None), (BATCH, None)])
@pytest.mark.parametrize("masked", [True, False])
def test_in_a_graph_with_unknown_sizes_it_equals_keras(rng, shape, masked):
    ours, stock = twins(rng, return_sequences=True, return_state=True)
    x, mask = rng.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype("float32"), tf.constant(mask_of("nothing used"))
    signature = [tf.TensorSpec((*shape, FEATURES)), tf.TensorSpec(shape, tf.bool)]
    graph = tf.function(lambda x, mask: ours(x, mask=mask if masked else None), input_signature=signature)
    assert_same(graph(x, mask), stock(x, mask=mask if masked else None))


@pytest.mark.parametrize("mask", ["none", "right"])
@pytest.mark.parametrize(
    ("dropout", "recurrent_dropout", "timesteps"),
    [(0.4, 0.0, TIMESTEPS), (0.0, 0.4, TIMESTEPS), (0.3, 0.3, TIMESTEPS), (0.3, 0.3, LONG)],
)
def test_seeded_dropout_equals_keras_in_training(rng, dropout, recurrent_dropout, timesteps, mask):
    ours, stock = twins(rng, dropout=dropout, recurrent_dropout=recurrent_dropout, seed=7, return_sequences=True)
    x, mask = rng.normal(size=(BATCH, timesteps, FEATURES)).astype("float32"), mask_of(mask, timesteps)
    first = ours(x, mask=mask, training=True)
    assert_same(first, stock(x, mask=mask, training=True), atol=1e-5)
    second = ours(x, mask=mask, training=True)
    assert_same(second, stock(x, mask=mask, training=True), atol=1e-5)
    assert np.abs(first - second).max() > 1e-3, "every call draws what it drops anew"
    assert_same(ours(x, mask=mask), stock(x, mask=mask), atol=1e-5)
    assert np.abs(first - ours(x, mask=mask)).max() > 1e-3, "nothing is dropped outside training"


@pytest.mark.parametrize("timesteps", [TIMESTEPS, LONG])
def test_stateful_goes_on_where_the_batch_before_ended(rng, timesteps):
    ours, stock = twins(rng, stateful=True, return_sequences=True)
    batches = rng.normal(size=(3, BATCH, timesteps, FEATURES)).astype("float32")
    results = [ours(x) for x in batches]
    for result, x in zip(results, batches, strict=True):
        assert_same(result, stock(x), atol=1e-5)
    ours.reset_state()
    assert_same(ours(batches[0]), results[0])
    whole = random_weights(SimpleRNN(UNITS, return_sequences=True), rng)
    whole.set_weights(ours.get_weights())
    assert_same(np.concatenate(results, axis=1), whole(np.concatenate(batches, axis=1)), atol=1e-5)


@pytest.mark.parametrize("shape", ["list", "tensor"])
def test_an_initial_state_may_come_in_a_list(rng, shape):
    ours, stock = twins(rng)
    x = rng.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype("float32")
    state = tf.constant(rng.normal(size=(BATCH, UNITS)), tf.float32)
    state = [state] if shape == "list" else state
    assert_same(ours(x, initial_state=state), stock(x, initial_state=state))
    assert np.abs(ours(x, initial_state=state) - ours(x)).max() > 1e-3


@pytest.mark.parametrize("merge_mode", ["concat", "sum"])
@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("mask", ["none", "right", "arbitrary", "nothing used"])
def test_inside_bidirectional_it_equals_keras(rng, mask, sequences, merge_mode):
    arguments = {"return_sequences": sequences, "return_state": True}
    ours = random_weights(keras.layers.Bidirectional(SimpleRNN(UNITS, **arguments), merge_mode), rng)
    stock = keras.layers.Bidirectional(keras.layers.SimpleRNN(UNITS, **arguments), merge_mode)
    stock.build((BATCH, None, FEATURES))
    stock.set_weights(ours.get_weights())
    x = rng.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype("float32")
    assert_same(ours(x, mask=mask_of(mask)), stock(x, mask=mask_of(mask)))


def test_bidirectional_draws_different_kernels_for_the_two_directions():
    layer = keras.layers.Bidirectional(SimpleRNN(UNITS))
    layer.build((BATCH, None, FEATURES))
    forward, backward = layer.forward_layer.get_weights(), layer.backward_layer.get_weights()
    assert np.abs(forward[0] - backward[0]).max() > 1e-3
    assert np.abs(forward[1] - backward[1]).max() > 1e-3


def test_a_mask_that_keras_attached_is_used(rng):
    ours, stock = twins(rng, return_sequences=True)
    embedding = random_weights(keras.layers.Embedding(6, FEATURES, mask_zero=True), rng)
    ids = np.array([[1, 2, 3], [4, 0, 0], [0, 0, 0], [5, 1, 0]])
    assert_same(ours(embedding(ids)), stock(embedding(ids)))
    assert np.abs(ours(embedding(ids)) - ours(embedding(ids), mask=np.ones((4, 3), bool))).max() > 1e-3


def test_half_precision_equals_keras(rng):
    ours, stock = twins(rng, return_sequences=True, dtype="mixed_float16")
    x = rng.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype("float16")
    assert ours(x).dtype == "float16"
    assert_same(ours(x), stock(x), rtol=1e-2, atol=1e-2)


def test_regularisers_and_constraints_are_those_of_keras(rng):
    arguments = {
        "kernel_regularizer": "l2",
        "recurrent_regularizer": "l1",
        "bias_regularizer": "l2",
        "recurrent_constraint": "non_neg",
    }
    ours, stock = twins(rng, **arguments)
    x = rng.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype("float32")
    assert_same(ours(x), stock(x))
    assert len(ours.losses) == 3
    np.testing.assert_allclose(ours.losses, stock.losses, rtol=1e-5)
    assert type(ours.cell.recurrent_kernel.constraint) is type(stock.cell.recurrent_kernel.constraint)


# Configuration and files


@pytest.mark.parametrize("options", OPTIONS)
def test_the_config_is_that_of_keras_and_makes_the_same_layer(options):
    arguments = {"units": 4, "dropout": 0.1, "recurrent_initializer": "identity", "name": "hidden", **OPTIONS[options]}
    config = SimpleRNN(**arguments).get_config()
    assert config == keras.layers.SimpleRNN(**arguments).get_config()
    again = SimpleRNN.from_config(config)
    assert type(again) is SimpleRNN
    assert again.get_config() == config


def functional(layer):
    """A model of a masked input and one layer."""
    inputs = keras.Input((None, FEATURES))
    mask = keras.Input((None,), dtype="bool")
    return keras.Model([inputs, mask], layer(inputs, mask=mask))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_saved_model_gives_bitwise_the_same(rng, tmp_path, bidirectional):
    layer = SimpleRNN(UNITS, return_sequences=True)
    model = functional(keras.layers.Bidirectional(layer) if bidirectional else layer)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    given = [rng.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype("float32"), mask_of("arbitrary")]
    np.testing.assert_array_equal(loaded(given), model(given))
    inner = loaded.layers[-1].backward_layer if bidirectional else loaded.layers[-1]
    assert type(inner) is SimpleRNN


@pytest.mark.parametrize("from_keras", [True, False])
def test_weight_files_interchange_with_keras(rng, tmp_path, from_keras):
    models = [functional(cls(UNITS, name="rnn")) for cls in (SimpleRNN, keras.layers.SimpleRNN)]
    source, target = reversed(models) if from_keras else models
    source.set_weights([rng.normal(size=weight.shape) for weight in source.weights])
    source.save_weights(tmp_path / "model.weights.h5")
    target.load_weights(tmp_path / "model.weights.h5")
    assert [weight.path for weight in source.weights] == [weight.path for weight in target.weights]
    given = [rng.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype("float32"), mask_of("right")]
    assert_same(source(given), target(given))


def test_the_docstrings_shapes_are_true(rng):
    x = np.zeros((BATCH, TIMESTEPS, FEATURES), "float32")
    assert SimpleRNN(UNITS)(x).shape == (BATCH, UNITS)
    layer = SimpleRNN(UNITS, return_sequences=True)
    assert layer(x).shape == (BATCH, TIMESTEPS, UNITS)
    shapes = {weight.name: weight.shape for weight in layer.weights}
    assert shapes == {"kernel": (FEATURES, UNITS), "recurrent_kernel": (UNITS, UNITS), "bias": (UNITS,)}
