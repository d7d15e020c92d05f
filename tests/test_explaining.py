"""`explain`, gradient flow, and the callback: what they say of known cases, and what they refuse."""

import csv
import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import rnnzoo
from rnnzoo import explaining
from rnnzoo.building import build, create_task
from rnnzoo.cli.main import cli
from rnnzoo.errors import InputError
from rnnzoo.registry import list_presets, load_preset

SAMPLE = {
    "addition": "39+12",
    "adding-problem": "0.3:0 0.5:1 0.2:0 0.4:1",
    "number-spelling": "42",
    "seven-segment": "1110111",
}
PRESETS = [name for name in list_presets() if load_preset(name).has_weights]


def sample(preset):
    raw = SAMPLE.get(preset, load_preset(preset).metadata()["examples"][0]["input"])
    return raw if isinstance(raw, str) else json.dumps(raw)


@pytest.fixture(scope="module")
def told():
    """A function: a preset's name -> its sample, explained once for all tests."""
    return functools.cache(lambda preset: explaining.explain(preset, sample(preset)))


def run(*arguments):
    return CliRunner().invoke(cli, ["explain", *arguments])


def adding_problem(timesteps, examples=16):
    """Hochreiter and Schmidhuber 1997: the sum of the two marked numbers of a sequence."""
    rng = np.random.default_rng(0)
    x = np.zeros((examples, timesteps, 2))
    x[..., 0] = rng.random((examples, timesteps))
    half = timesteps // 2
    for place in (rng.integers(0, half, examples), rng.integers(half, timesteps, examples)):
        x[np.arange(examples), place, 1] = 1
    return x, (x[..., 0] * x[..., 1]).sum(axis=1, keepdims=True)


def network(activation, recurrent_kernel, kernel=None):
    model = rnnzoo.many_to_one(features=2, outputs=1, units=len(recurrent_kernel), activation=activation)
    hidden = model.get_layer("hidden")
    weights = hidden.get_weights()
    hidden.set_weights([weights[0] if kernel is None else kernel, recurrent_kernel, weights[2]])
    return model


# Raw input


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_explained(preset, told, zoo):
    told, zoo = told(preset), zoo(preset)
    assert told.predicted == zoo.predict([sample(preset)])[0]
    right = zoo.task.right_answer(zoo.check([sample(preset)])[0])
    assert told.answer == right and (told.trace.loss is None) == (right is None)
    # The trace is the model's own pass.
    inputs = {tensor.name: told.trace.inputs[tensor.name] for tensor in zoo.model.inputs if tensor.name in told.trace.inputs}
    if len(inputs) == len(zoo.model.inputs) == len(told.trace.inputs):
        expected = zoo.model(inputs if len(inputs) > 1 else next(iter(inputs.values()))).numpy()
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(told.trace.outputs, expected, atol=1e-4 * scale)
    for tokens in told.tokens.values():
        assert all(tokens)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_tasks_right_answers_are_those_of_its_examples(preset, zoo):
    task = zoo(preset).task
    examples = task.first_test()
    for raw, answer in list(zip(examples.inputs, examples.answers, strict=True))[:50]:
        assert task.right_answer(task.input.check(raw)) in (answer, None)


def test_an_answer_of_ones_own():
    told = explaining.explain("digit-sum-running", "1294", "1 3 12 18")
    assert told.answer == [1, 3, 12, 18] and told.predicted == [1, 3, 12, 16]
    assert told.trace.loss == pytest.approx(4 / 4)
    layer = told.trace.layers["hidden"]
    # d(mean of squares)/dh_4 = 2 (16 - 18) / 4, and the identity hands it on unchanged.
    np.testing.assert_allclose(layer.d_states[0, :, 0], -1)
    np.testing.assert_allclose(layer.recurrent_kernel_shares.ravel(), [0, -1, -3, -12])
    np.testing.assert_allclose(layer.running(layer.recurrent_kernel_shares).ravel(), [-16, -16, -15, -12])


def test_a_label_needs_an_answer():
    assert explaining.explain("seven-segment", "1110111").trace.loss is None
    assert explaining.explain("seven-segment", "1110111", "0").trace.loss > 0


# The command


