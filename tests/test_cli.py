"""The command line, through Click's runner and as a subprocess."""

import json
import re
import signal
import subprocess
import sys

import keras
import pytest
from click.testing import CliRunner

import rnnzoo
from rnnzoo.cli.main import cli
from rnnzoo.registry import list_architectures, list_presets, load_preset

SHORT = ["--set", "training.epochs=2"]
FEW = [*SHORT, "--set", "task_options.training_displays=200"]


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Runs a command in an empty folder; its exit code must be the one expected."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0, stdin=None):
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], input=stdin)
        assert result.exit_code == code, result.output
        if code:
            assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def test_every_command_is_found_and_has_help(call):
    names = cli.list_commands(None)
    first = ["build", "data", "evaluate", "explain", "export", "generate", "info", "list", "predict"]
    assert names == [*first, "run", "sweep", "train", "verify"]
    for name in names:
        assert "Usage:" in call(name, "--help").output


def test_list(call):
    text = call("list").stdout
    assert all(name in text for name in list_presets())
    rows = json.loads(call("list", "--json").stdout)
    assert [row["name"] for row in rows] == list_presets()
    assert all(row["weights"] and row["parameters"] and row["score"] > 0 for row in rows)
    most = {"bleu": 100, "nats_per_character": 2, "nats_per_frame": 9}
    assert all(row["score"] <= most.get(load_preset(row["name"]).metric, 1) for row in rows)
    assert [row["name"] for row in json.loads(call("list", "addit*", "--json").stdout)] == ["addition"]


def test_a_score_is_listed_as_what_its_metric_says(call):
    """A share in per cent; nats and BLEU, which are none, as they are."""
    for name, shown in (
        ("digit-sum", r"exact match +100\.00%"),
        ("shakespeare", r"nats per character +1\.50\d+ "),
        ("translation", r"bleu +30\.\d+ "),
    ):
        assert re.search(shown, call("list", name).stdout), name


@pytest.mark.parametrize("name", list_presets())
def test_info(name, call):
    text = call("info", name).stdout
    assert name in text and "Limits" in text
    assert next(iter(rnnzoo.load_preset(name).metadata()["metrics"])) in text
    assert json.loads(call("info", name, "--json").stdout)["metadata"]["metrics"]


@pytest.mark.parametrize("name", [*list_presets(), *(a.replace("_", "-") for a in list_architectures())])
def test_build(name, call, tmp_path):
    text = call("build", name, "-o", "model.keras").stdout
    assert "output shape" in text and "readout" in text and "(batch" in text
    described = json.loads(call("build", name, "--json").stdout)
    model = keras.models.load_model(tmp_path / "model.keras")
    assert model.count_params() == described["parameters"]
    assert [layer.name for layer in model.layers] == [layer["name"] for layer in described["layers"]]


def test_build_says_which_sizes_it_chose(call):
    assert "features=8, outputs=4" in call("build", "many-to-one").stdout
    assert json.loads(call("build", "many_to_one", "--set", "outputs=2", "--json").stdout)["defaults"] == {"features": 8}
    described = call("build", "many-to-one", "--set", "vocabulary_size=7", "--set", "model.units=5", "--json").stdout
    assert json.loads(described)["layers"][-2]["output_shapes"] == [[None, 5]]
    assert json.loads(call("build", "digit-sum", "--set", "model.units=3", "--json").stdout)["parameters"] == 43


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_build_draws(ending, call, tmp_path):
    pytest.importorskip("matplotlib", reason="drawing is the extra `plot`")
    call("build", "encoder-decoder", "-o", f"model.{ending}")
    data = (tmp_path / f"model.{ending}").read_bytes()
    assert data.startswith(b"\x89PNG") if ending == "png" else b"<svg" in data


def test_train_predict_evaluate_export(call, tmp_path):
    """The main path, on a run of two epochs."""
    result = call("train", "digit-sum", *SHORT, "-o", "run", "--seed", 3)
    assert "held_out" in result.stdout and "run" in result.stdout and "not rounded" in result.stdout
    assert rnnzoo.load_preset(tmp_path / "run").training.seed == 3
    metadata = json.loads((tmp_path / "run" / "metadata.json").read_text())
    assert json.loads(call("evaluate", "./run", "--json").stdout) == metadata["metrics"]
    answers = json.loads(call("predict", "./run", "1294", "77", "--json").stdout)
    assert [answer["input"] for answer in answers] == ["1294", "77"]
    call("export", "./run", "-o", "out")
    assert (tmp_path / "out" / "1" / "saved_model.pb").is_file()
    call("train", "digit-sum", *SHORT, "-o", "run", code=2)
    # Any run replaces another; this one trains in no time.
    call("train", "seven-segment", *FEW, "-o", "run", "--force")
    assert rnnzoo.load_preset(tmp_path / "run").name == "seven-segment"
    assert json.loads(call("train", "seven-segment", *FEW, "--json").stdout)["path"] == "runs/seven-segment-1"


