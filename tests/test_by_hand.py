"""Networks worked by hand: the known numbers, every formula evaluated, and the vectors that go in and come out."""

import json
import math
import re

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import rnnzoo
from rnnzoo import explaining
from rnnzoo.building import build, create_task
from rnnzoo.cli.main import cli
from rnnzoo.epochs import make_loss
from rnnzoo.losses import HalfSquaredError
from rnnzoo.registry import list_presets, load_preset, override

HAND = [name for name in list_presets() if explaining.can_be_followed(load_preset(name))]
# Networks that no preset is: more layers, several recurrent units, other activations, biases that are trained.
OTHERS = {
    "three layers": ("backprop-by-hand", ["model.layers=2", "frozen=[]"], (2, 2)),
    "tanh, linear": ("backprop-by-hand", ["model.activation=tanh", "model.output_activation=linear", "frozen=[]"], (2, 2)),
    "two recurrent units": ("forward-by-hand", ["model.units=2", "model.use_bias=true"], None),
    "two outputs": (
        "forward-by-hand",
        ["model.readout_bias=true", "model.activation=tanh", "task_options.targets=[[0.1, 0.2], [0.3, 0.4]]"],
        None,
    ),
    "three timesteps": (
        "forward-by-hand",
        ["task_options.inputs=[[1.0], [2.0], [3.0]]", "task_options.targets=[[0.5], [0.6], [0.7]]"],
        None,
    ),
}


def other(case):
    """A preset with random initial weights of the shapes that its model has."""
    name, overrides, _ = OTHERS[case]
    preset = override(load_preset(name), overrides)
    bare = preset.model_copy(update={"initial": {}, "frozen": ()})
    rng = np.random.default_rng(1)
    variables = [variable for variable in build(bare).variables if "seed" not in variable.path]
    paths = [variable.path.replace("simple_rnn_cell/", "") for variable in variables]
    values = [rng.uniform(-1, 1, variable.shape).round(3).tolist() for variable in variables]
    return preset.model_copy(update={"initial": dict(zip(paths, values, strict=True)), "frozen": ()})


def values(hand):
    return {line.name: line.value for lines in hand.sections.values() for line in lines}


def test_the_published_numbers_of_backpropagation():
    found = values(explaining.by_hand("backprop-by-hand"))
    known = {
        "net_h1": 0.3775,
        "h1": 0.59326999,
        "h2": 0.59688438,
        "o1": 0.75136507,
        "o2": 0.77292847,
        "dE/dw5": 0.08216704,
        "dE/dw6": 0.08266763,
        "w6 new": 0.40866619,
    }
    assert {name: round(found[name], 8) for name in known} == known
    assert round(found["E"], 9) == 0.298371109
    error = load_preset("backprop-by-hand").metadata()["metrics"]["example"]["half_squared_error"]
    assert round(error, 7) == 0.0000351


def test_two_timesteps_by_their_formulas():
    """Written out here as the issue of a forward pass states it, and differentiated by finite differences."""

    def error(weights):
        wx, wh, wy = weights[:3], weights[3], weights[4]
        x = np.array(load_preset("forward-by-hand").task_options["inputs"])
        targets = load_preset("forward-by-hand").task_options["targets"]
        h, total = 0.0, 0.0
        for step, (target,) in zip(x, targets, strict=True):
            h = 1 / (1 + math.exp(-(wx @ step + wh * h)))
            total += (target - 1 / (1 + math.exp(-wy * h))) ** 2 / 2
        return total

    weights = np.array([0.2, -0.4, 0.1, 0.5, 0.8])
    found = values(explaining.by_hand("forward-by-hand"))
    assert found["E"] == pytest.approx(error(weights), rel=1e-12)
    for i, name in enumerate(["Wxh[1]", "Wxh[2]", "Wxh[3]", "Whh", "Why"]):
        nudge = 1e-6 * np.eye(5)[i]
        slope = (error(weights + nudge) - error(weights - nudge)) / 2e-6
        assert found[f"dE/d{name}"] == pytest.approx(slope, rel=1e-6)
        assert found[f"{name} new"] == pytest.approx(weights[i] - 0.5 * slope, rel=1e-6)


def evaluated(text):
    """What the numbers of a line come to."""
    text = re.sub(r"([0-9)])²", r"\1**2", text.replace("½", "0.5*").replace("·", "*").replace("−", "-"))
    return eval(text, {"__builtins__": {}}, {"sig": lambda z: 1 / (1 + math.exp(-z)), "tanh": math.tanh})