@pytest.mark.parametrize("preset", PRESETS)
def test_the_command_shows_every_layer(preset, told):
    result = run(preset, sample(preset))
    assert result.exit_code == 0, result.output
    for name in told(preset).trace.layers:
        assert f"\n{name}: " in result.output
    assert "Kept in memory" in result.output


# The trace of 120 timesteps of 256 units takes long to write and to read.
@pytest.mark.parametrize(
    "preset", [pytest.param(one, marks=pytest.mark.slow) if one == "copy-memory" else one for one in PRESETS]
)
def test_the_json_is_the_trace(preset, told):
    told = told(preset)
    found = json.loads(run(preset, sample(preset), "--json").output)
    assert list(found["layers"]) == list(told.trace.layers)
    for name, layer in told.trace.layers.items():
        np.testing.assert_allclose(found["layers"][name]["pre_activations"], layer.pre_activations)
        if told.trace.loss is not None:
            np.testing.assert_allclose(found["layers"][name]["kernel_shares"], layer.kernel_shares)
    assert found["loss_value"] == told.trace.loss


def test_without_a_target_the_forward_half_is_shown():
    result = run("seven-segment", "1110111")
    assert result.exit_code == 0 and "give --answer" in result.output and "dL/dy" not in result.output


def test_long_sequences_are_shortened():
    lines = run("digit-sum", "9" * 400, "--steps", "6").output.splitlines()
    assert len(lines) < 60 and sum(line.startswith("…") for line in lines) == 2


def test_a_saved_model(tmp_path):
    model = rnnzoo.many_to_many(features=2, outputs=1, units=3)
    model.compile("sgd", "mse")
    path = tmp_path / "model.keras"
    model.save(path)
    result = run(str(path), "[[1, 2], [3, 4]]", "--answer", "[[0.5], [1]]", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    expected = model(np.array([[[1, 2], [3, 4]]])).numpy()
    np.testing.assert_allclose(found["outputs"], expected, atol=1e-6)
    assert found["loss_value"] == pytest.approx(float(np.mean((expected.ravel() - [0.5, 1]) ** 2)), rel=1e-5)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["digit-sum"], "give a SAMPLE"),
        (["digit-sum", "12", "--gradients"], "takes no SAMPLE"),
        (["digit-sum", "12", "-o", "x.png"], "go with --gradients"),
        (["digit-sum", "12", "--loss", "mse"], "--loss goes with"),
        (["digit-sum", "12x"], "'x' at position 3"),
        (["digit-sum-running", "12", "--answer", "1 2 3"], "3 answers for 2 timesteps"),
        (["digit-sum", "12", "--answer", "three"], "'three' is no answer"),
        (["digit-summ", "12"], "did you mean 'digit-sum'"),
        (["none.keras", "[1]"], "no such file"),
        (["seven-segment", "--gradients"], "has no recurrent layer"),
    ],
)
def test_bad_input_is_one_line(arguments, said):
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.output and "Traceback" not in result.output