def test_predict_from_everywhere(call, tmp_path):
    (tmp_path / "samples.txt").write_text("1294\n007\n\n")
    for arguments, stdin in (
        (["1294", "007"], None),
        (["-"], "1294\n007\n"),
        (["-"], "1294\r\n007"),
        (["--file", "samples.txt"], None),
        (["samples.txt"], None),
    ):
        answers = json.loads(call("predict", "digit-sum", *arguments, "--json", stdin=stdin).stdout)
        assert answers == [{"input": "1294", "answer": 16}, {"input": "007", "answer": 7}]
    text = call("predict", "digit-sum-both-ways", "1294").stdout
    assert "1:16 3:15 12:13 16:4" in text
    assert "1 3 12 16" in call("predict", "digit-sum-running", "1294").stdout


@pytest.mark.parametrize(
    "data",
    [b"12\n345\n6\n", b"12\r\n345\r\n6", b"12\r345\r6\r", b"\xef\xbb\xbf12\n 345\t\n6\n\n \n\n"],
    ids=["lines", "DOS", "old Mac", "BOM and blanks"],
)
def test_predict_reads_lines_of_every_kind(data, call, tmp_path):
    (tmp_path / "samples.txt").write_bytes(data)
    for arguments, stdin in ((["samples.txt"], None), (["-"], data)):
        answers = json.loads(call("predict", "digit-sum", *arguments, "--json", stdin=stdin).stdout)
        assert answers == [{"input": "12", "answer": 3}, {"input": "345", "answer": 12}, {"input": "6", "answer": 6}]


@pytest.fixture
def small_blocks(monkeypatch, zoo):
    """Blocks of four lines, for presets that are loaded already: what counts is how lines are read and answers printed."""
    from rnnzoo.cli import predict

    monkeypatch.setattr(predict, "BLOCK", 4)
    monkeypatch.setattr(rnnzoo, "from_preset", zoo)


@pytest.mark.parametrize("lines", [4, 5, 11])
@pytest.mark.parametrize("named", [True, False], ids=["file", "standard input"])
def test_predict_block_by_block(lines, named, call, tmp_path, small_blocks):
    """Past one block: the same answers, in order, and how many there are on standard error, with the total of a file."""
    texts = [str(n) * (1 + n % 3) for n in range(1, lines + 1)]
    (tmp_path / "samples.txt").write_text("\n".join(texts))
    stdin = None if named else "\n".join(texts)
    source = "samples.txt" if named else "-"
    right = [{"input": text, "answer": sum(map(int, text))} for text in texts]
    result = call("predict", "digit-sum", source, "--json", stdin=stdin)
    assert json.loads(result.stdout) == right
    drawn = result.stderr.split()
    assert ("predicting" in drawn and (f"{lines}/{lines}" if named else str(lines)) in drawn) == (lines > 4)
    shown = [line.split() for line in call("predict", "digit-sum", source, stdin=stdin).stdout.splitlines()]
    assert shown[0] == ["input", "answer"]
    assert shown[2:] == [[one["input"], str(one["answer"])] for one in right]


@pytest.mark.parametrize(("line", "printed"), [(2, 0), (4, 0), (5, 4), (11, 10)])
@pytest.mark.parametrize("wrong", [b"3x", b"\xff", b""])
def test_predict_stops_at_a_wrong_line(line, printed, wrong, call, tmp_path, small_blocks):
    """Past one block what is before it is printed, nothing after it is, and what is there passes for no complete array."""
    (tmp_path / "samples.txt").write_bytes(b"12\n" * (line - 1) + wrong + b"\n12\n12\n")
    result = call("predict", "digit-sum", "samples.txt", "--json", code=2)
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith(f"Error: samples.txt, line {line}: ")
    assert result.stdout.count("answer") == printed and "]" not in result.stdout
    result = call("predict", "digit-sum", "samples.txt", code=2)
    assert len(result.stdout.splitlines()) == (printed and printed + 2)


