"""LiteRT: every preset, read by a process that has NumPy and `ai-edge-litert` alone, gives what Keras gives."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import rnnzoo
from rnnzoo.architectures import encoder_decoder
from rnnzoo.cli.main import cli
from rnnzoo.exporting import _litert
from rnnzoo.exporting._tflite import custom_operations, tflite
from rnnzoo.files import sha256
from rnnzoo.registry import list_presets, load_preset
from rnnzoo.running import load
from rnnzoo.running._litert import LiteRTModel
from rnnzoo.running._runner import Runner

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")

WRITING = [name for name in list_presets() if load_preset(name).architecture in ("encoder_decoder", "one_to_many")]
PREFIXES = [
    name
    for name in list_presets()
    if load_preset(name).architecture in ("many_to_one", "deep") and not load_preset(name).model.get("bidirectional")
]
READING = [name for name in list_presets() if name not in WRITING]

BARE = """import json, sys
from pathlib import Path
import numpy as np
from ai_edge_litert.interpreter import Interpreter

def load(folder, about, role):
    if role not in about["models"]:
        return None
    return Interpreter(str(folder / about["models"][role]["file"]), num_threads=1).get_signature_runner("serving_default")

def shape_of(about, role, name):
    return about["models"][role]["inputs"][name]["shape"]

def padded(row, shape, padding):
    full = np.full(shape[1:], padding or 0, row.dtype)
    full[:len(row)] = row
    return full[None]

def zeros(about, role, but):
    inputs = about["models"][role]["inputs"]
    return {name: np.zeros(facts["shape"], facts["dtype"]) for name, facts in inputs.items() if name != but}

def begin(about, read, row):
    states = zeros(about, "read", "source")
    for one in row:
        found = read(source=one[None], **states)
        states = {name: found.pop("new_" + name) for name in states}
    return found

def greedy(step, states, decoding):
    fed, tokens, outputs = decoding["start_token"], [], []
    while len(tokens) < decoding["max_length"] and fed != decoding["end_token"] or not tokens:
        found = step(fed=np.array([fed], np.int32), **states)
        states = {name: found["new_" + name] for name in states}
        outputs.append(found["outputs"][0])
        fed = int(outputs[-1][1:].argmax()) + 1
        tokens.append(fed)
    return tokens, np.stack(outputs)

work, found = np.load(sys.argv[1]), {}
for folder in sorted(path for path in Path(sys.argv[2]).iterdir() if path.is_dir()):
    about = json.loads((folder / "rnnzoo.json").read_text())
    start, read, step, model = (load(folder, about, role) for role in ("start", "read", "step", "model"))
    for key in [key for key in work if key.split("/")[0] == folder.name]:
        row = work[key]
        if about["decoding"]:
            if read:
                states = begin(about, read, row)
            else:
                (name, facts), = about["models"]["start"]["inputs"].items()
                states = start(**{name: padded(row, facts["shape"], about["input"].get("padding"))})
            tokens, outputs = greedy(step, states, about["decoding"])
            found[key + "/tokens"], found[key + "/greedy"] = np.array(tokens), outputs
            continue
        if model and (not about["timesteps"] or len(row) <= about["timesteps"]):
            given = padded(row, shape_of(about, "model", "inputs"), about["input"].get("padding"))
            found[key + "/whole"] = model(inputs=given)["outputs"][0]
        if step:
            states, outputs = zeros(about, "step", "inputs"), []
            for one in row:
                result = step(inputs=one[None], **states)
                states = {name: result["new_" + name] for name in states}
                outputs.append(result["outputs"][0])
            found[key + "/steps"] = np.stack(outputs)
assert not {"tensorflow", "keras", "rnnzoo"} & set(sys.modules)
np.savez(sys.argv[3], **found)
"""


@pytest.fixture(scope="module")
def predictors(zoo):
    """Every preset's `Predictor`."""
    return {name: zoo(name) for name in list_presets()}


