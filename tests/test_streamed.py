"""Data larger than memory: shards, folders and patterns, and epochs that read their examples anew."""

import contextlib
import itertools
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import rnnzoo
from rnnzoo import shards, streamed
from rnnzoo.building import build, create_task, new_task
from rnnzoo.cli.main import cli
from rnnzoo.recipes import prepare
from rnnzoo.registry import Source, list_presets, load_preset
from rnnzoo.tasks._task import Task, key, plain
from rnnzoo.userdata import each, files_of, read, text_of


def digits(rng, count, longest=9):
    """Rows of digit strings and their sums."""
    texts = ["".join(map(str, rng.integers(0, 10, rng.integers(1, longest + 1)))) for _ in range(count)]
    return [(text, sum(map(int, text))) for text in texts]


def write_csv(path, rows):
    path.write_text("".join(f"{text},{answer}\n" for text, answer in rows))
    return path


@pytest.fixture
def folder(tmp_path, rng):
    """Three files of a few hundred digit strings."""
    (tmp_path / "parts").mkdir()
    for number in range(3):
        write_csv(tmp_path / "parts" / f"{number}.csv", digits(rng, 300))
    (tmp_path / "parts" / ".hidden").write_text("nothing")
    return tmp_path / "parts"


def streams(path, name="digit-sum", valid=0.2, **source):
    return streamed.StreamedExamples(Source(Path(path), valid, **source), new_task(load_preset(name)))


@pytest.mark.parametrize("name", list_presets())
def test_what_is_packed_comes_back(name, zoo, tmp_path):
    """Of every task, inputs and answers as they were."""
    predictor = zoo(name)
    task = predictor.task
    if task.drawn and task.likelihood == "joined":
        pytest.skip("examples of one text are no rows")
    raws = [task.input.check(raw) for raw in task.samples()]
    if task.drawn:  # what is to be learned is a text like those that it begins with
        texts = [raw if isinstance(raw, str) else task.specimen and "r" for raw in task.samples()]
    else:
        texts = [text_of(plain(answer)) for answer in predictor.predict(raws)]
    answers = list(map(task.answer.parse, texts))
    rows = zip(raws, [text_of(plain(answer)) for answer in answers], strict=True)
    shards.write(rows, tmp_path / "x", task=predictor.preset.task)
    back = read(Source(tmp_path / "x"), task).examples
    found = sorted(zip(map(repr, map(key, back.inputs)), map(repr, back.answers), strict=True))
    assert found == sorted(zip(map(repr, map(key, raws)), map(repr, answers), strict=True))


def test_shards_are_like_the_whole(folder, tmp_path):
    """Every example once, in shards of about one size, each a mixture of all files; the same by the same seed."""
    said = []
    manifest = rnnzoo.pack("digit-sum", folder, tmp_path / "a", count=4, notice=said.append)
    assert manifest["examples"] == 900 and not said
    assert all(180 < shard["examples"] < 270 for shard in manifest["shards"])
    assert json.loads((tmp_path / "a" / shards.MANIFEST).read_text()) == manifest
    task = new_task(load_preset("digit-sum"))
    whole = [sorted(each(Source(path), files_of(path, task), task, None)) for path in (folder, tmp_path / "a")]
    assert whole[0] == whole[1]
    first = set(each(Source(folder), [folder / "0.csv"], task, None))
    for path in shards.check(tmp_path / "a", "digit_sum"):
        assert 0.2 < np.mean([row in first for row in each(Source(path), [path], task, None)]) < 0.5
    again = rnnzoo.pack("digit-sum", str(folder / "*.csv"), tmp_path / "b", count=4)
    assert again == manifest
    assert rnnzoo.pack("digit-sum", folder, tmp_path / "b", count=4, seed=1, force=True) != manifest


def test_records_of_others_are_read(tmp_path):
    """One example a record, as other programs write them."""
    path = tmp_path / "theirs.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for text in ("12", "345"):
            values = {"input": text, "answer": str(sum(map(int, text)))}
            features = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
                for name, value in values.items()
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    examples = read(Source(path), new_task(load_preset("digit-sum"))).examples
    assert examples.inputs == ["12", "345"] and examples.answers == [3, 12]


