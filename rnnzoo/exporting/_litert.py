"""LiteRT: small files of built-in operations for phones and other small machines, one sample at a time."""

import json
import math

import keras
import tensorflow as tf

import rnnzoo
from rnnzoo.building import sha256
from rnnzoo.errors import InputError
from rnnzoo.evaluating import read_split
from rnnzoo.exporting._litert_check import Written, has_time, largest_difference
from rnnzoo.exporting._tflite import signature, tflite
from rnnzoo.running._litert import LiteRTModel, require_interpreter
from rnnzoo.serving import Serving
from rnnzoo.stepping import step_model

MANIFEST = "rnnzoo.json"
# Where nobody says how many timesteps: as many as the longest training example has, but this many at least.
TIMESTEPS = 64
# Every timestep is written out in the graph: 1,024 of them are about half a megabyte, and convert in seconds.
MOST_TIMESTEPS = 1024
# How far the files may be from the Keras model, relative to the largest output.
DIFFERENCE = 1e-4
# By how much int8 may lower the share of right answers, and on how many examples that is looked at.
TOLERANCE, EXAMPLES = 0.01, 500


def write_litert(predictor, folder, *, timesteps=None, int8=False, tolerance=None):
    """Writes the `.tflite` files of a trained model, and `rnnzoo.json`, which says what goes into them and comes out.

    Each is of a batch of 1 and has named inputs and outputs (signature `serving_default`). `step.tflite` takes one timestep
    and the states, and gives outputs and new states: any length streams through it. `model.tflite` takes a whole sequence
    of `timesteps`, shorter ones padded at the end. What writes its answer has `start.tflite` instead, input to states, and
    a step that takes what was `fed`. What reads both directions has no step: its every output needs the whole sequence.

    Args:
        predictor: the `Predictor`.
        folder: an empty folder.
        timesteps: of `model.tflite`, and of the source of `start.tflite`; the longest training example's, at least 64, if
            `None`. Where nothing in a sequence is padding, every sequence must be of that length.
        int8: whether weights of 1,024 numbers and more are stored as 8-bit integers.
        tolerance: by how much that may lower the share of right answers, on up to 500 examples of the first test set that
            are not too long; 0.01 if `None`.

    Raises:
        InputError: an argument is out of range or goes with nothing, int8 costs more than the tolerance, the model needs
            what LiteRT does not have built in, or gives other numbers there.
        MissingExtraError: `ai-edge-litert` is not installed.
    """
    require_interpreter()
    if tolerance is not None and not int8:
        raise InputError("tolerance goes with int8")
    tolerance = TOLERANCE if tolerance is None else tolerance
    if not 0 <= tolerance <= 1:
        raise InputError(f"tolerance must be from 0 to 1, not {tolerance}")
    timesteps = _checked(predictor, timesteps)
    train, test = _examples(predictor)
    longest = _longest(predictor, train)
    if timesteps is None and longest:
        timesteps = max(longest, TIMESTEPS) if predictor.task.input.pads else longest
    if timesteps and timesteps > MOST_TIMESTEPS:
        raise InputError(
            f"{predictor.preset.name} was trained on {timesteps:,} timesteps; give timesteps, up to {MOST_TIMESTEPS:,}"
        )
    decoder = Serving(predictor.model, predictor.task).decoder
    parts, note = _parts(predictor, decoder)
    written = _write(parts, folder, timesteps, False)
    # No longer than what it was trained on: past that some networks make a difference in the last bit grow without bounds.
    compared = timesteps and (min(longest, timesteps) if predictor.task.input.pads else timesteps)
    off = largest_difference(predictor, Written(predictor, written, decoder), compared)
    if off > DIFFERENCE:
        raise InputError(
            f"{predictor.preset.name}: LiteRT gives other numbers: off by {off:.1e} relative, over {DIFFERENCE:g}"
        )
    manifest = {
        "format": "litert",
        "preset": predictor.preset.name,
        "architecture": predictor.preset.architecture,
        "rnnzoo_version": rnnzoo.__version__,
        "keras_version": keras.__version__,
        "tensorflow_version": tf.__version__,
        "timesteps": timesteps,
        "padding": _padding(predictor.task.input) if timesteps else None,
        "largest_difference": float(f"{off:.2g}"),
        "int8": None,
    }
    if int8:
        sizes = [_size(folder)]
        written = _write(parts, folder, timesteps, True)
        sizes.append(_size(folder))
        metrics = _metrics(predictor, Written(predictor, written, decoder), test)
        name = predictor.task.metric
        before, after = (metrics[side][name] for side in ("float", "int8"))
        if before - after > tolerance:
            raise InputError(
                f"{predictor.preset.name}: int8 lowers {name} from {before:.4g} to {after:.4g} on {metrics['examples']} "
                f"examples, by more than the tolerance {tolerance:g}; export without it, or raise the tolerance"
            )
        manifest["int8"] = {"tolerance": tolerance, "bytes": dict(zip(("float", "int8"), sizes, strict=True)), **metrics}
    if note:
        manifest["note"] = note
    if decoder is not None:
        manifest["decoding"] = {
            "start_token": decoder.start_token,
            "end_token": decoder.end_token,
            "max_length": decoder.max_length,
        }
    manifest["files"] = {}
    for name, model in written.items():
        path = folder / f"{name}.tflite"
        inputs, outputs = signature(model)
        facts = {"file": path.name, "sha256": sha256(path), "bytes": path.stat().st_size}
        manifest["files"][name] = {**facts, "inputs": inputs, "outputs": outputs}
    manifest["task"] = {"name": predictor.preset.task}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _parts(predictor, decoder):
    """The Keras models that become files, by the files' names, and a line about what there is not, or `None`."""
    model = predictor.model
    if decoder is not None:
        return {"start": decoder.start, "step": decoder.step}, None
    if not has_time(model):
        return {"model": model}, None
    if any(isinstance(layer, keras.layers.Bidirectional) for layer in model.layers):
        note = f"{predictor.preset.name} has no step: it reads both directions of time, and its every output needs the whole"
        return {"model": model}, f"{note} sequence"
    return {"step": step_model(model), "model": model}, None


