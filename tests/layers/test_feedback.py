"""`FeedbackRNN` against NumPy loops: running freely, and teacher-forced."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnnzoo.layers import FeedbackRNN, Readout, reference

BATCH, TIMESTEPS, UNITS, OUTPUTS = 3, 5, 4, 3
CASES = {
    "output": {},
    "output, two layers": {"layers": 2},
    "output, sigmoid": {"output_activation": "sigmoid"},
    "output, relu, no bias": {"activation": "relu", "use_bias": False},
    "token": {"feedback": "token"},
    "token, two layers, softmax": {"feedback": "token", "layers": 2, "output_activation": "softmax"},
}
OUTPUT_ACTIVATIONS = {
    None: lambda y: y,
    "sigmoid": lambda y: 1 / (1 + np.exp(-y)),
    "softmax": lambda y: np.exp(y) / np.exp(y).sum(-1, keepdims=True),
}


@pytest.fixture(params=CASES)
def arguments(request):
    return CASES[request.param]


def make(arguments, rng, **more):
    """The layer with random weights, initial states, and a readout's kernel and bias."""
    layer = FeedbackRNN(UNITS, OUTPUTS, TIMESTEPS, **arguments, **more)
    layer.build(None)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    states = [tf.constant(rng.normal(size=(BATCH, UNITS)), tf.float32) for _ in range(layer.layers)]
    kernel, bias = (tf.constant(rng.normal(size=shape), tf.float32) for shape in ((UNITS, OUTPUTS), (OUTPUTS,)))
    return layer, states, kernel, bias


def numpy_step(layer, fed, states):
    """(batch, width) and each layer's state -> each layer's new state."""
    activation = keras.activations.serialize(layer.rnns[0].activation)
    new = []
    for rnn, state in zip(layer.rnns, states, strict=True):
        fed = reference.forward(fed[:, None], *rnn.get_weights(), activation=activation, initial_state=state)[:, 0]
        new.append(fed)
    return new


def numpy_vectors(layer, written):
    """Token ids as the vectors that are fed, id k as unit vector k - 1; vectors as they are."""
    if layer.feedback != "token":
        return written
    return np.concatenate([np.zeros((1, OUTPUTS - 1)), np.eye(OUTPUTS - 1)])[written].astype("float32")


def numpy_free_run(layer, states, kernel, bias, output_activation=None):
    """What a loop over `timesteps` gives: hidden states (batch, timesteps, units), and what was fed back."""
    states = [state.numpy() for state in states]
    fed = np.zeros((BATCH, layer.feedback_width), "float32")
    hidden, written = [], []
    for _ in range(TIMESTEPS):
        states = numpy_step(layer, fed, states)
        output = OUTPUT_ACTIVATIONS[output_activation](states[-1] @ kernel.numpy() + bias.numpy())
        written.append(output[:, 1:].argmax(-1) + 1 if layer.feedback == "token" else output)
        fed = numpy_vectors(layer, written[-1])
        hidden.append(states[-1])
    return np.stack(hidden, 1), np.stack(written, 1)


def test_running_freely_equals_a_numpy_loop(arguments, rng):
    layer, states, kernel, bias = make(arguments, rng)
    expected, written = numpy_free_run(layer, states, kernel, bias, arguments.get("output_activation"))
    np.testing.assert_allclose(layer(states, kernel=kernel, bias=bias), expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(written[:, 1:] - written[:, :-1]) > 0, "the outputs change, so that feeding them back matters"


def test_running_freely_gives_as_many_steps_in_a_graph_of_unknown_batch_size(arguments, rng):
    layer, states, kernel, bias = make(arguments, rng)
    graph = tf.function(lambda *states: layer(list(states), kernel=kernel, bias=bias))
    concrete = graph.get_concrete_function(*[tf.TensorSpec((None, UNITS)) for _ in states])
    expected = layer(states, kernel=kernel, bias=bias)
    np.testing.assert_allclose(concrete(*states), expected, rtol=1e-5, atol=1e-6)


def test_teacher_forcing_equals_a_numpy_loop(arguments, rng):
    layer, states, _, _ = make(arguments, rng)
    steps = TIMESTEPS + 2  # as many as the target has
    tokens = rng.integers(1, OUTPUTS, (BATCH, steps))
    target = tokens if layer.feedback == "token" else rng.normal(size=(BATCH, steps, OUTPUTS)).astype("float32")
    vectors = numpy_vectors(layer, target)
    state, expected = [state.numpy() for state in states], []
    for t in range(steps):
        fed = vectors[:, t - 1] if t else np.zeros((BATCH, layer.feedback_width), "float32")
        state = numpy_step(layer, fed, state)
        expected.append(state[-1])
    np.testing.assert_allclose(layer(states, target=target), np.stack(expected, 1), rtol=1e-4, atol=1e-5)


def test_forced_with_its_own_outputs_it_runs_as_if_free(arguments, rng):
    layer, states, kernel, bias = make(arguments, rng)
    free, written = numpy_free_run(layer, states, kernel, bias, arguments.get("output_activation"))
    np.testing.assert_allclose(layer(states, target=written), free, rtol=1e-4, atol=1e-5)


def test_every_weight_gets_a_gradient_both_ways(rng):
    layer, states, kernel, bias = make({"layers": 2}, rng)
    target = rng.normal(size=(BATCH, TIMESTEPS, OUTPUTS)).astype("float32")
    for given in ({"kernel": kernel, "bias": bias}, {"target": target}):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(states, **given) ** 2)
        for gradient, weight in zip(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables, strict=True):
            assert np.abs(gradient).max() > 0, weight.path


