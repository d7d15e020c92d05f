"""Training a preset: from its recipe to a folder of the same form."""

import contextlib
import hashlib
import importlib.util
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from rnnzoo.building import build, create_task, learned_text, new_task
from rnnzoo.checkpoints import Checkpoints, SharedCheckpoints
from rnnzoo.distributing import count_gpus, join_workers, mirrored
from rnnzoo.errors import InputError, MissingExtraError, RunInterrupted, TrainingError, WorkerLost
from rnnzoo.evaluating import read_split, read_whole, split_read
from rnnzoo.meeting import Meeting, name, parse_workers
from rnnzoo.predicting import Predictor, from_preset
from rnnzoo.recipes import check_shared, count_epochs, examples_sha256, fit
from rnnzoo.registry import UNFINISHED, Preset, Source, load_preset, override
from rnnzoo.results import versions, write_result
from rnnzoo.runs import FAILED, INTERRUPTED, LOGS, Workspace, check_new, check_resumable, result_of, resume_line
from rnnzoo.stopping import Stop, Stopped
from rnnzoo.streamed import StreamedExamples, is_streamed
from rnnzoo.toml import dumps
from rnnzoo.userdata import lines_of, names_files


class Run(NamedTuple):
    """What a training run leaves.

    Attributes:
        model: the trained `keras.Model`.
        metrics: test set -> metrics.
        path: the run folder; `None` of a worker that is not the chief.
        metadata: what `metadata.json` holds.
        predictor: the `Predictor` of the trained model.
    """

    model: keras.Model
    metrics: dict
    path: Path
    metadata: dict
    predictor: Predictor


def train(
    preset,
    *,
    seed=None,
    run_dir=None,
    data=None,
    valid=0.2,
    columns=None,
    skip_bad=False,
    stream=None,
    overrides=(),
    force=False,
    tensorboard=False,
    workers=None,
    index=None,
    gpus=None,
    progress=None,
    notice=None,
):
    """Trains a preset, scores it on its test sets and writes a run folder, a preset's folder in form.

    The folder holds `preset.toml` (overrides included), `model.weights.h5`, `metadata.json`, `history.csv`, `README.md`
    (the model card), `saved_model/NAME/1/`, `learned.json` where the task takes a vocabulary or the like from the
    examples, and a copy of `data` and `logs/` where `data` and `tensorboard` ask for them.

    A run that is ended before it is complete, however that comes, goes on with `resume`, and its weights and scores are then
    bit for bit those of a run that was not (on the same machine, on CPUs; with GPUs, where operations are deterministic).
    Until then it is in `unfinished/` in its folder (see `rnnzoo.runs`), with a copy of `data`. Checkpoints are written when
    a stage begins or ends, when an interrupt comes, and else after an epoch where a second has gone by since the last one,
    and 20 times what that took: an epoch of a small preset takes milliseconds. So a run goes on from the last checkpoint,
    and what a kill costs is a second or an epoch, whichever is longer. A run that is refused before it has begun leaves
    nothing.

    While it trains in the main thread, Ctrl-C and SIGTERM end it after the current step, or after the current epoch where
    there are shorter ones before it that no checkpoint has yet: no finished epoch is lost. A second one ends it at once.

    With `workers`, each of them calls this with the same arguments but for `index`, in a process where TensorFlow was not at
    work before. Each takes its rows of every batch, and the weights are those of one process to within rounding; random
    numbers of dropout are the first worker's own for its rows, and others for the rest. The first worker, the chief, writes
    the run folder; the others need none. Where one is gone, all stop.

    Args:
        preset: a `Preset`, a name or a folder.
        seed: of initial weights and order of examples; the preset's own if `None`.
        run_dir: the folder to write; a new numbered one under `runs/` if `None`.
        data: a file that replaces the preset's data: CSV, TSV or JSONL of inputs and answers, or what the task reads; or a
            folder or a pattern of such files, or a folder of shards (`rnnzoo.pack`). A run that was itself trained on such
            data is trained on it again if `None`.
        valid: which share of its distinct inputs is held out, drawn by a fixed seed.
        columns: what a header (or the keys of JSONL) calls the input and the answer, a pair, or where they
            stand where there is none, `("1", "2")`; found by itself if `None`.
        skip_bad: whether rows of `data` that are wrong are left out; they are an error otherwise.
        stream: whether the examples are read from their files in every epoch, so that they need not fit into memory; where
            the files have more than 256 MiB if `None`. They stay where they are, and the run's folder has a copy of those
            that are held out alone, by a hash of their input: at most 100,000.
        overrides: strings such as `training.epochs=5`.
        force: whether an existing run folder is replaced: an unfinished run at once, a complete one when the new one is
            complete.
        tensorboard: whether to write TensorBoard logs.
        workers: `"host1:port,host2:port"`, or a list of such addresses, of all that train this together; the chief's first.
        index: which of them this one is, from 0.
        gpus: of how many GPUs of a host to make use: one if `None`, and with `workers` all.
        progress: called as `progress(stage, done, total, figures)`, with `figures` a dict.
        notice: called with a line of text where something is not as it should be and the run goes on all the same.

    Returns:
        A `Run`.

    Raises:
        InputError: the preset, an override, the data or the output is wrong, or another process trains in the folder.
        TrainingError: the loss or the weights are no longer finite; the last good weights stay in `unfinished/`.
        RunInterrupted: Ctrl-C or SIGTERM came.
        WorkerLost: another worker is gone, or stopped.
        MissingExtraError: TensorBoard logs were asked for, and the extra `tensorboard` is absent.
    """
    overrides = [*overrides, *([] if seed is None else [f"training.seed={seed}"])]
    preset = override(preset if isinstance(preset, Preset) else load_preset(preset), overrides)
    _check_tensorboard(tensorboard)
    check_shared(preset, workers, gpus)
    path = next_run(preset.name) if run_dir is None else Path(run_dir)
    if not index:
        check_new(path, force)  # before anybody is waited for
    with _joined(workers, index, gpus, notice) as shared:
        source = preset.own_data
        if data is not None:
            source = Source(Path(data), valid, skip_bad, None if columns is None else tuple(columns))
        elif source is not None and source.sha256 and stream is None:
            stream = True
        task = new_task(preset, own=source is not None)
        streamed = source is not None and is_streamed(source, task, stream)
        own = lines = None
        if streamed:
            own = read_split(source, task, notice, streamed)
            source, lines = source._replace(sha256=own[0].sha256), lines_of(own[1])
        elif source is not None:
            whole = read_whole(source, task, notice)
            own = split_read(source, whole, task)
            if names_files(task) and not source.path.is_dir():  # a copy of names would be of no use elsewhere
                lines = lines_of(whole)
        if source is not None:
            preset = preset.with_data(source, as_lines=lines is not None)
        if task.learns:
            _learn(task, own, source)
        _compare_examples(shared, preset, task, own)
        if not _writes(shared):
            return _follow(preset, task, own, progress, notice, shared)
        about = {
            "epochs": count_epochs(preset),
            "data": None if source is None else source.path.name,
            "tensorboard": tensorboard,
            **({"replicas": shared.replicas} if shared else {}),
            **versions(),
        }
        copied = None if source is None else (lines or source.path, preset.data.file)
        text = dumps({"name": preset.name, **preset.content()})
        work = Workspace.begin(path, text, copied, about, force, learned_text(preset, task))
        return _go_on(work, preset, task, own, progress, notice, shared)


