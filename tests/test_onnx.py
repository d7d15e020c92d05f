"""ONNX models: what the Keras model gives, at any batch and length, in a process that has onnxruntime alone."""

import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo.decoding import Decoder
from rnnzoo.exporting import _onnx
from rnnzoo.exporting._onnx_activations import _EMITTERS
from rnnzoo.exporting._onnx_graph import Graph
from rnnzoo.registry import list_presets
from rnnzoo.running import load
from rnnzoo.running._tensors import front
from rnnzoo.running._tensors import used as used_of

onnx = pytest.importorskip("onnx", reason="the extra `onnx` is absent")
runtime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is absent")

READER = """
import json, sys
import numpy as np
import onnxruntime
folder = sys.argv[1]
for name in json.load(open(f"{folder}/names.json")):
    about = json.load(open(f"{folder}/{name}/rnnzoo.json"))
    model = onnxruntime.InferenceSession(f"{folder}/{name}/{about['models']['model']['file']}")
    given = np.load(f"{folder}/{name}.npz")
    (source,) = about["models"]["model"]["inputs"]
    outputs = [one.name for one in model.get_outputs()]
    assert outputs == list(about["models"]["model"]["outputs"])
    results = {}
    for key in given:
        for output, array in zip(outputs, model.run(outputs, {source: given[key]})):
            results[f"{key}_{output}"] = array
    np.savez(f"{folder}/{name}.results.npz", **results)
assert not {"rnnzoo", "tensorflow", "keras"} & set(sys.modules)
"""


def samples(zoo, rng, count=20):
    """Random raw inputs of any length that the task allows."""
    if zoo.name.startswith("digit-sum") and zoo.name != "digit-sum-seq2seq":
        return ["".join(map(str, rng.integers(0, 10, rng.integers(1, 60)))) for _ in range(count)]
    inputs = zoo.task.raw_inputs()
    return [inputs[i] for i in rng.integers(0, len(inputs), count)]


@pytest.fixture(scope="module")
def exports(tmp_path_factory, zoo, exported):
    """Every preset, exported once: its folder, its `Predictor`, random inputs, and what a bare process made of them."""
    folder, rng = tmp_path_factory.mktemp("onnx"), np.random.default_rng(6)
    found = {}
    for name in list_presets():
        predictor = zoo(name)
        shutil.copytree(exported("onnx") / name, folder / name)
        raw = predictor.check(samples(predictor, rng))
        batches = {f"batch_{n}": front(predictor.task.input.describe(), raw[:n]) for n in (1, 3, len(raw))}
        np.savez(folder / f"{name}.npz", **batches)
        found[name] = predictor, raw, batches
    (folder / "names.json").write_text(json.dumps(list(found)))
    subprocess.run([sys.executable, "-c", READER, str(folder)], check=True, capture_output=True)
    return folder, found


def near(got, expected, tolerance=1e-5):
    """Within a share of the largest."""
    expected = np.asarray(expected)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * max(1e-6, np.abs(expected).max(initial=0)))


@pytest.mark.parametrize("name", list_presets())
def test_every_model_is_valid_and_says_what_it_is(name, exports):
    folder, found = exports
    zoo, about = found[name][0], json.loads((folder / name / "rnnzoo.json").read_text())
    both_ways = any(isinstance(layer, keras.layers.Bidirectional) for layer in zoo.model.layers)
    steps = (not both_ways or zoo.task.answer.generated) and zoo.preset.architecture != "one_to_one"
    expected = {"model", *(["step"] if steps else []), *(["start"] if zoo.task.answer.generated else [])}
    assert set(about["models"]) == expected
    assert sorted(path.name for path in (folder / name).iterdir()) == sorted(["rnnzoo.json", *about["files"]])
    for role, described in about["models"].items():
        path = folder / name / described["file"]
        onnx.checker.check_model(path, full_check=True)
        model = onnx.load(path)
        assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        own = json.loads(metadata["rnnzoo"])
        assert own.pop("role") == role and own == {key: about[key] for key in own}
        assert len(metadata["rnnzoo_sha256"]) == 64
        for tensor in (*model.graph.input, *model.graph.output):
            assert tensor.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert about["preset"] == name and about["rnnzoo_version"] == rnnzoo.__version__
    assert about["input"]["name"] == zoo.task.input.name and about["answer"]["name"] == zoo.task.answer.name


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "mnist-pixels" else name for name in list_presets()]
)
def test_a_bare_process_gives_what_keras_gives(name, exports):
    folder, found = exports
    zoo, raw, batches = found[name]
    results = np.load(folder / f"{name}.results.npz")
    for key, inputs in batches.items():
        outputs = results[f"{key}_outputs"]
        if zoo.task.answer.generated:
            near(outputs, zoo.scores(raw[: len(inputs)]))
            assert results[f"{key}_written"].dtype == np.int32
        else:
            near(outputs, zoo.model(inputs))