def test_predict_ends_quietly_when_nobody_reads_on(tmp_path):
    (tmp_path / "samples.txt").write_text("1294\n" * 30_000)
    command = [sys.executable, "-m", "rnnzoo.cli.main", "predict", "digit-sum", "samples.txt"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().split() == ["input", "answer"]
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 1


def test_evaluate_own_data(call, tmp_path):
    (tmp_path / "mine.csv").write_text("007,7\n12,4\n")
    metrics = json.loads(call("evaluate", "digit-sum", "--data", "mine.csv", "--json").stdout)
    assert metrics == {"data": {"examples": 2, "exact_match": 0.5}}
    assert "0.5" in call("evaluate", "digit-sum", "--data", "mine.csv").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "digit-sun", "1"], "unknown preset 'digit-sun' (did you mean 'digit-sum'?)"),
        (["train", "digit-sun"], "did you mean 'digit-sum'"),
        (["evaluate", "nothing-like-it"], "unknown preset 'nothing-like-it'; `rnnzoo list`"),
        (["build", "many-to-on"], "unknown preset or architecture 'many-to-on' (did you mean 'many-to-one'?)"),
        (["build", "many-to-one", "--set", "unitz=3"], "unknown key model.unitz (did you mean 'units'?)"),
        (["build", "many-to-one", "--set", "units=abc"], "should be a valid integer, not 'abc'"),
        (["build", "many-to-one", "--set", "units=0"], "units must be a positive integer, not 0"),
        (["build", "many-to-one", "--set", "dropout=1.5"], "dropout must be a number from 0"),
        (["build", "many-to-one", "--set", "activation=tnah"], "(did you mean 'tanh'?)"),
        (["build", "many-to-one", "-o", "model.h5"], "expected a name that ends in .keras"),
        (["train", "digit-sum", "--set", "training.epoch=3"], "unknown key training.epoch (did you mean 'epochs'?)"),
        (["train", "digit-sum", "--set", "training.epochs=x"], "should be a valid integer, not 'x'"),
        (["train", "digit-sum", "--seed", "-1"], "--seed"),
        (["train", "digit-sum", "--data", "absent.csv"], "absent.csv: no such file"),
        (["predict", "digit-sum", "12a4"], "'a' at position 3 of '12a4'"),
        (["predict", "digit-sum", ""], "the digits are empty"),
        (["predict", "digit-sum"], "no samples"),
        (["predict", "digit-sum", "--file", "absent.txt"], "absent.txt: no such file"),
        (["predict", "digit-sum", "1", "--file", "absent.txt"], "not both"),
        (["predict", "digit-sum", "empty.txt"], "empty.txt: empty"),
        (["predict", "digit-sum", "bad.txt"], "bad.txt, line 2: 'x' at position 2 of '3x'"),
        (["predict", "digit-sum", "gap.txt"], "gap.txt, line 2: the digits are empty"),
        (["predict", "digit-sum", "latin.txt"], "latin.txt, line 2: cannot be read as UTF-8 text"),
        (["evaluate", "digit-sum", "--data", "bad.txt"], "bad.txt, line 1: 1 field; expected 2"),
        (["evaluate", "digit-sum", "--data", "empty.txt"], "empty.txt: empty"),
        (["export", "digit-sum", "--format", "pickle"], "format 'pickle': expected one of saved-model"),
        (["export", "digit-sum", "-o", "there"], "there: exists"),
        (["export", "digit-sum", "-o", "bad.txt/out"], "bad.txt/out: cannot be written"),
        (["train", "digit-sum", "-o", "there"], "there: exists"),
        (["train", "digit-sum", "-o", "there", "--force"], "a folder that rnnzoo did not write"),
        (["build", "digit-sum", "-o", "there/model.keras"], "there/model.keras: exists"),
        (["predict", "./there", "1"], "the folder is no preset and no training run"),
        (["info", "digit-sun"], "did you mean"),
        (["train"], "give a PRESET (`rnnzoo list` shows them all), or --resume RUN"),
        (["train", "--resume", "absent"], "absent: no such folder; expected the folder of a run"),
        (["train", "--resume", "there"], "there: no training run"),
        (["train", "--resume", "bad.txt"], "bad.txt: no such folder"),
        (["train", "digit-sum", "--resume", "there"], "it does not go with a PRESET"),
        (["train", "--resume", "there", "--set", "training.epochs=3"], "it does not go with --set"),
        (["list", "--runs", "absent"], "absent: no such folder; expected one that holds run folders"),
        (["train", "digit-sum", "-o", ""], "'-o' / '--output': the name is empty; expected that of a file or folder"),
        (["train", "--resume", ""], "the name is empty"),
        (["data", "pack", "digit-sum", "bad.txt", "", "-o", "x"], "the name is empty"),
        (["predict", "", "1294"], "the name of the preset is empty"),
        (["explain", "", "1294"], "the name of the preset is empty"),
        (["verify", ""], "the name is empty"),
        (["lst"], "No such command 'lst'"),
        (["list", "--jsn"], "No such option"),
    ],
)
def test_bad_input(arguments, message, call, tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "bad.txt").write_text("12\n3x\n")
    (tmp_path / "gap.txt").write_text("12\n\n34\n")
    (tmp_path / "latin.txt").write_bytes(b"12\n\xff\n")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "model.keras").write_text("mine")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    result = call(*arguments, code=2)
    assert message in result.stderr and result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and "Traceback" not in result.stderr
    if not result.stderr.startswith("Usage:"):
        assert result.stderr == errors[0] + "\n"
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_failure_exits_with_1(call, tmp_path):
    options = ["training.optimizer=sgd", "training.learning_rate=1e6", "training.epochs=2"]
    result = call("train", "digit-sum", *(part for option in options for part in ("--set", option)), code=1)
    error = result.stderr.splitlines()[-1]
    assert error.startswith("Error: the loss of epoch 1, step ")
    (row,) = json.loads(call("list", "--runs", "runs", "--json").stdout)
    assert (row["run"], row["state"], row["error"]) == ("runs/digit-sum-1", "failed", error.removeprefix("Error: "))
    assert "runs/digit-sum-1: failed, and would again: " in call("train", "--resume", "runs/digit-sum-1", code=2).stderr


