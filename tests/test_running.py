"""Exports that are asked without TensorFlow: the same checks, answers and messages as `predict` has."""

import json
import os
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import rnnzoo
from rnnzoo.building import create_task
from rnnzoo.cli.main import cli
from rnnzoo.exporting import FORMATS
from rnnzoo.registry import list_presets, load_preset
from rnnzoo.running import _description, _tensors, load
from rnnzoo.running._stepping import Stepper

pytest.importorskip("onnxruntime", reason="the extra `onnx` is absent")
pytest.importorskip("ai_edge_litert", reason="the extra `litert` is absent")

SUFFIXES = {name: one.suffix for name, one in FORMATS.items() if one.suffix}

# What is wrong for some task, and right for another.
RAW = ["1294", "", "12a4", "1２", "12\n", "-5", b"\xff12", b"77", 1294, 10000, -1, 1.5, True, None, "535+61", "007+5", "1+"]
RAW += ["drawn:7", "start"]
RAW += ["1110111", "111011", "1110112", "0.05 0.1", "0.05 x", "[0.5]", "1:0.5:-1 0:1:0.5", "0.3:0 0.5:1 0.2:0 0.4:1"]
RAW += [
    "0.3:0 2:1 0.4:1",
    "0.3:2 0.5:1",
    "0.3:1",
    "nan 1",
    "[[1, 2], [3, 4]]",
    [1, 2, 3],
    [[0.5, 1], [0.25, 1]],
    [],
    [[]],
    ":".join(["0.5"] * 18),
    "9" * 5000,
]


@pytest.fixture(scope="module", params=SUFFIXES)
def format(request):
    return request.param


@pytest.fixture(scope="module")
def exports(format, exported, zoo, tmp_path_factory):
    """Every preset as a folder, and digit-sum and addition as a file."""
    folder = tmp_path_factory.mktemp("exports")
    for name in list_presets():
        (folder / name).symlink_to(exported(format) / name)
    for name in ("digit-sum", "addition"):
        rnnzoo.export(zoo(name), folder / f"{name}{SUFFIXES[format]}", format=format, verify=False)
    return folder


@pytest.mark.parametrize("name", list_presets())
def test_the_same_checks_and_messages(name, exports, zoo):
    zoo, runner = zoo(name), load(exports / name)
    right = 0
    for raw in [*RAW, *zoo.task.samples()]:
        found = []
        for one in (zoo, runner):
            try:
                found.append(str(one.check([raw])))
            except rnnzoo.InputError as error:
                found.append(f"refused: {error}")
        if runner.timesteps is not None and "timesteps, and this export takes" in found[1]:
            continue  # longer than what takes a whole sequence
        assert found[0] == found[1]
        right += not found[0].startswith("refused")
    assert len(zoo.task.samples()) <= right < len(RAW) + len(zoo.task.samples())


@pytest.mark.parametrize("name", list_presets())
def test_fronts_and_backs_are_those_of_the_graph(name, rng):
    """Written twice, in NumPy and in TensorFlow: held against each other on random inputs and outputs."""
    task = create_task(load_preset(name))
    inputs = task.raw_inputs()
    raw = [task.input.check(inputs[i]) for i in rng.integers(0, len(inputs), 30)]
    for batch in (raw, raw[:1]):
        made = _tensors.front(json.loads(json.dumps(task.input.describe())), batch)
        expected = task.input.front(task.input.tensor(batch)).numpy()
        assert made.dtype == expected.dtype
        np.testing.assert_array_equal(made, expected)
    front = _tensors.front(task.input.describe(), raw)
    shape = None if task.answer.generated else rnnzoo.build(name)(front).shape
    for scale in (0.1, 1, 30):
        if task.answer.generated:
            outputs = rng.integers(1, task.answer.end_token + 1, (30, task.answer.max_length + 1)).astype(np.int32)
            outputs[0, 0] = task.answer.end_token
            for row in outputs:
                row[np.argmax(np.append(row, task.answer.end_token) == task.answer.end_token) + 1 :] = 0
        else:
            outputs = (rng.normal(size=shape) * scale).astype(np.float32)
        named = _tensors.back(json.loads(json.dumps(task.answer.describe())), outputs, front)
        graph = {key: value.numpy() for key, value in task.answer.back(tf.constant(outputs), tf.constant(front)).items()}
        assert task.answer.answers(named) == task.answer.answers(graph)


def test_halves_are_rounded_as_in_the_graph():
    halves = np.array([[-1.5], [-0.5], [0.5], [1.5], [2.5]], np.float32)
    assert _tensors.back({"kind": "number", "name": "sum"}, halves, None)["sum"].tolist() == [-2, 0, 0, 2, 2]