@pytest.mark.parametrize("by_steps", [False, True])
@pytest.mark.parametrize("name", list_presets())
def test_answers_and_scores_are_those_of_predict(name, by_steps, exports):
    folder, found = exports
    zoo, raw, _ = found[name]
    if by_steps and "step" not in json.loads((folder / name / "rnnzoo.json").read_text())["models"]:
        with pytest.raises(rnnzoo.InputError, match="holds no model of one timestep"):
            load(folder / name, by_steps=True)
        return
    runner = load(folder / name, by_steps=by_steps)
    near(runner.scores(raw), zoo.scores(raw))
    answers, expected = runner.predict(raw), zoo.predict(raw)
    if zoo.task.answer.kind in ("real", "vectors"):  # of which the last digit may differ
        near(np.array(answers), expected)
    else:
        assert answers == expected
        assert list(runner.predict_iter(iter(raw), chunk=3)) == expected
    assert runner.predict([]) == [] and len(runner.scores([])) == 0


@pytest.mark.parametrize("name", list_presets())
def test_padding_changes_nothing(name, exports):
    folder, found = exports
    zoo, _, batches = found[name]
    about = zoo.task.input.describe()
    inputs = batches["batch_3"]
    if about["kind"] not in ("text", "vectors", "movement") or about.get("padding") is None:
        return  # an input of one timestep, or one that has no padding
    model = runtime.InferenceSession(folder / name / "model.onnx")
    source, outputs = model.get_inputs()[0].name, [one.name for one in model.get_outputs()]
    without = dict(zip(outputs, model.run(None, {source: inputs}), strict=True))
    for width in [(0, 5), (4, 0), (3, 7)]:
        wider = np.pad(inputs, [(0, 0), width, *[(0, 0)] * (inputs.ndim - 2)], constant_values=about["padding"])
        padded = dict(zip(outputs, model.run(None, {source: wider}), strict=True))
        for key in outputs:
            timesteps = zoo.task.answer.per_timestep and not zoo.task.answer.generated
            part = padded[key][:, width[0] : width[0] + inputs.shape[1]] if timesteps else padded[key]
            used = used_of(about, inputs)[..., None] if timesteps else True
            near(np.where(used, part, 0), np.where(used, without[key], 0))


def test_ids_that_there_are_not_and_no_rows(exports):
    """Unknown ids are nothing, as in training, in every position; of no rows come no rows."""
    folder, found = exports
    for name, (zoo, _, batches) in found.items():
        model = runtime.InferenceSession(folder / name / "model.onnx")
        source, outputs = model.get_inputs()[0].name, [one.name for one in model.get_outputs()]
        empty = dict(zip(outputs, model.run(None, {source: batches["batch_1"][:0]}), strict=True))
        assert all(len(array) == 0 for array in empty.values())
        if zoo.task.input.kind == "text":
            ids = np.array([[1, 99, 2], [-5, 3, 0]], np.int32)
            (got,) = model.run(["outputs"], {source: ids})
            if not zoo.task.answer.generated:
                near(got, zoo.model(ids))


def test_a_million_timesteps(exports):
    folder, _ = exports
    assert load(folder / "digit-sum").predict(["1" * 10**6]) == [10**6]


def run(model, inputs):
    """What a model's ONNX twin gives."""
    data = _onnx._sealed(_onnx._whole(model, None), "model", {"rnnzoo_version": "", "description": "", "preset": "test"})
    (source,) = [tensor.name for tensor in model.inputs]
    return runtime.InferenceSession(data).run(["outputs"], {source: inputs})[0]


def randomise(model, rng):
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * 0.4)
    return model


IDS = np.array([[1, 2, 3, 4, 5, 6], [1, 2, 0, 0, 0, 0], [0, 0, 3, 4, 5, 6], [0, 2, 0, 3, 0, 0], [0] * 6], np.int32)


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("many_to_one", {"layers": 2}),
        ("many_to_one", {"bidirectional": True, "use_bias": False}),
        ("many_to_one", {"activation": "gelu", "bidirectional": True}),
        ("many_to_many", {"layers": 2, "embedding": 3}),
        ("many_to_many", {"layers": 2, "activation": "elu", "bidirectional": True}),
        ("bidirectional", {"layers": 2}),
        ("bidirectional", {"return_sequences": False}),
        ("deep", {"return_sequences": True, "dropout": 0.2, "recurrent_dropout": 0.1}),
        ("deep", {"dense": (3, 4), "dense_activation": "selu"}),
    ],
)
def test_masks_anywhere(architecture, arguments, rng):
    """Padding before, behind and between, and rows of nothing else; as ids and as vectors."""
    for kind in ("ids", "vectors"):
        if kind == "vectors" and "embedding" in arguments:
            continue
        width = {"vocabulary_size": 7} if kind == "ids" else {"features": 2, "mask_value": -1.0}
        model = randomise(getattr(rnnzoo, architecture)(outputs=3, units=4, **width, **arguments), rng)
        inputs = IDS if kind == "ids" else np.where(IDS[..., None] == 0, -1, rng.normal(size=(5, 6, 2))).astype(np.float32)
        near(run(model, inputs), model(inputs))
    if "embedding" not in arguments:
        model = randomise(getattr(rnnzoo, architecture)(outputs=3, units=4, features=2, **arguments), rng)
        near(run(model, inputs), model(inputs))


