"""Several workers, or several devices, train as one process does on the same batches."""

import contextlib
import csv
import importlib.util
import inspect
import json
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import rnnzoo
from rnnzoo import meeting
from rnnzoo._buckets import Plan, share_of
from rnnzoo.checkpoints import SharedCheckpoints
from rnnzoo.meeting import Meeting, parse_workers, workers_of_environment
from rnnzoo.runs import INTERRUPTED, run_state

HERE = Path(__file__).parent


# Who they are


def test_addresses():
    assert parse_workers("a:1, b.example:65535,[::1]:4000", 2) == ([("a", 1), ("b.example", 65535), ("::1", 4000)], 2)
    assert parse_workers(["10.0.0.1:4000"], 0) == ([("10.0.0.1", 4000)], 0)
    assert meeting.name(("::1", 4000)) == "[::1]:4000"


@pytest.mark.parametrize(
    ("workers", "index", "line"),
    [
        ("a,b:2", 0, "workers: 'a': expected host:port"),
        ("a:1,", 0, "workers: '': expected host:port"),
        ("a:0", 0, "'a:0': expected"),
        ("a:65536", 0, "'a:65536': expected"),
        ("a:b:1", 0, "'a:b:1': expected"),
        ("http://a:1", 0, "expected host:port"),
        ("a:1,b:1,a:1", 0, "a:1 stands there twice"),
        ("a:1,b:1", 2, "index 2: there are 2 workers; expected a number from 0, the chief's, to 1"),
        ("a:1,b:1", -1, "index -1: "),
        ("a:1,b:1", None, "give its index too"),
        ([], 0, "expected addresses"),
    ],
)
def test_addresses_that_are_wrong(workers, index, line):
    with pytest.raises(rnnzoo.InputError, match=line):
        parse_workers(workers, index)


def config(task, index, **cluster):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": task, "index": index}})}


def test_tf_config():
    assert workers_of_environment({}) is workers_of_environment({"TF_CONFIG": "{}"}) is None
    assert workers_of_environment(config("worker", 1, worker=["a:1", "b:2"])) == ([("a", 1), ("b", 2)], 1)
    chief = {"chief": ["c:3"], "worker": ["a:1", "b:2"]}
    assert workers_of_environment(config("chief", 0, **chief)) == ([("c", 3), ("a", 1), ("b", 2)], 0)
    assert workers_of_environment(config("worker", "1", **chief)) == ([("c", 3), ("a", 1), ("b", 2)], 2)


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG: expected JSON"),
        ({"TF_CONFIG": "[1]"}, "TF_CONFIG: expected JSON"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, "TF_CONFIG: expected JSON"),
        (config("worker", 0, worker=["a:1"], ps=["b:1"]), "TF_CONFIG: the task 'ps'"),
        (config("evaluator", 0, worker=["a:1"]), "TF_CONFIG: the task 'evaluator'"),
        (config("worker", 2, worker=["a:1", "b:1"]), "TF_CONFIG: worker 2: the cluster has 2"),
        (config("worker", 0, worker=["a"]), "TF_CONFIG: workers: 'a': expected host:port"),
        (config("chief", 0, chief=["a:1", "b:1"]), "2 chiefs"),
    ],
)
def test_a_tf_config_that_is_wrong(environment, line):
    with pytest.raises(rnnzoo.InputError, match=line):
        workers_of_environment(environment)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["digit-sum", "--workers", "a:1,b", "--index", "0"], "workers: 'b': expected host:port"),
        (["digit-sum", "--workers", "a:1,b:1", "--index", "2"], "index 2: there are 2 workers"),
        (["digit-sum", "--workers", "a:1,b:1"], "give its index too"),
        (["digit-sum", "--index", "1"], "--index goes with --workers"),
        (["shakespeare", "--workers", "a:1,b:1", "--index", "1"], "training.truncate: a state that is carried"),
        (["digit-sum", "--gpus", "99"], "gpus: 99 are asked for, and this host has"),
        (["--resume", "nowhere", "--workers", "a:1,b:1", "--index", "1"], "nowhere: not on this host"),
    ],
)
def test_the_command_line_refuses(arguments, line, monkeypatch, tmp_path):
    from click.testing import CliRunner

    from rnnzoo.cli.main import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    result = CliRunner().invoke(cli, ["train", *arguments])
    assert result.exit_code == 2 and line in result.output.replace("\n", " "), result.output
    assert not list(tmp_path.iterdir())


