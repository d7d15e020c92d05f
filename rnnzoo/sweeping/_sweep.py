"""A sweep from its beginning, or from where it was, to its tables."""

import contextlib
import importlib.metadata
import json
import os
import queue
import shlex
import time
from pathlib import Path
from typing import Any, NamedTuple

import rnnzoo
from rnnzoo import errors
from rnnzoo._signatures import task_metric
from rnnzoo.cards import lower_is_better
from rnnzoo.errors import InputError, RunInterrupted, TrainingError
from rnnzoo.files import fresh_output, matching, remove
from rnnzoo.locking import take_lock
from rnnzoo.registry import Preset, Source, list_presets, load_preset, override
from rnnzoo.runs import checksum
from rnnzoo.stopping import Stop, Stopped
from rnnzoo.sweeping import _processes
from rnnzoo.sweeping._report import write_report
from rnnzoo.sweeping._space import LISTED, parse_space
from rnnzoo.sweeping._study import COMPLETE, FAILED, PRUNERS, Study, check_extra, check_storage

DATABASE, MARKER, LOCK, LOGS = "study.db", "sweep.json", "lock", "logs"
# So often, in seconds, it is looked what other machines do, and the progress is told.
LOOK = 1.0
# So many trials that fail one after the other, and none that does not, end a sweep.
HOPELESS = 3
# So many things are heard from trials at the most before it is seen to the others.
HEARD = 50


class Standing(NamedTuple):
    """How a sweep stands.

    Attributes:
        metric: what is compared.
        lower: whether less of it is better.
        total: how many trials were asked for.
        finished: how many are finished.
        rows: a dict for each trial: `number`, `state` ("waiting", "running", "complete", "pruned", "diverged" or "failed"),
            `values` (key -> value), `value` (of the metric; where the trial is not complete, of what is looked at after
            each epoch), `epoch`, `of`, `why` (it failed or diverged), `retried` (how often), `epochs`, `parameters`,
            `seconds`, `metrics`.
    """

    metric: str
    lower: bool
    total: int
    finished: int
    rows: list


class Sweep(NamedTuple):
    """What a sweep leaves.

    Attributes:
        path: its folder.
        metric: what was compared, on validation data.
        lower: whether less of it is better.
        trials: as `Standing.rows`, the best one first.
        best: the row of the best trial.
        importances: key -> its share in what makes trials good; `None` where too few say.
        preset: the folder of the winner, a preset without weights, which `rnnzoo train` takes.
    """

    path: Path
    metric: str
    lower: bool
    trials: list
    best: dict[str, Any]
    importances: dict[str, float] | None
    preset: Path