def resume(run_dir, *, workers=None, index=None, gpus=None, progress=None, notice=None):
    """Goes on with a run that was interrupted, to the bits that it would have had; see `train`. A complete one is returned.

    With `workers` the chief calls this, and hands its last checkpoint to the others. They call `train` as before; or this,
    where the run folder is on a disk that they share.

    Args:
        run_dir: the run folder.
        workers, index, gpus: as for `train`. Another number of workers than before goes on, too, to within rounding.
        progress: as for `train`.
        notice: as for `train`: a damaged checkpoint, for one, where the one before it is used.

    Returns:
        A `Run`.

    Raises:
        InputError: there is no such run, another process trains it, it failed for a reason that stays, its files or the
            versions of the libraries are not those that it began with, or none of its checkpoints is whole.
        TrainingError, RunInterrupted, MissingExtraError: as for `train`.
    """
    run_dir = Path(run_dir)
    if workers is not None and parse_workers(workers, index)[1]:
        return _resume_with_chief(run_dir, workers, index, gpus, progress, notice)
    work = Workspace.take_over(run_dir, versions())
    if work is None:
        return _complete(run_dir)
    with contextlib.closing(work):
        preset = load_preset(work.folder)
        _check_tensorboard(work.about["tensorboard"])
        check_shared(preset, workers, gpus)
        with _joined(workers, index, gpus, notice) as shared:
            task = create_task(preset)
            own = _own_split(preset, task)
            _compare_examples(shared, preset, task, own)
            return _go_on(work, preset, task, own, progress, notice, shared)


def _resume_with_chief(run_dir, workers, index, gpus, progress, notice):
    """What a worker does that is not the chief, and sees its run folder."""
    if not run_dir.is_dir():
        raise InputError(
            f"{run_dir}: not on this host: start this worker as it was begun, with its preset, or have the run folder on a "
            "disk that all workers share"
        )
    check_resumable(run_dir)
    if not (run_dir / UNFINISHED).is_dir():
        return _complete(run_dir)
    preset = load_preset(run_dir / UNFINISHED)
    check_shared(preset, workers, gpus)
    with _joined(workers, index, gpus, notice) as shared:
        task = create_task(preset)
        own = _own_split(preset, task)
        _compare_examples(shared, preset, task, own)
        return _follow(preset, task, own, progress, notice, shared)


