"""What else a SavedModel answers to, in a process that knows nothing of rnnzoo: numbers, steps, samples, bad input."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo.registry import list_presets

READER = """
import json, sys
import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import tensor_pb2

def warmup_message():
    # TensorFlow Serving's messages, declared here: what is written must be read by others than who wrote it.
    file = descriptor_pb2.FileDescriptorProto(name="log.proto", package="serving", syntax="proto3")
    file.dependency.append(tensor_pb2.DESCRIPTOR.name)
    kinds = {"string": 9, "message": 11}
    for name, fields in {
        "ModelSpec": [("name", 1, "string", ""), ("signature_name", 3, "string", "")],
        "Entry": [("key", 1, "string", ""), ("value", 2, "message", ".tensorflow.TensorProto")],
        "PredictRequest": [("model_spec", 1, "message", ".serving.ModelSpec"), ("inputs", 2, "message", ".serving.Entry")],
        "PredictLog": [("request", 1, "message", ".serving.PredictRequest")],
        "PredictionLog": [("predict_log", 6, "message", ".serving.PredictLog")],
    }.items():
        message = file.message_type.add(name=name)
        for field, number, kind, type_name in fields:
            label = 3 if field == "inputs" else 1
            message.field.add(name=field, number=number, type=kinds[kind], type_name=type_name or None, label=label)
    pool = descriptor_pool.Default()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("serving.PredictionLog"))

def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value.decode() if isinstance(value, bytes) else value

PredictionLog = warmup_message()
work = json.load(open(sys.argv[1]))
for name, job in work.items():
    signatures = tf.saved_model.load(job["path"]).signatures
    specs = {n: s.structured_input_signature[1] for n, s in signatures.items()}
    job["inputs"] = {n: {k: [s.dtype.name, s.shape.as_list()] for k, s in spec.items()} for n, spec in specs.items()}

    def call(endpoint, **given):
        given = {k: tf.constant(v, specs[endpoint][k].dtype) for k, v in given.items()}
        return {k: v.numpy() for k, v in signatures[endpoint](**given).items()}

    def error(endpoint, **given):
        try:
            call(endpoint, **given)
        except tf.errors.InvalidArgumentError as raised:
            return raised.message
        return ""

    (raw_key,), (key,) = specs["serving_default"], specs["scores"]
    front = np.array(job["front"], specs["scores"][key].dtype.as_numpy_dtype)
    job["scores"] = call("scores", **{key: front})["scores"].tolist()
    job["none"] = {
        n: {k: list(v.shape) for k, v in call(n, **{k: tf.zeros([0, *(d or 0 for d in s.shape[1:])], s.dtype)
            if s.shape.rank else 1 for k, s in spec.items()}).items()}
        for n, spec in specs.items()
    }
    bad = np.full(front.shape, 10**6 if front.dtype == np.int32 else np.nan, front.dtype)
    job["errors"] = [error("scores", **{key: bad})]
    if specs["serving_default"][raw_key].dtype == tf.string:
        good = job["raw"][0].encode()
        bad = [[""], [good, ""], ["", ""]]
        if not job["open"]:  # to any character
            bad += [[b"\\xff"], [good, b"\\xc3\\x28"], [good + b"\\xff"]]
        for wrong in bad:
            job["errors"].append(error("serving_default", **{raw_key: wrong}))
        # A text of any characters is a right one, and a network takes its time over a million of them.
        job["long"] = 0 if job["open"] else len(error("serving_default", **{raw_key: ["x" * 10**6]}))
    states = [k for k in specs.get("step", {}) if k not in ("inputs", "fed")]
    if "start" in specs:
        found = call("start", **{key: front})
        fed, steps = np.full(len(front), job["start_token"]), []
        for _ in range(np.shape(job["scores"])[1]):
            found = call("step", fed=fed, **{k: found[k] for k in states})
            steps.append(found["outputs"].tolist())
            fed = found["outputs"][:, 1:].argmax(-1) + 1
        job["steps"] = np.swapaxes(steps, 0, 1).tolist()

        def sample(raw, **options):
            options = {"temperature": 1.0, "top_k": 0, "seed": 1, "max_length": job["max_length"], **options}
            (texts,) = call("sample", **{raw_key: raw}, **options).values()
            return plain(texts.tolist())

        (default,) = call("serving_default", **{raw_key: job["raw"]}).values()
        job["default"] = plain(default.tolist())
        job["greedy"] = [sample(job["raw"], temperature=0.0), sample(job["raw"], temperature=9.0, top_k=1),
                         sample(job["raw"], temperature=1e-30), sample(job["raw"], temperature=1e-44)]
        job["hot"] = [sample(job["raw"], temperature=30.0, seed=seed) for seed in (1, 1, 2, 3)]
        job["alone"] = sample(job["raw"][:1], temperature=30.0)
        job["short"] = [sample(job["raw"], temperature=30.0, max_length=n) for n in (1, 2)]
        job["errors"] += [error("sample", **{raw_key: job["raw"]}, **{"temperature": 1, "top_k": 0, "seed": 0,
                          "max_length": 5, **wrong}) for wrong in ({"temperature": -1}, {"temperature": float("nan")},
                          {"top_k": -1}, {"max_length": 0})]
        job["errors"].append(error("step", fed=np.full(len(front), 10**6), **{k: found[k] for k in states}))
    elif "step" in specs:
        found = {k: np.zeros([len(front), *specs["step"][k].shape[1:]]) for k in states}
        job["steps"], job["prefixes"] = [], []
        for t in range(front.shape[1]):
            found = call("step", inputs=front[:, t], **{k: found[k] for k in states})
            job["steps"].append(found["outputs"].tolist())
            prefix = call("scores", **{key: front[:, : t + 1]})["scores"]
            job["prefixes"].append((prefix[:, -1] if prefix.ndim == 3 else prefix).tolist())
    job["warmed"] = {}
    for record in tf.data.TFRecordDataset(job["path"] + "/assets.extra/tf_serving_warmup_requests"):
        request = PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == name
        given = {entry.key: tf.constant(tf.make_ndarray(entry.value)) for entry in request.inputs}
        found = signatures[request.model_spec.signature_name](**given)
        job["warmed"][request.model_spec.signature_name] = {k: list(v.shape) for k, v in found.items()}
    assert "rnnzoo" not in sys.modules
