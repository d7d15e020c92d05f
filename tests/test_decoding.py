"""Step-by-step decoding equals the teacher-forced model run again and again on what has been written so far."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo.architectures import one_to_many as one_to_many_module
from rnnzoo.decoding import Decoder
from rnnzoo.errors import InputError

UNITS, OUTPUTS, START, STEPS = 8, 7, 1, 6
# What an encoder-decoder can be made of, writing tokens or vectors.
ENCODER_DECODERS = {
    "tokens": {"vocabulary_size": 7},
    "tokens, two layers": {"vocabulary_size": 7, "layers": 2},
    "tokens, both ways": {"vocabulary_size": 7, "bidirectional": True, "layers": 2},
    "tokens, bridge": {"vocabulary_size": 7, "hidden": (5, 4), "encoder_units": 3},
    "tokens, embedding": {"vocabulary_size": 7, "embedding": 3, "target_embedding": 2, "target_vocabulary_size": OUTPUTS},
    "vectors to tokens": {"features": 3, "mask_value": -2.0, "target_vocabulary_size": OUTPUTS},
    "vectors": {"features": 3, "mask_value": -2.0},
    "vectors, everything": {"features": 3, "mask_value": -2.0, "layers": 2, "bidirectional": True, "hidden": (5,)},
    "tokens to vectors": {"vocabulary_size": 7, "target_features": OUTPUTS, "output_activation": "tanh"},
}
ONE_TO_MANYS = {
    "vectors": {},
    "vectors, two layers, tanh": {"layers": 2, "output_activation": "tanh"},
    "tokens": {"feedback": "token"},
    "tokens, two layers": {"feedback": "token", "layers": 2},
}


@pytest.fixture
def rng():
    """Not the seed of the other tests: under this one texts vary (`assert_varied`)."""
    return np.random.default_rng(21)


def with_random_weights(model, rng):
    """Random weights under which texts vary: a recurrent kernel that turns and grows the state, and small biases."""

    def draw(weight):
        if len(weight.shape) == 1:
            return rng.uniform(-0.2, 0.2, weight.shape)
        drawn = rng.normal(size=weight.shape)
        return 1.4 * np.linalg.qr(drawn)[0] if "recurrent" in weight.path else drawn

    model.set_weights([draw(weight) for weight in model.weights])
    return model


def assert_varied(written):
    """Tokens differ from step to step and from row to row, or a decoder that ignored something would pass."""
    assert len(np.unique(written)) >= 3
    assert len({tuple(row) for row in written.tolist()}) >= 2


def sources(model, rng, lengths=(5, 3, 1, 4)):
    """A ragged batch of sources, right-padded with id 0 or with frames of -2."""
    source = model.get_layer("source").output
    used = np.arange(max(lengths)) < np.array(lengths)[:, None]
    if source.dtype == "int32":
        return np.where(used, rng.integers(1, 7, used.shape), 0)
    return np.where(used[..., None], rng.normal(size=(*used.shape, source.shape[2])), -2.0).astype("float32")


def writes_tokens(model):
    return len(model.get_layer("target").output.shape) == 2


def naive_tokens(run, batch, end_token=None):
    """`run` of a growing prefix (batch, t) gives outputs (batch, OUTPUTS); what a greedy loop writes, and those outputs."""
    written, outputs, done = [], [], np.zeros(batch, bool)
    for _ in range(STEPS):
        outputs.append(run(written))
        token = outputs[-1][:, 1:].argmax(-1) + 1
        written.append(np.where(done, 0, token))
        done |= end_token is not None and token == end_token
        if done.all():
            break
    return np.stack(written, 1), np.stack(outputs, 1)


def naive_vectors(run):
    written = []
    for _ in range(STEPS):
        written.append(run(written))
    return np.stack(written, 1)


def encoder_decoder_run(model, source):
    """The teacher-forced model's last output for a prefix that begins with the start token, or with zeros."""

    def run(written):
        first = np.full(len(source), START) if writes_tokens(model) else np.zeros((len(source), OUTPUTS), "float32")
        return model({"source": source, "target": np.stack([first, *written], 1)})[:, -1].numpy()

    return run


def one_to_many_run(model, inputs):
    """The twin's last output for a prefix of targets; the last step's own target does not reach it."""
    twin = one_to_many_module.teacher_forced(model)
    tokens = model.get_layer("decoder").feedback == "token"

    def run(written):
        last = np.full(len(inputs), 1) if tokens else np.full((len(inputs), OUTPUTS), 9.0, "float32")
        return twin({"inputs": inputs, "target": np.stack([*written, last], 1)})[:, -1].numpy()

    return run