# How they meet


def free_addresses(count):
    """Addresses on loopback whose ports nobody has."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return addresses


class Threads:
    """A meeting of workers that are threads: what each of them returned or raised."""

    def __init__(self, addresses, work, indexes=None, **options):
        self.found, self.notices = {}, []

        def one(index):
            try:
                mine = Meeting.open(*parse_workers(addresses, index), notice=self.notices.append, **options)
                try:
                    self.found[index] = work(mine)
                finally:
                    mine.leave()
            except Exception as error:
                self.found[index] = error

        indexes = range(len(addresses)) if indexes is None else indexes
        self._threads = [threading.Thread(target=one, args=(index,), daemon=True) for index in indexes]
        for thread in self._threads:
            thread.start()

    def join(self):
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        return self.found


def test_they_tell_each_other():
    def work(mine):
        return (
            mine.exchange({"i": mine.index}),
            mine.exchange(None),
            mine.from_chief(b"\0" * 3_000_000 if mine.is_chief else b""),
        )

    found = Threads(free_addresses(3), work).join()
    for index in range(3):
        assert found[index] == ([{"i": 0}, {"i": 1}, {"i": 2}], [None] * 3, b"\0" * 3_000_000)


@pytest.mark.parametrize("gone", [0, 1])
def test_who_is_gone_is_known(gone):
    def work(mine):
        mine.exchange(0)
        if mine.index == gone:
            mine._closed = True
            for link in mine._links.values():
                link.close()
            return None
        mine.exchange(1)

    addresses = free_addresses(3)
    found = Threads(addresses, work).join()
    who = f"{'the chief' if gone == 0 else 'worker 1'} ({addresses[gone]})"
    for index in {0, 1, 2} - {gone}:
        assert isinstance(found[index], rnnzoo.WorkerLost) and str(found[index]) == f"{who} is gone: its connection ended"


def test_who_says_nothing_is_gone(monkeypatch):
    monkeypatch.setattr(meeting, "BEAT", 0.05)
    monkeypatch.setattr(meeting, "SILENCE", 0.5)

    def work(mine):
        mine.exchange(0)
        time.sleep(0.8)
        assert mine.lost is None  # however long there is nothing to tell
        mine.exchange(0)
        if mine.index == 1:
            mine._closed = True  # which ends what it says once in a while
            time.sleep(1.5)
            return None
        mine.exchange(1)

    found = Threads(free_addresses(3), work).join()
    for index in (0, 2):
        assert "worker 1 (" in str(found[index]) and "nothing was heard of it" in str(found[index])


def test_who_leaves_says_why():
    def work(mine):
        mine.exchange(0)
        if mine.index == 1:
            mine.leave("stopped: no room")
            return None
        mine.exchange(1)

    addresses = free_addresses(2)
    found = Threads(addresses, work).join()
    assert str(found[0]) == f"worker 1 ({addresses[1]}) stopped: no room"


def test_who_is_waited_for_is_said(monkeypatch):
    monkeypatch.setattr(meeting, "NOTICED", 0.1)
    addresses = free_addresses(2)
    threads = Threads(addresses, lambda mine: mine.exchange(0), [0], patience=0.6)
    assert f"waited 1 s for worker 1 ({addresses[1]})" in str(threads.join()[0])
    assert threads.notices == [f"waiting for worker 1 ({addresses[1]}), for up to 1 s"]
    threads = Threads(addresses, lambda mine: mine.exchange(0), [1], patience=0.6)
    assert f"waited 1 s for the chief ({addresses[0]})" in str(threads.join()[1])


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("host", ["nosuchhost.invalid", "no..name"])
def test_a_name_that_is_not_known_is_said(host, index, monkeypatch):
    monkeypatch.setattr(meeting, "NOTICED", 0.1)
    mine, other = free_addresses(1)[0], f"{host}:4000"
    threads = Threads([mine, other] if index == 0 else [other, mine], lambda mine: None, [index], patience=0.6)
    who = "worker 1" if index == 0 else "the chief"
    assert f"waited 1 s for {who} ({other})" in str(threads.join()[index])
    waiting, unknown = threads.notices
    assert waiting == f"waiting for {who} ({other}), for up to 1 s"
    assert unknown.startswith(f"workers: the name {host} is not known here so far: ") and "\n" not in unknown


def test_who_does_not_belong_is_sent_away():
    addresses = free_addresses(3)
    chief = Threads(addresses, lambda mine: mine.exchange(0), [0])
    time.sleep(0.3)
    with contextlib.closing(socket.create_connection(parse_workers(addresses, 0)[0][0], timeout=10)) as other:
        other.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        assert other.recv(100) == b""
    others = Threads(addresses[:2], lambda mine: mine.exchange(1), [1]).join()
    assert "sent this worker away: its workers are" in str(others[1])
    here = Threads(addresses, lambda mine: mine.exchange(1), [1])
    time.sleep(0.5)
    twin = (addresses[0], free_addresses(1)[0], addresses[2])  # its port is not the one that is taken
    hello = {"protocol": meeting.PROTOCOL, "index": 1, "workers": addresses}
    with pytest.raises(rnnzoo.InputError, match="worker 1 is there already"):
        meeting._come(parse_workers(twin, 0)[0], hello, meeting._Wait(lambda line: None, lambda: None, 5))
    last = Threads(addresses, lambda mine: mine.exchange(2), [2])
    assert chief.join()[0] == here.join()[1] == last.join()[2] == [0, 1, 2]


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = Threads([f"127.0.0.1:{port}", "127.0.0.1:9"], lambda mine: None, [0]).join()
    assert f"this host's port {port} cannot be had: Address already in use" in str(found[0])


# What they do


def test_the_parts_of_a_batch():
    plan = Plan(np.array([[5, 3, 1, 4], [2, 0, -1, -1]], np.int32), np.array([0, 0], np.int32), np.array([], np.int32))
    parts = [share_of(plan, part, 3).batches.tolist() for part in range(3)]
    assert parts == [[[5, 3], [2, 0]], [[1, 4], [-1, -1]], [[-1, -1], [-1, -1]]]
    assert [share_of(plan, part, 2, 3).batches.shape for part in range(2)] == [(2, 3)] * 2
    assert share_of(plan, 0, 1).batches.tolist() == plan.batches.tolist()


def problems_of(path):
    """name -> what makes a model, a loss, data and a recipe: those of `test_epochs.py`, and more."""
    spec = importlib.util.spec_from_file_location("epochs_of", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)

    def embedded(rng):
        """Embeddings, whose gradients are sparse, clipped by the norm of all gradients."""
        *rest, _ = found.translated_tokens(rng)
        rest[0].get_layer("encoder").trainable = True
        return *rest, found.recipe(clip_norm=0.02, learning_rate=0.5, optimizer="sgd", momentum=0.9)

    def averaged(rng):
        """Averages of the weights, each gradient clipped by value, a rate of its own for recurrent kernels."""
        *rest, _ = found.one_number(rng)
        return *rest, found.recipe(clip_norm=None, clip_value=0.1, average=0.5, recurrent_rate=0.5, warmup_epochs=0.5)

    makers = [found.one_number, embedded, found.tagged_tokens, found.translated_tokens, averaged]
    return found, {make.__name__: make for make in makers}


def train_problems(names, path, batch, whole=True):
    """The weights and figures of three epochs of each problem; if `whole` by length, in pieces, with scores."""
    import keras
    import numpy as np

    from rnnzoo.epochs import CompiledEpochs, CompiledScores, make_optimizer, steps_per_epoch

    of_epochs, makers = problems_of(path)
    results = []
    for name in names:
        keras.utils.set_random_seed(20)
        model, loss, inputs, targets, weights, how = makers[name](np.random.default_rng(20))
        how = {
            "optimizer": make_optimizer(how, steps_per_epoch(of_epochs.EXAMPLES, batch)),
            "batch_size": batch,
            "correct": of_epochs.right,
            "in_memory": not (whole and name == "averaged"),
            "lengths": of_epochs.LENGTHS if whole and name == "one_number" else None,
        }
        optimizer = how.pop("optimizer")
        epochs = CompiledEpochs(model, of_epochs.the_loss(loss), optimizer, inputs, targets, weights, **how)
        figures = [epochs.run(order, lambda: None) for order in of_epochs.orders()]
        if whole:
            with epochs.averaged():
                scores = CompiledScores(model, of_epochs.the_loss(loss), inputs, targets, weights, **how)
                figures.append(scores.run())
        epochs.average()
        results.append((model.get_weights(), figures))
    return results


def work(given, addresses, index, result):
    """What a worker does; its weights and figures go to a file."""
    from rnnzoo.distributing import join_workers
    from rnnzoo.meeting import Meeting, parse_workers

    mine = Meeting.open(*parse_workers(addresses, index))
    with join_workers(mine).scope():
        found = train_problems(**given)
    with open(result, "wb") as file:
        pickle.dump(found, file)
    mine.exchange(None)
    mine.leave()


def mirror(given, devices, result):
    """Several devices of one process, here parts of its processor."""
    import tensorflow as tf

    from rnnzoo.distributing import Together

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices)])
    with Together(strategy).scope():
        found = train_problems(**given)
    with open(result, "wb") as file:
        pickle.dump(found, file)


def early(addresses, index):
    """Meets; the second worker is gone then, and for the first that is not known for long."""
    from rnnzoo import distributing
    from rnnzoo.meeting import Meeting, parse_workers

    distributing.JOIN_SECONDS = 4
    mine = Meeting.open(*parse_workers(addresses, index))
    mine.exchange(None)
    if index:
        os._exit(3)
    distributing.join_workers(mine)


def command_line(arguments, result, at_epoch=None, do=None, version=None):
    """`rnnzoo`, its standard error in a file, with a checkpoint after each epoch; something is done after one of them."""
    handle = os.open(result, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr = os.fdopen(2, "w")
    import rnnzoo
    import rnnzoo.cli.train
    from rnnzoo import checkpoints, epochs, results
    from rnnzoo.cli.main import cli

    def few_scores(predictor, progress):
        examples = predictor.task.first_test().take(range(10))
        return {"held_out": {"examples": 10, **predictor.task.score(examples, predictor.predict(examples.inputs))}}

    @contextlib.contextmanager
    def progress_bar():
        count = 0

        def progress(stage, done, total, figures):
            nonlocal count
            count += figures != {}
            if figures and count == at_epoch:
                os.kill(os.getpid(), do)

        yield progress

    rnnzoo.cli.train.progress_bar, results.evaluate = progress_bar, few_scores
    rnnzoo.__version__ = version or rnnzoo.__version__
    epochs.knows_xla, checkpoints.SECONDS, checkpoints.TIMES = lambda model: False, 0.0, 0.0
    cli(arguments)


# As text: a process that pytest did not start cannot import a module of tests.
CODE = "\n\n".join(
    [
        "import contextlib, importlib.util, os, pickle, sys",
        *map(inspect.getsource, (problems_of, train_problems, work, mirror, early, command_line)),
        "globals()[do](**given)",
    ]
)


@pytest.fixture(scope="module")
def processes():
    """Processes that begin with TensorFlow imported and not yet at work, which takes seconds else."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("there is no forkserver")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["rnnzoo.cli.main", "rnnzoo.training"])
    return context