@pytest.mark.parametrize("case", [*HAND, *OTHERS])
def test_every_line_comes_to_its_value(case):
    """The numbers as they are printed, and the formula with the values of the lines before it."""
    preset = load_preset(case) if case in HAND else other(case)
    hand = explaining.by_hand(preset)
    known = {}
    for lines in hand.sections.values():
        for line in lines:
            assert evaluated(line.numbers) == pytest.approx(line.value, abs=2e-8 * 10), line
            for name in re.findall(r"dE/d\w+(?:\[[\d,]+\])?(?: at \d+)?", line.formula):
                assert name in known, (line, name)
            assert line.name not in known
            known[line.name] = line.value


@pytest.mark.parametrize("case", [*HAND, *OTHERS])
def test_the_update_is_kerass_step(case):
    """One step of Keras's own gradient descent leads to the same weights."""
    preset = load_preset(case) if case in HAND else other(case)
    found = {name.removesuffix(" new"): value for name, value in values(explaining.by_hand(preset)).items() if "new" in name}
    model, task = build(preset), create_task(preset)
    loss = make_loss(preset)
    model.compile(keras.optimizers.SGD(preset.training.learning_rate), loss)
    x, (y, _) = task.input.front(task.input.tensor([task.example[0]])), task.answer.targets([task.example[1]])
    before = sum(variable.shape.num_elements() for variable in model.trainable_variables)
    model.train_on_batch(x, y)
    after = np.sort(np.concatenate([variable.numpy().ravel() for variable in model.trainable_variables]))
    assert len(found) == before
    np.testing.assert_allclose(after, np.sort(list(found.values())), atol=1e-6)
    frozen = {variable.path: variable.numpy() for variable in model.variables if not variable.trainable}
    for path in preset.frozen:
        np.testing.assert_allclose(frozen[path], np.float32(preset.initial[path]))


def run(*arguments):
    return CliRunner().invoke(cli, arguments)


@pytest.mark.parametrize("name", HAND)
def test_explain_prints_it(name):
    result = run("explain", name)
    assert result.exit_code == 0, result.output
    for number in ("0.59326999", "0.298371109", "0.08216704", "0.40866619", "0.000035101"):
        assert (number in result.output) == (name == "backprop-by-hand"), number
    assert "sig(net_h1)" in result.output
    told = json.loads(run("explain", name, "--json").output)
    hand = explaining.by_hand(name)
    assert [line["value"] for lines in told["sections"].values() for line in lines] == list(values(hand).values())


def test_train_prints_it(tmp_path):
    arguments = ["--set", "training.epochs=3", "--set", "training.learning_rate=0.25", "-o", str(tmp_path / "run")]
    result = run("train", "backprop-by-hand", *arguments)
    assert result.exit_code == 0, result.output
    assert "0.298371109" in result.output and "0.45 − 0.25·0.08266763" in result.output
    assert "After 3 such steps: E = 0.2" in result.output
    weights = rnnzoo.from_preset(tmp_path / "run").model.get_layer("hidden").get_weights()
    np.testing.assert_array_equal(weights[1], np.float32([0.35, 0.35]))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["initial.hidden/kernel=[[1.0, 2.0]]"], r"initial.hidden/kernel: its shape is \(1, 2\); expected \(2, 2\)"),
        (["initial.hidden/kernel=[[1.0, 2.0], [3.0]]"], r"initial.hidden/kernel: expected numbers of shape \(2, 2\)"),
        (["initial.hidden/kernel=['a']"], "initial.hidden/kernel: expected numbers"),
        (
            ["initial.hiden/kernel=[1.0]"],
            r"initial: the model has no variable 'hiden/kernel' \(did you mean 'hidden/kernel'\?\)",
        ),
        (
            ["frozen=['readout/biass']"],
            r"frozen: the model has no variable 'readout/biass' \(did you mean 'readout/bias'\?\)",
        ),
        (["training.optimizer=adam"], "give a SAMPLE"),
        (["training.loss=mean_squared_error"], "give a SAMPLE"),
        (["model.activation=relu"], "only dense layers, or one recurrent layer with a readout, can be followed by hand"),
        (["task_options.targets=[[0.1], [0.2]]"], "expected a row of numbers in task_options.targets"),
        (["task_options.inputs=[[0.1]]", "task_options.targets=[[0.1], [0.2]]"], "targets: 2 for 1 timesteps"),
        (["task_options.inputs=[[0.1], [1.0, 2.0]]", "task_options.targets=[[0.1], [0.2]]"], "of different widths"),
        (["task_options.tolerance=0.0"], "expected a number above 0"),
        (["task_options.inputs=[]"], "there are no numbers"),
    ],
)
def test_what_cannot_be_followed(overrides, said):
    with pytest.raises(rnnzoo.InputError, match=said) as error:
        explaining.by_hand(load_preset("backprop-by-hand", overrides))
    assert "\n" not in str(error.value)