def test_held_out_by_their_hash(folder, tmp_path, monkeypatch):
    """The same inputs, wherever they stand and however often; the others are all trained on."""
    rows = [row for file in sorted(folder.glob("*.csv")) for row in file.read_text().split()]
    twice = write_csv(tmp_path / "twice.csv", [row.split(",") for row in (rows + rows)[::-1]])
    stream, other = streams(folder), streams(twice)
    held_out = set(stream.held_out.inputs)
    assert 0.12 < len(stream.held_out.inputs) / len(rows) < 0.28
    assert set(other.held_out.inputs) == held_out and len(other.held_out.inputs) == 2 * len(stream.held_out.inputs)
    trained = [given for inputs, _ in stream.chunks(np.random.default_rng(0)) for given in inputs]
    assert len(trained) == stream.examples == len(rows) - len(stream.held_out.inputs)
    assert sorted(trained + stream.held_out.inputs) == sorted(row.split(",")[0] for row in rows)
    assert not held_out & set(trained)
    monkeypatch.setattr(streamed, "MOST_HELD_OUT", 50)
    few = streams(folder)
    assert 40 <= len(few.held_out.inputs) <= 50 and set(few.held_out.inputs) < held_out
    trained = [given for inputs, _ in few.chunks(np.random.default_rng(0)) for given in inputs]
    assert len(trained) == few.examples and not set(few.held_out.inputs) & set(trained)