@pytest.fixture(scope="module")
def written(exported):
    """A folder with every preset's export."""
    return exported("litert")


@pytest.fixture(scope="module")
def raws(predictors):
    """Raw inputs of every preset, of different lengths."""
    found = {}
    for name, predictor in predictors.items():
        inputs = predictor.task.raw_inputs()
        raw = [inputs[i] for i in np.linspace(0, len(inputs) - 1, min(5, len(inputs))).astype(int)]
        if name.startswith("digit-sum") and predictor.task.input.name == "digits" and not predictor.task.answer.generated:
            raw += ["0", "9" * 40, "123456789" * 30]
        found[name] = predictor.check(raw)
    return found


@pytest.fixture(scope="module")
def rows(predictors, raws):
    """What goes into the models: what the fronts make of raw inputs, and random numbers of the same shapes."""
    rng, found = np.random.default_rng(6), {}
    for name, predictor in predictors.items():
        kind = predictor.task.input
        for i, raw in enumerate(raws[name]):
            row = kind.front(kind.tensor([raw]))[0].numpy()
            found[f"{name}/raw/{i}"] = row
            if predictor.task.answer.generated:  # its scores are those of raw inputs
                continue
            noise = rng.normal(size=row.shape).astype(np.float32)
            found[f"{name}/random/{i}"] = (
                rng.integers(1, kind.vocabulary_size, row.shape, np.int32) if row.dtype == np.int32 else noise
            )
    return found


@pytest.fixture(scope="module")
def bare(written, rows, tmp_path_factory):
    """What a process of NumPy and `ai-edge-litert` gives for the rows."""
    folder = tmp_path_factory.mktemp("bare")
    np.savez(folder / "rows.npz", **rows)
    command = [sys.executable, "-c", BARE, folder / "rows.npz", written, folder / "found.npz"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(folder / "found.npz"))


def manifest_of(folder):
    return json.loads((folder / "rnnzoo.json").read_text(encoding="utf-8"))


def close(ours, expected):
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "mnist-pixels" else name for name in READING]
)
def test_numbers_are_those_of_keras_in_a_bare_process(name, predictors, rows, bare):
    predictor, compared = predictors[name], 0
    for key in (key for key in rows if key.startswith(f"{name}/")):
        expected = predictor.model(rows[key][None], training=False)[0].numpy()
        per_timestep = predictor.task.answer.per_timestep
        if f"{key}/whole" in bare:
            whole = bare[f"{key}/whole"]
            close(whole[: len(expected)] if per_timestep else whole, expected)
            compared += 1
        if f"{key}/steps" in bare:
            steps = bare[f"{key}/steps"]
            close(steps if per_timestep else steps[-1], expected)
            compared += 1
    assert compared


@pytest.mark.parametrize("name", PREFIXES)
def test_every_prefix_has_its_answer(name, predictors, rows, bare):
    """What a `many_to_one` gives after each timestep is what it would give if the sequence ended there."""
    key = f"{name}/random/0"
    assert not predictors[name].task.answer.per_timestep
    for t in range(1, min(len(rows[key]), 5) + 1):
        close(bare[f"{key}/steps"][t - 1], predictors[name].model(rows[key][None, :t], training=False)[0].numpy())


@pytest.mark.parametrize("name", WRITING)
def test_texts_are_those_of_predict_in_a_bare_process(name, predictors, raws, bare):
    predictor = predictors[name]
    alphabet = predictor.task.answer.alphabet
    tokens = [bare[f"{name}/raw/{i}/tokens"] for i in range(len(raws[name]))]
    texts = ["".join(alphabet[t - 1] for t in row if t <= len(alphabet)) for row in tokens]
    assert texts == predictor.predict(raws[name])
    for i, raw in enumerate(raws[name]):
        close(bare[f"{name}/raw/{i}/greedy"], predictor.scores([raw])[0])


