"""SavedModels: raw input in, answer out, in a process that knows nothing of rnnzoo."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo.exporting import FORMATS
from rnnzoo.files import sha256
from rnnzoo.registry import list_presets

READER = """
import json, sys
import tensorflow as tf
work = json.load(open(sys.argv[1]))
for name, job in work.items():
    serve = tf.saved_model.load(job["path"]).signatures["serving_default"]
    (key, spec), = serve.structured_input_signature[1].items()
    def ask(raw):
        return {k: v.numpy() for k, v in serve(**{key: tf.constant(raw, spec.dtype)}).items()}
    def plain(value):
        if isinstance(value, list):
            return [plain(v) for v in value]
        return value.decode() if isinstance(value, bytes) else value
    job["key"], job["dtype"] = key, spec.dtype.name
    job["batch"] = {k: plain(v.tolist()) for k, v in ask(job["raw"]).items()}
    job["alone"] = [{k: plain(v.tolist()) for k, v in ask([raw]).items()} for raw in job["raw"]]
    job["none"] = {k: list(v.shape) for k, v in ask([]).items()} if spec.dtype == tf.int64 else {}
    try:
        job["error"] = job["bad"] and ask(job["bad"]) and ""
    except tf.errors.InvalidArgumentError as error:
        job["error"] = error.message
    assert "rnnzoo" not in sys.modules
json.dump(work, open(sys.argv[1], "w"))
# TensorFlow's own client, in the same process: importing TensorFlow is what takes long.
from absl import flags
from tensorflow.python.tools import saved_model_cli
for job in work.values():
    print("##", flush=True)
    common = ["--dir", job["path"], "--tag_set", "serve", "--signature_def", "serving_default"]
    flags.FLAGS(["saved_model_cli", *common, "--input_exprs", f"{job['key']}={job['raw'][-2:]!r}"])
    saved_model_cli.run()
"""


@pytest.fixture(scope="module")
def exports(zoo, saved_models, tmp_path_factory):
    """Every preset, exported and read by a process that imports TensorFlow alone."""
    folder = tmp_path_factory.mktemp("exports")
    work = {}
    for name in list_presets():
        task = zoo(name).task
        inputs = task.raw_inputs()
        raw = [inputs[i] for i in np.linspace(0, len(inputs) - 1, 12).astype(int)]
        bad = [-1] if isinstance(raw[0], int) else [""] if getattr(task.input, "open", False) else ["x"]
        if isinstance(raw[0], np.ndarray):  # real vectors, or pictures
            raw = task.input.tensor(raw).numpy().tolist()
            bad = [[[float("nan")] * len(raw[0][0])]] if isinstance(raw[0][0], list) else [[float("nan")] * len(raw[0])]
            bad = None if task.input.kind in ("image", "images") else bad  # any levels are a picture
        if name.startswith("digit-sum") and name != "digit-sum-seq2seq":
            raw += ["0", "9" * 300]
        work[name] = {"path": str(saved_models / name / "1"), "raw": raw, "bad": bad}
    (folder / "work.json").write_text(json.dumps(work))
    command = [sys.executable, "-c", READER, str(folder / "work.json")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    (folder / "client.txt").write_text(result.stdout)
    return folder, json.loads((folder / "work.json").read_text())


@pytest.mark.parametrize("name", list_presets())
def test_answers_are_those_of_predict(name, exports, zoo):
    job = exports[1][name]
    zoo = zoo(name)
    assert job["key"] == zoo.task.input.name and zoo.task.answer.name in job["batch"]
    named = {key: np.array(value, object if isinstance(value[0], str) else None) for key, value in job["batch"].items()}
    if named[zoo.task.answer.name].dtype == object:
        named = {key: np.array([text.encode() for text in value], object) for key, value in named.items()}
    assert zoo.task.answer.answers(named) == zoo.predict(
        np.array(job["raw"]) if isinstance(job["raw"][0], list) else job["raw"]
    )


@pytest.mark.parametrize("name", list_presets())
def test_a_ragged_batch_gives_what_each_sample_alone_gives(name, exports):
    job = exports[1][name]
    for i, alone in enumerate(job["alone"]):
        for key, value in alone.items():
            row = job["batch"][key][i]
            if isinstance(row, list) and isinstance(row[0], str):
                assert row[: len(value[0])] == value[0] and not any(row[len(value[0]) :])
            elif isinstance(row, list):
                np.testing.assert_allclose(row[: len(value[0])], value[0], rtol=1e-6)
                assert all(filled == -1 for filled in np.ravel(row[len(value[0]) :]))
            elif isinstance(row, float):
                assert row == pytest.approx(value[0], rel=1e-5)
            else:
                assert row == value[0]


@pytest.mark.parametrize("name", list_presets())
def test_bad_input_is_refused_in_the_graph(name, exports):
    if exports[1][name]["bad"] is None:
        pytest.skip("whatever has the right shape and type is right")
    assert "expected" in exports[1][name]["error"]


@pytest.mark.parametrize("name", list_presets())
def test_the_layout(name, saved_models):
    folder = saved_models / name
    assert [path.name for path in folder.iterdir()] == ["1"]
    assert (folder / "1" / "saved_model.pb").is_file() and (folder / "1" / "variables").is_dir()


def test_saved_model_cli(exports, zoo):
    """TensorFlow's own client, over every preset."""
    folder, work = exports
    blocks = (folder / "client.txt").read_text().split("##")[1:]
    assert len(blocks) == len(work)
    for (name, job), block in zip(work.items(), blocks, strict=True):
        serve = tf.saved_model.load(job["path"]).signatures["serving_default"]
        raw = tf.constant(job["raw"][-2:], serve.structured_input_signature[1][job["key"]].dtype)
        expected = {key: tensor.numpy() for key, tensor in serve(**{job["key"]: raw}).items()}
        assert expected
        for key, array in expected.items():
            assert f"Result for output key {key}:\n{array}" in block, name


