"""LiteRT: every preset, read by a process that has NumPy and `ai-edge-litert` alone, gives what Keras gives."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import rnnzoo
from rnnzoo.building import sha256
from rnnzoo.cli.main import cli
from rnnzoo.decoding import Decoder
from rnnzoo.exporting import _litert
from rnnzoo.exporting._litert_check import Written, largest_difference
from rnnzoo.exporting._tflite import custom_operations, tflite
from rnnzoo.registry import list_presets, load_preset
from rnnzoo.running._litert import LiteRTModel
from rnnzoo.tasks._vectors import RealAnswer, VectorAnswer

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")

WRITING = [name for name in list_presets() if load_preset(name).architecture in ("encoder_decoder", "one_to_many")]
PREFIXES = [name for name in list_presets() if load_preset(name).architecture in ("many_to_one", "deep")]
READING = [name for name in list_presets() if name not in WRITING]

BARE = """import json, sys
from pathlib import Path
import numpy as np
from ai_edge_litert.interpreter import Interpreter

def load(folder, manifest, name):
    if name not in manifest["files"]:
        return None
    return Interpreter(str(folder / manifest["files"][name]["file"]), num_threads=1).get_signature_runner("serving_default")

def padded(row, facts, padding):
    full = np.full(facts["shape"][1:], 0 if padding is None else padding, facts["dtype"])
    full[:len(row)] = row
    return full[None]

def greedy(step, states, decoding, fed):
    tokens, outputs = [], []
    while len(tokens) < decoding["max_length"] and fed != decoding["end_token"] or not tokens:
        states = step(fed=np.array([fed], np.int32), **states)
        outputs.append(states.pop("outputs")[0])
        fed = int(outputs[-1][1:].argmax()) + 1
        tokens.append(fed)
    return tokens, np.stack(outputs)

work, found = np.load(sys.argv[1]), {}
for folder in sorted(path for path in Path(sys.argv[2]).iterdir() if path.is_dir()):
    manifest = json.loads((folder / "rnnzoo.json").read_text())
    start, step, model = (load(folder, manifest, name) for name in ("start", "step", "model"))
    for key in [key for key in work if key.split("/")[0] == folder.name]:
        row = work[key]
        if start:
            ((name, facts),) = manifest["files"]["start"]["inputs"].items()
            states = start(**{name: padded(row, facts, manifest["padding"])})
            decoding = manifest["decoding"]
            tokens, outputs = greedy(step, states, decoding, decoding["start_token"])
            found[key + "/tokens"], found[key + "/greedy"] = np.array(tokens), outputs
        facts = manifest["files"].get("model", {"inputs": {}})["inputs"].get("inputs")
        if facts and (not manifest["timesteps"] or len(row) <= manifest["timesteps"]):
            found[key + "/whole"] = model(inputs=padded(row, facts, manifest["padding"]))["outputs"][0]
        if step and not start:
            states, outputs = {}, []
            for name, facts in manifest["files"]["step"]["inputs"].items():
                states[name] = np.zeros(facts["shape"], facts["dtype"])
            for one in row:
                states["inputs"] = one[None]
                states = step(**states)
                outputs.append(states.pop("outputs")[0])
            found[key + "/steps"] = np.stack(outputs)
assert not {"tensorflow", "keras", "rnnzoo"} & set(sys.modules)
np.savez(sys.argv[3], **found)
"""


@pytest.fixture(scope="module")
def zoo():
    """Every preset's `Predictor`."""
    return {name: rnnzoo.from_preset(name) for name in list_presets()}


@pytest.fixture(scope="module")
def written(zoo, tmp_path_factory):
    """A folder with every preset's export."""
    folder = tmp_path_factory.mktemp("litert")
    for name, predictor in zoo.items():
        rnnzoo.export(predictor, folder / name, format="litert")
    return folder


@pytest.fixture(scope="module")
def raws(zoo):
    """Raw inputs of every preset, of different lengths."""
    found = {}
    for name, predictor in zoo.items():
        inputs = predictor.task.train().inputs
        raw = [inputs[i] for i in np.linspace(0, len(inputs) - 1, min(5, len(inputs))).astype(int)]
        if name.startswith("digit-sum") and predictor.task.input.name == "digits" and not predictor.task.answer.generated:
            raw += ["0", "9" * 40, "123456789" * 30]
        found[name] = predictor.check(raw)
    return found