@pytest.mark.parametrize("activation", sorted(_EMITTERS))
def test_every_activation(activation, rng):
    arguments = {"activation": activation, "output_activation": activation}
    model = randomise(rnnzoo.many_to_many(vocabulary_size=7, outputs=3, units=4, **arguments), rng)
    for variable in model.trainable_variables:
        variable.assign(variable * 0.5)  # what grows, `exponential`, stays small
    near(run(model, IDS), model(IDS))


def test_the_activations_are_all_that_keras_has():
    """But for those that change the width or need what ONNX has not, and second names."""
    names = {name for name in dir(keras.activations) if name[0].islower() and callable(getattr(keras.activations, name))}
    names = {getattr(keras.activations, name).__name__ for name in names - {"get", "serialize", "deserialize"}}
    assert names - set(_EMITTERS) <= {"glu", "sparsemax", "threshold"}


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("encoder_decoder", {"vocabulary_size": 7, "outputs": 6}),
        ("encoder_decoder", {"vocabulary_size": 7, "outputs": 6, "layers": 2, "bidirectional": True, "embedding": 3}),
        ("encoder_decoder", {"vocabulary_size": 7, "outputs": 6, "hidden": (5,), "target_embedding": 3}),
        ("one_to_many", {"features": 6, "outputs": 6, "timesteps": 9, "feedback": "token", "layers": 2}),
    ],
)
def test_decoding_inside_the_graph(architecture, arguments, rng):
    model = randomise(getattr(rnnzoo, architecture)(units=8, **arguments), rng)
    start = 5 if architecture == "encoder_decoder" else 0
    decoder = Decoder(model, max_length=9, start_token=start, end_token=2)
    inputs = IDS if architecture == "encoder_decoder" else rng.normal(size=(5, 6)).astype(np.float32)
    written, outputs = tf.function(decoder, autograph=False)(tf.constant(inputs))
    data = _onnx._sealed(_onnx._whole(model, decoder), "model", {"rnnzoo_version": "", "description": "", "preset": "test"})
    session = runtime.InferenceSession(data)
    got = session.run(["written", "outputs"], {session.get_inputs()[0].name: inputs})
    np.testing.assert_array_equal(got[0], written)
    near(got[1], outputs)


def test_what_cannot_be_exported_is_named():
    def cube(x):
        return x**3

    inputs = keras.Input((3,), name="inputs")
    for layer, message in (
        (keras.layers.Dense(2, activation=cube), "the activation 'cube' is none of Keras's"),
        (keras.layers.Dense(2, activation="sparsemax"), "the activation 'sparsemax' cannot be exported"),
        (keras.layers.LayerNormalization(name="norm"), r"the layer 'norm' \(LayerNormalization\) is none of the zoo's"),
    ):
        with pytest.raises(rnnzoo.InputError, match=message):
            _onnx._whole(keras.Model(inputs, layer(inputs)), None)
    assert Graph().nodes == []


def test_a_file_a_folder_and_what_is_refused(tmp_path, monkeypatch):
    assert rnnzoo.export("digit-sum", tmp_path / "sum.onnx", format="onnx") == tmp_path / "sum.onnx"
    assert load(tmp_path / "sum.onnx").predict(["1294"]) == [16]
    with pytest.raises(rnnzoo.InputError, match="exists"):
        rnnzoo.export("digit-sum", tmp_path / "sum.onnx", format="onnx")
    rnnzoo.export("addition", tmp_path / "sum.onnx", format="onnx", force=True)
    assert load(tmp_path / "sum.onnx").predict(["535+61"]) == ["596"]
    rnnzoo.export("digit-sum", tmp_path / "folder", format="onnx")
    rnnzoo.export("digit-sum", tmp_path / "folder", format="onnx", force=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(rnnzoo.InputError, match=r"it holds no rnnzoo\.json"):
        rnnzoo.export("digit-sum", tmp_path / "mine", format="onnx", force=True)
    before = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.setattr(_onnx, "_sealed", lambda *_: 1 / 0)
    for path in ("new", "new.onnx", "folder"):
        with pytest.raises(ZeroDivisionError):
            rnnzoo.export("digit-sum", tmp_path / path, format="onnx", force=True)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(rnnzoo.MissingExtraError, match=r"rnnzoo\[onnx\]"):
        rnnzoo.export("digit-sum", tmp_path / "new", format="onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == before == ["folder", "mine", "sum.onnx"]
    assert load(tmp_path / "folder").predict(["77"]) == [14]
