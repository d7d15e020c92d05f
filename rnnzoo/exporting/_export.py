"""Trained models in formats that run elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rnnzoo.errors import InputError, nearest
from rnnzoo.exporting._keras import write_keras
from rnnzoo.exporting._saved_model import write_saved_model
from rnnzoo.files import fresh_output
from rnnzoo.predicting import Predictor, from_preset


class Format(NamedTuple):
    """A format to export to.

    Attributes:
        write: writes a `Predictor` into an empty folder.
        marker: a file that every such folder holds, so that it is known for one and may be replaced.
        holds: what is in the folder, in words.
    """

    write: Callable
    marker: str
    holds: str


FORMATS = {
    "saved-model": Format(write_saved_model, "1/saved_model.pb", "version folder 1, signature serving_default and others"),
    "keras": Format(write_keras, "model.keras", "model.keras and preprocessing.json"),
}
ALL = "all"


def export(preset, path, *, format="saved-model", force=False):
    """Writes a trained model with its preprocessing, and returns the folder.

    `saved-model` writes `PATH/1/`, as TensorFlow Serving expects it: raw input in and answer out for any batch size and any
    lengths, and TensorFlow alone is needed. What its endpoints take is named as in `1/assets.extra/rnnzoo.json`:

    - `serving_default`: (batch,) raw inputs -> a dict of named answers.
    - `scores`: token ids (batch, timesteps), 0 for padding, or vectors -> `scores`, the model's outputs (batch, ...,
      outputs); where it writes, those at the steps that greedy decoding took.
    - `step`: one timestep, `inputs` (batch,) or (batch, features), and the hidden states `state`, `state_2`, ... (batch,
      units), zeros at first -> `outputs` (batch, outputs) and the new states. Not of models that need their whole input.
    - of models that write, `start`: what `scores` takes -> the first states; and `step` takes `fed`, the token before.
    - of models that write, `sample`: raw inputs, `temperature` (0: greedy), `top_k` (0: all), `seed` and `max_length` (of
      the text, in characters) -> named answers that are drawn; the same seed draws the same.

    Wrong input (one that is empty, invalid UTF-8, a number that is not finite) is an InvalidArgument error that says what
    would be right, for the whole batch; an empty batch has empty answers. `1/assets.extra/` also holds a request to each
    endpoint for TensorFlow Serving to warm up with.

    `keras` writes `PATH/model.keras`, which `keras.saving.load_model` reads once `rnnzoo.layers` is imported, and
    `PATH/preprocessing.json`: the preset, its vocabulary and its labels.

    `all` writes each format into a folder of its name in `PATH`.

    Args:
        preset: a name, a folder, or a `Predictor`.
        path: the folder to write.
        format: one of `FORMATS`, or `all`.
        force: whether an existing output is replaced.

    Raises:
        InputError: the output exists, the format is unknown, or the preset has no weights. Nothing is written then.
    """
    if format != ALL and format not in FORMATS:
        known = [*FORMATS, ALL]
        raise InputError(f"format '{format}': expected one of {', '.join(known)}{nearest(format, known)}")
    predictor = preset if isinstance(preset, Predictor) else None
    one = FORMATS.get(format)
    # Of all formats, the first one's marker speaks for the folder.
    marker = one.marker if one else f"{next(iter(FORMATS))}/{next(iter(FORMATS.values())).marker}"
    with fresh_output(Path(path), force, marker=marker, folder=True) as partial:
        predictor = predictor or from_preset(preset)
        if one:
            one.write(predictor, partial)
        else:
            for name, each in FORMATS.items():
                (partial / name).mkdir()
                each.write(predictor, partial / name)
    return Path(path)