@pytest.fixture(scope="module")
def rows(zoo, raws):
    """What goes into the models: what the fronts make of raw inputs, and random numbers of the same shapes."""
    rng, found = np.random.default_rng(6), {}
    for name, predictor in zoo.items():
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


def models_of(folder):
    return {path.stem: LiteRTModel(path) for path in folder.glob("*.tflite")}


def decoder_of(predictor, manifest):
    return Decoder(predictor.model, **manifest["decoding"]) if "decoding" in manifest else None


def manifest_of(folder):
    return json.loads((folder / "rnnzoo.json").read_text(encoding="utf-8"))


def close(ours, expected):
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", READING)
def test_numbers_are_those_of_keras_in_a_bare_process(name, zoo, rows, bare):
    predictor, compared = zoo[name], 0
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
def test_every_prefix_has_its_answer(name, zoo, rows, bare):
    """What a `many_to_one` gives after each timestep is what it would give if the sequence ended there."""
    key = f"{name}/random/0"
    assert not zoo[name].task.answer.per_timestep
    for t in range(1, min(len(rows[key]), 5) + 1):
        close(bare[f"{key}/steps"][t - 1], zoo[name].model(rows[key][None, :t], training=False)[0].numpy())


@pytest.mark.parametrize("name", WRITING)
def test_texts_are_those_of_predict_in_a_bare_process(name, zoo, raws, bare):
    predictor = zoo[name]
    alphabet = predictor.task.answer.alphabet
    tokens = [bare[f"{name}/raw/{i}/tokens"] for i in range(len(raws[name]))]
    texts = ["".join(alphabet[t - 1] for t in row if t <= len(alphabet)) for row in tokens]
    assert texts == predictor.predict(raws[name])
    for i, raw in enumerate(raws[name]):
        close(bare[f"{name}/raw/{i}/greedy"], predictor.scores([raw])[0])


@pytest.mark.parametrize("name", list_presets())
def test_answers_are_those_of_predict(name, zoo, written, raws):
    manifest = manifest_of(written / name)
    both = Written(zoo[name], models_of(written / name), decoder_of(zoo[name], manifest))
    asked = [raw for raw in raws[name] if both.takes(raw)]
    assert len(asked) >= 5 or not zoo[name].task.input.pads
    ours, expected = both.answers(asked), zoo[name].predict(asked)
    if isinstance(zoo[name].task.answer, RealAnswer | VectorAnswer):
        ours, expected = np.array(ours), pytest.approx(np.array(expected), rel=1e-4)
    assert ours == expected


@pytest.mark.parametrize("name", list_presets())
def test_what_is_written_is_described(name, zoo, written):
    manifest = manifest_of(written / name)
    assert {path.name for path in (written / name).iterdir()} == {
        "rnnzoo.json",
        *(facts["file"] for facts in manifest["files"].values()),
    }
    assert manifest["preset"] == name and manifest["rnnzoo_version"] == rnnzoo.__version__
    assert manifest["largest_difference"] <= 1e-4
    for facts in manifest["files"].values():
        path = written / name / facts["file"]
        assert (facts["sha256"], facts["bytes"]) == (sha256(path), path.stat().st_size)
        assert custom_operations(path.read_bytes()) == []
        model = LiteRTModel(path)
        for told, side in ((facts["inputs"], model.inputs), (facts["outputs"], model.outputs)):
            assert told == {key: {"shape": list(shape), "dtype": dtype.name} for key, (shape, dtype) in side.items()}
    generated, time = zoo[name].task.answer.generated, "step" in manifest["files"]
    both_ways = any(isinstance(layer, keras.layers.Bidirectional) for layer in zoo[name].model.layers)
    assert time != (both_ways or zoo[name].preset.architecture == "one_to_one")
    assert ("start" in manifest["files"]) == generated == ("decoding" in manifest)
    assert ("note" in manifest) == (both_ways and not generated)


