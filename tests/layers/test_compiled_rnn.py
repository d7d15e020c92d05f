"""`SimpleRNN` where it compiles: in training, inside a graph, against Keras's own layer on random weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnnzoo.layers import SimpleRNN, _loops, _recurrence, simple_rnn

# More timesteps than a chunk and no multiple of one; enough rows for every level.
BATCH, TIMESTEPS, FEATURES, UNITS = 33, 19, 2, 5
TOLERANCES = {"float32": 1e-5, "float64": 1e-12}
WAYS = ["whole", "shrinking", "shrinking in pieces"]
OPTIONS = {
    "plain": {},
    "sequences": {"return_sequences": True, "return_state": True},
    "backwards": {"go_backwards": True, "return_state": True},
    "backwards sequences": {"go_backwards": True, "return_sequences": True},
    "zero output": {"zero_output_for_mask": True, "return_sequences": True},
    "zero last output": {"zero_output_for_mask": True},
    "no bias, relu": {"use_bias": False, "activation": "relu"},
    "no activation": {"activation": None, "return_sequences": True},
    "sigmoid": {"activation": "sigmoid"},
    "dropout": {"dropout": 0.4, "seed": 3},
}


def a_mask(name, rng, timesteps=TIMESTEPS):
    lengths = rng.integers(1, timesteps + 1, BATCH)
    right = np.arange(timesteps) < lengths[:, None]
    scattered = rng.random((BATCH, timesteps)) < 0.4
    return {
        "none": None,
        "right": right,
        "left": right[:, ::-1].copy(),
        "short": np.arange(timesteps) < (lengths[:, None] + 3) // 4,
        "scattered, empty rows": scattered & (np.arange(BATCH) % 3 > 0)[:, None],
        "nothing": np.zeros_like(right),
        "full": np.ones_like(right),
    }[name]


@pytest.fixture
def compiling(monkeypatch):
    """A function that makes small layers compile, the way that large ones do if told so; it counts the passes."""
    passes = []

    def begin(way="whole"):
        monkeypatch.setattr(simple_rnn, "WORTH_COMPILING", 0)
        monkeypatch.setattr(_recurrence, "LARGE", float("inf") if way == "whole" else 0)
        if way.endswith("pieces"):
            monkeypatch.setattr(_recurrence, "PIECES_FROM", 1)
            monkeypatch.setattr(_loops, "FEW", 2)  # a piece is a loop too
        run = _recurrence.recurrence
        monkeypatch.setattr(simple_rnn, "recurrence", lambda *args: passes.append(way) or run(*args))
        return passes

    return begin


def twins(rng, dtype="float32", units=UNITS, **options):
    layers = [cls(units, dtype=dtype, **options) for cls in (SimpleRNN, keras.layers.SimpleRNN)]
    for layer in layers:
        layer.build((BATCH, None, FEATURES))
    weights = [rng.uniform(-0.6, 0.6, weight.shape) for weight in layers[0].get_weights()]
    for layer in layers:
        if weights:
            layer.set_weights(weights)
    return layers


def in_training(layer):
    """A graph: what the layer returns in training, and the gradients of a weighted sum of it: of input, state, weights."""

    @tf.function(autograph=False)
    def run(x, state, mask, weigh):
        with tf.GradientTape() as tape:
            tape.watch([x, state])
            results = tf.nest.flatten(layer(x, mask=mask, initial_state=state, training=True))
            loss = sum(tf.reduce_sum(result * weigh[len(result.shape)]) for result in results)
        return results, tape.gradient(loss, [x, state, *layer.trainable_weights], unconnected_gradients="zero")

    return run


def assert_same(layers, rng, dtype, mask, timesteps=TIMESTEPS, graphs=None, said=""):
    """Ours and Keras's give the same for random inputs; `graphs` are those of `in_training`, where they are kept."""
    units, graphs = layers[0].units, graphs or list(map(in_training, layers))
    x, state = (tf.constant(rng.normal(size=s), dtype) for s in [(BATCH, timesteps, FEATURES), (BATCH, units)])
    shapes = {3: (BATCH, timesteps, units), 2: (BATCH, units)}
    weigh = {rank: tf.constant(rng.normal(size=shape), dtype) for rank, shape in shapes.items()}
    mask = None if mask is None else tf.constant(mask)
    ours, stock = (run(x, state, mask, weigh) for run in graphs)
    for kind, a, b in zip(("outputs", "gradients"), ours, stock, strict=True):
        assert len(a) == len(b)
        for got, expected in zip(a, b, strict=True):
            assert got.shape == expected.shape
            scale = max(1.0, float(np.abs(expected).max())) if kind == "outputs" else float(np.abs(expected).max())
            np.testing.assert_allclose(
                got, expected, rtol=0, atol=TOLERANCES[dtype] * max(scale, 1e-3), err_msg=f"{kind} {said}"
            )


