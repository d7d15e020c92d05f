"""Trained models in formats that run elsewhere."""

import shutil
from pathlib import Path

import keras
import tensorflow as tf

from rnnzoo.errors import InputError
from rnnzoo.files import fresh_output
from rnnzoo.predicting import Predictor, from_preset
from rnnzoo.serving import Serving

FORMATS = ("saved-model",)


def export(preset, path, *, format="saved-model", force=False):
    """Writes a trained model with its preprocessing, raw input in and answer out, and returns the folder.

    `saved-model` writes `PATH/1/`, as TensorFlow Serving expects it. Its signature `serving_default` takes (batch,) raw
    inputs and returns a dict of named answers, for any batch size and any lengths; it needs TensorFlow alone.

    Args:
        preset: a name, a folder, or a `Predictor`.
        path: the folder to write.
        format: one of `FORMATS`.
        force: whether an existing output is replaced.

    Raises:
        InputError: the output exists, the format is unknown, or the preset has no weights.
    """
    if format not in FORMATS:
        raise InputError(f"format '{format}': expected one of {', '.join(FORMATS)}")
    predictor = preset if isinstance(preset, Predictor) else None
    with fresh_output(Path(path), force, marker="1/saved_model.pb", folder=True) as partial:
        predictor = predictor or from_preset(preset)
        write_saved_model(predictor, partial)
    return Path(path)


def write_saved_model(predictor, folder):
    """Writes `FOLDER/1/`."""
    task = predictor.task
    spec = tf.TensorSpec(task.input.spec.shape, task.input.spec.dtype, name=task.input.name)
    archive = keras.export.ExportArchive()
    archive.track(predictor.model)
    # Named after the signature that TensorFlow Serving calls when none is named.
    archive.add_endpoint("serving_default", Serving(predictor.model, task).answers, input_signature=[spec])
    archive.write_out(str(folder / "1"), verbose=False)
    shutil.rmtree(folder / "1" / "assets", ignore_errors=True)