@pytest.fixture(params=ENCODER_DECODERS)
def translator(request, rng):
    """An encoder-decoder with random weights, and its sources."""
    model = rnnzoo.encoder_decoder(outputs=OUTPUTS, units=UNITS, **ENCODER_DECODERS[request.param])
    return with_random_weights(model, rng), sources(model, rng)


@pytest.fixture(params=ONE_TO_MANYS)
def writer(request, rng):
    """A one-to-many model with random weights, and its inputs."""
    model = rnnzoo.one_to_many(features=3, outputs=OUTPUTS, timesteps=STEPS, units=UNITS, **ONE_TO_MANYS[request.param])
    return with_random_weights(model, rng), rng.normal(size=(4, 3)).astype("float32")


def an_end_token(written):
    """A token that ends some rows before the last step, and others later or never."""
    for token in np.unique(written):
        first = [row.tolist().index(token) if token in row else STEPS for row in written]
        if min(first) < STEPS - 2 and max(first) > min(first) + 1:
            return int(token)
    raise AssertionError("no token ends some rows and not others; choose another seed")


# encoder_decoder


def test_an_encoder_decoder_writes_what_the_whole_model_would(translator):
    model, source = translator
    run = encoder_decoder_run(model, source)
    written = rnnzoo.decode(model, source, max_length=STEPS, start_token=START)
    if writes_tokens(model):
        np.testing.assert_array_equal(written, naive_tokens(run, len(source))[0])
        assert written.min() > 0, "id 0 is padding, which nothing writes"
        assert_varied(written)
    else:
        np.testing.assert_allclose(written, naive_vectors(run), rtol=1e-3, atol=1e-4)
        assert written.dtype == np.float32


def test_it_stops_at_the_end_token(rng):
    model = rnnzoo.encoder_decoder(outputs=OUTPUTS, units=UNITS, vocabulary_size=7)
    with_random_weights(model, rng)
    source = sources(model, rng)
    run = encoder_decoder_run(model, source)
    end = an_end_token(naive_tokens(run, len(source))[0])
    expected, outputs = naive_tokens(run, len(source), end)
    written = rnnzoo.decode(model, source, max_length=STEPS, start_token=START, end_token=end)
    np.testing.assert_array_equal(written, expected)
    for row in written:
        stop = row.tolist().index(end) + 1 if end in row else STEPS
        assert not row[stop:].any(), "0 after the end token"
        assert row[:stop].all()
    decoder = Decoder(model, max_length=STEPS, start_token=START, end_token=end)
    behind = decoder(tf.constant(source))[1].numpy()
    alive = written > 0
    np.testing.assert_allclose(behind[alive], outputs[: len(written)][alive], rtol=1e-4, atol=1e-5)


def test_it_takes_no_more_steps_than_the_longest_row(rng):
    model = with_random_weights(rnnzoo.encoder_decoder(outputs=OUTPUTS, units=UNITS, vocabulary_size=7), rng)
    source = sources(model, rng, lengths=(4,))
    free = rnnzoo.decode(model, source, max_length=STEPS, start_token=START)[0]
    for end in np.unique(free):
        stop = free.tolist().index(end) + 1
        written = rnnzoo.decode(model, source, max_length=STEPS, start_token=START, end_token=int(end))
        np.testing.assert_array_equal(written, [free[:stop]])
    assert rnnzoo.decode(model, source, max_length=1, start_token=START).shape == (1, 1)


def test_the_start_token_is_what_is_fed_first(rng):
    model = with_random_weights(rnnzoo.encoder_decoder(outputs=OUTPUTS, units=UNITS, vocabulary_size=7), rng)
    source = sources(model, rng)
    firsts = []
    for start in range(1, OUTPUTS):
        target = np.full((len(source), 1), start)
        output = model({"source": source, "target": target})[:, 0].numpy()
        decoder = Decoder(model, max_length=1, start_token=start)
        np.testing.assert_allclose(decoder(tf.constant(source))[1][:, 0], output, rtol=1e-4, atol=1e-5)
        firsts.append(output)
    assert np.ptp(firsts, axis=0).max() > 0.1