def start(processes, do, many):
    """Processes that run a function of `CODE`, one for each of the arguments."""
    running = [processes.Process(target=exec, args=(CODE, {"do": do, "given": given})) for given in many]
    for process in running:
        process.start()
    return running


def ended(running, seconds=100):
    """Their exit codes; who has not come to an end by then is killed."""
    deadline = time.monotonic() + seconds
    for process in running:
        process.join(max(0, deadline - time.monotonic()))
        if process.exitcode is None:
            process.kill()
            process.join()
    return [process.exitcode for process in running]


def together(processes, do, many):
    """What they left in their result files."""
    assert set(ended(start(processes, do, many))) == {0}
    return [pickle.loads(given["result"].read_bytes()) for given in many]


def assert_alike(found, names, batch, whole=True):
    """What each worker found is what one process finds, to 1e-5, and all found the same, to the bit."""
    alone = train_problems(names, HERE / "test_epochs.py", batch, whole)
    for who in found:
        for name, (weights, figures), (expected, of_one) in zip(names, who, alone, strict=True):
            for ours, theirs in zip(weights, expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5, err_msg=name)
            np.testing.assert_allclose(figures, of_one, rtol=1e-5, err_msg=name)
        for (weights, _), (others, _) in zip(who, found[0], strict=True):
            assert all((ours == theirs).all() for ours, theirs in zip(weights, others, strict=True))


