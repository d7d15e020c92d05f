"""A run that was ended, however that came, goes on to the bits of the run that was not."""

import csv
import inspect
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import rnnzoo
from rnnzoo import checkpoints, epochs, results, runs
from rnnzoo.registry import load_preset
from rnnzoo.runs import COMPLETE, FAILED, INTERRUPTED, RUNNING, Workspace, run_state
from rnnzoo.stopping import Stop, Stopped

SHORT = ["training.epochs=4", "task_options.max_timesteps=2"]
UNFINISHED = {"preset.toml", "state.json", "lock", "checkpoints"}


def bits(folder):
    """All of a run that must not depend on whether it was ended: the bytes of its weights, its history, its metadata."""
    metadata = json.loads((folder / "metadata.json").read_text())
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    card = [line for line in (folder / "README.md").read_text().splitlines() if "trained on" not in line]
    return (
        (folder / "model.weights.h5").read_bytes(),
        [{key: value for key, value in row.items() if key != "seconds"} for row in rows],
        {key: value for key, value in metadata.items() if key != "training_seconds"},
        card,
        (folder / "preset.toml").read_text(),
    )


def few_scores(predictor, progress):
    """A few examples of the first test set, in the place of `evaluate`."""
    examples = predictor.task.first_test().take(range(10))
    progress("held_out", 10, 10)
    answers = predictor.predict(examples.inputs)
    return {"held_out": {"examples": 10, **predictor.task.score(examples, answers)}}


@pytest.fixture(scope="module")
def quick():
    """Without what takes time and is not in question: XLA's compiling, the long test sets, the SavedModel's functions."""

    def little(predictor, folder):
        (folder / "1").mkdir(parents=True)
        (folder / "1" / "saved_model.pb").write_text("")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epochs, "knows_xla", lambda model: False)
        patch.setattr(results, "write_saved_model", little)
        patch.setattr(results, "evaluate", few_scores)
        yield


@pytest.fixture
def each_epoch(quick, monkeypatch):
    """A checkpoint after each epoch, however short it is."""
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "TIMES", 0.0)


@pytest.fixture(scope="module")
def whole(quick, tmp_path_factory):
    """A run that nothing happened to."""
    return rnnzoo.train("digit-sum", run_dir=tmp_path_factory.mktemp("whole") / "run", overrides=SHORT).path


def at_epoch(number, do):
    """A progress function that does something after an epoch of the training."""

    def progress(stage, done, total, figures):
        if stage.startswith("training") and done == number:
            do()

    return progress


def interrupt():
    raise KeyboardInterrupt


def interrupted(path, epoch=3, name="digit-sum", overrides=SHORT, **options):
    """A run that ended after an epoch, before it was kept."""
    with pytest.raises(KeyboardInterrupt):
        rnnzoo.train(name, run_dir=path, overrides=overrides, progress=at_epoch(epoch, interrupt), **options)
    return path


@pytest.fixture(scope="module")
def ended_once(quick, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "SECONDS", 0.0)
        patch.setattr(checkpoints, "TIMES", 0.0)
        return interrupted(tmp_path_factory.mktemp("ended") / "run")


@pytest.fixture
def ended(ended_once, tmp_path):
    """A run that ended after two of four epochs."""
    return shutil.copytree(ended_once, tmp_path / "run")


# Kills


PRESETS = {
    "seven-segment": ["training.epochs=60", "task_options.training_displays=2000"],
    # A curriculum, and dropout, whose random numbers go on where they were.
    "adding-problem": [
        "training.epochs=30",
        "training.curriculum.timesteps=[5, 12]",
        "task_options.training_examples=2000",
        "task_options.held_out_examples=50",
        "model.units=8",
        "model.dropout=0.1",
        "model.recurrent_dropout=0.1",
    ],
    # Another preset that is trained first, and two sequences.
    "digit-sum-seq2seq": [
        "training.epochs=4",
        "model.units=16",
        "model.dropout=0.1",
        "task_options.oversample=0",
        'training.pretrain.set=["task_options.end_token=true", "training.round_weights=false", "training.epochs=100"]',
    ],
    # One long sequence with the state carried along, cut anew in every epoch.
    "digit-sum-running": [
        "training.truncate=16",
        "training.epochs=60",
        "training.learning_rate=0.001",
        "training.round_weights=false",
        "model.units=8",
        "model.activation=tanh",
        "model.recurrent_initializer=orthogonal",
        "model.dropout=0.1",
        "model.readout_dropout=0.1",
    ],
    # A warm-up, two directions, and weights that are rounded at the end.
    "digit-sum-both-ways": ["training.epochs=120", "training.warmup_epochs=2.5"],
}