@pytest.mark.parametrize("by_steps", [False, True])
@pytest.mark.parametrize("name", list_presets())
def test_answers_are_those_of_predict(name, by_steps, predictors, written, raws):
    if by_steps and not (written / name / "step.tflite").exists():
        pytest.skip("it has no step")
    runner = load(written / name, by_steps=by_steps)
    steps = [runner.task.input.steps(runner.task.input.check(raw)) for raw in raws[name]]
    asked = [raw for raw, n in zip(raws[name], steps, strict=True) if runner.timesteps is None or n <= runner.timesteps]
    assert len(asked) >= 5 or not predictors[name].task.input.pads
    ours, expected = runner.predict(asked), predictors[name].predict(asked)
    if predictors[name].task.answer.kind in ("real", "vectors"):
        ours, expected = np.array(ours), pytest.approx(np.array(expected), rel=1e-4)
    assert ours == expected
    close(runner.scores(asked), predictors[name].scores(asked))


@pytest.mark.parametrize("name", list_presets())
def test_what_is_written_is_described(name, predictors, written):
    about, folder = manifest_of(written / name), written / name
    assert {path.name for path in folder.iterdir()} == {"rnnzoo.json", *about["files"]}
    assert set(about["files"]) == {"proof.json", *(told["file"] for told in about["models"].values())}
    assert about["preset"] == name and about["rnnzoo_version"] == rnnzoo.__version__
    for file, told in about["files"].items():
        assert (told["sha256"], told["bytes"]) == (sha256(folder / file), (folder / file).stat().st_size)
    for told in about["models"].values():
        assert custom_operations((folder / told["file"]).read_bytes()) == []
        model = LiteRTModel(folder / told["file"])
        for side, found in (("inputs", model.inputs), ("outputs", model.outputs)):
            assert told[side] == {key: {"shape": list(shape), "dtype": dtype.name} for key, (shape, dtype) in found.items()}
    both_ways = any(isinstance(layer, keras.layers.Bidirectional) for layer in predictors[name].model.layers)
    writes = predictors[name].task.answer.generated
    assert ("step" in about["models"]) != (
        (both_ways and not writes) or predictors[name].preset.architecture == "one_to_one"
    )
    assert ("read" in about["models"]) == (
        writes and predictors[name].preset.architecture == "encoder_decoder" and not both_ways
    )
    assert bool(about["decoding"]) == writes and bool(about["note"]) == both_ways


@pytest.mark.parametrize(
    "arguments",
    [
        {"vocabulary_size": 7},
        {"vocabulary_size": 7, "embedding": 3, "layers": 2},
        {"vocabulary_size": 7, "hidden": (5, 4), "layers": 2},
        {"features": 2, "mask_value": -1.0, "encoder_units": 5, "target_vocabulary_size": 6},
    ],
)
def test_a_source_that_is_read_step_by_step(arguments, rng):
    """What the decoder begins with is what the whole source gives, at every length."""
    model = rnnzoo.encoder_decoder(outputs=6, units=4, **arguments)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * 0.5)
    source = rng.integers(1, 7, (3, 9)) if "vocabulary_size" in arguments else rng.normal(size=(3, 9, 2)).astype(np.float32)
    (start, _), reading = encoder_decoder.inference(model), encoder_decoder.reading(model)
    states = {name: tf.zeros((3, *tensor.shape[1:])) for name, tensor in reading.input.items() if name != "source"}
    for t in range(9):
        found = dict(reading({"source": tf.constant(source[:, t]), **states}))
        states = {name: found.pop(name) for name in states}
        whole = start(source[:, : t + 1])
        assert set(found) == set(whole)
        for name, state in whole.items():
            np.testing.assert_allclose(found[name], state, rtol=1e-5, atol=1e-6)


def test_an_encoder_of_both_directions_is_not_read_step_by_step():
    model = rnnzoo.encoder_decoder(vocabulary_size=7, outputs=6, units=4, bidirectional=True)
    with pytest.raises(rnnzoo.InputError, match="reads its source in both directions"):
        encoder_decoder.reading(model)


