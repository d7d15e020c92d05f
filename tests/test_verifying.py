"""Every preset in every format gives what the Keras model gives, in a process that has nothing but what runs the format."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import rnnzoo
from rnnzoo.cli.main import cli
from rnnzoo.exporting import FORMATS
from rnnzoo.registry import list_presets
from rnnzoo.running import load
from rnnzoo.verifying import Difference, check, draw, find
from rnnzoo.verifying._proof import arrays, compare, limit


@pytest.fixture(scope="module")
def checked(exported):
    """A format -> preset -> what came of it, all presets in one process."""
    found = {}

    def of(format):
        if format not in found:
            exports = [find(exported(format) / name) for name in list_presets()]
            found[format] = {one.export.description["preset"]: one for one in check(exports)}
        return found[format]

    return of


QUICK = ("onnx", "litert")  # TensorFlow takes seconds to start, and each preset in a process of its own


@pytest.mark.parametrize(
    "format", [format if format in QUICK else pytest.param(format, marks=pytest.mark.slow) for format in FORMATS]
)
@pytest.mark.parametrize("name", list_presets())
def test_every_preset_in_every_format(name, format, checked):
    one = checked(format)[name]
    assert one.wrong is None
    assert one.difference.largest <= (1e-4 if format == "litert" else 1e-5) == limit(one.export.description)
    assert one.difference.answers >= 1 and one.difference.different == []


@pytest.mark.parametrize("name", list_presets())
def test_proofs_are_ragged_and_the_same_again(name, zoo):
    proof = draw(zoo(name))
    assert proof == draw(zoo(name)) == json.loads(json.dumps(proof))
    few = len(zoo(name).task.raw_inputs()) <= len(proof["raw"])  # then all of them are drawn
    assert proof["raw"] != draw(zoo(name), seed=1)["raw"] or few
    if zoo(name).task.input.kind in ("text", "words") and not zoo(name).task.answer.generated:
        lengths = {int(np.count_nonzero(row)) for row in proof["inputs"]}
        assert 1 in lengths and len(lengths) > 1
    assert zoo(name).predict(proof["raw"]) == [
        tuple(one) if isinstance(one, tuple) else one for one in zoo(name).predict(proof["raw"])
    ]


def test_what_the_comparison_finds(exported):
    """Any number, any answer, a row too few, what is no number; but not what padding gives."""
    one = find(exported("onnx") / "digit-sum-running")
    _, scores = arrays(one.proof, one.description)
    answers = one.proof["answers"]
    row = next(i for i, ids in enumerate(one.proof["inputs"]) if 1 < np.count_nonzero(ids) < len(ids) and scores[i, 1, 0])
    last = int(np.count_nonzero(one.proof["inputs"][row])) - 1

    def of(change, answers=answers):
        array = scores.copy()
        change(array)
        return compare(one.proof, one.description, {"scores": array}, answers)

    assert of(lambda array: None) == Difference(0.0, 8, [])
    assert of(lambda array: array.__setitem__((row, last), array[row, last] * 1.001)).largest == pytest.approx(
        1e-3, rel=1e-2
    )
    assert of(lambda array: array.__setitem__((row, last + 1), 1e9)).largest == 0  # padding
    assert of(lambda array: array.__setitem__((row, last), np.nan)).largest == np.inf
    assert compare(one.proof, one.description, {"scores": scores[:-1]}, answers).largest == np.inf
    assert of(lambda array: None, answers[:-1]).different == [(one.proof["raw"][-1], None, answers[-1])]
    wrong = [[*answers[0][:-1], -1], *answers[1:]]
    assert of(lambda array: None, wrong).different == [(one.proof["raw"][0], wrong[0], answers[0])]


def test_a_weight_that_is_off_is_found(zoo, tmp_path):
    """By `verify` of a preset whose exports are older than its weights, and by `export` before it finishes."""
    path = tmp_path / "out"
    rnnzoo.export(zoo("digit-sum"), path, format="onnx")
    other = rnnzoo.from_preset("digit-sum")
    kernel = other.model.layers[-1].kernel
    kernel.assign(kernel * 1.0001)
    one = find(path)._replace(proof=draw(other))
    (found,) = check([one])
    assert found.difference.largest == pytest.approx(1e-4, rel=0.1) and "gives other numbers: off by 1.0e-04" in found.wrong


# What TensorFlow runs takes seconds to start.
@pytest.mark.parametrize(
    "format", [one if FORMATS[one].suffix else pytest.param(one, marks=pytest.mark.slow) for one in FORMATS]
)
def test_an_export_that_is_off_is_not_left(format, zoo, tmp_path, monkeypatch):
    other = rnnzoo.from_preset("digit-sum")
    other.model.layers[-1].kernel.assign(other.model.layers[-1].kernel * 1.01)
    monkeypatch.setattr("rnnzoo.exporting._export.draw", lambda predictor: draw(other))
    with pytest.raises(rnnzoo.ExportError, match=f"digit-sum as {format} gives other numbers: off by 9.9e-03 relative"):
        rnnzoo.export(zoo("digit-sum"), tmp_path / "out", format=format)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_fails_is_said_in_one_line(exported, tmp_path):
    shutil.copytree(exported("onnx") / "digit-sum", tmp_path / "out")
    one = find(tmp_path / "out")
    (tmp_path / "out" / "model.onnx").unlink()
    with pytest.raises(rnnzoo.ExportError, match=r"^digit-sum as onnx cannot be run in a process of its own: .*model\.onnx"):
        list(check([one]))


@pytest.mark.parametrize(("format", "module"), [("onnx", "tensorflow"), ("litert", "keras"), ("saved-model", "rnnzoo")])
def test_processes_are_bare(format, module):
    code = (
        "import sys; from rnnzoo.verifying._bare import Bare\n"
        "[sys.modules.pop(name) for name in [*sys.modules] if name.partition('.')[0] == 'rnnzoo']\n"
        f"sys.meta_path.insert(0, Bare('{format}'))\nimport {module}"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"No module named '{module}': not in a bare process" in result.stderr


def test_the_command(exported, tmp_path, zoo):
    result = CliRunner().invoke(cli, ["verify", str(exported("onnx") / "addition"), "--json"])
    (told,) = json.loads(result.output)
    assert result.exit_code == 0 and told["format"] == "onnx" and told["answers"] == 8 and told["wrong"] is None
    rnnzoo.export(zoo("digit-sum"), tmp_path / "sum.tflite", format="litert", verify=False)
    result = CliRunner().invoke(cli, ["verify", str(tmp_path / "sum.tflite")])
    assert result.exit_code == 0 and "8 of 8" in result.output
    folder = tmp_path / "all"
    for format in ("onnx", "litert"):
        shutil.copytree(exported(format) / "digit-sum", folder / format)
    assert [one.format for one in rnnzoo.verify(folder)] == ["litert", "onnx"]
    proof = folder / "onnx" / "proof.json"
    proof.write_text(proof.read_text().replace("1", "2", 1))
    result = CliRunner().invoke(cli, ["verify", str(folder)])
    assert result.exit_code == 2 and "proof.json: the checksum is not the one in rnnzoo.json" in result.output
    for wrong in (tmp_path, tmp_path / "absent", "digit-sun"):
        result = CliRunner().invoke(cli, ["verify", str(wrong)])
        assert result.exit_code == 2 and len(result.output.splitlines()) == 1


def test_a_run_and_its_saved_model(tmp_path, monkeypatch):
    """What the run wrote, and every format, of which some are enough here; an extra that is absent is named."""
    monkeypatch.setattr("rnnzoo.exporting.FORMATS", {name: FORMATS[name] for name in FORMATS if FORMATS[name].suffix})
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    run = rnnzoo.train("seven-segment", overrides=["training.epochs=1"], run_dir=tmp_path / "run").path
    results = rnnzoo.verify(run)
    assert [one.format.split()[0] for one in results] == ["saved-model", "onnx", "litert"]
    assert [one.missing is None for one in results] == [True, True, False]
    assert "rnnzoo[litert]" in results[2].missing and not any(one.wrong for one in results)


def hostile(task):
    """Bad input, and none, by what is wrong with it: raw inputs as bytes of a string tensor, or as numbers."""
    kind, good = task.input.kind, task.input.example
    if kind in ("text", "words", "pairs", "tokens", "constant", "bits"):
        return {
            "an unknown token": ["\u2603"],
            "an unknown token at the end": [good[:-1] + "\u2603"],
            "invalid UTF-8": [b"\xff\xfe"],
            "UTF-8 that breaks off": [good.encode() + b"\xc3"],
            "an empty string": [""],
            "an empty string among others": [good, "", good],
            "a full-width digit": [good[:-1] + "\uff12"],
            "a line end": [good + "\n"],
            "no input": [],
        }
    if kind == "number":
        return {"a number below all": [-1], "a number beyond all": [10**12], "no input": []}
    if kind in ("image", "images"):  # whatever has the right shape and type is right
        return {"no input": []}
    row = [float("nan")] * task.input.width
    return {"no number": [[row, row] if task.input.sequence else row], "no input": []}


def asked(ask, raw):
    try:
        return ask(raw)
    except (rnnzoo.InputError, tf.errors.InvalidArgumentError) as error:
        assert "expected" in str(error) and len(str(error)) < 5000
        return "refused"


def ways(name, exported, zoo):
    """Everything that answers raw input for a preset: format -> a function of a list of it."""
    zoo = zoo(name)
    serve = tf.saved_model.load(str(exported("saved-model") / name / "1")).signatures["serving_default"]
    spec = zoo.task.input.spec

    def served(raw):
        tensor = tf.constant(raw, spec.dtype) if raw else tf.zeros([size or 0 for size in spec.shape], spec.dtype)
        named = serve(**{zoo.task.input.name: tensor})
        return zoo.task.answer.answers({key: tensor.numpy() for key, tensor in named.items()})

    runners = {format: load(exported(format) / name).predict for format in FORMATS if FORMATS[format].suffix}
    return {"predict": zoo.predict, "saved-model": served, **runners}


@pytest.mark.parametrize("name", list_presets())
def test_bad_input_is_the_same_in_all_formats(name, exported, zoo):
    them = ways(name, exported, zoo)
    assert len(them) == len(FORMATS)  # of which one, keras, takes no raw input, and one is asked in two ways
    for kind, raw in hostile(zoo(name).task).items():
        found = {format: asked(ask, raw) for format, ask in them.items()}
        expected = [] if kind == "no input" else "refused"
        if getattr(zoo(name).task.input, "open", False) and expected and "empty" not in kind:
            expected = found["predict"]  # an answer, the same everywhere
            assert expected != "refused"
        assert all(one == expected for one in found.values()), (kind, found)


@pytest.mark.parametrize("name", ["digit-sum", "digit-sum-running", "digit-sum-of-sums", "digit-sum-seq2seq"])
def test_a_long_input_is_the_same_in_all_formats(name, exported, zoo):
    found = {format: ask(["1234567890" * 500]) for format, ask in ways(name, exported, zoo).items()}
    assert all(one == found["predict"] for one in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digit-sum", "digit-sum-seq2seq"])
def test_a_million_characters_are_the_same_in_all_formats(name, exported, zoo):
    them = ways(name, exported, zoo)
    expected = them.pop("predict")(["7" * 10**6])
    for format, ask in them.items():
        assert ask(["7" * 10**6]) == expected, format


@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_unknown_ids_are_refused_as_a_saved_model_refuses_them(format, exported):
    for name in ("digit-sum", "addition"):
        runner = load(exported(format) / name)
        size = runner.description["input"]["vocabulary_size"]
        for wrong in (size, -1):
            with pytest.raises(
                rnnzoo.InputError, match=rf"{name}: expected token ids from 0 \(padding\) to {size - 1}; got"
            ):
                runner.run(np.array([[1, wrong]], np.int32))
    with pytest.raises(rnnzoo.InputError, match="adding-problem: expected finite numbers; got nan"):
        load(exported(format) / "adding-problem").run(np.array([[[np.nan, 1]]], np.float32))