def test_the_free_runs_gradient_goes_through_what_is_fed_back(rng):
    """Backpropagation through the loop, against finite differences of the readout's bias."""
    layer, states, kernel, bias = make({}, rng)

    def loss(bias):
        return tf.reduce_sum(layer(states, kernel=kernel, bias=bias) ** 2)

    with tf.GradientTape() as tape:
        tape.watch(bias)
        value = loss(bias)
    gradient = tape.gradient(value, bias).numpy()
    steps = 2e-3 * np.eye(OUTPUTS, dtype="float32")
    expected = [(loss(bias + step) - loss(bias - step)) / 4e-3 for step in steps]
    assert np.abs(gradient).max() > 0.1
    np.testing.assert_allclose(gradient, expected, rtol=1e-2, atol=5e-3)


def test_it_follows_the_precision_that_it_is_given(rng):
    layer, states, kernel, bias = make({}, rng, dtype="float64")
    double = [tf.cast(value, tf.float64) for value in (*states, kernel, bias)]
    assert layer(double[:-2], kernel=double[-2], bias=double[-1]).dtype == tf.float64


@pytest.mark.parametrize("rate", ["dropout", "recurrent_dropout"])
@pytest.mark.parametrize("forced", [True, False])
def test_dropout_drops_in_training_alone(rng, rate, forced):
    layer, states, kernel, bias = make({rate: 0.5}, rng)
    target = rng.normal(size=(BATCH, TIMESTEPS, OUTPUTS)).astype("float32")
    given = {"target": target} if forced else {"kernel": kernel, "bias": bias}
    np.testing.assert_array_equal(layer(states, **given), layer(states, **given))
    assert np.abs(layer(states, **given, training=True) - layer(states, **given)).max() > 1e-3


def test_the_docstrings_shapes_are_true(rng):
    for arguments in CASES.values():
        layer, states, kernel, bias = make(arguments, rng)
        assert layer(states, kernel=kernel, bias=bias).shape == (BATCH, TIMESTEPS, UNITS)
        assert layer.encode(np.ones((BATCH,), int) if layer.feedback == "token" else bias[None]).shape[-1] == (
            layer.feedback_width
        )
        hidden, new_states = layer.run(tf.zeros((BATCH, 2, layer.feedback_width)), states)
        assert hidden.shape == (BATCH, 2, UNITS)
        assert [state.shape for state in new_states] == [(BATCH, UNITS)] * layer.layers


def test_its_config_makes_the_same_layer(arguments):
    layer = FeedbackRNN(
        UNITS, OUTPUTS, TIMESTEPS, dropout=0.1, recurrent_dropout=0.2, recurrent_initializer="identity", **arguments
    )
    config = layer.get_config()
    again = FeedbackRNN.from_config(config)
    assert again.get_config() == config
    for key, value in {"units": UNITS, "outputs": OUTPUTS, "timesteps": TIMESTEPS, "dropout": 0.1, **arguments}.items():
        assert config[key] == value
    assert isinstance(again.rnns[0].cell.recurrent_initializer, keras.initializers.Identity)
    assert [rnn.name for rnn in again.rnns] == [rnn.name for rnn in layer.rnns]


@pytest.mark.parametrize("forced", [True, False])
def test_a_saved_model_gives_bitwise_the_same(arguments, rng, tmp_path, forced):
    layer, states, _, _ = make(arguments, rng)
    inputs = [keras.Input((UNITS,)) for _ in states]
    readout = Readout(OUTPUTS, activation=arguments.get("output_activation"))
    kernel, bias = readout(inputs[-1], as_weights=True)
    if forced:
        tokens = layer.feedback == "token"
        target = keras.Input((None,) if tokens else (None, OUTPUTS), dtype="int32" if tokens else None)
        model = keras.Model([*inputs, target], readout(layer(inputs, target=target)))
        written = rng.integers(0, OUTPUTS, (BATCH, 4)) if tokens else rng.normal(size=(BATCH, 4, OUTPUTS))
        given = [*states, tf.constant(written, target.dtype)]
    else:
        model = keras.Model(inputs, readout(layer(inputs, kernel=kernel, bias=bias)))
        given = states
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(given), model(given))
    assert model.output_shape == (None, None if forced else TIMESTEPS, OUTPUTS)