FEW = ["sequences", "backwards", "no bias, relu"]
# What else goes these ways is compiled for each of them: together a minute and a half.
SOME = [way if way == "whole" else pytest.param(way, marks=pytest.mark.slow) for way in WAYS]


@pytest.mark.parametrize("way", WAYS)
def test_every_mask_equals_keras(rng, compiling, way):
    """Compiled once without a mask and once for all of them, as in training."""
    passes = compiling(way)
    layers = twins(rng, return_sequences=True, return_state=True, dtype="float64")
    graphs = list(map(in_training, layers))
    for mask in ("none", "right", "left", "short", "scattered, empty rows", "nothing", "full"):
        assert_same(layers, rng, "float64", a_mask(mask, rng), graphs=graphs, said=f"with the mask: {mask}")
    assert passes == [way] * 2


@pytest.mark.parametrize(
    "options", [*FEW, *(pytest.param(one, marks=pytest.mark.slow) for one in OPTIONS if one not in FEW)]
)
def test_every_option_equals_keras(rng, compiling, options):
    passes = compiling("shrinking")
    assert_same(twins(rng, **OPTIONS[options]), rng, "float32", a_mask("right", rng))
    assert passes


@pytest.mark.parametrize("way", SOME)
@pytest.mark.parametrize("timesteps", [4, TIMESTEPS])
def test_few_features_equal_keras(rng, compiling, way, timesteps):
    """Where the inputs' gradient comes out of the loop itself."""
    compiling(way)
    layers = twins(rng, "float64", units=4 * FEATURES, use_bias=False)
    assert _loops.is_narrow(layers[0].cell.kernel)
    assert_same(layers, rng, "float64", a_mask("right", rng, timesteps), timesteps)


@pytest.mark.parametrize("timesteps", [2, 16, 32, 37])
def test_every_length_equals_keras(rng, compiling, timesteps):
    """One chunk, whole chunks, and one that is cut off."""
    compiling()
    assert_same(twins(rng, return_sequences=True), rng, "float32", None, timesteps)


@pytest.mark.parametrize("way", SOME)
def test_second_derivatives_equal_keras(rng, compiling, way):
    passes = compiling(way)
    layers = twins(rng, "float64", return_sequences=True)
    x, mask = tf.constant(rng.normal(size=(BATCH, 6, FEATURES))), tf.constant(a_mask("right", rng, 6))

    def second(layer):
        @tf.function(autograph=False)
        def run(x):
            with tf.GradientTape() as outer:
                outer.watch(x)
                with tf.GradientTape() as inner:
                    inner.watch(x)
                    loss = tf.reduce_sum(layer(x, mask=mask, training=True) ** 3)
                first = inner.gradient(loss, [x, *layer.trainable_weights])
                total = tf.add_n([tf.reduce_sum(tf.sin(gradient)) for gradient in first])
            return outer.gradient(total, [x, *layer.trainable_weights])

        return run(x)

    for got, expected in zip(*map(second, layers), strict=True):
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)
    assert passes


@pytest.mark.slow
def test_training_equals_keras(rng, compiling):
    """Stacked, both ways, ragged, batches of two sizes of which the layer is told neither."""
    passes = compiling()
    x = rng.normal(size=(50, TIMESTEPS, FEATURES)).astype("float32")
    mask = np.arange(TIMESTEPS) < rng.integers(1, TIMESTEPS + 1, 50)[:, None]
    y = rng.normal(size=(50, 1)).astype("float32")
    trained = []
    for cls in (SimpleRNN, keras.layers.SimpleRNN):
        keras.utils.set_random_seed(0)
        inputs, used = keras.Input((TIMESTEPS, FEATURES)), keras.Input((TIMESTEPS,), dtype="bool")
        hidden = keras.layers.Bidirectional(cls(UNITS, return_sequences=True))(inputs, mask=used)
        hidden = cls(UNITS, kernel_regularizer="l2", recurrent_constraint="unit_norm")(hidden, mask=used)
        model = keras.Model([inputs, used], keras.layers.Dense(1)(hidden))
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile="auto" if cls is SimpleRNN else False)
        model.fit([x, mask], y, batch_size=32, epochs=2, shuffle=False, verbose=0)
        trained.append(model.get_weights())
    assert passes
    for ours, stock in zip(*trained, strict=True):
        np.testing.assert_allclose(ours, stock, atol=1e-5)


