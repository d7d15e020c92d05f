"""Training: what it writes, that it repeats, and what it refuses."""

import csv
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import rnnzoo
from rnnzoo.registry import list_presets, load_preset
from rnnzoo.runs import run_state

SHORT = ["training.epochs=2"]
CHEAP = "backprop-by-hand"  # trains in no time, where it does not matter what is trained


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return rnnzoo.train("digit-sum", run_dir=tmp_path_factory.mktemp("runs") / "short", overrides=SHORT)


def test_the_run_folder(run):
    found = {path.name for path in run.path.iterdir()}
    assert found == {"preset.toml", "model.weights.h5", "metadata.json", "history.csv", "README.md", "saved_model"}
    assert (run.path / "saved_model" / "digit-sum" / "1" / "saved_model.pb").is_file()
    rows = list(csv.DictReader((run.path / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    assert json.loads((run.path / "metadata.json").read_text())["metrics"] == run.metrics


@pytest.mark.slow
def test_weights_of_sixteen_bits(tmp_path):
    """Files of half the size, with what the scores were measured with."""
    overrides = ["model.units=100", "training.round_weights=false", "training.epochs=1", "task_options.max_timesteps=2"]
    whole = rnnzoo.train("digit-sum", run_dir=tmp_path / "whole", overrides=overrides)
    half = rnnzoo.train("digit-sum", run_dir=tmp_path / "half", overrides=[*overrides, "training.storage=float16"])
    sizes = [(run.path / "model.weights.h5").stat().st_size for run in (whole, half)]
    assert sizes[0] - sizes[1] == pytest.approx(2 * whole.model.count_params(), rel=0.1)
    loaded = rnnzoo.from_preset(half.path)
    for stored, measured, full in zip(*(one.model.get_weights() for one in (loaded, half, whole)), strict=True):
        np.testing.assert_array_equal(stored, measured)
        np.testing.assert_array_equal(stored, full.astype(np.float16))
    assert rnnzoo.evaluate(loaded) == half.metrics


def test_what_does_not_vary_its_examples(tmp_path):
    with pytest.raises(rnnzoo.InputError, match=r"training\.augment: the task does not vary its examples"):
        rnnzoo.train(CHEAP, run_dir=tmp_path / "run", overrides=[*SHORT, "training.augment=true"])


def test_tensorboard_logs(tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard logs are the extra `tensorboard`")
    rnnzoo.train(CHEAP, run_dir=tmp_path / "run", overrides=SHORT, tensorboard=True)
    events = next((tmp_path / "run" / "logs").iterdir())
    assert load_preset(CHEAP).metric.encode() in events.read_bytes()


def test_tensorboard_is_an_extra(tmp_path, monkeypatch):
    from rnnzoo import training

    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(rnnzoo.MissingExtraError, match=r"rnnzoo\[tensorboard\]"):
        rnnzoo.train("digit-sum", run_dir=tmp_path / "run", tensorboard=True)
    assert not list(tmp_path.iterdir())


def test_a_run_is_a_preset(run):
    preset = load_preset(run.path)
    assert preset.name == "digit-sum" and preset.training.epochs == 2
    assert rnnzoo.evaluate(run.path) == run.metrics
    zoo = rnnzoo.from_preset(run.path)
    assert zoo.predict(["1294"]) == run.predictor.predict(["1294"])
    again = rnnzoo.train(run.path, run_dir=run.path.parent / "again")
    for a, b in zip(again.model.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_too_short_a_run_is_not_rounded(run):
    assert run.metadata["rounded"] is False
    assert "would move by" in run.metadata["not_rounded"]
    assert "refused" in (run.path / "README.md").read_text()


FAST = {
    "addition": ["training.epochs=1", "task_options.training_pairs=500", "task_options.held_out_pairs=50", "model.units=8"],
    "number-spelling": ["training.epochs=1", "model.units=8", "training.batch_size=512"],
    "digit-sum-seq2seq": ["training.epochs=1", "model.units=8", "task_options.oversample=0"],
    "adding-problem": ["training.epochs=1", "training.curriculum.timesteps=[5, 40]", "task_options.training_examples=200"],
    "seven-segment": ["training.epochs=1", "task_options.training_displays=500"],
    "handwritten-sum": [
        *("training.epochs=1", "training.batch_size=64", "model.units=8", "task_options.training_examples=250"),
        'training.pretrain.set=["task=handwritten_sum", "task_options.max_timesteps=1", "task_options.labels=true", '
        '"model.units=8", "model.layers=3", "model.recurrent_initializer=zeros", "training.epochs=1", '
        '"training.batch_size=2048"]',
    ],
    "temporal-order": ["training.epochs=1", "training.curriculum.timesteps=[10, 20]", "task_options.training_examples=200"],
}


def trained(name, *overrides):
    from rnnzoo.building import create_task
    from rnnzoo.recipes import fit

    large = load_preset(name).metadata()["parameters"] > 10_000
    short = ["training.epochs=1", "training.batch_size=512", "model.units=8"] if large else SHORT
    preset = load_preset(name, [*FAST.get(name, short), *overrides])
    task = create_task(preset)
    if large and name not in FAST:  # a few of its thousands
        examples = task.train()
        examples = examples.take(range(min(250, len(examples.inputs))))
        task.train, task.validation = lambda: examples, lambda: None
    return fit(preset, task)


def trained_weights(name, *overrides):
    return trained(name, *overrides).model.get_weights()


@pytest.fixture(scope="module")
def trained_once():
    """What `trained` gives, for a preset as it is, trained once for all tests; none may change it."""
    return functools.cache(trained)


# These take longest to compile, and others train the same architectures.
LONG = ("addition", "adding-problem", "baby-names", "chorales", "copy-memory", "digit-sum-seq2seq", "entities", "folk-tunes")
LONG += ("gesture-phases", "handwritten-sum", "mnist-pixels", "mnist-rows", "number-spelling", "sentiment")
LONG += ("shakespeare", "surnames", "temporal-order", "translation")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in list_presets()]
)
def test_same_seed_same_weights_bit_for_bit(name, trained_once):
    first, second = trained_once(name).model.get_weights(), trained_weights(name)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


@pytest.mark.slow
def test_another_seed_and_another_process(tmp_path, trained_once):
    first, other = trained_once("digit-sum").model.get_weights(), trained_weights("digit-sum", "training.seed=1")
    assert any((a != b).any() for a, b in zip(first, other, strict=True))
    code = (
        "import sys, json, numpy as np; from rnnzoo.registry import load_preset; from rnnzoo.recipes import fit; "
        "from rnnzoo.building import create_task; preset = load_preset('digit-sum', json.loads(sys.argv[1])); "
        "np.savez(sys.argv[2], *fit(preset, create_task(preset)).model.get_weights())"
    )
    arguments = [json.dumps(SHORT), str(tmp_path / "weights.npz")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
    second = list(np.load(tmp_path / "weights.npz").values())
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_pretraining_never_sees_what_is_held_out(monkeypatch):
    """The encoder's own recipe is kept from the strings that the decoder will be judged by, whatever split it has."""
    from rnnzoo import recipes
    from rnnzoo.building import create_task

    seen = []
    prepare = recipes.prepare

    class Enough(Exception):
        """Both have said what they train on."""

    def spy(preset, model, task, examples, optimizer=None):
        seen.append((preset.name, set(examples.inputs)))
        if preset.name == "digit-sum-seq2seq":
            raise Enough
        return prepare(preset, model, task, examples, optimizer)

    monkeypatch.setattr(recipes, "prepare", spy)
    first = (
        '["task_options.end_token=true", "task_options.split_seed=9", "training.epochs=1", "training.round_weights=false"]'
    )
    preset = load_preset("digit-sum-seq2seq", [*FAST["digit-sum-seq2seq"], f"training.pretrain.set={first}"])
    task = create_task(preset)
    with pytest.raises(Enough):
        recipes.fit(preset, task)
    held_out = set(task.tests()["held_out"]().inputs)
    assert [name for name, _ in seen] == ["digit-sum", "digit-sum-seq2seq"]
    assert all(inputs and not inputs & held_out for _, inputs in seen)


def test_layers_that_do_not_fit_are_refused():
    from rnnzoo.building import create_task
    from rnnzoo.recipes import fit

    # Without the end token the encoder's kernel has another shape.
    first = '["training.epochs=1", "training.round_weights=false"]'
    preset = load_preset("digit-sum-seq2seq", [*FAST["digit-sum-seq2seq"], f"training.pretrain.set={first}"])
    with pytest.raises(rnnzoo.InputError, match=r"training\.pretrain\.layers: encoder = 'hidden'"):
        fit(preset, create_task(preset))


def test_the_pretrained_encoder_is_frozen(trained_once):
    trained = trained_once("digit-sum-seq2seq")
    assert not trained.model.get_layer("encoder").trainable
    stages = {row["stage"] for row in trained.history}
    assert stages == {"pretraining digit-sum", "training"}


@pytest.mark.slow
def test_own_data(tmp_path):
    """Digit products instead of sums: another answer to the same strings, leading zeros kept."""
    lines = [f"{a}{b},{a * b}" for a in range(10) for b in range(10)]
    data = tmp_path / "products.csv"
    data.write_text("\n".join(lines) + "\n")
    run = rnnzoo.train("digit-sum", run_dir=tmp_path / "run", data=data, overrides=SHORT)
    assert run.metrics["held_out"]["examples"] == 20 and list(run.metrics) == ["held_out"]
    assert run.metadata["dataset"]["training_examples"] == 80
    assert rnnzoo.evaluate(tmp_path / "run") == run.metrics
    again = rnnzoo.train(tmp_path / "run", run_dir=tmp_path / "again")
    assert again.metadata["dataset"]["sha256"] == run.metadata["dataset"]["sha256"] and again.metrics == run.metrics
    sums = tmp_path / "sums.csv"
    sums.write_text("007,7\n12,3\n9,8\n")
    assert rnnzoo.evaluate("digit-sum", sums)["data"] == {"examples": 3, "exact_match": pytest.approx(2 / 3, abs=1e-6)}


def test_own_data_never_on_both_sides():
    from rnnzoo.evaluating import split_own
    from rnnzoo.tasks._task import Examples

    examples = Examples([str(i % 50) for i in range(200)], list(range(200)))
    train, held_out = split_own(examples)
    assert not set(train.inputs) & set(held_out.inputs)
    assert len(train.inputs) + len(held_out.inputs) == 200 and len(set(held_out.inputs)) == 10


@pytest.mark.parametrize(
    ("preset", "text", "message"),
    [
        ("digit-sum", "12,3\n1a,4\n", "line 2: 'a' at position 2"),
        ("digit-sum", "12,3\n13\n", "line 2: 1 field; expected 2, `digits,sum`"),
        ("digit-sum", "12,3,4\n", "line 1: 3 fields"),
        ("digit-sum", "12,three\n", "line 1: 'three' is no answer; expected a whole number"),
        ("digit-sum", "12,\n", "line 1: '' is no answer"),
        ("digit-sum", ",3\n", "line 1: the digits are empty"),
        ("digit-sum", "digits,sum\n", "a header and no rows; expected lines of `digits,sum`"),
        ("digit-sum", "figures,sum\n", "line 1: 'f' at position 1"),
        ("digit-sum", "", "empty; expected lines of `digits,sum`"),
        ("digit-sum", "\n\n", "empty"),
        ("digit-sum", '12,"3', "line 1: a quote is opened and never closed"),
        ("digit-sum-running", "12,1\n", "line 1: 1 answers for 2 timesteps"),
        ("digit-sum-both-ways", "12,1:3 3\n", "line 1: '1:3 3' is no answer"),
        ("digit-sum-seq2seq", "12,3x\n", "line 1: 'x' at position 2 of the answer"),
        ("addition", "1+2,123456\n", "line 1: the answer '123456' has 6 characters; at most 4"),
        ("seven-segment", "1111111,eight\n", "line 1: 'eight' is no answer; expected one of 0, 1"),
    ],
)
def test_bad_data(preset, text, message, tmp_path):
    data = tmp_path / "data.csv"
    data.write_text(text)
    for call in (
        lambda: rnnzoo.train(preset, run_dir=tmp_path / "run", data=data),
        lambda: rnnzoo.evaluate(preset, data),
    ):
        with pytest.raises(rnnzoo.InputError, match=message) as error:
            call()
        assert str(data) in str(error.value) and "\n" not in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} == {"data.csv"}


def test_missing_and_unreadable_data(tmp_path):
    with pytest.raises(rnnzoo.InputError, match=r"absent\.csv: no such file"):
        rnnzoo.evaluate("digit-sum", tmp_path / "absent.csv")
    (tmp_path / "latin.csv").write_bytes(b"12,3\n\xff\xfe,4\n")
    with pytest.raises(rnnzoo.InputError, match=r"latin\.csv, line 2: not UTF-8"):
        rnnzoo.evaluate("digit-sum", tmp_path / "latin.csv")
    with pytest.raises(rnnzoo.InputError, match=r"latin\.csv, line 2: not UTF-8"):  # a folder is its files
        rnnzoo.evaluate("digit-sum", tmp_path)


def test_an_existing_output_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious.txt").write_text("mine")
    with pytest.raises(rnnzoo.InputError, match="exists"):
        rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=SHORT)
    with pytest.raises(rnnzoo.InputError, match="did not write"):
        rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=SHORT, force=True)
    assert (tmp_path / "run" / "precious.txt").read_text() == "mine"


@pytest.mark.slow
def test_force_replaces_a_run(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    second = rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=[*SHORT, "training.seed=5"], force=True)
    assert load_preset(tmp_path / "run").training.seed == 5
    assert run.metadata["weights_sha256"] != second.metadata["weights_sha256"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    overrides = [*SHORT, "training.optimizer=sgd", "training.learning_rate=1e6", "training.round_weights=false"]
    with pytest.raises(rnnzoo.TrainingError, match=r"the loss of epoch 1, step \d+ is (nan|inf): the run was stopped; try"):
        rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=overrides)
    assert run_state(tmp_path / "run")[:3] == ("failed", 0, 2)
    assert np.isfinite(rnnzoo.from_preset(tmp_path / "run" / "unfinished").scores(["1294"])).all()


@pytest.mark.slow
def test_a_run_that_failed_at_its_end_is_not_trained_again(tmp_path, monkeypatch, run):
    from rnnzoo import recipes, results

    def fails(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(results, "write_saved_model", fails)
        with pytest.raises(OSError, match="disk full"):
            rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=SHORT)
    assert run_state(tmp_path / "run")[:3] == ("failed", 2, 2)
    with pytest.raises(rnnzoo.InputError, match="not complete"):
        rnnzoo.from_preset(tmp_path / "run")
    monkeypatch.setattr(recipes, "prepare", fails)
    assert rnnzoo.resume(tmp_path / "run").metadata["weights_sha256"] == run.metadata["weights_sha256"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_is_not_served_and_can_go_on(how, tmp_path):
    command = [sys.executable, "-m", "rnnzoo.cli.main", "train", "digit-sum", "-o", "run"]
    process = subprocess.Popen(
        [*command, "--set", "training.epochs=100000"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 180
        while not (run_state(tmp_path / "run") or (0, 0))[1] and time.monotonic() < deadline:
            time.sleep(0.1)
        assert run_state(tmp_path / "run").state == "running"
        os.kill(process.pid, how)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()  # what fails leaves nothing running
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in errors
    if how == signal.SIGINT:
        line = r"Stopped: interrupted after \d+ of 100000 epochs; go on with `rnnzoo train --resume run`"
        assert re.fullmatch(line, errors.strip().splitlines()[-1])
    assert run_state(tmp_path / "run").state == "interrupted" and [path.name for path in tmp_path.iterdir()] == ["run"]
    with pytest.raises(rnnzoo.InputError, match="not complete"):
        rnnzoo.from_preset(tmp_path / "run")


def test_numbered_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [rnnzoo.train(CHEAP, overrides=SHORT).path for _ in range(2)]
    assert [str(path) for path in paths] == [f"runs/{CHEAP}-1", f"runs/{CHEAP}-2"]


def test_unknown_names_of_the_recipe(tmp_path):
    for override, message in (
        ("training.loss=mean_squard_error", r"unknown loss 'mean_squard_error' \(did you mean 'mean_squared_error'\?\)"),
        ("training.optimizer=adan", r"unknown optimizer 'adan' \(did you mean 'adam'\?\)"),
        ("model.activation=tahn", r"no activation that Keras knows \(did you mean 'tanh'\?\)"),
        ("model.recurrent_initializer=identiti", r"no initializer that Keras knows \(did you mean 'identity'\?\)"),
        ("model.outputs=3", "model.outputs follows from the task"),
        ("architecture=one_to_one", "cannot do this task"),
    ):
        with pytest.raises(rnnzoo.InputError, match=message):
            rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=[override])
    assert not list(tmp_path.iterdir())


def test_a_loaded_preset_trains_with_seed_and_overrides(tmp_path):
    preset = load_preset(CHEAP)
    run = rnnzoo.train(preset, seed=4, run_dir=tmp_path / "run", overrides=SHORT)
    assert run.metadata["seed"] == load_preset(run.path).training.seed == 4
    assert load_preset(run.path).training.epochs == 2 and preset.training.seed == 0