@pytest.fixture
def no_xla(monkeypatch):
    monkeypatch.setattr("rnnzoo.epochs.knows_xla", lambda model: False)


def of_workers(processes, tmp_path, count, **given):
    addresses, given = free_addresses(count), {"path": HERE / "test_epochs.py", **given}
    ways = [{"given": given, "addresses": addresses, "index": i, "result": tmp_path / f"{i}"} for i in range(count)]
    return together(processes, "work", ways)


def test_two_workers_train_as_one(processes, no_xla, tmp_path):
    """Ragged masked data and embeddings, clipped by the norm; batches of three examples, and one of a single one."""
    given = {"names": ["embedded"], "batch": 3, "whole": False}
    assert_alike(of_workers(processes, tmp_path, 2, **given), **given)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "names"), [(1, ["embedded"]), (3, ["one_number", "embedded", "tagged_tokens", "averaged"])]
)
def test_workers_train_as_one(count, names, processes, no_xla, tmp_path):
    """Three of them cannot divide a batch of four evenly, and of the last one, of two examples, one has none."""
    given = {"names": names, "batch": 4, "whole": count > 1}
    assert_alike(of_workers(processes, tmp_path, count, **given), **given)


@pytest.mark.slow
def test_devices_of_one_host_train_as_one(processes, no_xla, tmp_path):
    given = {"names": ["embedded"], "batch": 4}
    in_child = {**given, "path": HERE / "test_epochs.py"}
    found = together(processes, "mirror", [{"given": in_child, "devices": 3, "result": tmp_path / "result"}])
    assert_alike(found, **given)