def _write(parts, folder, timesteps, int8):
    """Writes a file a part, and returns them as read again."""
    written = {}
    for name, part in parts.items():
        path = folder / f"{name}.tflite"
        path.write_bytes(tflite(part, timesteps, int8))
        written[name] = LiteRTModel(path)
    return written


def _size(folder):
    """How many bytes the files of a folder have."""
    return sum(path.stat().st_size for path in folder.iterdir())


def _checked(predictor, timesteps):
    """The number of timesteps that was given."""
    if timesteps is None:
        return None
    if not has_time(predictor.model):
        raise InputError(f"{predictor.preset.name} reads no sequence: timesteps goes with what does")
    if isinstance(timesteps, bool) or not isinstance(timesteps, int) or not 1 <= timesteps <= MOST_TIMESTEPS:
        raise InputError(f"timesteps must be a whole number from 1 to {MOST_TIMESTEPS:,}, not {timesteps}")
    return timesteps


def _longest(predictor, train):
    """How many timesteps the longest training example has, `None` for a model without time."""
    kind = predictor.task.input
    return max(kind.steps(kind.check(raw)) for raw in train.inputs) if has_time(predictor.model) else None


def _examples(predictor):
    """The examples that a model was trained on, and those that it is judged by."""
    task, own = predictor.task, predictor.preset.own_data
    return (task.train(), task.first_test()) if own is None else read_split(own, task)


def _padding(kind):
    """What fills a sequence up: id 0, or a vector's mask value; `None` where nothing does."""
    return getattr(kind, "mask_value", 0)


def _metrics(predictor, written, examples):
    """The metrics of the Keras model and of int8 files on the same examples."""
    task = predictor.task
    fitting = [i for i, raw in enumerate(examples.inputs) if written.takes(task.input.check(raw))]
    if not fitting:
        raise InputError(f"{predictor.preset.name}: int8 is judged by test examples, and none has so few timesteps")
    examples = examples.take(fitting[:: math.ceil(len(fitting) / EXAMPLES)])
    checked = predictor.check(examples.inputs)
    answers = {"float": predictor.predict(checked), "int8": written.answers(checked)}
    scores = {side: task.score(examples, found) for side, found in answers.items()}
    return {
        "examples": len(checked),
        **{side: {key: float(f"{value:.6g}") for key, value in score.items()} for side, score in scores.items()},
    }