def test_a_source_of_both_directions(predictors, tmp_path, monkeypatch):
    """It is read whole, up to a number of timesteps."""
    preset = predictors["addition"].preset
    preset = preset.model_copy(update={"model": {**preset.model, "bidirectional": True, "units": 8}})
    predictor = rnnzoo.Predictor(rnnzoo.build(preset, seed=3), preset, predictors["addition"].task)
    rnnzoo.export(predictor, tmp_path / "out", format="litert", timesteps=8)
    about = manifest_of(tmp_path / "out")
    assert set(about["models"]) == {"start", "step"} and "reads its source in both directions" in about["note"]
    runner = load(tmp_path / "out")
    assert runner.predict(["535+61", "1+2"]) == predictor.predict(["535+61", "1+2"])
    runner.task.input.check = lambda raw: raw  # longer than the task takes
    with pytest.raises(rnnzoo.InputError, match="input 1: 10 timesteps, and this export takes 8 at the most"):
        runner.check(["1234+5678"])


def test_what_is_longer_than_a_whole_sequence(predictors, written):
    assert load(written / "digit-sum").predict(["1" * 500]) == [500]
    runner = load(written / "digit-sum-both-ways")
    with pytest.raises(
        rnnzoo.InputError, match=r"input 2: 65 timesteps, and this export takes 64 at the most, .* --timesteps"
    ):
        runner.predict(["1" * 64, "1" * 65])


def test_one_that_was_trained_on_more_timesteps_than_are_written_out(predictors, tmp_path, monkeypatch):
    monkeypatch.setattr(_litert, "MOST_TIMESTEPS", 3)
    rnnzoo.export(predictors["digit-sum"], tmp_path / "out", format="litert")
    about = manifest_of(tmp_path / "out")
    assert set(about["models"]) == {"step"} and "it is written as a step alone" in about["note"]
    with pytest.raises(rnnzoo.InputError, match="digit-sum-both-ways was trained on 64 timesteps; give timesteps, up to 3"):
        rnnzoo.export(predictors["digit-sum-both-ways"], tmp_path / "two", format="litert")


def test_int8(predictors, tmp_path, written):
    rnnzoo.export(predictors["addition"], tmp_path / "out", format="litert", int8=True, tolerance=0.02)
    assert not rnnzoo.verify(tmp_path / "out")[0].wrong
    int8 = manifest_of(tmp_path / "out")["int8"]
    assert int8["examples"] == 500 and int8["float"]["exact_match"] - int8["int8"]["exact_match"] <= 0.02
    assert int8["bytes"]["int8"] < int8["bytes"]["float"]
    assert 2 * (tmp_path / "out" / "step.tflite").stat().st_size < (written / "addition" / "step.tflite").stat().st_size


def test_int8_that_costs_too_much_is_refused(predictors, tmp_path, monkeypatch):
    monkeypatch.setattr(Runner, "predict", lambda self, checked: [-1] * len(checked))
    with pytest.raises(
        rnnzoo.InputError, match=r"int8 lowers exact_match from 1 to 0 on \d+ examples, by more than .* 0\.5"
    ):
        rnnzoo.export(predictors["digit-sum"], tmp_path / "out", format="litert", int8=True, tolerance=0.5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digit-sum", {"timesteps": 0}, "timesteps must be a whole number from 1 to 1,024, not 0"),
        ("digit-sum", {"timesteps": 1025}, "not 1025"),
        ("seven-segment", {"timesteps": 5}, "seven-segment has no part that takes a whole sequence"),
        ("number-spelling", {"timesteps": 5}, "number-spelling has no part that takes"),
        ("digit-sum", {"tolerance": 0.1}, "tolerance goes with int8"),
        ("digit-sum", {"int8": True, "tolerance": 2.0}, "from 0 to 1"),
        (
            "digit-sum",
            {"format": "saved-model", "timesteps": 5},
            "timesteps goes with the format litert, not with saved-model",
        ),
    ],
)
def test_bad_options(name, options, message, predictors, tmp_path):
    with pytest.raises(rnnzoo.InputError, match=message):
        rnnzoo.export(predictors[name], tmp_path / "out", **{"format": "litert", **options})
    assert not list(tmp_path.iterdir())


