"""Trained models in formats that run elsewhere."""

import importlib
from pathlib import Path
from typing import NamedTuple

from rnnzoo.errors import ExportError, InputError, nearest
from rnnzoo.files import fresh_output
from rnnzoo.predicting import Predictor, from_preset
from rnnzoo.verifying import check, draw, find


class Format(NamedTuple):
    """A format to export to: a module beside this one with `write(predictor, path, proof)`, and `require()` for an extra.

    Attributes:
        module: its name.
        marker: a file that every such folder holds, so that it is known for one and may be replaced.
        holds: what is in the folder, in words.
        suffix: a path that ends in it is one file, not a folder; `None` where the format is a folder always.
        options: the names of the options of `write` that `export` takes.
    """

    module: str
    marker: str
    holds: str
    suffix: str | None = None
    options: tuple = ()

    def load(self):
        """The module, once what it needs is known to be there."""
        module = importlib.import_module(f"rnnzoo.exporting.{self.module}")
        getattr(module, "require", lambda: None)()
        return module


FORMATS = {
    "saved-model": Format("_saved_model", "1/saved_model.pb", "version folder 1, signature serving_default and others"),
    "onnx": Format("_onnx", "rnnzoo.json", "whole sequences, steps, and rnnzoo.json", ".onnx"),
    "litert": Format(
        "_litert",
        "rnnzoo.json",
        "steps, whole sequences, and rnnzoo.json",
        ".tflite",
        ("timesteps", "int8", "tolerance"),
    ),
    "keras": Format("_keras", "model.keras", "model.keras and rnnzoo.json"),
}
ALL = "all"


def export(
    preset,
    path,
    *,
    format="saved-model",
    force=False,
    timesteps=None,
    int8=False,
    tolerance=None,
    verify=True,
    report=None,
):
    """Writes a trained model with its preprocessing, and returns the path.

    Before it is put in its place, what was written is asked in a process of its own, in which nothing but its runtime can be
    imported, and held against the Keras model on inputs of different lengths: outputs within 1e-5 of the largest (1e-4 of
    LiteRT), and the same answers.

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

    `onnx` writes `PATH/model.onnx`, of token ids or vectors in and numbers out, with `step.onnx`, the same one timestep at
    a time, where the model runs in one direction, and `rnnzoo.json`, which says what turns raw input into the one and the
    other into answers; or `model.onnx` alone where the path ends in `.onnx`. `rnnzoo.running.load` answers from either.

    `litert` writes `PATH/step.tflite`, `PATH/model.tflite` or what else the model has, of built-in operations and fixed
    shapes, with `rnnzoo.json`; or one file where the path ends in `.tflite`. See `rnnzoo.exporting._litert.write`.

    `keras` writes `PATH/model.keras`, which `keras.saving.load_model` reads once `rnnzoo.layers` is imported, and
    `PATH/rnnzoo.json`: the preset, its vocabulary and its labels.

    `all` writes each format into a folder of its name in `PATH`.

    Args:
        preset: a name, a folder, or a `Predictor`.
        path: the folder (or the file) to write.
        format: one of `FORMATS`, or `all`.
        force: whether an existing output is replaced.
        timesteps: of LiteRT's whole sequences; the longest training example's, at least 64, if `None`.
        int8: whether LiteRT stores large weights as 8-bit integers.
        tolerance: by how much that may lower the share of right answers; 0.01 if `None`.
        verify: whether what was written is held against the Keras model.
        report: called with a `Checked` for each format that was.

    Raises:
        InputError: the output exists, the format is unknown or an option is not its own, or the preset has no weights.
            Nothing is written then.
        ExportError: what was written gives other numbers or another answer. Nothing is written then, either.
        MissingExtraError: a format needs an extra that is not installed.
    """
    if format != ALL and format not in FORMATS:
        known = [*FORMATS, ALL]
        raise InputError(f"format '{format}': expected one of {', '.join(known)}{nearest(format, known)}")
    options = {"timesteps": timesteps, "int8": int8 or None, "tolerance": tolerance}
    options = {name: value for name, value in options.items() if value is not None}
    path = Path(path)
    wanted = FORMATS if format == ALL else {format: FORMATS[format]}
    for name in options:
        if not any(name in each.options for each in wanted.values()):
            others = [other for other, each in FORMATS.items() if name in each.options]
            raise InputError(f"{name} goes with the format {' or '.join(others)}, not with {format}")
    modules = {name: each.load() for name, each in wanted.items()}
    first = next(iter(wanted))
    # Of all formats, the first one's marker speaks for the folder.
    marker = f"{first}/{wanted[first].marker}" if format == ALL else wanted[first].marker
    file = format != ALL and path.suffix == wanted[first].suffix
    with fresh_output(path, force, marker=marker, folder=not file) as partial:
        predictor = preset if isinstance(preset, Predictor) else from_preset(preset)
        proof, places = draw(predictor), {}
        for name, module in modules.items():
            places[name] = partial / name if format == ALL else partial
            if format == ALL:
                places[name].mkdir()
            own = {key: value for key, value in options.items() if key in wanted[name].options}
            module.write(predictor, places[name], proof, **own)
        for one in check([find(place) for place in places.values()]) if verify else ():
            if one.wrong is not None:
                raise ExportError(one.wrong)
            if report is not None:
                report(one)
    return path
