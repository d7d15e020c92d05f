"""Trained models in formats that run elsewhere."""

from pathlib import Path

from rnnzoo.errors import InputError
from rnnzoo.exporting._saved_model import write_saved_model
from rnnzoo.files import fresh_output
from rnnzoo.predicting import Predictor, from_preset

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
