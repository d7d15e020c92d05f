"""What a complete run holds: weights, scores, history, card and SavedModel."""

import csv
import json
import shutil

import keras
import tensorflow as tf

import rnnzoo
from rnnzoo.bounded import first_line
from rnnzoo.building import save_weights
from rnnzoo.cards import card
from rnnzoo.evaluating import evaluate
from rnnzoo.exporting import write_saved_model
from rnnzoo.files import fresh_output, remove, sha256
from rnnzoo.generating import specimen
from rnnzoo.registry import CARD, HISTORY, LEARNED, METADATA, PRESET, WEIGHTS
from rnnzoo.runs import LOGS, RESULT, SAVED_MODEL, checksum, result_of
from rnnzoo.tasks._task import marked, plain


def versions():
    """Name -> version of all that a run's bits depend on."""
    return {"rnnzoo_version": rnnzoo.__version__, "keras_version": keras.__version__, "tensorflow_version": tf.__version__}


def write_result(work, predictor, trained, kept, progress):
    """Scores a trained model and writes what its run folder is to hold.

    Args:
        work: the run's `Workspace`, which gets a `result/`.
        predictor: the `Predictor` of the trained model, whose preset's folder is the workspace.
        trained: the `Trained`.
        kept: the `Checkpoints`, which know how long it took.
        progress: see `rnnzoo.train`.

    Raises:
        OSError: it cannot be written; nothing is.
    """

    def scored(name, done, total):
        progress(f"scoring {name}", done, total, {})
        kept.check()

    metrics = evaluate(predictor, progress=scored)
    remove(work.folder / RESULT)  # of a run that was ended here
    with result_of(work.run):
        _write(work, predictor, trained, metrics, kept, progress)


def _write(work, predictor, trained, metrics, kept, progress):
    preset = predictor.preset
    try:
        with fresh_output(work.folder / RESULT, folder=True) as folder:
            for name in (PRESET, LEARNED):
                if (work.folder / name).is_file():
                    shutil.copyfile(work.folder / name, folder / name)
            if preset.data is not None:
                path = work.folder / preset.data.file
                (shutil.copytree if path.is_dir() else shutil.copyfile)(path, folder / path.name)
            if (work.folder / LOGS).is_dir():
                shutil.copytree(work.folder / LOGS, folder / LOGS)
            save_weights(trained.model, folder / WEIGHTS, preset.training.storage)
            metadata = _metadata(predictor, trained, metrics, work.about["data"], folder)
            _write_history(folder / HISTORY, trained.history)
            progress("exporting", 0, 1, {})
            write_saved_model(predictor, folder / SAVED_MODEL / preset.name)
            progress("exporting", 1, 1, {})
            metadata["training_seconds"] = round(kept.seconds, 1)
            (folder / CARD).write_text(card(preset, metadata), encoding="utf-8")
            (folder / METADATA).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
    except tf.errors.OpError as error:
        raise OSError(first_line(error.message)) from None


def _metadata(predictor, trained, metrics, data, folder):
    preset, samples, written = predictor.preset, predictor.task.samples(), specimen(predictor)
    answers = predictor.predict(samples)
    return {
        "name": preset.name,
        **versions(),
        "seed": preset.training.seed,
        "parameters": trained.model.count_params(),
        "dataset": {
            "name": data or preset.task,
            "source": (preset.data.files or preset.data.file) if data else predictor.task.source,
            "training_examples": trained.examples,
            "sha256": checksum(folder / preset.data.file) if data and not preset.data.files else trained.data_sha256,
        },
        "metrics": metrics,
        "rounded": preset.training.round_weights and trained.rounding is None,
        **({"not_rounded": trained.rounding} if trained.rounding else {}),
        "examples": [_example(predictor.task, raw, answer) for raw, answer in zip(samples, answers, strict=True)],
        **({"written": written} if written else {}),
        "weights_sha256": sha256(folder / WEIGHTS),
        **({"learned_sha256": sha256(folder / LEARNED)} if (folder / LEARNED).is_file() else {}),
        "preset_sha256": preset.fingerprint(),
    }


def _example(task, raw, answer):
    """An example of an answer; `shown` is how people read it, where it is marked in the input."""
    pieces = task.pieces(raw, answer)
    return {"input": plain(raw), "answer": answer, **({} if pieces is None else {"shown": marked(pieces)})}


def _write_history(path, history):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(key for row in history for key in row)))
        writer.writeheader()
        writer.writerows(history)
