"""One trial: a program of its own, told what to train as a line of JSON; what it says are lines of JSON.

    python _trial.py < JOB

It ends when its standard input does: a trial does not outlive the sweep that started it. It says, on standard output,
`{"epoch": 3, "value": 0.9}` after epochs, and at its end one of: `done`, the value and what else is known of the model;
`diverged` or `failed`, why; `refused`, the name of an error that every trial would end with, and its text.
"""

import json
import math
import os
import sys
import threading
import time
import traceback
from pathlib import Path

# About so many values a trial are told of, however many epochs it has.
TOLD = 100


def main(job, say):
    """Trains what a job is of."""
    from rnnzoo.errors import DataError, InputError, MissingExtraError, TrainingError

    try:
        say({"done": _run(job, say)})
    except TrainingError as error:
        say({"diverged": str(error)})
    except (DataError, MissingExtraError, Refused) as error:
        kind = error.kind if isinstance(error, Refused) else type(error).__name__
        say({"refused": [kind, str(error)]})
    except InputError as error:
        say({"failed": str(error)})
    except Exception as error:
        traceback.print_exc()
        say({"failed": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"})


class Refused(Exception):
    """What every trial would end with: an `InputError`, say."""

    kind = "InputError"


def _run(job, say):
    from rnnzoo.errors import InputError
    from rnnzoo.registry import Source, from_content, override

    began = time.perf_counter()
    preset = override(from_content(job["name"], job["folder"], job["content"]), job["overrides"])
    if job["threads"]:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(job["threads"])
    from rnnzoo.building import new_task
    from rnnzoo.evaluating import read_split, score, split_own
    from rnnzoo.predicting import Predictor
    from rnnzoo.recipes import fit

    task = new_task(preset, own=job["data"] is not None)
    own = None
    try:
        if job["data"] is not None:
            path, valid, skip_bad, columns = job["data"]
            source = Source(Path(path), valid, skip_bad, None if columns is None else tuple(columns))
            own = read_split(source, task)
            chosen = split_own(own[0], valid, task)
        else:
            chosen = task.choices()
    except InputError as error:
        raise Refused(str(error)) from None
    if task.learns:
        task.learn(*chosen)
    metric, of_epochs = job["metric"], f"val_{'loss' if job['lower'] else task.metric}"
    if metric not in ("loss", task.metric, preset.metric):
        _check_metric(metric, preset, task, chosen[1])
    done = 0

    def progress(stage, epoch, total, figures):
        nonlocal done
        if not stage.startswith("training"):
            return
        done += 1
        stages = len(preset.training.curriculum.timesteps) if preset.training.curriculum else 1
        every = math.ceil(stages * total / TOLD)
        if done % every == 0 and math.isfinite(figures[of_epochs]):
            say({"epoch": done, "of": stages * total, "value": figures[of_epochs]})

    trained = fit(preset, task, own=own, chosen=chosen, progress=progress)
    metrics = {"loss": trained.history[-1]["val_loss"], **score(Predictor(trained.model, preset, task), chosen[1])}
    if not math.isfinite(metrics[metric]):
        from rnnzoo.errors import TrainingError

        raise TrainingError(f"{metric} is {metrics[metric]}")
    return {
        "value": metrics[metric],
        "metrics": {name: value for name, value in metrics.items() if math.isfinite(value)},
        "epochs": done,
        "parameters": trained.model.count_params(),
        "seconds": round(time.perf_counter() - began, 1),
    }


def _check_metric(metric, preset, task, examples):
    """Refuses a metric that is not known, before anything is trained."""
    from rnnzoo.building import build
    from rnnzoo.errors import nearest
    from rnnzoo.evaluating import score
    from rnnzoo.predicting import Predictor

    known = {"loss": 0, **score(Predictor(build(preset, seed=0, task=task), preset, task), examples.take([0]))}
    del known["examples"]
    if metric not in known:
        hint = nearest(metric, known) or f"; there are {', '.join(known)}"
        raise Refused(f"unknown metric '{metric}'{hint}")


def _end_with_input():
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    told = json.loads(sys.stdin.buffer.readline())
    sys.path[:] = [*sys.path[1:], told["root"]]  # not the folder of this file, whose modules are no top-level ones
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    threading.Thread(target=_end_with_input, daemon=True).start()
    main(told, lambda line: answers.write(json.dumps(line) + "\n"))
    answers.flush()
    os._exit(0)  # nothing is left to do, and TensorFlow takes its time to end