class Alone:
    """A model that takes a batch of one alone, as models of fixed shapes do."""

    def __init__(self, model):
        self.model = model
        self.inputs = {name: ((1, *self.fixed(shape)), dtype) for name, (shape, dtype) in model.inputs.items()}
        self.outputs = model.outputs

    @staticmethod
    def fixed(shape):
        return tuple(40 if isinstance(size, str) else size for size in shape[1:])

    def run(self, arrays):
        assert all(len(array) == 1 for array in arrays.values())
        return self.model.run(arrays)


@pytest.mark.parametrize("name", ["digit-sum", "digit-sum-running", "adding-problem", "addition", "number-spelling"])
def test_steps_of_a_batch_of_one(name, exports, rng):
    runner, alone = load(exports / name), load(exports / name, by_steps=True)
    if "read" not in alone.models:
        alone.stepper = Stepper({role: Alone(model) for role, model in alone.models.items()}, alone.description)
    inputs = runner.task.first_test().inputs
    raw = [inputs[i] for i in rng.integers(0, len(inputs), 7)]
    for one in raw:  # what a text's row holds past its end depends on the rows beside it
        np.testing.assert_allclose(alone.scores([one]), runner.scores([one]), rtol=1e-4, atol=1e-4)
    if runner.task.answer.kind != "real":
        assert alone.predict(raw) == runner.predict(raw)