def sweep(
    preset,
    settings,
    *,
    trials=None,
    jobs=1,
    output=None,
    grid=False,
    seed=0,
    metric=None,
    direction=None,
    pruner=None,
    storage=None,
    study=None,
    grace=60,
    data=None,
    valid=0.2,
    columns=None,
    skip_bad=False,
    force=False,
    progress=None,
    notice=None,
):
    """Trains a preset again and again with other values, and finds those that are best on validation data.

    Each trial is a process of its own; it learns from the task's training part and is judged by its validation part, or
    where there is none by a fifth of the training part that it does not learn from; no test set is read. Values are drawn by
    Optuna's TPE (Bergstra et al. 2011), each trial's from a seed of its own, or are those of a grid. A trial that is worse
    after some epochs than half of the others were then is given up (Golovin et al. 2017).

    The folder holds `study.db` (unless there is a `storage`), `results.csv`, `results.md`, `plots/` (with the extra `plot`),
    and `best/`, the winner as a preset. A sweep that was ended, however that came, goes on where it is called again with the
    same arguments; a trial whose process was killed is begun again.

    Args:
        preset: a `Preset`, a name or a folder.
        settings: strings such as `model.units=32,64,128`, `model.layers=1..4`, `training.learning_rate=log:1e-4..1e-1`, and
            `training.epochs=5`, which is the same in all trials.
        trials: how many are to be finished; every combination once if `None`. More of them than the last time go on.
        jobs: how many trials run at a time, on this machine.
        output: the folder to write; a new numbered one under `sweeps/` if `None`.
        grid: every combination once.
        seed: of what is drawn; the seed of initial weights and order is the preset's `training.seed`.
        metric: what is compared; the preset's own if `None`. `"loss"` is the recipe's loss.
        direction: "minimize" or "maximize"; what the metric's name says if `None`.
        pruner: "median", "halving" or "none"; "median", and of a grid "none", if `None`.
        storage: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, for a sweep that several machines share, each of which
            calls it with the same arguments.
        study: what the sweep is called on that server; the last part of `output` if `None`.
        grace: after so many seconds without a sign of life another machine takes a trial over.
        data, valid, columns, skip_bad: as for `rnnzoo.train`; the share that is held out there is not read here, and the
            same share of the rest is what trials are compared by.
        force: whether a sweep that is there is replaced.
        progress: called with a `Standing` about once a second.
        notice: called with a line of text where something is not as it should be and the sweep goes on all the same.

    Returns:
        A `Sweep`.

    Raises:
        InputError: an argument is wrong, there is another sweep, or another process runs it.
        TrainingError: no trial came to its end, or the database cannot be reached.
        RunInterrupted: Ctrl-C or SIGTERM came.
        MissingExtraError: the extra `sweep` is absent.
    """
    preset = preset if isinstance(preset, Preset) else load_preset(preset)
    space = parse_space(settings, preset)
    trials, grid = _count(space, trials, grid)
    source = preset.own_data if data is None else Source(Path(data), valid, skip_bad, columns and tuple(columns))
    _check_metric(metric, preset)
    metric = metric or preset.metric or task_metric(preset.task)
    for name, value, known in (
        ("direction", direction, ("minimize", "maximize", None)),
        ("pruner", pruner, (*PRUNERS, None)),
    ):
        if value not in known:
            raise InputError(f"{name}: expected {' or '.join(filter(None, known))}, not {value!r}")
    for name, value in (("trials", trials), ("jobs", jobs), ("grace", grace)):
        if value < 1:
            raise InputError(f"{name}: expected at least 1, not {value}")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed: expected 0 to 2^32 - 1, not {seed}")
    check_extra(storage)
    address = None if storage is None else check_storage(storage)
    if storage is None and study is not None:
        raise InputError("--study goes with --storage")
    if storage is not None and output is None and study is None:
        raise InputError("--storage: give -o as well, or --study: what the sweep is called on the server")
    if storage is not None and force:
        raise InputError("--force does not go with --storage; give another -o, or --study")
    lower = direction == "minimize" if direction else metric == "loss" or lower_is_better(metric)
    about = {
        "preset": {"name": preset.name, **preset.content()},
        "settings": sorted(f"{s.partition('=')[0].strip()}={s.partition('=')[2].strip()}" for s in settings),
        "metric": metric,
        "lower": lower,
        "pruner": pruner or ("none" if grid else "median"),
        "grid": grid,
        "seed": seed,
        "data": None if source is None else _checksum(source.path),
        "valid": None if source is None else source.valid,
        **_versions(),
    }
    about = json.loads(json.dumps(about))
    path = _next_folder(preset.name) if output is None else Path(output)
    with contextlib.ExitStack() as stack:
        if address is None:
            was_there = path.is_dir()
            stack.callback(os.close, _open(path, force))
            stack.enter_context(_undone(path, was_there))
        else:
            _refuse(path)
        address = address or f"sqlite:///{(path / DATABASE).resolve()}"
        there = Study(address, study or path.resolve().name, about, space, trials, grid, grace)
        stack.callback(there.close)
        _make(path)
        _mark(path, about)
        job = {
            "name": preset.name,
            "folder": str(preset.folder.resolve()),
            "content": preset.content(),
            "metric": metric,
            "lower": lower,
            "threads": max(1, _cores() // jobs) if jobs > 1 else 0,
            "data": None if source is None else [str(source.path.resolve()), *source[1:]],
        }
        told = _Told(there, metric, lower, trials, progress)
        with Stop() as stop, _Runner(there, job, jobs, path / LOGS, told, stop) as runner:
            try:
                runner.run()
            except Stopped as error:
                raise RunInterrupted(
                    f"interrupted after {there.finished} of {trials} trials; the same command goes on"
                    + ("" if output is not None else f" with `-o {shlex.quote(str(path))}`"),
                    error.signal,
                ) from None
        return _finish(path, preset, space, source, there, metric, lower, notice)


def _finish(path, preset, space, source, there, metric, lower, notice):
    """Writes what a sweep leaves."""
    # Others wait or run where another machine has asked for more of them.
    rows = _ranked([row for row in there.rows() if row["state"] not in ("waiting", "running")], lower)
    if rows[0]["state"] != COMPLETE:
        raise TrainingError(f"{path}: none of the {len(rows)} trials came to its end; the first: {_why(rows)}")
    importances = there.importances()
    found = Sweep(path, metric, lower, rows, rows[0], importances, path / "best")
    best = override(preset, space.overrides(rows[0]["values"]))
    write_report(found, best, space, source, notice)
    remove_empty(path / LOGS)
    return found


def _why(rows):
    return next((row["why"] for row in rows if row["why"]), "its values were worse than those of others")


def remove_empty(folder):
    """Removes a folder that has nothing in it."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def _ranked(rows, lower):
    """The complete ones by their value, the best first, of equals the smallest; then those pruned late; then the others."""
    order = {COMPLETE: 0, "pruned": 1, "diverged": 2}
    return sorted(
        rows,
        key=lambda row: (
            order.get(row["state"], 3),
            0 if row["state"] == COMPLETE or row["epoch"] is None else -row["epoch"],
            0 if row["value"] is None else row["value"] if lower else -row["value"],
            row.get("parameters", 0),
            row["number"],
        ),
    )


def _count(space, trials, grid):
    """How many trials there are, and whether they are a grid."""
    size = space.size
    if grid or trials is None:
        if size is None:
            key = next(key for key, parameter in space.varied.items() if parameter.listed() is None)
            why = "a grid needs choices or whole numbers" if grid else "give --trials, how many are to be drawn"
            raise InputError(f"--set {key}: there is no end of its values; {why}")
        if size > LISTED:
            raise InputError(f"--set: there are {size:,} combinations; give --trials, how many of them are to be drawn")
        if trials not in (None, size):
            raise InputError(f"--grid: there are {size} combinations, each a trial; leave out --trials {trials}")
        return size, True
    if size is not None and size < trials:
        raise InputError(f"--trials {trials}: there are {size} combinations; leave out --trials, and each is tried once")
    return trials, False


def _checksum(path):
    if not path.exists() and not matching(path):
        raise InputError(f"{path}: no such file")
    return checksum(path)


def _check_metric(metric, preset):
    """Refuses a metric that no preset of the task was scored by; where none was, the first trial knows.

    Raises:
        InputError: it is none.
    """
    if metric in (None, "loss", preset.metric, task_metric(preset.task)):
        return
    zoo = [other for other in map(load_preset, list_presets()) if other.task == preset.task and other.has_weights]
    tests = [test for other in zoo for test in other.metadata()["metrics"].values()]
    known = [name for name in dict.fromkeys(name for test in tests for name in test) if name != "examples"]
    if known and metric not in known:
        hint = errors.nearest(metric, [*known, "loss"]) or f"; there are {', '.join([*known, 'loss'])}"
        raise InputError(f"unknown metric '{metric}'{hint}")


def _versions():
    versions = {f"{name}_version": importlib.metadata.version(name) for name in ("keras", "tensorflow")}
    return {"rnnzoo_version": rnnzoo.__version__, **versions}


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _next_folder(name):
    """`sweeps/NAME-1`, or the first number that no sweep has."""
    number = 1
    while (Path("sweeps") / f"{name}-{number}").exists():
        number += 1
    return Path("sweeps") / f"{name}-{number}"


def _refuse(path):
    """Refuses a folder that is there, unless it is empty, or a sweep's, and names that no address can hold."""
    if set("?{}") & set(str(path.resolve())):
        raise InputError(f"{path}: the path of a sweep cannot have ?, {{ or }} in it")
    if path.is_dir() and any(path.iterdir()) and not any((path / name).exists() for name in (MARKER, LOCK)):
        raise InputError(f"{path}: a folder that is no sweep (it holds no {MARKER}); give another output")


def _make(path):
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def _open(path, force):
    """The folder of a sweep on this machine, and the lock on it."""
    _refuse(path)
    _make(path)
    lock = take_lock(path / LOCK, path, "runs")
    if force:
        for entry in list(path.iterdir()):
            if entry.name != LOCK:
                remove(entry)
    return lock


@contextlib.contextmanager
def _undone(path, was_there):
    """Leaves nothing in a folder in which nothing was where a sweep ends with what every trial would end with."""
    new = {entry.name for entry in path.iterdir()} <= {LOCK}
    try:
        yield
    except (InputError, errors.DataError, errors.MissingExtraError):
        for entry in list(path.iterdir()) if new else ():
            remove(entry)
        if new and not was_there:
            remove_empty(path)
        raise


def _mark(path, about):
    """Says what the folder is, and of which sweep."""
    text = json.dumps(about, indent=2) + "\n"
    if not (path / MARKER).is_file() or (path / MARKER).read_text(encoding="utf-8") != text:
        with fresh_output(path / MARKER, force=True) as partial:
            partial.write_text(text, encoding="utf-8")


class _Told:
    """Tells how a sweep stands, not too often."""

    def __init__(self, study, metric, lower, total, progress):
        self.study, self.metric, self.lower, self.total, self.progress = study, metric, lower, total, progress
        self._last, self.of = 0.0, {}

    def __call__(self, at_any_rate=False):
        if self.progress is None or (not at_any_rate and time.monotonic() - self._last < LOOK):
            return
        rows = [{"of": self.of.get(row["number"]), **row} for row in self.study.rows()]
        finished = sum(row["state"] not in ("waiting", "running") for row in rows)
        self.progress(Standing(self.metric, self.lower, self.total, finished, rows))
        self._last = time.monotonic()


class _Runner:
    """Runs the trials that wait in a study, so many at a time, until all are finished, here or elsewhere.

    What is left of its processes is ended with it, and their trials wait again.
    """

    def __init__(self, study, job, jobs, logs, told, stop):
        self.study, self.job, self.jobs, self.logs, self.told, self.stop = study, job, jobs, logs, told, stop
        self._heard, self._processes, self._began = queue.Queue(), {}, {}
        self._beaten = self._looked = 0.0

    def __enter__(self):
        self.logs.mkdir(exist_ok=True)
        return self

    def __exit__(self, *_):
        for process in self._processes.values():
            process.end()
        for process in list(self._processes.values()):
            with contextlib.suppress(TrainingError):  # the database is gone; their heartbeats stop
                self.study.put_back(process.trial)
        self._processes.clear()

    def run(self):
        """See the class."""
        self._check_hope()
        while True:
            self.stop.check()
            if len(self._processes) < self.jobs and time.monotonic() - self._looked > LOOK:
                while len(self._processes) < self.jobs and (trial := self.study.take()) is not None:
                    self._start(trial)
                else:
                    self._looked = time.monotonic()
                if not self._processes and self.study.finished >= self.study.trials:
                    self.told(at_any_rate=True)
                    return
            with contextlib.suppress(queue.Empty):
                self._hear(*self._heard.get(timeout=0.2))
                for _ in range(HEARD):
                    self._hear(*self._heard.get_nowait())
            if time.monotonic() - self._beaten > self.study.grace / 6:
                self.study.beat()
                self._beaten = time.monotonic()
            self.told()

    def _start(self, trial):
        job = {**self.job, "overrides": self.study.overrides(trial)}
        log = self.logs / f"trial-{trial.number}.log"
        self._began[trial.number] = time.monotonic()
        self._processes[trial.number] = _processes.Process(trial, job, log, lambda *said: self._heard.put(said))

    def _hear(self, process, said):
        """What a process says: a dict, or `None` where it has ended."""
        trial = process.trial
        if self._processes.get(trial.number) is not process:
            return  # it was ended
        if said is None:
            self._drop(process, keep=True)
            if self.study.died(trial, process.ended_by):
                self._looked = 0.0
            else:
                self._check_hope()
            return
        ((kind, content),) = [item for item in said.items() if item[0] in _ANSWERS]
        if kind == "epoch":
            self.told.of[trial.number] = said["of"]
            if not self.study.report(trial, content, said["value"]):
                self._drop(process)
                self.study.prune(trial, self._known(trial, content))
            return
        self._drop(process, keep=kind == "failed")
        if kind == "done":
            self.study.complete(trial, content.pop("value"), content)
        elif kind == "diverged":
            self.study.diverge(trial, content, self._known(trial))
        elif kind == "failed":
            self.study.fail(trial, content, self._known(trial))
            self._check_hope()
        else:
            self.study.put_back(trial)
            raise getattr(errors, content[0])(content[1])

    def _drop(self, process, keep=False):
        """Ends a process, and keeps the log of one that went wrong."""
        process.end(keep)
        del self._processes[process.trial.number]
        self._looked = 0.0
        self.told(at_any_rate=self._processes == {})

    def _known(self, trial, epochs=None):
        seconds = round(time.monotonic() - self._began[trial.number], 1)
        return {"seconds": seconds, **({} if epochs is None else {"epochs": epochs})}

    def _check_hope(self):
        """Ends a sweep of which nothing but failures came."""
        states = [row for row in self.study.rows() if row["state"] not in ("waiting", "running")]
        if len(states) >= min(HOPELESS, self.study.trials) and all(row["state"] == FAILED for row in states):
            then = "when that is mended, begin anew (--force, or with --storage another --study)"
            raise TrainingError(f"the first {len(states)} trials failed, and none came to its end: {_why(states)}; {then}")


_ANSWERS = {"epoch", "done", "diverged", "failed", "refused"}
