"""Trained models in formats that run elsewhere."""

import importlib
from pathlib import Path
from typing import NamedTuple

from rnnzoo.errors import InputError
from rnnzoo.files import fresh_output
from rnnzoo.predicting import Predictor, from_preset


class Format(NamedTuple):
    """A format: a module beside this one with `write(predictor, path)`, and `require()` where it needs an extra.

    Attributes:
        module: its name.
        marker: what a folder of the format holds, so that no other is replaced.
        suffix: a path that ends in it is one file, not a folder; `None` where the format is a folder always.
    """

    module: str
    marker: str
    suffix: str | None = None


FORMATS = {
    "saved-model": Format("_saved_model", "1/saved_model.pb"),
    "onnx": Format("_onnx", "rnnzoo.json", ".onnx"),
}


def export(preset, path, *, format="saved-model", force=False):
    """Writes a trained model in a format that runs elsewhere, and returns the path.

    `saved-model` writes `PATH/1/`, as TensorFlow Serving expects it. Its signature `serving_default` takes (batch,) raw
    inputs and returns a dict of named answers, for any batch size and any lengths; it needs TensorFlow alone.

    `onnx` writes `PATH/model.onnx`, of token ids or vectors in and numbers out, with `step.onnx`, the same one timestep at
    a time, where the model runs in one direction, and `rnnzoo.json`, which says what turns raw input into the one and the
    other into answers; or `model.onnx` alone where the path ends in `.onnx`. `rnnzoo.running.load` answers from either.

    Args:
        preset: a name, a folder, or a `Predictor`.
        path: the folder (or the file) to write.
        format: one of `FORMATS`.
        force: whether an existing output is replaced.

    Raises:
        InputError: the output exists, the format is unknown, or the preset has no weights.
        MissingExtraError: the format needs an extra that is not installed.
    """
    if format not in FORMATS:
        raise InputError(f"format '{format}': expected one of {', '.join(FORMATS)}")
    module, marker, suffix = FORMATS[format]
    module, path = importlib.import_module(f"rnnzoo.exporting.{module}"), Path(path)
    getattr(module, "require", lambda: None)()
    with fresh_output(path, force, marker=marker, folder=path.suffix != suffix) as partial:
        module.write(preset if isinstance(preset, Predictor) else from_preset(preset), partial)
    return path