def test_outputs_and_formats_that_are_refused(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(rnnzoo.InputError, match="exists"):
        rnnzoo.export("digit-sum", tmp_path / "there")
    with pytest.raises(rnnzoo.InputError, match="format 'pickle': expected one of saved-model, onnx, litert, keras, all"):
        rnnzoo.export("digit-sum", tmp_path / "new", format="pickle")
    with pytest.raises(rnnzoo.InputError, match="unknown preset"):
        rnnzoo.export("digit-sun", tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    rnnzoo.export("digit-sum", tmp_path / "new", verify=False)
    rnnzoo.export("digit-sum", tmp_path / "new", force=True, verify=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "there"]


@pytest.mark.parametrize("name", list_presets())
def test_keras_files_hold_the_model_and_what_stands_around_it(name, zoo, exported):
    zoo, folder = zoo(name), exported("keras") / name
    about = json.loads((folder / "rnnzoo.json").read_text())
    assert sorted(path.name for path in folder.iterdir()) == ["model.keras", "proof.json", "rnnzoo.json"]
    assert about["preset"] == name and about["input"]["name"] == zoo.task.input.name
    assert about["answer"]["name"] == zoo.task.answer.name
    assert about["files"]["model.keras"]["sha256"] == sha256(folder / "model.keras")
    model = keras.saving.load_model(folder / "model.keras")
    for loaded, weight in zip(model.get_weights(), zoo.model.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, weight)
    if about["input"]["kind"] == "text":  # what is needed to feed the model without rnnzoo
        text = zoo.task.input.example
        ids = [about["input"]["alphabet"].index(c) + 1 for c in text][:: -1 if about["input"]["reverse"] else 1]
        ids += [about["input"]["vocabulary_size"] - 1] * about["input"]["end_token"]
        assert zoo.task.input.front([text]).numpy().tolist() == [ids]


def test_all_formats_at_once(tmp_path):
    rnnzoo.export("digit-sum", tmp_path / "out", format="all", verify=False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FORMATS)
    assert all((tmp_path / "out" / name / one.marker).is_file() for name, one in FORMATS.items())
    rnnzoo.export("digit-sum", tmp_path / "out", format="all", force=True, verify=False)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", [*FORMATS, "all"])
def test_nothing_is_left_half_written(name, tmp_path, monkeypatch):
    """Whatever breaks off, an interrupt included."""
    module = FORMATS["keras" if name == "all" else name].load()
    monkeypatch.setattr(module, "write", lambda predictor, path, proof: (path / "half").write_text("x") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rnnzoo.export("digit-sum", tmp_path / "deep" / "out", format=name)
    assert list(tmp_path.iterdir()) == []