def test_state_is_carried_as_in_keras(rng, compiling):
    passes = compiling()
    x = tf.constant(rng.normal(size=(BATCH, TIMESTEPS, FEATURES)), "float32")
    layers = twins(rng, stateful=True)
    states = []
    for layer in layers:
        run = tf.function(lambda x, layer=layer: layer(x, training=True), autograph=False)
        run(x), run(x[:, ::-1])
        states.append(layer.states[0].numpy())
    assert passes
    np.testing.assert_allclose(*states, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"recurrent_dropout": 0.3, "seed": 1}, {"activation": "gelu"}, {"dtype": "mixed_float16"}],
    ids=["recurrent dropout", "gelu", "mixed_float16"],
)
def test_what_is_not_compiled_equals_keras(rng, compiling, options):
    passes = compiling()
    layers = twins(rng, **options)
    x = tf.constant(rng.normal(size=(BATCH, TIMESTEPS, FEATURES)), layers[0].compute_dtype)
    ours, stock = (tf.function(lambda x, f=f: f(x, training=True), autograph=False)(x) for f in layers)
    assert not passes
    np.testing.assert_allclose(ours, stock, atol=2e-3 if "dtype" in options else 1e-6)


def test_nothing_is_compiled_where_it_would_not_pay(rng, compiling):
    passes = compiling()
    layer, _ = twins(rng)
    x = tf.constant(rng.normal(size=(BATCH, TIMESTEPS, FEATURES)), "float32")
    layer(x, training=True)  # without a graph, where lengths change freely
    tf.function(lambda x: layer(x, training=False), autograph=False)(x)  # what is exported
    tf.function(lambda x: layer(x, training=True), autograph=False, input_signature=[tf.TensorSpec((None, None, 2))])(x)
    assert not passes


def test_a_step_that_is_nothing_but_its_product_is_left_to_tensorflow(rng, compiling, monkeypatch):
    passes = compiling()
    layers = twins(rng)
    monkeypatch.setattr(simple_rnn, "WHOLE_PRODUCTS", BATCH * UNITS**2)
    x, mask = tf.constant(rng.normal(size=(BATCH, TIMESTEPS, FEATURES)), "float32"), tf.ones((BATCH, TIMESTEPS), bool)
    ours, stock = (tf.function(lambda x, f=f: f(x, training=True), autograph=False)(x) for f in layers)
    np.testing.assert_allclose(ours, stock, atol=1e-6)
    assert not passes
    tf.function(lambda x: layers[0](x[1:], training=True), autograph=False)(x)
    tf.function(lambda x: layers[0](x, mask=mask, training=True), autograph=False)(x)
    assert len(passes) == 2


def test_nan_behind_the_mask_stays_there(rng, compiling):
    compiling()
    layer, _ = twins(rng, return_sequences=True)
    mask = tf.constant(a_mask("right", rng))
    x = tf.where(mask[..., None], tf.constant(rng.normal(size=(BATCH, TIMESTEPS, FEATURES)), "float32"), np.nan)
    assert np.isfinite(tf.function(lambda x: layer(x, mask=mask, training=True), autograph=False)(x)).all()


@pytest.mark.parametrize("timesteps", [pytest.param(16, marks=pytest.mark.slow), 19])
def test_large_products_give_the_same(timesteps, monkeypatch):
    """The large products in pieces, even and uneven ones, against all of it within XLA."""
    rng = np.random.default_rng(0)
    shapes = [(3, timesteps, 4), (3, 5), (4, 5), (5, 5), (5,), (timesteps, 3, 5), (3, 5)]
    *tensors, d_states, d_final = (tf.constant(rng.normal(size=shape) / 2) for shape in shapes)

    def run(levels, with_states):
        @tf.function(autograph=False)
        def both():
            outputs, gradients = _recurrence._ordered(*tensors, None, "tanh", levels)
            return outputs, gradients(d_states if with_states else None, d_final)

        return tf.nest.flatten(both())

    for with_states in (True, False):
        whole = run(1, with_states)
        with monkeypatch.context() as patch:
            patch.setattr(_recurrence, "PIECES_FROM", 1)
            pieces = run(0, with_states)
        assert len(pieces) == len(whole) == 7
        for a, b in zip(pieces, whole, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_pieces_are_eight_at_most(monkeypatch):
    monkeypatch.setattr(_recurrence, "PIECES_FROM", 1)
    for timesteps, pieces in ((16, 8), (19, 7), (3, 3)):
        found = _recurrence._pieces(timesteps, 3, 5)
        assert len(found) == pieces and sum(found) == timesteps
    assert _recurrence._pieces(8, None, 5) == [8]  # of a batch of unknown size nothing is known
    assert _loops.in_xla(_recurrence._pieces)(8, 3, 5) == [8]


def test_large_products_ask_for_tensorflow():
    """Where there is no mask, and only there, an epoch is not compiled whole."""
    noticed, kernel = set(), tf.zeros([128, 256])
    ask = _loops.in_xla(_recurrence._levels, noticed)
    assert ask((64, 256, 128), kernel, tf.ones([64, 256], tf.bool)) == _recurrence.LEVELS and not noticed
    assert ask((64, 2, 128), kernel, None) == 1 and not noticed
    assert ask((64, 256, 128), kernel, None) == 0 and noticed == {"tensorflow"}
    _recurrence._levels((64, 256, 128), kernel, None)  # what is not compiled whole notes nothing