def command_line(arguments, output):
    """A process that runs `rnnzoo`, its standard error in a file."""
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr = os.fdopen(2, "w")
    from rnnzoo.cli.main import cli

    results.evaluate = few_scores
    cli(arguments)


# As text: a process that pytest did not start cannot import a module of tests.
CHILD = "\n\n".join(
    ["import os, sys", "from rnnzoo import results", *map(inspect.getsource, (few_scores, command_line))]
    + ["command_line([*arguments], output)"]
)


@pytest.fixture(scope="module")
def processes():
    """Processes that begin with TensorFlow imported and not yet at work, which takes seconds else."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("there is no forkserver")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["rnnzoo.cli.main", "rnnzoo.training"])
    return context


def run_and_kill(name, kills, folder, processes, chance):
    """Kills runs of a preset at random moments until there were so many kills; each must end as the one undisturbed.

    Returns how many kills there were, and how many runs.
    """
    sets = [part for override in PRESETS[name] for part in ("--set", override)]

    def start(*arguments):
        (folder / "errors.txt").write_text("")
        process = processes.Process(
            target=exec, args=(CHILD, {"arguments": arguments, "output": str(folder / "errors.txt")})
        )
        process.start()
        return process

    began = time.monotonic()
    process = start("train", name, *sets, "-o", str(folder / "whole"))
    process.join()
    assert process.exitcode == 0, (folder / "errors.txt").read_text()
    takes, done, completed = time.monotonic() - began, 0, 0
    while done < kills or not completed:
        run = folder / f"run-{completed}"
        while run_state(run) is None or run_state(run).state != COMPLETE or (run / "unfinished").exists():
            process = start(
                *(["train", name, *sets, "-o", str(run)] if not run.exists() else ["train", "--resume", str(run)])
            )
            if done < kills:  # mostly while it trains, now and then at the end
                process.join(chance.uniform(0, takes * chance.choice([0.4, 0.5, 0.6, 1.0])))
            else:
                process.join()
            if process.exitcode is None:
                how = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
                os.kill(process.pid, how)
                done += 1
                process.join(60)
            errors = (folder / "errors.txt").read_text()
            assert process.exitcode in (0, -signal.SIGKILL, -signal.SIGTERM, 1, 130, 143), errors
            assert "Traceback" not in errors
            if process.exitcode in (130, 143):
                assert f"rnnzoo train --resume {run}" in errors
            elif process.exitcode == 1:  # before there was a run
                assert errors.strip() in ("", "Aborted!"), errors
        assert bits(run) == bits(folder / "whole")
        assert set(os.listdir(run)) == set(os.listdir(folder / "whole"))
        completed += 1
    return done, completed


@pytest.mark.slow
def test_killed_at_random_moments(processes, tmp_path):
    assert run_and_kill("seven-segment", 2, tmp_path, processes, random.Random(3))[0] == 2


@pytest.mark.slow
def test_killed_fifty_times(processes, tmp_path):
    """Over four presets: a curriculum with dropout, a pretraining, a state that is carried, and a warm-up."""

    def one(name):
        (tmp_path / name).mkdir()
        return run_and_kill(name, 17, tmp_path / name, processes, random.Random(name))

    names = [name for name in PRESETS if name != "seven-segment"]
    with ThreadPoolExecutor(len(names)) as pool:
        assert sum(kills for kills, _ in pool.map(one, names)) >= 50


# One process


def test_a_run_that_was_interrupted(ended, whole):
    assert set(os.listdir(ended)) == {"unfinished"} and set(os.listdir(ended / "unfinished")) == UNFINISHED
    assert run_state(ended) == (INTERRUPTED, 2, 4, None)
    resumed = rnnzoo.resume(ended)
    assert run_state(ended).state == COMPLETE and bits(ended) == bits(whole)
    assert resumed.path == ended and resumed.predictor.predict(["1294"]) == rnnzoo.from_preset(ended).predict(["1294"])
    assert resumed.metrics == json.loads((ended / "metadata.json").read_text())["metrics"]
    again = rnnzoo.resume(ended)  # nothing to do
    assert again.metadata == resumed.metadata and bits(ended) == bits(whole)


def test_ended_again_and_again(each_epoch, whole, tmp_path):
    """Before the first epoch is kept, and before the last."""
    run = interrupted(tmp_path / "run", 1)
    assert run_state(run) == (INTERRUPTED, 0, 4, None)
    with pytest.raises(KeyboardInterrupt):
        rnnzoo.resume(run, progress=at_epoch(4, interrupt))
    assert run_state(run) == (INTERRUPTED, 3, 4, None)
    rnnzoo.resume(run)
    assert bits(run) == bits(whole)


@pytest.mark.parametrize(
    ("name", "ends"), [("adding-problem", [2]), pytest.param("digit-sum-seq2seq", [1, 3], marks=pytest.mark.slow)]
)
def test_stages_and_pretraining(name, ends, each_epoch, tmp_path):
    """Ended between two stages, in pretraining, and after it; with dropout, whose random numbers go on."""
    small = ["model.units=4", "model.dropout=0.2", "training.epochs=2"]
    small += {
        "adding-problem": ["training.curriculum.timesteps=[3, 5]", "task_options.training_examples=60"],
        "digit-sum-seq2seq": [
            "task_options.max_timesteps=2",
            "task_options.oversample=0",
            'training.pretrain.set=["task_options.end_token=true", "training.round_weights=false", "training.epochs=2", '
            '"task_options.max_timesteps=2"]',
        ],
    }[name]
    rnnzoo.train(name, run_dir=tmp_path / "whole", overrides=small)
    run, count = tmp_path / "run", 0

    def progress(stage, done, total, figures):
        nonlocal count
        count += figures != {}
        if count == end + 1:  # which is not kept
            raise KeyboardInterrupt

    for end in ends:
        with pytest.raises(KeyboardInterrupt):
            if count == 0:
                rnnzoo.train(name, run_dir=run, overrides=small, progress=progress)
            else:
                count -= 1
                rnnzoo.resume(run, progress=progress)
        assert run_state(run) == (INTERRUPTED, end, 4, None)
    rnnzoo.resume(run)
    assert bits(run) == bits(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("end", [2, 4])
def test_averages_and_examples_that_are_varied(end, each_epoch, tmp_path, monkeypatch):
    """With a validation part, whose figures stand in the history; ended in the middle, and before the end is kept."""
    from rnnzoo.tasks.digit_sum import DigitSum

    drawn = []

    def augment(self, inputs, targets, weights, rng):
        drawn.append(rng.integers(0, 2, len(weights)))
        return inputs, targets, weights + drawn[-1]

    monkeypatch.setattr(DigitSum, "augment", augment)
    monkeypatch.setattr(DigitSum, "validation", lambda self: self.first_test())
    overrides = [*SHORT, "training.augment=true", "training.average=0.9", "training.round_weights=false"]
    rnnzoo.train("digit-sum", run_dir=tmp_path / "whole", overrides=overrides)
    assert len(drawn) == 4 and any((drawn[0] != other).any() for other in drawn)
    rows = list(csv.DictReader((tmp_path / "whole" / "history.csv").read_text().splitlines()))
    assert all(float(row["val_loss"]) > 0 and 0 <= float(row["val_exact_match"]) <= 1 for row in rows)
    run = interrupted(tmp_path / "run", end, overrides=overrides)
    rnnzoo.resume(run)
    assert bits(run) == bits(tmp_path / "whole")


def test_ended_after_training(whole, tmp_path):
    def progress(stage, done, total, figures):
        if stage == "scoring held_out":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=SHORT, progress=progress)
    assert run_state(tmp_path / "run") == (INTERRUPTED, 4, 4, None)
    rnnzoo.resume(tmp_path / "run")
    assert bits(tmp_path / "run") == bits(whole)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_step(how, quick, tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    raised = at_epoch(3, lambda: signal.raise_signal(how))
    line = rf"interrupted after 3 of 4 epochs; go on with `rnnzoo train --resume {tmp_path}/run`"
    with pytest.raises(rnnzoo.RunInterrupted, match=line) as error:
        rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=SHORT, progress=raised)
    assert error.value.signal == how and isinstance(error.value, KeyboardInterrupt)
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert run_state(tmp_path / "run") == (INTERRUPTED, 3, 4, None)


def in_epoch(number, do):
    """`recipes._epoch` that does something between the first steps of an epoch, and no more."""
    from rnnzoo import recipes

    whole = recipes._epoch

    def epoch(epochs, recipe, task, done, between=None):
        def called():
            if done + 1 == number and not calls:
                calls.append(do())
            if between is not None:
                between()

        calls, epochs._epochs._steps_a_call = [], 1  # however fast the ones before it were
        return whole(epochs, recipe, task, done, called)

    return epoch


@pytest.mark.parametrize("ends", [3, 1])
def test_a_signal_within_an_epoch_loses_none_that_is_finished(ends, quick, whole, tmp_path, monkeypatch):
    """Where the ones before it are in no checkpoint, it comes to its end; else it is ended after a step."""
    from rnnzoo import recipes

    with monkeypatch.context() as patch:
        patch.setattr(recipes, "_epoch", in_epoch(ends, lambda: signal.raise_signal(signal.SIGTERM)))
        kept = ends if ends > 1 else 0
        with pytest.raises(rnnzoo.RunInterrupted, match=f"interrupted after {kept} of 4 epochs"):
            rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=SHORT)
    assert run_state(tmp_path / "run") == (INTERRUPTED, kept, 4, None)
    rnnzoo.resume(tmp_path / "run")
    assert bits(tmp_path / "run") == bits(whole)


def test_a_second_signal_does_not_wait():
    with Stop() as stop:
        stop.check()
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped) as error:
            stop.check()
    assert error.value.signal == signal.SIGTERM


def test_a_long_epoch_is_ended_between_its_steps(rng):
    import keras

    from rnnzoo.epochs import CompiledEpochs

    model = rnnzoo.many_to_one(features=2, outputs=1, units=3)
    data = rng.normal(size=(64, 4, 2)).astype("float32"), np.ones((64, 1), "float32"), np.ones(64, "float32")
    loss = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    optimizer = keras.optimizers.SGD(0.1)
    training = CompiledEpochs(
        model, loss, optimizer, *data, batch_size=2, correct=lambda targets, outputs, weights: weights > 0
    )
    calls = []

    def between():
        calls.append(training.steps_run)
        if training.steps_run >= 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.run(np.arange(64), between)
    assert calls[0] == 1 and 7 <= training.steps_run < 32


def test_two_processes_on_one_run(quick, tmp_path):
    """The lock is on the open file: another one in the same process is refused as that of another process is."""
    refused = []

    def progress(stage, done, total, figures):
        if stage == "training" and done == 2:
            assert run_state(tmp_path / "run").state == RUNNING
            for call in (
                lambda: rnnzoo.resume(tmp_path / "run"),
                lambda: rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=SHORT, force=True),
            ):
                with pytest.raises(rnnzoo.InputError, match="another process is training it") as error:
                    call()
                refused.append(error.value)

    rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=SHORT, progress=progress)
    assert len(refused) == 2 and run_state(tmp_path / "run").state == COMPLETE


def test_the_lock_is_gone_with_its_owner(tmp_path):
    work = Workspace.begin(tmp_path / "run", "", None, {"epochs": 3}, False)
    assert run_state(tmp_path / "run") == (RUNNING, 0, 3, None)
    work.close()  # as the system does of a process that was killed
    assert run_state(tmp_path / "run") == (INTERRUPTED, 0, 3, None)
    Workspace.take_over(tmp_path / "run", {}).close()


# What is served


def test_only_a_complete_run_is_served(ended, each_epoch):
    run = ended
    for call in (rnnzoo.from_preset, rnnzoo.evaluate, load_preset):
        with pytest.raises(rnnzoo.InputError, match=rf"not complete; `rnnzoo train --resume {run}` goes on") as error:
            call(run)
        assert f"({run}/unfinished has the weights of its last checkpoint)" in str(error.value)
    with pytest.raises(
        rnnzoo.InputError, match=f"exists, a run that was interrupted; go on with `rnnzoo train --resume {run}`"
    ):
        rnnzoo.train("digit-sum", run_dir=run, overrides=SHORT)
    on_request = rnnzoo.from_preset(run / "unfinished")
    assert on_request.predict(["1294"]) and rnnzoo.evaluate(run / "unfinished")
    seen = []

    def progress(stage, done, total, figures):
        seen.append(rnnzoo.from_preset(run / "unfinished").model.get_weights())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # right after the checkpoint was taken up again
        rnnzoo.resume(run, progress=progress)
    assert all((a == b).all() for a, b in zip(seen[0], on_request.model.get_weights(), strict=True))


def test_a_complete_run_stays_until_the_one_that_replaces_it_is_complete(each_epoch, whole, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    (run / "data.csv").write_text("of the old run")
    (run / "notes.txt").write_text("somebody's")
    interrupted(run, overrides=[*SHORT, "training.seed=3"], force=True)
    assert run_state(run).state == INTERRUPTED
    assert load_preset(run).training.seed == 0 and rnnzoo.from_preset(run).model.count_params()
    rnnzoo.resume(run)
    assert load_preset(run).training.seed == 3 and run_state(run).state == COMPLETE
    assert set(os.listdir(run)) == {*os.listdir(whole), "notes.txt"}


def test_an_unfinished_run_is_replaced_at_once(ended):
    Workspace.begin(ended, "", None, {"epochs": 7}, True).close()
    assert run_state(ended) == (INTERRUPTED, 0, 7, None)


@pytest.mark.parametrize("replaces", [False, True])
def test_taking_its_place_can_be_cut_short_anywhere(replaces, tmp_path, monkeypatch):
    class Cut(BaseException):
        pass

    def cut_after(calls):
        left = iter(range(calls))

        def wrap(function):
            def wrapped(*arguments, **options):
                if next(left, None) is None:
                    raise Cut
                return function(*arguments, **options)

            return wrapped

        for module, name in ((runs.os, "rename"), (runs, "remove"), (runs, "sync_entries")):
            patch.setattr(module, name, wrap(getattr(module, name)))

    for calls in range(40):
        run = tmp_path / f"run-{calls}"
        if replaces:
            (run / "logs").mkdir(parents=True)
            for name in ("preset.toml", "metadata.json", "data.csv"):
                (run / name).write_text("old")
        work = Workspace.begin(run, "new", None, {"epochs": 3}, replaces)
        result = work.folder / "result"
        (result / "saved_model").mkdir(parents=True)
        for name in ("preset.toml", "metadata.json", "model.weights.h5", "saved_model/model"):
            (result / name).write_text("new")
        finished = True
        with monkeypatch.context() as patch:
            cut_after(calls)
            try:
                work.place()
            except Cut:
                finished = False
        work.close()
        if not finished:
            with_metadata = (run / "metadata.json").exists()
            if with_metadata:  # whole: all of the old run, or all of the new
                texts = {path.read_text() for path in run.iterdir() if path.is_file()}
                assert len(texts) == 1 and ((run / "saved_model").exists() or texts == {"old"})
            again = Workspace.take_over(run, {})
            if again is not None:
                again.place()
                again.close()
        assert run_state(run).state == COMPLETE
        assert set(os.listdir(run)) == {"preset.toml", "metadata.json", "model.weights.h5", "saved_model"}
        assert (run / "metadata.json").read_text() == (run / "saved_model" / "model").read_text() == "new"
        if finished:
            assert calls > 8
            break


# What can go wrong


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("file", ["variables.index", "variables.data-00000-of-00001"])
@pytest.mark.parametrize("how", [damage, lambda path: path.write_bytes(path.read_bytes()[:100]), os.remove])
def test_a_damaged_checkpoint(file, how, ended):
    kept, notes = ended / "unfinished" / "checkpoints", []
    assert sorted(os.listdir(kept)) == ["000001", "000002"]
    how(kept / "000002" / file)
    found = checkpoints.Checkpoints(ended / "unfinished", notice=notes.append)
    assert found.epochs == found.at.done == len(found.at.history) == 1 and os.listdir(kept) == ["000001"]
    assert len(notes) == 1 and notes[0].startswith(f"{kept}/000002: damaged (") and "\n" not in notes[0]
    assert notes[0].endswith("; going on from the one before, of epoch 1")


def test_a_pipe_in_a_checkpoint_is_not_waited_for(ended):
    place = ended / "unfinished" / "checkpoints" / "000002" / "variables.data-00000-of-00001"
    place.unlink()
    os.mkfifo(place)
    found = checkpoints.Checkpoints(ended / "unfinished")
    assert found.epochs == 1


def test_the_checkpoint_before_a_damaged_one_leads_to_the_same_bits(ended, whole):
    damage(ended / "unfinished" / "checkpoints" / "000002" / "variables.data-00000-of-00001")
    notes = []
    rnnzoo.resume(ended, notice=notes.append)
    assert bits(ended) == bits(whole) and len(notes) == 1


def test_no_checkpoint_is_left(ended, whole):
    """It is said that what was finished is lost; the bits are the same."""
    notes = []
    shutil.rmtree(ended / "unfinished" / "checkpoints")
    rnnzoo.resume(ended, notice=notes.append)
    assert notes == [f"{ended}: there is no checkpoint: it begins anew"] and bits(ended) == bits(whole)


def test_no_checkpoint_is_whole(ended):
    for path in (ended / "unfinished" / "checkpoints").glob("*/*.index"):
        damage(path)
    with pytest.raises(rnnzoo.InputError, match=r"000002: damaged .* and no other checkpoint is whole; train anew") as error:
        rnnzoo.resume(ended)
    assert "\n" not in str(error.value)


def test_no_room_for_a_checkpoint(each_epoch, tmp_path, monkeypatch):
    import tensorflow as tf

    write, calls = tf.train.Checkpoint.write, []

    def full(self, prefix):
        calls.append(prefix)
        if len(calls) > allowed:
            raise tf.errors.ResourceExhaustedError(None, None, f"{prefix}.tempstate; No space left on device")
        return write(self, prefix)

    monkeypatch.setattr(tf.train.Checkpoint, "write", full)
    allowed = 0
    with pytest.raises(OSError, match=f"^{tmp_path}/nothing: no checkpoint can be written: No space left on device$"):
        rnnzoo.train("digit-sum", run_dir=tmp_path / "nothing", overrides=SHORT)
    assert not list(tmp_path.iterdir())  # it had not begun
    allowed = 4
    with pytest.raises(OSError, match="run: the checkpoint after 3 epochs cannot be written: No space left on de") as error:
        rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=SHORT)
    state = run_state(tmp_path / "run")
    assert state == (FAILED, 2, 4, str(error.value)) and f"rnnzoo train --resume {tmp_path}/run" in state.error


def test_no_room_for_the_result(quick, tmp_path, monkeypatch):
    """Nothing is trained again."""

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(results, "write_saved_model", full)
        line = (
            f"^{tmp_path}/run: it is trained, and its result cannot be written: No space left on device; when it can be, go "
        )
        with pytest.raises(OSError, match=f"{line}on with `rnnzoo train --resume {tmp_path}/run`$") as error:
            rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=SHORT)
    assert run_state(tmp_path / "run") == (FAILED, 4, 4, str(error.value))
    rnnzoo.resume(tmp_path / "run", progress=at_epoch(4, interrupt))
    assert run_state(tmp_path / "run").state == COMPLETE


def test_no_room_for_a_copy_of_the_data(quick, tmp_path, monkeypatch):
    data = tmp_path / "data.csv"
    data.write_text("".join(f"{n},{n}\n" for n in range(10)))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs.Path, "write_bytes", full)
    with pytest.raises(OSError, match=f"^{tmp_path}/run: cannot be written: No space left on device$"):
        rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=SHORT, data=data)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written(ended, tmp_path, monkeypatch):
    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(runs.Path, "mkdir", read_only)
    with pytest.raises(rnnzoo.InputError, match="other: cannot be written: Read-only file system"):
        rnnzoo.train("digit-sum", run_dir=tmp_path / "other", overrides=SHORT)
    opened = os.open
    monkeypatch.setattr(
        runs.os, "open", lambda path, flags, *mode: read_only() if flags & os.O_RDWR else opened(path, flags)
    )
    with pytest.raises(rnnzoo.InputError, match="run: cannot be written: Read-only file system"):
        rnnzoo.resume(ended)


def test_data_that_vanished(each_epoch, tmp_path):
    data = tmp_path / "products.tsv"
    data.write_text("".join(f"{a}{b}\t{a * b}\n" for a in range(10) for b in range(10)))
    run = interrupted(tmp_path / "run", data=data, valid=0.1)
    data.unlink()  # the run has its own
    copy = run / "unfinished" / "data.tsv"
    text = copy.read_text()
    copy.write_text("12\t3\n")
    with pytest.raises(rnnzoo.InputError, match=r"unfinished/data\.tsv: changed since the run began; restore it, or train"):
        rnnzoo.resume(run)
    copy.unlink()
    with pytest.raises(rnnzoo.InputError, match=r"unfinished/data\.tsv: missing, and the run cannot go on without it"):
        rnnzoo.resume(run)
    copy.write_text(text)
    finished = rnnzoo.resume(run)
    assert finished.metadata["dataset"]["name"] == "products.tsv"
    assert finished.metadata["dataset"]["training_examples"] == 90
    assert (run / "data.tsv").read_text() == text
    # Another run in its place leaves nothing of it, and what is somebody else's.
    (run / "data.tab").write_text("somebody's")
    rnnzoo.train("digit-sum", run_dir=run, overrides=SHORT, force=True)
    assert not (run / "data.tsv").exists() and (run / "data.tab").exists()


def test_what_is_no_run_to_go_on_with(ended, tmp_path):
    with pytest.raises(rnnzoo.InputError, match="absent: no such folder"):
        rnnzoo.resume(tmp_path / "absent")
    with pytest.raises(rnnzoo.InputError, match="no training run"):
        rnnzoo.resume(tmp_path)
    state = ended / "unfinished" / "state.json"
    about = json.loads(state.read_text())
    state.write_text(json.dumps({**about, "keras_version": "3.0.0"}))
    with pytest.raises(rnnzoo.InputError, match=r"begun with keras 3\.0\.0, and this is 3\.15"):
        rnnzoo.resume(ended)
    state.write_text("{")
    with pytest.raises(rnnzoo.InputError, match=r"state\.json: damaged"):
        rnnzoo.resume(ended)
    assert run_state(ended).state == FAILED


def test_a_loss_that_is_not_finite_keeps_the_epoch_before(quick, tmp_path, monkeypatch):
    """The last good weights, although the last checkpoint was older; and it is not tried again."""
    from rnnzoo import recipes

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "SECONDS", 0.0)
        patch.setattr(checkpoints, "TIMES", 0.0)
        right = rnnzoo.from_preset(interrupted(tmp_path / "right", 4) / "unfinished").model.get_weights()
    prepare = recipes.prepare

    def spoilt(preset, model, *given):
        compiled, calls = prepare(preset, model, *given), []

        def run(*arguments):
            calls.append(arguments)
            if len(calls) == 4:
                model.get_layer("readout").bias.assign([np.nan])
            return type(compiled).run(compiled, *arguments)

        compiled.run = run
        return compiled

    monkeypatch.setattr(recipes, "prepare", spoilt)
    said = r"the loss of epoch 4, step 1 is nan: the run was stopped; try --set training\.clip_norm=1, "
    with pytest.raises(rnnzoo.TrainingError, match=said) as error:
        rnnzoo.train("digit-sum", run_dir=tmp_path / "run", overrides=SHORT)
    # What the recipe has is not recommended: it begins with the identity.
    rest = "than 0.1, --set training.recurrent_rate=0.1 or --set model.recurrent_initializer=orthogonal"
    assert str(error.value).endswith(rest)
    assert run_state(tmp_path / "run") == (FAILED, 3, 4, str(error.value))
    kept = rnnzoo.from_preset(tmp_path / "run" / "unfinished").model.get_weights()
    assert all((a == b).all() for a, b in zip(kept, right, strict=True))
    with pytest.raises(rnnzoo.InputError, match="run: failed, and would again: the loss of epoch 4, step 1 is nan"):
        rnnzoo.resume(tmp_path / "run")


def test_outputs_reach_the_disk_before_they_are_renamed(tmp_path, monkeypatch):
    from rnnzoo import files

    done = []
    for name in ("fsync", "rename", "replace"):
        function = getattr(os, name)
        monkeypatch.setattr(files.os, name, lambda *given, name=name, do=function: (done.append(name), do(*given))[1])
    with files.fresh_output(tmp_path / "file") as partial:
        partial.write_text("")
    with files.fresh_output(tmp_path / "folder", folder=True) as partial:
        (partial / "file").write_text("")
    assert done == ["fsync", "replace", "fsync", "fsync", "fsync", "rename", "fsync"]


def test_logs_of_a_run_that_went_on(each_epoch, tmp_path):
    """Every epoch is in them once."""
    pytest.importorskip("tensorboard", reason="TensorBoard logs are the extra `tensorboard`")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = interrupted(tmp_path / "run", tensorboard=True)
    rnnzoo.resume(run)
    log = EventAccumulator(str(run / "logs")).Reload()
    assert [event.step for event in log.Tensors("loss")] == [1, 2, 3, 4]