def test_a_batch_writes_what_its_rows_write_alone_and_unpadded(translator):
    """In one graph for every size, as an export has it."""
    model, source = translator
    spec = tf.TensorSpec((None, None, *source.shape[2:]), source.dtype)
    decoder = Decoder(model, max_length=STEPS, start_token=START)
    graph = tf.function(lambda source: decoder(source)[0], input_signature=[spec])
    together = graph(source).numpy()
    np.testing.assert_allclose(together, decoder(tf.constant(source))[0], rtol=1e-4, atol=1e-5)
    used = source != 0 if source.ndim == 2 else (source != -2.0).any(-1)
    assert not used.all()
    for row in range(len(source)):
        alone = graph(source[row : row + 1, : used[row].sum()])
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-4, atol=1e-5)


def test_decoding_leaves_the_model_as_it_was(translator, tmp_path):
    """A model that has been decoded still saves, and what was saved decodes to the same."""
    model, source = translator
    arguments = {"max_length": STEPS, "start_token": START}
    config, written = model.to_json(), rnnzoo.decode(model, source, **arguments)
    assert model.to_json() == config
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(rnnzoo.decode(loaded, source, **arguments), written)


# one_to_many


def test_a_one_to_many_model_writes_what_its_twin_would(writer):
    model, inputs = writer
    run = one_to_many_run(model, inputs)
    written = rnnzoo.decode(model, inputs, max_length=STEPS)
    if written.ndim == 2:
        np.testing.assert_array_equal(written, naive_tokens(run, len(inputs))[0])
        assert_varied(written)
    else:
        np.testing.assert_allclose(written, naive_vectors(run), rtol=1e-3, atol=1e-4)


def test_a_one_to_many_model_running_freely_gives_what_decoding_gives(writer):
    model, inputs = writer
    written, outputs = Decoder(model, max_length=STEPS)(tf.constant(inputs))
    free = model(inputs).numpy()
    np.testing.assert_allclose(outputs, free, rtol=1e-4, atol=1e-5)
    if len(written.shape) == 2:
        np.testing.assert_array_equal(written, free[..., 1:].argmax(-1) + 1)
    else:
        np.testing.assert_array_equal(written, outputs)


def test_decoding_may_go_on_past_the_models_own_timesteps(writer):
    model, inputs = writer
    longer = rnnzoo.decode(model, inputs, max_length=STEPS + 3)
    assert longer.shape[1] == STEPS + 3
    np.testing.assert_allclose(longer[:, :STEPS], rnnzoo.decode(model, inputs, max_length=STEPS), rtol=1e-5, atol=1e-6)


def test_a_one_to_many_model_stops_at_the_end_token(rng):
    arguments = {"features": 3, "outputs": OUTPUTS, "timesteps": STEPS, "feedback": "token", "units": UNITS}
    model = with_random_weights(rnnzoo.one_to_many(**arguments), rng)
    inputs = rng.normal(size=(4, 3)).astype("float32")
    end = an_end_token(rnnzoo.decode(model, inputs, max_length=STEPS))
    expected, _ = naive_tokens(one_to_many_run(model, inputs), len(inputs), end)
    np.testing.assert_array_equal(rnnzoo.decode(model, inputs, max_length=STEPS, end_token=end), expected)
    assert (expected == 0).any()


def test_rows_of_a_one_to_many_batch_do_not_touch_each_other(writer):
    model, inputs = writer
    decoder = Decoder(model, max_length=STEPS)
    graph = tf.function(lambda inputs: decoder(inputs)[0], input_signature=[tf.TensorSpec((None, 3))])
    together = graph(inputs).numpy()
    for row in range(len(inputs)):
        np.testing.assert_allclose(graph(inputs[row : row + 1])[0], together[row], rtol=1e-4, atol=1e-5)


def test_a_loaded_one_to_many_model_writes_the_same(writer, tmp_path):
    model, inputs = writer
    written = rnnzoo.decode(model, inputs, max_length=STEPS)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(rnnzoo.decode(loaded, inputs, max_length=STEPS), written)


# Both


def test_the_docstrings_shapes_are_true(rng):
    tokens = with_random_weights(rnnzoo.encoder_decoder(outputs=OUTPUTS, units=UNITS, vocabulary_size=7), rng)
    vectors = with_random_weights(rnnzoo.encoder_decoder(outputs=OUTPUTS, units=UNITS, features=2, layers=2), rng)
    for model in (tokens, vectors):
        source = tf.constant(sources(model, rng))
        decoder = Decoder(model, max_length=STEPS, start_token=START)
        written, outputs = decoder(source)
        assert outputs.shape == (4, STEPS, OUTPUTS)
        assert written.shape == (4, STEPS, OUTPUTS)[: 2 if model is tokens else 3]
        states = decoder.start(source)
        assert list(states) == ["state", "state_2"][: len(states)]
        assert len(states) == (1 if model is tokens else 2)
        assert {tuple(state.shape) for state in states.values()} == {(4, UNITS)}
        fed = tf.ones(4, tf.int32) if model is tokens else tf.zeros((4, OUTPUTS))
        result = decoder.step({"fed": fed, **states})
        assert set(result) == {"outputs", *states}
        assert result["outputs"].shape == (4, OUTPUTS)
        assert {tuple(result[name].shape) for name in states} == {(4, UNITS)}


