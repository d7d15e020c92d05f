"""Training a preset: from its recipe to a folder of the same form."""

import contextlib
import importlib.util
from pathlib import Path
from typing import NamedTuple

import keras

from rnnzoo.building import create_task, learned_text, new_task
from rnnzoo.checkpoints import Checkpoints
from rnnzoo.errors import InputError, MissingExtraError, RunInterrupted, TrainingError
from rnnzoo.evaluating import read_split
from rnnzoo.predicting import Predictor, from_preset
from rnnzoo.recipes import count_epochs, fit
from rnnzoo.registry import Preset, Source, load_preset, override
from rnnzoo.results import versions, write_result
from rnnzoo.runs import FAILED, INTERRUPTED, LOGS, Workspace, resume_line
from rnnzoo.stopping import Stop, Stopped
from rnnzoo.streamed import StreamedExamples, is_streamed
from rnnzoo.toml import dumps


class Run(NamedTuple):
    """What a training run leaves.

    Attributes:
        model: the trained `keras.Model`.
        metrics: test set -> metrics.
        path: the run folder.
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

    While it trains in the main thread, Ctrl-C and SIGTERM end it after the current step; a second one ends it at once.

    Args:
        preset: a `Preset`, a name or a folder.
        seed: of initial weights and order of examples; the preset's own if `None`.
        run_dir: the folder to write; a new numbered one under `runs/` if `None`.
        data: a file that replaces the preset's data: CSV, TSV or JSONL of inputs and answers, or what the task reads; or a
            folder or a pattern of such files, or a folder of shards (`rnnzoo.pack`). A run that was itself trained on such
            data is trained on it again if `None`.
        valid: which share of its distinct inputs is held out, drawn by a fixed seed.
        columns: what a header (or the keys of JSONL) calls the input and the answer, a pair; found by itself if `None`.
        skip_bad: whether rows of `data` that are wrong are left out; they are an error otherwise.
        stream: whether the examples are read from their files in every epoch, so that they need not fit into memory; where
            the files have more than 256 MiB if `None`. They stay where they are, and the run's folder has a copy of those
            that are held out alone, by a hash of their input: at most 100,000.
        overrides: strings such as `training.epochs=5`.
        force: whether an existing run folder is replaced: an unfinished run at once, a complete one when the new one is
            complete.
        tensorboard: whether to write TensorBoard logs.
        progress: called as `progress(stage, done, total, figures)`, with `figures` a dict.
        notice: called with a line of text where something is not as it should be and the run goes on all the same.

    Returns:
        A `Run`.

    Raises:
        InputError: the preset, an override, the data or the output is wrong, or another process trains in the folder.
        TrainingError: the loss or the weights are no longer finite; the last good weights stay in `unfinished/`.
        RunInterrupted: Ctrl-C or SIGTERM came.
        MissingExtraError: TensorBoard logs were asked for, and the extra `tensorboard` is absent.
    """
    overrides = [*overrides, *([] if seed is None else [f"training.seed={seed}"])]
    preset = override(preset if isinstance(preset, Preset) else load_preset(preset), overrides)
    _check_tensorboard(tensorboard)
    path = next_run(preset.name) if run_dir is None else Path(run_dir)
    task = new_task(preset)
    source = preset.own_data
    if data is not None:
        source = Source(Path(data), valid, skip_bad, None if columns is None else tuple(columns))
    elif source is not None and source.sha256 and stream is None:
        stream = True
    streamed = source is not None and is_streamed(source, task, stream)
    own = None if source is None else read_split(source, task, notice, streamed)
    if streamed:
        source = source._replace(sha256=own[0].sha256)
    if data is not None:
        preset = preset.with_data(source)
    if task.learns:
        _learn(task, own, source)
    about = {
        "epochs": count_epochs(preset),
        "data": None if source is None else source.path.name,
        "tensorboard": tensorboard,
        **versions(),
    }
    copied = None if source is None else (own[0].held_out_lines() if streamed else source.path, preset.data.file)
    text = dumps({"name": preset.name, **preset.content()})
    work = Workspace.begin(path, text, copied, about, force, learned_text(preset, task))
    return _go_on(work, preset, task, own, progress, notice)


def resume(run_dir, *, progress=None, notice=None):
    """Goes on with a run that was interrupted, to the bits that it would have had; see `train`. A complete one is returned.

    Args:
        run_dir: the run folder.
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
    work = Workspace.take_over(run_dir, versions())
    if work is None:
        predictor = from_preset(run_dir)
        metadata = predictor.preset.metadata()
        return Run(predictor.model, metadata["metrics"], run_dir, metadata, predictor)
    try:
        preset = load_preset(work.folder)
        _check_tensorboard(work.about["tensorboard"])
        task = create_task(preset)
        streamed = preset.data is not None and preset.data.files is not None
        own = None if preset.own_data is None else read_split(preset.own_data, task, stream=streamed)
    except BaseException:
        work.close()
        raise
    return _go_on(work, preset, task, own, progress, notice)


def _go_on(work, preset, task, own, progress, notice):
    """A run from where it is to its end, or how it stands when it does not get there."""
    progress = progress or (lambda stage, done, total, figures: None)
    preset, predictor, kept = preset.model_copy(update={"folder": work.folder}), None, None
    try:
        with Stop() as stop:
            kept = Checkpoints(work.folder, stop, notice or (lambda line: None))
            if not work.placing:
                logs = work.folder / LOGS if work.about["tensorboard"] else None
                trained = fit(preset, task, own=own, logs=logs, progress=progress, kept=kept)
                predictor = Predictor(trained.model, preset, task)
                write_result(work, predictor, trained, kept, progress)
            work.place()
    except BaseException as error:
        epochs = kept.epochs if kept else 0
        # Of a full disk, say; that nobody trains the run is seen all the same.
        with contextlib.suppress(OSError, InputError):
            _leave(work, error, epochs)
        if not isinstance(error, Stopped):
            raise
        line = f"interrupted after {epochs} of {work.about['epochs']} epochs; go on with `{resume_line(work.run)}`"
        raise RunInterrupted(line, error.signal) from None
    finally:
        work.close()
    if predictor is None:
        predictor = from_preset(work.run)
    predictor.preset = preset.model_copy(update={"folder": work.run})
    metadata = predictor.preset.metadata()
    return Run(predictor.model, metadata["metrics"], work.run, metadata, predictor)


def _leave(work, error, epochs):
    """How a run stands that an error ended after so many epochs that were kept."""
    final = isinstance(error, TrainingError)  # the same bits lead to the same end
    if isinstance(error, KeyboardInterrupt):
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