def test_what_the_check_finds(zoo, written):
    """A random target for what writes, and a weight that is off."""
    name = "addition"
    manifest, predictor = manifest_of(written / name), rnnzoo.from_preset(name)
    both = Written(predictor, models_of(written / name), decoder_of(predictor, manifest))
    assert largest_difference(predictor, both, 6, seed=1) < 1e-4
    kernel = predictor.model.get_layer("readout").kernel
    kernel.assign(np.array(kernel.numpy()) + 0.01)
    assert largest_difference(predictor, both, 6, seed=1) > 1e-3


def test_other_numbers_are_refused(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr(_litert, "largest_difference", lambda *_: float("inf"))
    with pytest.raises(rnnzoo.InputError, match="digit-sum: LiteRT gives other numbers"):
        rnnzoo.export(zoo["digit-sum"], tmp_path / "out", format="litert")
    assert not list(tmp_path.iterdir())


def test_int8(zoo, tmp_path, written):
    rnnzoo.export(zoo["addition"], tmp_path / "out", format="litert", int8=True, tolerance=0.02)
    int8 = manifest_of(tmp_path / "out")["int8"]
    assert int8["examples"] == 500 and int8["float"]["exact_match"] - int8["int8"]["exact_match"] <= 0.02
    assert int8["bytes"]["int8"] < int8["bytes"]["float"]
    assert 2 * (tmp_path / "out" / "step.tflite").stat().st_size < (written / "addition" / "step.tflite").stat().st_size


def test_int8_that_costs_too_much_is_refused(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr(Written, "answers", lambda self, checked: [-1] * len(checked))
    with pytest.raises(
        rnnzoo.InputError, match=r"int8 lowers exact_match from 1 to 0 on \d+ examples, by more than .* 0\.5"
    ):
        rnnzoo.export(zoo["digit-sum"], tmp_path / "out", format="litert", int8=True, tolerance=0.5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digit-sum", {"timesteps": 0}, "timesteps must be a whole number from 1 to 1,024, not 0"),
        ("digit-sum", {"timesteps": 1025}, "not 1025"),
        ("seven-segment", {"timesteps": 5}, "seven-segment reads no sequence"),
        ("number-spelling", {"timesteps": 5}, "number-spelling reads no sequence"),
        ("digit-sum", {"tolerance": 0.1}, "tolerance goes with int8"),
        ("digit-sum", {"int8": True, "tolerance": 2.0}, "from 0 to 1"),
        (
            "digit-sum",
            {"format": "saved-model", "timesteps": 5},
            "timesteps goes with the format litert, not with saved-model",
        ),
    ],
)
def test_bad_options(name, options, message, zoo, tmp_path):
    with pytest.raises(rnnzoo.InputError, match=message):
        rnnzoo.export(zoo[name], tmp_path / "out", **{"format": "litert", **options})
    assert not list(tmp_path.iterdir())


def test_the_missing_extra_is_named(zoo, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(rnnzoo.MissingExtraError, match=r"rnnzoo\[litert\]"):
        rnnzoo.export(zoo["digit-sum"], tmp_path / "out", format="litert")
    assert not list(tmp_path.iterdir())


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(cli, ["export", *arguments, "--format", "litert"])

    result = call("digit-sum-both-ways", "--timesteps", "3", "-o", "out", "--int8")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("LiteRT: out (model.tflite; ") and "of 3 timesteps" in lines[0]
    assert lines[1].startswith("int8: ") and "bytes; exact_match 1 -> 1, on" in lines[1] and lines[1].endswith("examples")
    assert lines[2].startswith("digit-sum-both-ways has no step: it reads both directions")
    assert call("digit-sum", "-o", "out").exit_code == 2
    assert call("digit-sum", "-o", "new", "--timesteps", "0").exit_code == 2
    assert call("digit-sum", "-o", "new", "--timesteps", "x").exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    result = call("digit-sum", "-o", "out", "--force", "--json")
    told = json.loads(result.output)
    assert told["format"] == "litert" and set(told["files"]) == {"step", "model"}


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


def test_the_layers_are_as_they_were(zoo, written):
    for predictor in zoo.values():
        for layer in predictor.model.layers:
            assert not getattr(layer, "unroll", False)
            assert not getattr(getattr(layer, "forward_layer", None), "unroll", False)