def test_a_bad_file_is_one_line(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("no archive")
    assert "cannot be loaded" in run(str(path), "[1]").output
    model = rnnzoo.one_to_one(features=2, outputs=1)
    model.save(path)
    assert "no JSON" in run(str(path), "[1").output
    assert "expected (any, 2)" in run(str(path), "[1, 2, 3]").output
    assert "needs a loss" in run(str(path), "[1, 2]", "--answer", "[1]").output
    assert "none that Keras knows" in run(str(path), "[1, 2]", "--answer", "[1]", "--loss", "mean_sqared_error").output


# What `trace` refuses


def test_only_models_of_the_factories():
    inputs = keras.Input((3, 2))
    gru = keras.Model(inputs, keras.layers.GRU(2, name="gated")(inputs))
    with pytest.raises(InputError, match=r"layer 'gated' .GRU. cannot be traced"):
        explaining.trace(gru, np.zeros((1, 3, 2)))

    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(InputError, match="no functional model"):
        explaining.trace(Own(), np.zeros((1, 2)))
    with pytest.raises(InputError, match=r"expected a keras.Model"):
        explaining.trace("digit-sum", np.zeros((1, 2)))
    own = rnnzoo.many_to_one(features=2, outputs=1, activation=keras.ops.sin)
    with pytest.raises(InputError, match="layer 'hidden' cannot be traced: its activation sin is none of Keras's own"):
        explaining.trace(own, np.zeros((1, 3, 2)))


def test_arrays_that_do_not_fit():
    model = rnnzoo.many_to_one(features=2, outputs=1)
    x = np.zeros((2, 3, 2))
    for given, said in [
        (np.zeros((2, 3, 4)), "expected .any, any, 2."),
        ({"input": x}, "the model takes inputs; given were input"),
        ("text", "no array of numbers"),
        (np.zeros((0, 3, 2)), "has shape"),
    ]:
        with pytest.raises(InputError, match=said):
            explaining.trace(model, given)
    with pytest.raises(InputError, match="needs a loss"):
        explaining.trace(model, x, np.zeros((2, 1)))
    with pytest.raises(InputError, match="does not fit the outputs"):
        explaining.trace(model, x, np.zeros((5, 1)), loss="mean_squared_error")
    with pytest.raises(InputError, match="sample_weight has shape"):
        explaining.trace(model, x, np.zeros((2, 1)), loss="mean_squared_error", sample_weight=np.ones(3))


# Gradient flow


@pytest.fixture
def starts():
    """The three starts of the adding problem at T = 200, before any training."""
    rng = np.random.default_rng(1)
    return {
        "vanishing": network("tanh", rng.normal(scale=0.05, size=(32, 32))),
        "steady": network("relu", np.eye(32)),
        "exploding": network("relu", 1.5 * np.eye(32), kernel=rng.uniform(0.01, 0.02, (2, 32))),
    }


@pytest.mark.parametrize("verdict", ["vanishing", "steady", "exploding"])
def test_the_verdict_on_known_starts(starts, verdict):
    x, y = adding_problem(200)
    (flow,) = explaining.gradient_flow(starts[verdict], x, y, loss="mean_squared_error")
    assert flow.verdict == verdict and f"hidden: {verdict}" in str(flow)
    if verdict == "exploding":
        assert flow.powers == pytest.approx(199 * np.log10(1.5), rel=1e-6)
        assert flow.rate == pytest.approx(np.log10(1.5), rel=1e-6) and flow.spectral_radius == pytest.approx(1.5)
    if verdict == "vanishing":
        assert flow.powers < -50 and flow.memory < 5
    if verdict == "steady":
        assert flow.memory == np.inf or flow.memory > 200


STARTS = {  # of the preset, before any training
    "vanishing": ["model.activation=tanh", "model.recurrent_initializer=random_normal"],
    "steady": [],
    "exploding": [f"initial.hidden/recurrent_kernel={(1.5 * np.eye(32)).tolist()}"],
}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("verdict", STARTS)
def test_the_verdict_on_the_adding_problems_starts(verdict, seed):
    """200 timesteps of the preset's own data, under its own architecture and loss."""
    preset = load_preset("adding-problem", STARTS[verdict])
    task = create_task(preset)
    few = task.tests()["length_200"]().take(range(16))
    x, (y, _) = task.input.tensor(few.inputs).numpy(), task.answer.targets(few.answers)
    (flow,) = explaining.gradient_flow(build(preset, seed=seed), x, y, loss="mean_squared_error")
    assert flow.verdict == verdict and len(flow.norms) == 200
    assert (flow.powers < -50) if verdict == "vanishing" else (flow.powers > 25) == (verdict == "exploding")


def test_the_command_looks_at_untrained_starts():
    arguments = ["adding-problem", "--gradients", "--untrained", "0", "--examples", "4"]
    result = run(*arguments, "--set", "task_options.max_timesteps=50", *["--set", STARTS["vanishing"][0]])
    assert result.exit_code == 0, result.output
    assert "timesteps; " in result.output
    refused = run("adding-problem", "--gradients", "--set", "model.activation=tanh")
    assert refused.exit_code == 2 and "--set goes with --gradients --untrained SEED" in refused.output


def test_the_norms_are_those_of_tensorflow():
    x, y = adding_problem(6, examples=3)
    model = network("tanh", np.random.default_rng(2).normal(scale=0.4, size=(5, 5)))
    (flow,) = explaining.gradient_flow(model, x, y, loss="mean_squared_error")
    kernel, recurrent_kernel, bias = (tf.constant(w, tf.float64) for w in model.get_layer("hidden").get_weights())
    out, offset = (tf.constant(w, tf.float64) for w in model.get_layer("readout").get_weights())
    with tf.GradientTape() as tape:
        h, states = tf.zeros((3, 5), tf.float64), []
        for t in range(6):
            h = tf.tanh(tf.constant(x)[:, t] @ kernel + h @ recurrent_kernel + bias)
            tape.watch(h)
            states.append(h)
        loss = tf.reduce_mean((h @ out + offset - y) ** 2)
    norms = [float(tf.reduce_mean(tf.norm(gradient, axis=-1))) for gradient in tape.gradient(loss, states)]
    np.testing.assert_allclose(flow.norms, norms[::-1], rtol=1e-6)
    np.testing.assert_allclose(flow.transported, flow.norms, rtol=1e-12)


def test_a_scaled_orthogonal_kernel_has_equal_singular_values():
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
    x, y = adding_problem(20)
    (flow,) = explaining.gradient_flow(network("linear", 0.5 * rotation), x, y, loss="mean_squared_error")
    np.testing.assert_allclose(flow.singular_values, 0.5, rtol=1e-5)
    assert flow.rate == pytest.approx(np.log10(0.5), rel=1e-5) and flow.verdict == "vanishing"
    assert flow.saturation == 0 and flow.kernel_norm == pytest.approx(0.5, rel=1e-5)
    assert flow.memory == 4  # 0.5 ** 4 is the first below a tenth


def test_padding_changes_nothing():
    rng = np.random.default_rng(4)
    model = rnnzoo.many_to_one(vocabulary_size=5, outputs=1, units=4)
    x, y = rng.integers(1, 5, (3, 7)), rng.normal(size=(3, 1))
    short, long = (
        explaining.gradient_flow(model, ids, y, loss="mean_squared_error")[0] for ids in (x, np.pad(x, ((0, 0), (0, 5))))
    )
    np.testing.assert_allclose(long.transported, short.transported)
    assert (long.powers, long.saturation, long.verdict) == pytest.approx((short.powers, short.saturation, short.verdict))


def test_the_command_tells_and_draws(tmp_path):
    path = tmp_path / "flow.svg"
    result = run("digit-sum-both-ways", "--gradients", "--untrained", "0", "--examples", "8", "-o", str(path))
    assert result.exit_code == 0, result.output
    assert "hidden/forward: steady" in result.output and "hidden/backward: steady" in result.output
    assert "timesteps back from the last one" in path.read_text()
    assert run("digit-sum-both-ways", "--gradients", "-o", str(path)).exit_code == 2  # it exists
    found = json.loads(run("digit-sum", "--gradients", "--json").output)
    assert found[0]["name"] == "hidden" and found[0]["memory"] is None and found[0]["verdict"] == "steady"
    assert run("digit-sum", "--gradients", "-o", str(tmp_path / "x.pdf")).exit_code == 2


# The callback


def test_the_callback_logs_and_warns_once(tmp_path):
    pytest.importorskip("tensorboard")
    x, y = adding_problem(60)
    model = network("tanh", np.random.default_rng(5).normal(scale=0.05, size=(8, 8)))
    model.compile("sgd", "mse")
    log = explaining.GradientFlowLog(x, y, file=tmp_path / "flow.csv", log_dir=tmp_path / "logs")
    with pytest.warns(explaining.GradientFlowWarning, match="hidden: vanishing.*orthogonal or an identity start") as warned:
        rnnzoo.fit(model, x.astype("float32"), y.astype("float32"), epochs=3, verbose=0, callbacks=[log])
    assert len(warned) == 1
    with (tmp_path / "flow.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"] and all(row["verdict"] == "vanishing" for row in rows)
    assert list((tmp_path / "logs").glob("events*"))
    with pytest.raises(InputError, match="every"):
        explaining.GradientFlowLog(x, y, every=0)
    with pytest.warns(explaining.GradientFlowWarning):
        model.fit(x, y, epochs=2, verbose=0, callbacks=[explaining.GradientFlowLog(x, y, every=2)])