def test_ctrl_c_resume_and_the_list_of_runs(call, tmp_path, monkeypatch):
    from rnnzoo import recipes

    def stopped(*arguments):
        figures = run_epoch(*arguments)
        signal.raise_signal(signal.SIGINT)
        return figures

    run_epoch = recipes.CompiledEpochs.run
    with monkeypatch.context() as patch:
        patch.setattr(recipes.CompiledEpochs, "run", stopped)
        result = call("train", "digit-sum", *SHORT, code=130)
    line = "Stopped: interrupted after 1 of 2 epochs; go on with `rnnzoo train --resume runs/digit-sum-1`"
    assert result.stderr.splitlines()[-1] == line and result.stdout == ""
    call("train", "digit-sum", *SHORT, "-o", "whole")
    (tmp_path / "runs" / "no run").mkdir()
    rows = json.loads(call("list", "--runs", "runs", "--json").stdout)
    expected = {"run": "runs/digit-sum-1", "preset": "digit-sum", "state": "interrupted", "epochs": 1, "of_epochs": 2}
    assert rows == [{**expected, "error": None, "metric": "exact_match", "score": None}]
    listed = call("list", "--runs", "runs").stdout
    assert "interrupted" in listed and "1/2" in listed and "no run" not in listed
    for command in ("predict", "info", "evaluate", "export", "train"):
        result = call(command, "runs/digit-sum-1", *["1294"][: command == "predict"], code=2)
        assert "not complete; `rnnzoo train --resume runs/digit-sum-1` goes on with it" in result.stderr
    told = "Note: runs/digit-sum-1/unfinished: of a run that is not complete, as of its last checkpoint\n"
    for arguments in (["predict", "", "1294"], ["explain", "", "12"], ["evaluate", ""], ["export", "", "--format", "keras"]):
        arguments[1] = "runs/digit-sum-1/unfinished"
        result = call(*arguments)
        assert told in result.stderr and result.stdout
    assert "held_out" in call("train", "--resume", "runs/digit-sum-1").stdout
    assert json.loads(call("list", "--runs", "runs", "--json").stdout)[0]["state"] == "complete"
    weights = [(tmp_path / name / "model.weights.h5").read_bytes() for name in ("whole", "runs/digit-sum-1")]
    assert weights[0] == weights[1]
    assert json.loads(call("train", "--resume", "runs/digit-sum-1", "--json").stdout)["path"] == "runs/digit-sum-1"


def test_why_a_run_failed_is_short_in_the_table(call, tmp_path):
    why = "a reason " * 50
    about = {"state": "failed", "epochs": 3, "error": why, "sha256": {}}
    (tmp_path / "runs" / "a" / "unfinished").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "unfinished" / "state.json").write_text(json.dumps(about))
    table = call("list", "--runs", "runs").stdout
    assert max(map(len, table.splitlines())) < 200 and f"{why[:99]}…" in table and why[:100] not in table
    assert json.loads(call("list", "--runs", "runs", "--json").stdout)[0]["error"] == why


def run(*arguments, **options):
    command = [sys.executable, "-m", "rnnzoo.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_as_a_subprocess(tmp_path):
    result = run("predict", "digit-sum", "-", "--json", input="1294\n77\n", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert [answer["answer"] for answer in json.loads(result.stdout)] == [16, 14]
    result = run("predict", "digit-sum", "12a4", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "") and len(result.stderr.splitlines()) == 1
    result = run("train", "seven-segment", *FEW, cwd=tmp_path)
    assert result.returncode == 0 and "2/2" in result.stderr and "loss" in result.stderr and "accuracy" in result.stderr
    assert "WARNING" not in result.stderr and "oneDNN" not in result.stderr and "XLA" not in result.stderr
    result = run("--version")
    assert result.stdout == f"rnnzoo, version {rnnzoo.__version__}\n"


def test_a_full_disk_is_one_line(call, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "model.keras")

    monkeypatch.setattr(keras.Model, "save", full)
    result = call("build", "many-to-one", "-o", "model.keras", code=1)
    assert result.stderr == "Error: model.keras: cannot be written: No space left on device\n"