# Real vectors


@pytest.mark.parametrize(
    ("preset", "ways"),
    [
        (
            "backprop-by-hand",
            ["0.05 0.1", "0.05,0.1", "[0.05, 0.1]", " 5e-2  .1 ", (0.05, 0.1), np.array([0.05, 0.1]), b"0.05 0.1"],
        ),
        ("forward-by-hand", ["1:0.5:-1 0:1:.5", "[[1, 0.5, -1], [0, 1, 0.5]]", [[1, 0.5, -1], np.array([0, 1, 0.5])]]),
    ],
)
def test_vectors_in_every_form(preset, ways):
    zoo = rnnzoo.from_preset(preset)
    assert len({json.dumps(zoo.predict([way])) for way in ways}) == 1
    (array,) = (np.array([zoo.task.example[0]], "float32"),)
    assert zoo.predict(array) == zoo.predict(ways[:1]) == zoo.predict(array.tolist())
    np.testing.assert_allclose(np.ravel(zoo.predict(ways[:1])), np.ravel(zoo.task.example[1]), atol=0.01)


def test_sequences_of_several_lengths():
    """Nothing can be padded, so lengths do not mix."""
    zoo = rnnzoo.from_preset("forward-by-hand")
    raw = ["1:2:3", "1:2:3 4:5:6", "3:2:1", "0:0:0 0:0:0 1:1:1"]
    assert zoo.predict(raw) == [zoo.predict([one])[0] for one in raw]
    assert [len(answer) for answer in zoo.predict(raw)] == [1, 2, 1, 3]
    assert zoo.scores(raw).shape == (4, 3, 1)


@pytest.mark.parametrize(
    ("preset", "raw", "said"),
    [
        ("backprop-by-hand", "1", "the inputs: 1 number; expected 2 numbers, for example '0.05 0.1'"),
        ("backprop-by-hand", "1 2 3", "the inputs: 3 numbers; expected 2"),
        ("backprop-by-hand", "1 two", r"'two' \(number 2\) is no number of 32 bits"),
        ("backprop-by-hand", "1 nan", r"'nan' \(number 2\) is no number"),
        ("backprop-by-hand", "1 1e39", r"'1e\+39' \(number 2\) is no number"),
        ("backprop-by-hand", "[1, true]", r"'True' \(number 2\) is no number"),
        ("backprop-by-hand", "", "there are no numbers"),
        ("backprop-by-hand", "[1, 2", "is no JSON"),
        ("backprop-by-hand", 5, "'5' has another form"),
        ("backprop-by-hand", None, "there are no numbers"),
        ("forward-by-hand", "1:2:3 1:2", "timestep 2 of the inputs: 2 numbers; expected timesteps of 3 numbers each"),
        ("forward-by-hand", "1:2:3 1:2:x", r"'x' \(number 3 of timestep 2\)"),
        ("forward-by-hand", "[1, 2, 3]", "has another form"),
        ("forward-by-hand", "[[]]", "has another form"),
    ],
)
def test_vectors_that_are_refused(preset, raw, said):
    with pytest.raises(rnnzoo.InputError, match=said) as error:
        rnnzoo.from_preset(preset).predict([raw])
    assert "\n" not in str(error.value) and "input 1" in str(error.value)


def test_half_squared_error():
    rng = np.random.default_rng(0)
    y, outputs = rng.normal(size=(2, 4, 3, 2))
    expected = ((outputs - y) ** 2).sum(-1) / 2
    np.testing.assert_allclose(HalfSquaredError(reduction=None, dtype="float64")(y, outputs), expected)
    np.testing.assert_allclose(HalfSquaredError(reduction="sum", dtype="float64")(y, outputs), expected.sum())
    np.testing.assert_allclose(HalfSquaredError(dtype="float64")(y, outputs), expected.mean())
    loaded = keras.losses.deserialize(keras.losses.serialize(HalfSquaredError(reduction="sum")))
    assert isinstance(loaded, HalfSquaredError) and loaded.reduction == "sum"


def test_a_csv_of_vectors(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("".join(f"{i / 10} {1 - i / 10},{i / 20} {i / 10}\n" for i in range(10)))
    run = rnnzoo.train("backprop-by-hand", data=path, run_dir=tmp_path / "run", overrides=["training.epochs=3"])
    assert run.metrics["held_out"]["examples"] == 2 and run.metrics["held_out"]["half_squared_error"] > 0
    path.write_text("0.1 0.2,0.3\n")
    with pytest.raises(rnnzoo.InputError, match=r"data.csv, line 1: '0.3' is no answer; expected 2 numbers"):
        rnnzoo.train("backprop-by-hand", data=path, run_dir=tmp_path / "other")