def _own_split(preset, task):
    """The user's examples of a run that goes on, or `None`."""
    if preset.own_data is None:
        return None
    return read_split(preset.own_data, task, stream=preset.data.files is not None)


def _complete(run_dir):
    predictor = from_preset(run_dir)
    metadata = predictor.preset.metadata()
    return Run(predictor.model, metadata["metrics"], run_dir, metadata, predictor)


@contextlib.contextmanager
def _joined(workers, index, gpus, notice):
    """The `Together` of who trains together, told why this worker leaves; `None` where one device trains alone."""
    if workers is None:
        if index is not None:
            raise InputError("index: goes with workers")
        yield mirrored(gpus) if gpus is not None else None
        return
    addresses, index = parse_workers(workers, index)
    if len(addresses) == 1:
        yield mirrored(gpus) if gpus is not None else None
        return
    with Stop() as stop:
        meeting = Meeting.open(addresses, index, notice=notice or (lambda line: None), check=stop.check)
    try:
        _compare(meeting, {**versions(), "numpy_version": np.__version__, "GPUs": count_gpus(gpus)})
        yield join_workers(meeting, gpus)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            meeting.leave("was interrupted")
        else:
            meeting.leave(f"stopped: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
        if isinstance(error, WorkerLost) and str(error) == meeting.lost:  # there was no run yet
            raise WorkerLost(f"{error}; start all workers again") from None
        raise
    meeting.leave()


def _writes(shared):
    """Whether this worker writes the run folder."""
    return shared is None or shared.worker == 0


def _compare(meeting, facts):
    """Refuses workers that are not alike.

    Raises:
        InputError: in every worker, the same line.
    """
    chief, *others = meeting.exchange(facts)
    for index, theirs in enumerate(others, 1):
        for key, ours in chief.items():
            if theirs.get(key) != ours:
                what, where = key.removesuffix("_version"), meeting.named(index)
                raise InputError(f"workers are not alike: {what} is {theirs.get(key)} at {where}, and {ours} at the chief")


def _compare_examples(shared, preset, task, own):
    """Refuses workers of other presets or examples than the chief's."""
    if shared is None or shared.meeting is None:
        return
    digest = hashlib.sha256("".join(map(examples_sha256, own or [task.train()])).encode()).hexdigest()
    learned = hashlib.sha256((learned_text(preset, task) or "").encode()).hexdigest()
    facts = {"preset": preset.name, **_flat(preset.content())}
    everything = shared.meeting.exchange(sorted(facts))  # a key that one has not is at its default there
    facts = {key: facts.get(key, "its default") for key in sorted({key for keys in everything for key in keys})}
    sha256 = {"the sha256 of the training data": digest[:16], "the sha256 of what is learned from it": learned[:16]}
    _compare(shared.meeting, {**facts, **sha256})


def _flat(content, prefix=""):
    """`{"training": {"epochs": 5}}` -> `{"training.epochs": 5}`."""
    found = {}
    for key, value in content.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _go_on(work, preset, task, own, progress, notice, shared):
    """A run from where it is to its end, or how it stands when it does not get there."""
    progress = progress or (lambda stage, done, total, figures: None)
    notice = notice or (lambda line: None)
    preset, predictor, kept = preset.model_copy(update={"folder": work.folder}), None, None
    try:
        before, now = work.about.get("replicas", 1), shared.replicas if shared else 1
        if before != now:
            what = f"begun by {before} workers or devices, goes on by {now}"
            notice(f"{work.run}: {what}: the same to within rounding, not bit for bit")
        with Stop() as stop:
            _tell(shared, {"run": str(work.run), "placing": work.placing})
            kept = _checkpoints(work.folder, stop, notice, shared)
            if not work.placing and not work.new and kept.at is None:
                notice(f"{work.run}: there is no checkpoint: it begins anew")
            if not work.placing:
                logs = work.folder / LOGS if work.about["tensorboard"] else None
                trained = _fit(shared, preset, task, own=own, logs=logs, progress=progress, kept=kept)
                predictor = Predictor(trained.model, preset, task)
                write_result(work, predictor, trained, kept, progress)
            with result_of(work.run):
                work.place()
    except BaseException as error:
        epochs = kept.epochs if kept else 0
        line = _resume_line(work.run, shared)
        lost = _lost(error, shared, line)
        # Of a full disk, say; that nobody trains the run is seen all the same.
        with contextlib.suppress(OSError, InputError):
            _leave(work, lost or error, epochs)
        if lost is not None:
            raise lost from None
        if not isinstance(error, Stopped):
            raise
        line = f"interrupted after {epochs} of {work.about['epochs']} epochs; go on with {line}"
        raise RunInterrupted(line, error.signal) from None
    finally:
        work.close()
    if predictor is None:
        predictor = from_preset(work.run)
    predictor.preset = preset.model_copy(update={"folder": work.run})
    metadata = predictor.preset.metadata()
    with contextlib.suppress(WorkerLost):  # who has gone by now has done its part
        _tell(shared, metadata)
    return Run(predictor.model, metadata["metrics"], work.run, metadata, predictor)


def _follow(preset, task, own, progress, notice, shared):
    """The part of a worker that is not the chief, to the end of the run."""
    progress, run, kept, model, predictor = progress or (lambda *_: None), None, None, None, None
    try:
        with Stop() as stop:
            about = _tell(shared, None)
            run = about["run"]
            kept = _checkpoints(None, stop, notice or (lambda line: None), shared)
            if not about["placing"]:
                model = _fit(shared, preset, task, own=own, progress=progress, kept=kept).model
                predictor = Predictor(model, preset, task)
            metadata = _tell(shared, None, stop.check)
    except BaseException as error:
        line = _resume_line(run, shared)
        lost = _lost(error, shared, line)
        if lost is not None:
            raise lost from None
        if not isinstance(error, Stopped):
            raise
        line = f"interrupted after {kept.epochs if kept else 0} of {count_epochs(preset)} epochs; go on with {line}"
        raise RunInterrupted(line, error.signal) from None
    return Run(model, metadata["metrics"], None, metadata, predictor)


def _tell(shared, value, check=lambda: None):
    """What the chief calls this with."""
    return value if shared is None or shared.meeting is None else shared.meeting.exchange(value, check)[0]


def _checkpoints(folder, stop, notice, shared):
    if shared is None or shared.meeting is None:
        return Checkpoints(folder, stop, notice)
    return SharedCheckpoints(folder, stop, notice, shared.meeting)


def _fit(shared, preset, task, *, kept, **how):
    """`fit`, by all that train together; the model that comes out is a plain one."""
    if shared is None:
        return fit(preset, task, kept=kept, **how)
    with shared.scope():
        trained = fit(preset, task, kept=kept, **how)
    kept.together = False
    shared.end()
    model = build(preset, task=task)
    model.set_weights(trained.model.get_weights())
    return trained._replace(model=model)


def _resume_line(run, shared):
    """The command that goes on with a run, in backticks, and what the others are to do."""
    if shared is None or shared.meeting is None:
        return f"`{resume_line(run)}`"
    addresses = ",".join(map(name, shared.meeting.addresses))
    if run is None:
        return "all workers, started again"
    return f"`{resume_line(run)} --workers {addresses} --index 0` at the chief, and the other workers as before"


def _lost(error, shared, line):
    """The `WorkerLost` of what happened where another worker is the cause, else `None`."""
    if shared is None or shared.meeting is None or not isinstance(error, WorkerLost | tf.errors.OpError):
        return None
    # TensorFlow notices that a connection ended, but not whose.
    lost = shared.meeting.await_loss()
    if lost is None:
        return error if isinstance(error, WorkerLost) else None
    return WorkerLost(f"{lost}; go on with {line}")


def _leave(work, error, epochs):
    """How a run stands that an error ended after so many epochs that were kept."""
    final = isinstance(error, TrainingError)  # the same bits lead to the same end
    if isinstance(error, KeyboardInterrupt | WorkerLost):
        work.set_state(INTERRUPTED)
    elif work.new and not final and not epochs:
        work.discard()
    else:
        work.set_state(FAILED, str(error), final)


def next_run(name):
    """`runs/NAME-1`, or the first number that no run has or is being written under."""
    number, runs = 1, Path("runs")
    while (runs / f"{name}-{number}").exists() or list(runs.glob(f".{name}-{number}.*.partial")):
        number += 1
    return runs / f"{name}-{number}"


def _learn(task, own, source):
    """Takes from a user's examples, or from the task's own, what the task learns from them."""
    if own is not None and isinstance(own[0], StreamedExamples):
        own = own[0].first, own[1]
    try:
        task.learn(*([task.train()] if own is None else own))
    except InputError as error:
        raise InputError(str(error) if source is None else f"{source.path}: {error}") from None


def _check_tensorboard(asked):
    if asked and importlib.util.find_spec("tensorboard") is None:
        raise MissingExtraError("TensorBoard logs need the package tensorboard: pip install 'rnnzoo[tensorboard]'")