def test_orders_are_drawn_and_come_back(folder, monkeypatch):
    monkeypatch.setattr(streamed, "TURN", 20)
    stream = streams(folder)
    orders = [
        list(itertools.chain.from_iterable(inputs for inputs, _ in stream.chunks(np.random.default_rng(seed))))
        for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == sorted(orders[2])


RAGGED = (("digit-sum-running", 90), ("addition", 0), ("adding-problem", 0))
SLOW = [pytest.param(*case, marks=pytest.mark.slow) for case in RAGGED]


@pytest.mark.parametrize(("name", "longest"), [("digit-sum", 9), *SLOW])
def test_epochs_are_those_of_their_batches(name, longest, rng, tmp_path, monkeypatch):
    """The weights are those that Keras itself has after the same batches, padded anew; every example is in one of them."""
    monkeypatch.setattr(streamed, "STEPS", 3)
    sets = ["training.optimizer=sgd", "training.learning_rate=0.01", "training.batch_size=16", "training.clip_norm=1.0"]
    preset = load_preset(name, sets)
    preset = preset.model_copy(
        update={"training": preset.training.model_copy(update={"curriculum": None, "schedule": "constant"})}
    )
    task = create_task(preset)
    if longest:
        rows = [(text, task.right_answer(text)) for text, _ in digits(rng, 150, longest)]
    else:
        drawn = task.validation() or task.first_test()
        rows = list(zip(drawn.inputs[:150], drawn.answers[:150], strict=True))
    shards.write(((raw, text_of(plain(answer))) for raw, answer in rows), tmp_path / "x", task=preset.task, count=2)
    stream = streamed.StreamedExamples(Source(tmp_path / "x"), task)
    model, twin = build(preset, seed=0, task=task), build(preset, seed=0, task=task)
    epochs = prepare(preset, model, task, stream)
    batches, seen = [], []

    def keep(step):
        def kept(batch, used):
            tf.py_function(
                lambda *arrays: batches.append([array.numpy() for array in arrays]), [used, *keras.tree.flatten(batch)], []
            )
            return step(batch, used)

        return kept

    epochs._loop.step, epochs._loop.jit = keep(epochs._loop.step), False
    epochs._loop._compile()
    loss, right = epochs.run(7)
    assert np.isfinite(loss) and 0 <= right <= 1
    assert (len(epochs._epochs.widths) > 1) == (name in ("digit-sum-running", "adding-problem"))
    by_hand = prepare(preset, twin, task, stream)
    for used, *arrays in batches:
        inputs, targets, weights = keras.tree.pack_sequence_as(epochs._epochs._form, arrays)
        real = keras.tree.map_structure(lambda array, used=used: array[used], (inputs, targets, weights))
        seen.append(int(used.sum()))
        with tf.GradientTape() as tape:
            total = by_hand.loss(real[1], by_hand.model(real[0], training=True), real[2])
        variables = twin.trainable_variables
        by_hand.optimizer.apply(tape.gradient(total, variables), variables)
    assert sum(seen) == stream.examples and max(seen) == 16
    for ours, theirs in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_train_from_the_command_line(folder, tmp_path, monkeypatch):
    """Files by a pattern, and shards that were made of their folder; the run keeps what it is judged by."""
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    packed = run(cli, ["data", "pack", "digit-sum", str(folder), "-o", "packed", "--shards", "3", "--json"])
    assert packed.exit_code == 0 and json.loads(packed.stdout)["examples"] == 900
    scores = {}
    for name, data in (("pattern", f"{folder}/*.csv"), ("packed", "packed")):
        trained = run(
            cli,
            ["train", "digit-sum", "--data", data, "--stream", "--set", "training.epochs=3", "-o", f"run-{name}", "--json"],
        )
        assert trained.exit_code == 0, trained.output
        scores[name] = json.loads(trained.stdout)["metrics"]["held_out"]
    assert scores["packed"]["examples"] == scores["pattern"]["examples"]
    shutil.rmtree(folder)
    shutil.rmtree("packed")
    judged = run(cli, ["evaluate", "run-pattern", "--json"])
    assert json.loads(judged.stdout)["held_out"] == scores["pattern"], judged.output
    again = run(cli, ["train", "run-pattern", "-o", "again"])
    assert again.exit_code == 2 and "no file matches" in again.output and not Path("again").exists()


@pytest.mark.slow
def test_whole_folders_are_read_as_one_file_is(folder, tmp_path, monkeypatch):
    """Where they are small, they are read into memory, and copied."""
    monkeypatch.chdir(tmp_path)
    whole = write_csv(
        tmp_path / "whole.csv", [r.split(",") for f in sorted(folder.glob("*.csv")) for r in f.read_text().split()]
    )
    runs = [
        rnnzoo.train("digit-sum", data=data, run_dir=tmp_path / name, overrides=["training.epochs=2"])
        for name, data in (("one", whole), ("many", folder), ("pattern", f"{folder}/*.csv"))
    ]
    assert (tmp_path / "many" / "data" / "0.csv").is_file() and (tmp_path / "pattern" / "data" / "00000-0.csv").is_file()
    for other in runs[1:]:
        for a, b in zip(runs[0].model.get_weights(), other.model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    assert rnnzoo.evaluate(tmp_path / "pattern") == rnnzoo.evaluate(tmp_path / "one") == runs[0].metrics


def test_a_streamed_run_goes_on_to_the_same_bits(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("rnnzoo.checkpoints.SECONDS", 0)
    monkeypatch.setattr("rnnzoo.checkpoints.TIMES", 0)
    options = {"data": folder, "stream": True, "overrides": ["training.epochs=4", "training.round_weights=false"]}
    whole = rnnzoo.train("digit-sum", run_dir=tmp_path / "whole", **options)

    def end(stage, done, total, figures):
        if stage == "training" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rnnzoo.train("digit-sum", run_dir=tmp_path / "run", progress=end, **options)
    row = (folder / "1.csv").read_text()
    (folder / "1.csv").write_text(row + "1,1\n")
    with pytest.raises(rnnzoo.InputError, match="its files changed since the run began"):
        rnnzoo.resume(tmp_path / "run")
    (folder / "1.csv").write_text(row)
    run = rnnzoo.resume(tmp_path / "run")
    for a, b in zip(whole.model.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert run.metrics == whole.metrics


def test_a_signal_within_an_epoch_loses_none_that_is_finished(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(streamed, "STEPS", 2)
    options = {"data": folder, "stream": True, "overrides": ["training.epochs=4", "training.round_weights=false"]}
    whole, run, calls = rnnzoo.train("digit-sum", run_dir=tmp_path / "whole", **options), streamed.StreamedBatches.run, []

    def signalled(self, loop, seed, between=None):
        def called():
            calls.append(seed)
            if len(set(calls)) == 3 and calls.count(seed) == 1:
                signal.raise_signal(signal.SIGINT)
            return between()

        run(self, loop, seed, called)

    with monkeypatch.context() as patch:
        patch.setattr(streamed.StreamedBatches, "run", signalled)
        with pytest.raises(rnnzoo.RunInterrupted, match="interrupted after 3 of 4 epochs"):
            rnnzoo.train("digit-sum", run_dir=tmp_path / "run", **options)
    assert len(set(calls)) == 3
    resumed = rnnzoo.resume(tmp_path / "run")
    for a, b in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_epoch_can_be_ended_in_between(folder, monkeypatch):
    """And what reads ahead with it."""
    monkeypatch.setattr(streamed, "STEPS", 1)
    monkeypatch.setattr(streamed, "CHUNK", 32)
    preset, stream = load_preset("digit-sum", ["training.batch_size=16"]), streams(folder)
    task = create_task(preset)
    epochs, calls = prepare(preset, build(preset, seed=0, task=task), task, stream), []

    def stop():
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        epochs.run(1, stop)
    assert len(calls) == 2 and epochs.steps_run == 2


def test_large_files_are_streamed_unasked(folder, monkeypatch):
    task = new_task(load_preset("digit-sum"))
    assert not streamed.is_streamed(Source(folder), task)
    monkeypatch.setattr(streamed, "STREAMED_FROM", 1000)
    assert streamed.is_streamed(Source(folder), task) and not streamed.is_streamed(Source(folder), task, False)


def test_what_is_wrong_is_a_line(folder, tmp_path):
    rnnzoo.pack("digit-sum", folder, tmp_path / "packed", count=2)
    manifest, first = tmp_path / "packed" / shards.MANIFEST, next((tmp_path / "packed").glob("*.tfrecord"))
    good = first.read_bytes()
    task = new_task(load_preset("digit-sum"))

    def refused(match, call, *args, **options):
        with pytest.raises(rnnzoo.InputError, match=match) as error:
            call(*args, **options)
        assert "\n" not in str(error.value)

    first.write_bytes(good[:-3])
    refused("checksum is not the one in shards.json", streams, tmp_path / "packed")
    shutil.copy(first, tmp_path / "cut.tfrecord")
    refused(r"cut\.tfrecord: damaged after record \d+, example \d+", read, Source(tmp_path / "cut.tfrecord"), task)
    first.write_bytes(good)
    second = sorted((tmp_path / "packed").glob("*.tfrecord"))[1]
    second.unlink()
    refused("00001-of-00002.tfrecord: missing", streams, tmp_path / "packed")
    manifest.write_text(manifest.read_text().replace("00001-of", "../00001-of"))
    refused("is no shard in this folder", streams, tmp_path / "packed")
    refused("exists", rnnzoo.pack, "digit-sum", folder, tmp_path / "packed")
    (folder / "4.csv").write_text("12,3\n1x,1\n")
    refused(r"4\.csv, line 2: 'x' at position 2", rnnzoo.pack, "digit-sum", folder, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    refused(r"4\.csv, line 2: 'x' at position 2", streams, folder)
    assert streams(folder, skip_bad=True).examples
    (tmp_path / "one.csv").write_text("12,3\n12,3\n")
    refused("too few distinct inputs to hold 0.2 of them out", streams, tmp_path / "one.csv")
    (tmp_path / "empty").mkdir()
    refused("no file in it", streams, tmp_path / "empty")
    refused("no file matches", streams, tmp_path / "empty" / "*.csv")
    options = {"data": tmp_path / "one.csv", "stream": True}
    refused("examples of this task are read as one text, and cannot be streamed", rnnzoo.train, "shakespeare", **options)
    (folder / "4.csv").unlink()
    options = {"data": folder, "stream": True, "overrides": ["training.truncate=3"], "run_dir": tmp_path / "run"}
    refused(r"training\.truncate needs all examples in memory", rnnzoo.train, "digit-sum", **options)
    assert not (tmp_path / "run").exists()


def test_shards_are_those_that_were_packed_for_the_task(folder, tmp_path):
    """Others are refused, unless they are named one by one; and so are those that are more or fewer than was packed."""
    packed = tmp_path / "packed"
    rnnzoo.pack("digit-sum", folder, packed, count=2)
    line = re.escape(
        f"{packed}: packed for the task digit_sum, not for digit_sum_text; where its examples are meant all the same, name "
        f"the shards alone: '{packed}/*.tfrecord'"
    )
    for stream in (False, True):
        options = {"data": packed, "stream": stream, "run_dir": tmp_path / "run", "overrides": ["training.epochs=1"]}
        with pytest.raises(rnnzoo.InputError, match=line):
            rnnzoo.train("digit-sum-seq2seq", **options)
    assert not (tmp_path / "run").exists()
    other = new_task(load_preset("digit-sum-seq2seq"))
    assert len(read(Source(packed / "*.tfrecord"), other).examples.inputs) == 900
    shutil.copy(packed / "00000-of-00002.tfrecord", packed / "mine.tfrecord")
    with pytest.raises(rnnzoo.InputError, match=r"mine\.tfrecord: shards\.json does not name it; remove it, or pack"):
        streams(packed)
    (packed / "mine.tfrecord").unlink()
    manifest = json.loads((packed / shards.MANIFEST).read_text())
    right = manifest["shards"][1]["examples"]
    manifest["shards"][1]["examples"] = right + 1
    (packed / shards.MANIFEST).write_text(json.dumps(manifest))
    for call in (streams, lambda path: read(Source(path), new_task(load_preset("digit-sum")))):
        with pytest.raises(
            rnnzoo.InputError, match=f"00001-of-00002.tfrecord: {right} examples, and shards.json says {right + 1}"
        ):
            call(packed)


def test_tasks_with_folders_of_their_own_say_so():
    """Every task that reads a folder in its own way has `folders`, or the folder would be taken for its files."""
    for name in list_presets():
        task = new_task(load_preset(name))
        assert task.folders == (type(task).rows is not Task.rows and _reads_folders(task)), name


def _reads_folders(task):
    try:
        return task.rows(Path(__file__).parent) is not None
    except (rnnzoo.InputError, OSError) as error:
        return not isinstance(error, OSError)


WORK = """
import sys
import rnnzoo
from rnnzoo import epochs, streamed
epochs.knows_xla = streamed.knows_xla = lambda model: False  # XLA rounds otherwise
data, run, *workers = sys.argv[1:]
shared = {"workers": workers[1:], "index": int(workers[0])} if workers else {}
sets = ["training.epochs=3", "training.round_weights=false", "training.optimizer=sgd", "training.learning_rate=0.001"]
sets += ["training.clip_norm=1.0", "training.batch_size=7", "model.units=4"]
rnnzoo.train("digit-sum", data=data, stream=True, run_dir=run, overrides=sets, **shared)
"""


@pytest.mark.slow
def test_workers_share_what_is_streamed(folder, tmp_path):
    """Each reads all of it and trains on its rows of every batch, three of seven and four: the weights are those of one."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    shares = [["0", *addresses], ["1", *addresses], []]
    running = [
        subprocess.Popen([sys.executable, "-c", WORK, folder, tmp_path / f"run-{i}", *share])
        for i, share in enumerate(shares)
    ]
    assert [process.wait(200) for process in running] == [0, 0, 0]
    assert not (tmp_path / "run-1").exists()
    together, alone = (rnnzoo.from_preset(tmp_path / name).model.get_weights() for name in ("run-0", "run-2"))
    for ours, theirs in zip(together, alone, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