# Whole runs


class Runs:
    """Starts the workers of a run by the command line, each with what it says on standard error in a file."""

    def __init__(self, processes, folder, count):
        self.processes, self.folder, self.addresses = processes, folder, free_addresses(count)

    def start(self, *arguments, chief=(), others=(), **of_workers):
        """Starts all of them; of what stands under a worker's number are further arguments of `command_line`."""
        many = []
        for index in range(len(self.addresses)):
            own = [*arguments, *(others if index else chief), "--workers", ",".join(self.addresses), "--index", str(index)]
            many.append({"arguments": ["train", *own], "result": self.folder / f"errors-{index}.txt"})
            many[-1] |= of_workers.get(f"worker_{index}", {})
        return start(self.processes, "command_line", many)

    def errors(self, index):
        return (self.folder / f"errors-{index}.txt").read_text()


def one_process(processes, folder, *arguments):
    """A run of one process."""
    run = {"arguments": ["train", *arguments, "-o", str(folder / "one")], "result": folder / "errors.txt"}
    assert ended(start(processes, "command_line", [run])) == [0], (folder / "errors.txt").read_text()
    return folder / "one"


def weights_of(run):
    return rnnzoo.from_preset(run).model.get_weights()


def history_of(run):
    rows = list(csv.DictReader((run / "history.csv").read_text().splitlines()))
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