@pytest.mark.parametrize("architecture", ["many_to_one", "many_to_many", "bidirectional", "deep", "one_to_one"])
def test_a_model_that_does_not_write_is_refused(architecture):
    model = getattr(rnnzoo, architecture)(features=2, outputs=3, units=UNITS)
    with pytest.raises(InputError, match=f"'{architecture}' has no decoder"):
        rnnzoo.decode(model, np.zeros((1, 2, 2), "float32"), max_length=3)


@pytest.mark.parametrize("max_length", [0, -1])
def test_a_length_of_no_step_is_refused(max_length):
    model = rnnzoo.one_to_many(features=2, outputs=3, timesteps=4, units=UNITS)
    with pytest.raises(InputError, match=f"max_length must be a positive integer, not {max_length}"):
        rnnzoo.decode(model, np.zeros((1, 2), "float32"), max_length=max_length)


@pytest.mark.parametrize(
    "target", [{"target_features": OUTPUTS + 1}, {"target_vocabulary_size": OUTPUTS - 1}], ids=["vectors", "tokens"]
)
def test_a_model_that_cannot_be_fed_its_own_outputs_is_refused(target):
    model = rnnzoo.encoder_decoder(features=2, outputs=OUTPUTS, units=UNITS, **target)
    with pytest.raises(InputError, match="target"):
        rnnzoo.decode(model, np.zeros((1, 2, 2), "float32"), max_length=3, start_token=START)


def test_a_first_step_that_the_model_takes_for_padding_is_refused(rng):
    """The whole model would skip it, so that decoding would write something else than was trained."""
    tokens = rnnzoo.encoder_decoder(vocabulary_size=7, outputs=OUTPUTS, units=UNITS)
    with pytest.raises(InputError, match="start_token"):
        rnnzoo.decode(tokens, sources(tokens, rng), max_length=3, start_token=0)
    zeros = rnnzoo.encoder_decoder(features=3, target_mask_value=0.0, outputs=OUTPUTS, units=UNITS)
    with pytest.raises(InputError, match="target_mask_value"):
        rnnzoo.decode(zeros, sources(zeros, rng), max_length=3)


@pytest.mark.parametrize("arguments", [{"start_token": OUTPUTS}, {"start_token": -1}, {"end_token": OUTPUTS}])
def test_a_token_that_the_model_does_not_know_is_refused(rng, arguments):
    model = rnnzoo.encoder_decoder(vocabulary_size=7, outputs=OUTPUTS, units=UNITS)
    with pytest.raises(InputError, match=next(iter(arguments))):
        rnnzoo.decode(model, sources(model, rng), max_length=3, **{"start_token": START, **arguments})


@pytest.mark.parametrize("architecture", ["encoder_decoder", "one_to_many"])
def test_a_step_costs_the_same_however_many_went_before(architecture):
    """The prefix is not gone over again: 40 times as many steps take 40 times as long, not 1,600 times."""
    if architecture == "one_to_many":
        model = rnnzoo.one_to_many(features=2, outputs=OUTPUTS, timesteps=4, units=UNITS)
        inputs = tf.zeros([1, 2])
    else:
        model = rnnzoo.encoder_decoder(vocabulary_size=7, outputs=OUTPUTS, units=UNITS)
        inputs = tf.ones([1, 3], tf.int32)

    def seconds_per_step(steps):
        run = tf.function(
            Decoder(model, max_length=steps, start_token=int(architecture == "encoder_decoder")), autograph=False
        )
        assert run(inputs)[0].shape[1] == steps
        taken = []
        for _ in range(5):
            begin = time.process_time()  # not the clock: another process may run the other half of the tests
            run(inputs)
            taken.append((time.process_time() - begin) / steps)
        return min(taken)

    # Going over the prefix would cost 40 times as much; what the other process does to caches, up to 1.7 times.
    assert seconds_per_step(10_000) < 3 * seconds_per_step(250)