def test_the_missing_extra_is_named(predictors, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(rnnzoo.MissingExtraError, match=r"rnnzoo\[litert\]"):
        rnnzoo.export(predictors["digit-sum"], tmp_path / "out", format="litert")
    assert not list(tmp_path.iterdir())


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(cli, ["export", *arguments, "--format", "litert"])

    result = call("digit-sum-both-ways", "--timesteps", "3", "-o", "out", "--int8")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "litert: out (steps, whole sequences, and rnnzoo.json)" and lines[1].startswith("  verified: ")
    assert lines[2] == "  whole sequences have 3 timesteps"
    assert lines[3].startswith("  int8: ") and "bytes; exact_match 1 -> 1, on" in lines[3]
    assert lines[4].startswith("  digit-sum-both-ways has no step: it reads both directions")
    assert call("digit-sum", "-o", "out").exit_code == 2
    assert call("digit-sum", "-o", "new", "--timesteps", "0").exit_code == 2
    assert call("digit-sum", "-o", "new", "--timesteps", "x").exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    result = call("digit-sum", "-o", "out", "--force", "--json")
    told = json.loads(result.output)
    assert told["format"] == "litert" and told["exports"][0]["timesteps"] == 64
    assert told["exports"][0]["different_answers"] == 0


def test_what_is_not_built_in_is_refused():
    inputs = keras.Input((2,), name="inputs")
    model = keras.Model(inputs, keras.ops.erfinv(inputs), name="odd")
    with pytest.raises(rnnzoo.InputError, match=r"^'odd' needs what LiteRT does not have built in: Erfinv$"):
        tflite(model)


def test_custom_operations_are_found(written):
    from flatbuffers import Builder
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf((written / "digit-sum" / "step.tflite").read_bytes(), 0)
    model.operatorCodes[0].builtinCode, model.operatorCodes[0].customCode = schema.BuiltinOperator.CUSTOM, b"FlexErfinv"
    builder = Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    assert custom_operations(bytes(builder.Output())) == ["FlexErfinv"]


def test_what_the_reader_refuses(written, tmp_path):
    with pytest.raises(rnnzoo.InputError, match="cannot be read: No such file"):
        LiteRTModel(tmp_path / "none.tflite")
    (tmp_path / "bad.tflite").write_bytes(b"not a model")
    with pytest.raises(rnnzoo.InputError, match="cannot be loaded as a LiteRT model"):
        LiteRTModel(tmp_path / "bad.tflite")
    step = LiteRTModel(written / "digit-sum" / "step.tflite")
    with pytest.raises(rnnzoo.InputError, match="inputs state; expected inputs, state"):
        step.run({"state": np.zeros((1, 1))})
    with pytest.raises(rnnzoo.InputError, match=r"'inputs' is of shape \(2,\); expected \(1,\)"):
        step.run({"inputs": np.zeros(2), "state": np.zeros((1, 1))})


def test_the_reader_imports_no_tensorflow(written):
    code = (
        "import sys; from rnnzoo.running._litert import LiteRTModel; import numpy as np\n"
        "print(LiteRTModel(sys.argv[1]).run({'inputs': np.array([3]), 'state': np.array([[4.0]])})['outputs'].tolist())\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, written / "digit-sum" / "step.tflite"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("[[7.0]]\n", "")


def test_the_layers_are_as_they_were(predictors, written):
    for predictor in predictors.values():
        for layer in predictor.model.layers:
            assert not getattr(layer, "unroll", False)
            assert not getattr(getattr(layer, "forward_layer", None), "unroll", False)