SMALL = {
    # A curriculum, clipped, whose last batch is smaller.
    "adding-problem": [
        "training.epochs=3",
        "training.curriculum.timesteps=[5, 12]",
        "training.batch_size=33",
        "training.clip_norm=0.1",
        "task_options.training_examples=200",
        "task_options.held_out_examples=20",
        "model.units=8",
    ],
    # Another preset that is trained first, and two sequences.
    "digit-sum-seq2seq": [
        "training.epochs=3",
        "model.units=8",
        "task_options.max_timesteps=2",
        "task_options.oversample=0",
        'training.pretrain.set=["task_options.end_token=true", "training.round_weights=false", "training.epochs=3", '
        '"task_options.max_timesteps=2"]',
    ],
}


def arguments_of(name):
    return [name, *(part for override in SMALL[name] for part in ("--set", override))]


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_stages_and_pretraining(name, processes, tmp_path):
    one = one_process(processes, tmp_path, *arguments_of(name))
    runs = Runs(processes, tmp_path, 2)
    assert ended(runs.start(*arguments_of(name), "-o", str(tmp_path / "run"))) == [0, 0], runs.errors(0)
    assert set(os.listdir(tmp_path / "run")) == set(os.listdir(one))
    for ours, theirs in zip(weights_of(tmp_path / "run"), weights_of(one), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
    for ours, theirs in zip(history_of(tmp_path / "run"), history_of(one), strict=True):
        assert ours.keys() == theirs.keys() and ours["stage"] == theirs["stage"]
        np.testing.assert_allclose(float(ours["loss"]), float(theirs["loss"]), rtol=1e-4)
    exported = b"".join(path.read_bytes() for path in (tmp_path / "run" / "saved_model").rglob("*.pb"))
    assert b"/job:" not in exported and b"127.0.0.1" not in exported  # whoever serves it is told nothing of the workers


DROPPED = [*arguments_of("adding-problem"), "--set", "model.dropout=0.1"]


@pytest.fixture(scope="module")
def undisturbed(processes, tmp_path_factory):
    """A run of three workers that nothing happened to, with dropout."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert ended(Runs(processes, folder, 3).start(*DROPPED, "-o", str(folder / "run"))) == [0, 0, 0]
    return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize(("gone", "how"), [(1, signal.SIGKILL), (0, signal.SIGKILL), (2, signal.SIGSTOP)])
def test_a_worker_dies(gone, how, processes, tmp_path, request):
    """The others stop, and say who and what to do; the run that then goes on is, bit for bit, the one undisturbed."""
    runs, run = Runs(processes, tmp_path, 3), tmp_path / "run"
    running = runs.start(*DROPPED, "-o", str(run), **{f"worker_{gone}": {"at_epoch": 4, "do": how}})
    deadline = time.monotonic() + 100
    while run_state(run) is None or run_state(run).epochs < 3:
        assert time.monotonic() < deadline, runs.errors(0)
        time.sleep(0.1)
    began = time.monotonic()
    others = [process for index, process in enumerate(running) if index != gone]
    codes = ended(others, 60)
    assert time.monotonic() - began < 30
    ended([running[gone]], 0)
    assert codes == [1, 1]
    addresses = ",".join(runs.addresses)
    for index in {0, 1, 2} - {gone}:
        who = "the chief" if gone == 0 else f"worker {gone}"
        assert f"Error: {who} ({runs.addresses[gone]}) is gone: " in runs.errors(index)
        assert f"rnnzoo train --resume {run} --workers {addresses} --index 0` at the chief" in runs.errors(index)
        assert "Traceback" not in runs.errors(index)
    assert run_state(run).state == INTERRUPTED and run_state(run).epochs in (3, 4)
    if how == signal.SIGSTOP:
        return
    # The others begin as they did; and, where they see the run folder, may go on from it as the chief does.
    again = ["--resume", str(run)]
    running = runs.start(chief=again, others=DROPPED if gone else again)
    assert ended(running) == [0, 0, 0], [runs.errors(index) for index in range(3)]
    whole = request.getfixturevalue("undisturbed")
    for ours, theirs in zip(weights_of(run), weights_of(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert history_of(run) == history_of(whole)


@pytest.mark.slow
def test_a_worker_dies_before_tensorflow_connects_them(processes, tmp_path):
    addresses = free_addresses(2)
    running = start(processes, "early", [{"addresses": addresses, "index": index} for index in range(2)])
    assert ended(running, 30) == [-signal.SIGKILL, 3]


@pytest.mark.slow
def test_ctrl_c_at_one_worker_ends_all(processes, tmp_path):
    runs, run = Runs(processes, tmp_path, 2), tmp_path / "run"
    running = runs.start(*arguments_of("adding-problem"), "-o", str(run), worker_1={"at_epoch": 2, "do": signal.SIGINT})
    assert ended(running) == [1, 130]
    assert f"Error: worker 1 ({runs.addresses[1]}) was interrupted; go on with `rnnzoo train --resume {run}" in runs.errors(
        0
    )
    assert f"Stopped: interrupted after 2 of 6 epochs; go on with `rnnzoo train --resume {run} --work" in runs.errors(1)
    assert run_state(run)[:2] == (INTERRUPTED, 2)


def test_workers_agree_whether_a_stop_waits_for_the_end_of_an_epoch(tmp_path):
    """One that is asked to stop within an epoch ends all: at once, or where finished ones are not kept, after it."""

    class Asked:
        asked = False

        def check(self):
            if self.asked:
                raise KeyboardInterrupt

    addresses = parse_workers(free_addresses(2), 0)[0]
    told = {0: [], 1: []}

    def worker(index):
        met, stop = Meeting.open(addresses, index), Asked()
        kept = SharedCheckpoints(tmp_path if index == 0 else None, stop, told[index].append, met)
        told[index] += [kept.due(), kept.check()]
        stop.asked = index == 1
        told[index] += [kept.check(), kept.due()]  # the epoch after it comes to its end, and is saved
        try:
            kept.check()
        except (KeyboardInterrupt, rnnzoo.WorkerLost) as error:
            told[index].append(type(error))
        met.leave()

    threads = [threading.Thread(target=worker, args=[index]) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert told == {0: [False, None, None, True, rnnzoo.WorkerLost], 1: [False, None, None, True, KeyboardInterrupt]}


@pytest.mark.parametrize("what", ["preset", "data", "version"])
def test_workers_that_are_not_alike(what, processes, tmp_path):
    runs, arguments = Runs(processes, tmp_path, 2), ["digit-sum", "-o", str(tmp_path / "run")]
    others, worker = [], {}
    if what == "preset":
        others, line = ["--set", "training.learning_rate=0.5"], "training.learning_rate is 0.5 at worker 1"
    elif what == "version":
        worker, line = {"version": "0.0.1"}, "rnnzoo is 0.0.1 at worker 1"
    else:
        for index in range(2):
            (tmp_path / f"{index}.csv").write_text("".join(f"{n},{n + index}\n" for n in range(1, 9)))
        chief, others = (["--data", str(tmp_path / f"{index}.csv")] for index in range(2))
        line = "the sha256 of the training data is "
    running = runs.start(*arguments, chief=chief if what == "data" else (), others=others, worker_1=worker)
    assert ended(running) == [2, 2]
    for index in range(2):
        assert f"Error: workers are not alike: {line}" in runs.errors(index) and "at the chief" in runs.errors(index)
    assert not (tmp_path / "run").exists()