json.dump(work, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="module")
def endpoints(zoo, saved_models, tmp_path_factory):
    """Every preset's endpoints, asked by a process that imports TensorFlow alone; and the `Predictor`s."""
    work, zoos = {}, {name: zoo(name) for name in list_presets()}
    for name, zoo in zoos.items():
        inputs = zoo.task.raw_inputs()
        checked = zoo.check([inputs[i] for i in np.linspace(0, len(inputs) - 1, 4).astype(int)])
        # Of one length, so that the last step is the last one of every row.
        shortest = min(map(zoo.task.input.steps, checked))
        front = zoo.task.input.front(zoo.task.input.tensor(checked)).numpy()
        timed = zoo.task.input.pads or front.ndim == 3
        front = front[:, : min(shortest, 12)] if timed and not zoo.task.answer.generated else front
        start = 0 if zoo.preset.architecture == "one_to_many" else getattr(zoo.task.answer, "end_token", 0)
        work[name] = {
            "path": str(saved_models / name / "1"),
            "raw": [one.tolist() if isinstance(one, np.ndarray) else one for one in checked],
            "front": front.tolist(),
            "open": getattr(zoo.task.input, "open", False),
            "start_token": start,
            "max_length": getattr(zoo.task.answer, "max_length", 0),
        }
    path = tmp_path_factory.mktemp("endpoints") / "work.json"
    path.write_text(json.dumps(work))
    result = subprocess.run([sys.executable, "-c", READER, str(path)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(path.read_text()), zoos


def writes(zoo):
    return zoo.task.answer.generated


@pytest.mark.parametrize("name", list_presets())
def test_which_there_are(name, endpoints):
    job, zoo = endpoints[0][name], endpoints[1][name]
    expected = {"serving_default", "scores"}
    if writes(zoo):
        expected |= {"start", "step", "sample"}
    else:
        try:
            zoo.stream()
            expected.add("step")
        except rnnzoo.InputError:
            pass
    assert set(job["inputs"]) == expected


@pytest.mark.parametrize("name", list_presets())
def test_scores_are_those_of_the_model(name, endpoints):
    job, zoo = endpoints[0][name], endpoints[1][name]
    if writes(zoo):
        np.testing.assert_allclose(job["scores"], zoo.scores(job["raw"]), rtol=1e-5, atol=1e-5)
    else:
        front = np.array(job["front"], zoo.model.inputs[0].dtype)
        np.testing.assert_allclose(job["scores"], zoo.model(front), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", list_presets())
def test_steps_are_the_whole(name, endpoints):
    job, zoo = endpoints[0][name], endpoints[1][name]
    if "steps" not in job:
        pytest.skip("the model needs its whole input")
    if not writes(zoo):
        np.testing.assert_allclose(job["steps"], job["prefixes"], rtol=1e-6, atol=1e-6)
        return
    steps, scores = np.array(job["steps"]), np.array(job["scores"])
    letters = max(map(len, zoo.task.answer.alphabet)) == 1
    for row, (step, score) in enumerate(zip(steps, scores, strict=True)):  # past its end token a row is fed nothing
        length = int(score.any(axis=-1).sum())
        assert length == len(job["default"][row]) + 1 or not letters
        np.testing.assert_allclose(step[:length], score[:length], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", list_presets())
def test_samples(name, endpoints):
    job, zoo = endpoints[0][name], endpoints[1][name]
    if not writes(zoo):
        pytest.skip("it writes no text")
    assert job["default"] == zoo.predict(job["raw"])
    assert all(texts == job["default"] for texts in job["greedy"])
    first, again, *others = job["hot"]
    assert first == again and all(texts != first for texts in others)
    assert len(set(first)) == len(first)  # rows are draws of their own
    assert job["alone"] == first[:1]
    longest = max(map(len, zoo.task.answer.alphabet))  # of what is written at a step: a character, or a piece of a word
    assert all(len(text) <= job["max_length"] * longest for text in first)
    for n, texts in enumerate(job["short"], 1):
        assert all(len(text) <= n * longest for text in texts)
        assert all(whole.startswith(text) for text, whole in zip(texts, first, strict=True))
        assert longest > 1 or texts == [text[:n] for text in first]


@pytest.mark.parametrize("name", list_presets())
def test_bad_input_is_refused_and_no_input_is_no_answer(name, endpoints):
    job = endpoints[0][name]
    assert all("expected" in message for message in job["errors"]), job["errors"]
    assert job.get("long", 0) < 5000  # a message is no place for a million characters
    assert all(shape[0] == 0 for found in job["none"].values() for shape in found.values())


@pytest.mark.parametrize("name", list_presets())
def test_what_it_says_of_itself(name, endpoints, saved_models):
    job, zoo = endpoints[0][name], endpoints[1][name]
    folder = saved_models / name / "1"
    about = json.loads((folder / "assets.extra" / "rnnzoo.json").read_text())
    assert about["preset"] == name and about["rnnzoo_version"] == rnnzoo.__version__
    found = {n: {k: [s["dtype"], s["shape"]] for k, s in spec.items()} for n, spec in about["endpoints"].items()}
    assert found == job["inputs"]
    assert about["answer"].get("labels") == getattr(zoo.task.answer, "labels", None)
    assert (about["decoding"] or {}).get("start_token", 0) == (job["start_token"] if writes(zoo) else 0)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files - set(about["files"]) == {"assets.extra/rnnzoo.json"}
    assert "assets.extra/tf_serving_warmup_requests" in files
    for path, told in about["files"].items():
        assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == told["sha256"]


@pytest.mark.parametrize("name", list_presets())
def test_every_endpoint_is_warmed_up(name, endpoints):
    job = endpoints[0][name]
    assert set(job["warmed"]) == set(job["inputs"])
    assert all(shape[:1] == [1] for found in job["warmed"].values() for shape in found.values())


@pytest.mark.parametrize("name", list_presets())
def test_no_custom_operation(name, saved_models):
    """Whatever runs a SavedModel knows TensorFlow's own, and none of them calls Python."""
    graph = tf.compat.v1.GraphDef()
    proto = __import__("tensorflow.core.protobuf.saved_model_pb2", fromlist=["SavedModel"]).SavedModel()
    proto.ParseFromString((saved_models / name / "1" / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    own = {function.signature.name for function in graph.library.function}
    operations = {node.op for node in nodes} - own
    assert not {op for op in operations if op.startswith(("PyFunc", "EagerPyFunc", "XlaLaunch"))}
    assert all(hasattr(tf.raw_ops, op) or op.startswith("_") for op in operations), operations


def test_a_million_characters_that_are_wrong_are_refused_at_once(saved_models):
    serve = tf.saved_model.load(str(saved_models / "addition" / "1")).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected two numbers"):
        serve(expression=tf.constant(["9" * 10**6]))
