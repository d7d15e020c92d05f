"""Trained models in formats that run elsewhere."""

from pathlib import Path

from rnnzoo.errors import InputError
from rnnzoo.exporting._litert import write_litert
from rnnzoo.exporting._saved_model import write_saved_model
from rnnzoo.files import fresh_output
from rnnzoo.predicting import Predictor, from_preset

# What is written by what, the file that tells such a folder, and the options that go with it.
FORMATS = {
    "saved-model": (write_saved_model, "1/saved_model.pb", ()),
    "litert": (write_litert, "rnnzoo.json", ("timesteps", "int8", "tolerance")),
}


def export(preset, path, *, format="saved-model", force=False, timesteps=None, int8=False, tolerance=None):
    """Writes a trained model with its preprocessing, raw input in and answer out, and returns the folder.

    `saved-model` writes `PATH/1/`, as TensorFlow Serving expects it. Its signature `serving_default` takes (batch,) raw
    inputs and returns a dict of named answers, for any batch size and any lengths; it needs TensorFlow alone.
    `litert` writes `step.tflite` and `model.tflite`, or what else `write_litert` says, with `rnnzoo.json` beside them.

    Args:
        preset: a name, a folder, or a `Predictor`.
        path: the folder to write.
        format: one of `FORMATS`.
        force: whether an existing output is replaced.
        timesteps, int8, tolerance: of `litert` alone, see `write_litert`.

    Raises:
        InputError: the output exists, the format is unknown or an option is not its own, or the preset has no weights.
        MissingExtraError: the format's extra is not installed.
    """
    if format not in FORMATS:
        raise InputError(f"format '{format}': expected one of {', '.join(FORMATS)}")
    write, marker, own = FORMATS[format]
    options = {"timesteps": timesteps, "int8": int8 or None, "tolerance": tolerance}
    options = {name: value for name, value in options.items() if value is not None}
    for name in options:
        if name not in own:
            others = [other for other, (_, _, names) in FORMATS.items() if name in names]
            raise InputError(f"{name} goes with the format {' or '.join(others)}, not with {format}")
    predictor = preset if isinstance(preset, Predictor) else None
    with fresh_output(Path(path), force, marker=marker, folder=True) as partial:
        predictor = predictor or from_preset(preset)
        write(predictor, partial, **options)
    return Path(path)