def test_what_is_truncated_or_altered_is_said(exports, format, tmp_path):
    suffix = SUFFIXES[format]

    def damaged(name, change):
        shutil.rmtree(tmp_path / "export", ignore_errors=True)
        shutil.copytree(exports / "addition", tmp_path / "export")
        path = tmp_path / "export" / name
        change(path, path.read_bytes())
        with pytest.raises(rnnzoo.InputError) as error:
            load(tmp_path / "export")
        assert name in str(error.value) and "\n" not in str(error.value)
        return str(error.value)

    def truncate(path, data):
        path.write_bytes(data[: len(data) // 2])

    def alter(path, data):
        path.write_bytes(data[:900] + bytes([data[900] ^ 1]) + data[901:])

    models = json.loads((exports / "addition" / "rnnzoo.json").read_text())["models"]
    assert len(models) >= 2
    for name in [*(model["file"] for model in models.values()), "proof.json"]:
        for change in (truncate, alter):
            assert "the checksum is not the one in rnnzoo.json" in damaged(name, change)
        assert "cannot be read" in damaged(name, lambda path, _: path.unlink())
    assert "is no JSON" in damaged("rnnzoo.json", truncate)
    assert "checksum" in damaged(
        "rnnzoo.json", lambda path, data: path.write_bytes(data.replace(b"1234567890+", b"2134567890+"))
    )
    assert "checksum" in damaged("rnnzoo.json", lambda path, _: path.write_text("[]"))
    assert "holds no rnnzoo.json" in damaged("rnnzoo.json", lambda path, _: path.unlink())
    file = tmp_path / f"file{suffix}"
    data = (exports / f"addition{suffix}").read_bytes()
    message = {
        ".onnx": "the checksum at its end is absent or wrong",
        ".tflite": "it is truncated, was altered or is no LiteRT",
    }
    for part in (data[:-1], data[: len(data) // 2], data[:900] + b"?" + data[901:], data + b"x", b"", b"junk" * 100):
        file.write_bytes(part)
        with pytest.raises(rnnzoo.InputError, match=f"file{suffix}: {message[suffix]}"):
            load(file)


def test_what_is_no_export(exports, format, saved_models, exported, tmp_path):
    step = exports / "addition" / f"step{SUFFIXES[format]}"
    for path, message in (
        (tmp_path / "absent", "no such file or folder"),
        (tmp_path, r"holds no rnnzoo\.json"),
        (exports / "addition" / "rnnzoo.json", r"a file that ends in \.onnx"),
        (step, "is the step of a model, for programs; give its folder|it is one of a folder: give that"),
        (saved_models / "addition", "a SavedModel, which needs TensorFlow; expected what"),
        (saved_models / "addition" / "1", "a SavedModel, which needs TensorFlow; expected what"),
        (exported("keras") / "addition", "an export as keras, which needs TensorFlow; expected what"),
        (saved_models / "addition" / "1" / "assets.extra", "cannot be read: No such file"),
    ):
        with pytest.raises(rnnzoo.InputError, match=message):
            load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": 2}, "in a layout that this version does not know"),
        ({"task": "digit_quotient"}, "whose task 'digit_quotient' this version has not, or has otherwise"),
        ({"task": "../x"}, "this version has not"),
        ({"task_options": {"digits": 3}}, "whose task 'digit_sum' this version has not, or has otherwise"),
        ({"answer": {"kind": "number", "name": "total"}}, "has otherwise; export again"),
    ],
)
def test_an_export_of_another_version(change, message, exports, tmp_path):
    shutil.copytree(exports / "digit-sum", tmp_path / "export")
    path = tmp_path / "export" / "rnnzoo.json"
    about = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({**about, "sha256": _description.digest(about)}))
    with pytest.raises(rnnzoo.InputError, match=message):
        load(tmp_path / "export")


def test_a_missing_extra_is_named(exports, format, monkeypatch):
    for module in ("onnxruntime", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, module, None)
    for path in (exports / "digit-sum", exports / f"digit-sum{SUFFIXES[format]}"):
        with pytest.raises(rnnzoo.MissingExtraError, match=rf"rnnzoo\[{format}\]"):
            load(path)


def test_run_prints_what_predict_prints(exports, format, tmp_path):
    (tmp_path / "samples.txt").write_text("1294\n77\n")
    (tmp_path / "wrong.txt").write_text("1294\n3x\n")
    (tmp_path / "latin.txt").write_bytes(b"1294\n\xe9\n")
    for arguments, stdin in (
        (["1294", "77"], None),
        (["1294", "--json"], None),
        (["-"], "1294\n77\n"),
        ([str(tmp_path / "samples.txt"), "--json"], None),
        (["--file", str(tmp_path / "samples.txt")], None),
        (["1294", "12a4"], None),
        ([""], None),
        ([], None),
        (["1", "--file", "absent.txt"], None),
        (["--file", "absent.txt"], None),
        ([str(tmp_path / "wrong.txt")], None),
        ([str(tmp_path / "latin.txt")], None),
        (["-"], ""),
    ):
        predicted = CliRunner().invoke(cli, ["predict", "digit-sum", *arguments], input=stdin)
        for export in ("digit-sum", f"digit-sum{SUFFIXES[format]}"):
            ran = CliRunner().invoke(cli, ["run", str(exports / export), *arguments], input=stdin)
            lines = [result.output.splitlines()[-1] for result in (ran, predicted)]
            assert lines[0] == lines[1] and ran.exit_code == predicted.exit_code
            assert ran.exit_code or ran.output == predicted.output
    for name, arguments in {
        "digit-sum-both-ways": ["1294", "7"],
        "addition": ["535+61"],
        "number-spelling": ["1294", "0"],
        "seven-segment": ["1110111"],
        "forward-by-hand": ["1:0.5:-1 0:1:0.5"],
    }.items():
        ran, predicted = (
            CliRunner().invoke(cli, [*command, *arguments]) for command in (["run", str(exports / name)], ["predict", name])
        )
        assert ran.exit_code == 0
        if name == "forward-by-hand":  # real numbers, whose last digit may differ
            shown = [[float(n) for n in result.output.splitlines()[-1].split()[-2:]] for result in (ran, predicted)]
            assert shown[0] == pytest.approx(shown[1], rel=1e-5)
        else:
            assert ran.output == predicted.output


def test_the_command_exports_and_runs(format, tmp_path):
    for output in ("sum", f"sum{SUFFIXES[format]}"):
        written = CliRunner().invoke(cli, ["export", "digit-sum", "--format", format, "-o", str(tmp_path / output)])
        lines = written.output.splitlines()
        assert written.exit_code == 0 and lines[0].startswith(f"{format}: {tmp_path / output} (")
        assert lines[1] == "  verified: off by 0.0e+00 at the most, 8 of 8 answers the same"
        ran = CliRunner().invoke(cli, ["run", str(tmp_path / output), "1294", "--json"])
        assert json.loads(ran.output) == [{"input": "1294", "answer": 16}]
    assert CliRunner().invoke(cli, ["run", str(tmp_path / "absent"), "1294"]).exit_code == 2


def test_without_tensorflow_it_is_said_in_one_line(tmp_path):
    """On a machine that has what runs exports, and no more."""
    code = (
        "import sys\nsys.modules['tensorflow'] = None\nsys.modules['keras'] = None\n"
        "from rnnzoo.cli.main import cli\ncli(['predict', 'digit-sum', '1294'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
    assert (
        "needs TensorFlow and Keras, and" in result.stderr and "`rnnzoo run` asks ONNX and LiteRT exports" in result.stderr
    )


def cpu_seconds_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_no_tensorflow_and_soon(exports):
    """The whole command, from its start to its end."""
    code = (
        "import sys\nfrom rnnzoo.cli.main import cli\ncli(['run', *sys.argv[1:]], standalone_mode=False)\n"
        "assert not {'tensorflow', 'keras', 'onnx'} & set(sys.modules), 'TensorFlow was imported'"
    )
    seconds = []
    for name, sample in (("digit-sum", "1294"), ("addition", "535+61"), ("number-spelling", "1294"), ("digit-sum", "77")):
        begin = cpu_seconds_of_children()
        command = [sys.executable, "-c", code, str(exports / name), sample]
        result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
        seconds.append(cpu_seconds_of_children() - begin)
        assert (result.returncode, result.stderr) == (0, "")
    # The processor's time, and the best of several: what else the machine does must not matter. It was 0.4 s where this was
    # written, and so was the clock's.
    assert min(seconds) < 1
