"""Answers from an exported model, the same as `rnnzoo.Predictor` gives."""

import importlib
from pathlib import Path

import numpy as np

from rnnzoo.answering import Answerer
from rnnzoo.errors import InputError
from rnnzoo.running import _description, _tensors
from rnnzoo.running._stepping import Stepper

# The ending of a model's file: the module beside this one, whose `open_model` gives what has `inputs`, `outputs` and `run`,
# and whose `open_file` gives the description and the models of a file that stands alone.
BACKENDS = {".onnx": "_onnx", ".tflite": "_litert"}


class Runner(Answerer):
    """An exported model with everything between raw input and answer: `predict`, `predict_iter`, `scores`, `check`.

    Args:
        description: what the export says of itself.
        models: role (`model`, `step`, `start`, `read`) -> model.
        task: the task that the description tells of.
        by_steps: whether the answers come from the model of one timestep, even where there is one of whole sequences.

    Attributes:
        description, models, task: as given.
        stepper: runs the model of one timestep; `None` where there is none.
        timesteps: how many timesteps an input has at the most; `None` for any number.
    """

    def __init__(self, description, models, task, by_steps=False):
        super().__init__(description["preset"], task)
        self.description, self.models = description, models
        self.stepper = Stepper(models, description) if "step" in models else None
        self._by_steps = by_steps or "model" not in models
        self.timesteps = self._most()

    def run(self, inputs):
        """What the models give for what goes into them.

        Args:
            inputs: int32 token ids (batch, timesteps), padded with 0 at the end, or float32 vectors.

        Returns:
            The token ids that the model writes (batch, steps), or `None`, and its outputs (batch, ...).

        Raises:
            InputError: an id is out of range, or a number is not finite.
        """
        self._check_tensor(inputs)
        used = _tensors.used(self.description["input"], inputs)
        if self.description["decoding"] is not None and self._by_steps:
            return self.stepper.write(inputs, used)
        if self._by_steps:
            outputs = self.stepper.read(inputs, used)
            return None, outputs if self.task.answer.per_timestep else outputs[:, -1]
        model = self.models["model"]
        ((name, (shape, _)),) = model.inputs.items()
        if shape[0] == 1:
            return None, self._one_by_one(inputs, used, name, shape)
        result = model.run({name: inputs})
        return result.get("written"), result["outputs"]

    def _check_tensor(self, inputs):
        """Refuses what a SavedModel refuses: the runtimes would take an unknown id for padding, or for anything."""
        if inputs.dtype.kind != "i":
            right, expected = np.isfinite(inputs), "finite numbers"
        else:
            size = self.description["input"]["vocabulary_size"]
            right, expected = (inputs >= 0) & (inputs < size), f"token ids from 0 (padding) to {size - 1}"
        if not right.all():
            raise InputError(f"{self.name}: expected {expected}; got {inputs[~right][0]}")

    def _one_by_one(self, inputs, used, name, shape):
        """The outputs of a model of fixed shape for each row, of those that do not fit of the model of one timestep."""
        about, rows = self.description["input"], []
        for i, row in enumerate(inputs):
            if used is None:
                rows.append(self.models["model"].run({name: row[None]})["outputs"][0])
                continue
            row = row[None, : used[i].sum()]
            fits = row.shape[1] == shape[1] or (row.shape[1] < shape[1] and about["padding"] is not None)
            if fits:
                outputs = self.models["model"].run({name: _tensors.filled(about, row, shape[1])})["outputs"][0]
            else:
                outputs = self.stepper.read(row, used[i : i + 1, : row.shape[1]])[0]
                outputs = outputs if self.task.answer.per_timestep else outputs[-1]
            if self.task.answer.per_timestep:
                outputs = outputs[: row.shape[1]]
                outputs = np.pad(outputs, [(0, inputs.shape[1] - len(outputs)), (0, 0)])
            rows.append(outputs)
        return np.stack(rows)

    def _named(self, batch):
        inputs = _tensors.front(self.description["input"], batch)
        written, outputs = self.run(inputs)
        return _tensors.back(self.description["answer"], outputs if written is None else written, inputs)

    def _outputs(self, batch):
        return self.run(_tensors.front(self.description["input"], batch))[1]

    def _most(self):
        """How many timesteps an input has at the most: those of a model of fixed shape, where no other model helps out."""
        alone = self.models.get("model") if self.description["decoding"] is None else self.models.get("start")
        if alone is None or (self.stepper is not None and alone is self.models.get("model")):
            return None
        ((shape, _),) = alone.inputs.values()
        return shape[1] if _tensors.timed(self.description["input"]) and not isinstance(shape[1], str) else None

    def _fits(self, checked):
        steps = self.task.input.steps(checked)
        if self.timesteps is not None and steps > self.timesteps:
            raise InputError(
                f"{steps:,} timesteps, and this export takes {self.timesteps:,} at the most, because it needs the whole "
                "sequence at once; export it with --timesteps for longer ones, or as ONNX or a SavedModel"
            )


def load(path, *, by_steps=False):
    """The `Runner` of what `rnnzoo export` wrote for ONNX or LiteRT: a folder, or one file.

    Args:
        path: the folder or file.
        by_steps: whether the answers come from the model of one timestep, even where there is one of whole sequences.

    Raises:
        InputError: there is none, or it is truncated, altered, no export of rnnzoo's or of another version's; or has no
            model of one timestep where that is asked for.
        MissingExtraError: what runs the format is not installed; it names the extra.
    """
    path = Path(path)
    if path.is_dir():
        is_saved_model = (path / "saved_model.pb").exists() or (path / "1" / "saved_model.pb").exists()
        description = {} if is_saved_model else _description.read(path)
        if "models" not in description:
            kind = "a SavedModel" if is_saved_model else f"an export as {description['format']}"
            raise InputError(
                f"{path}: {kind}, which needs TensorFlow; expected what `rnnzoo export --format onnx` or litert wrote"
            )
        parts = {role: path / model["file"] for role, model in description["models"].items()}
        models = {role: _backend(file).open_model(file) for role, file in parts.items()}
    elif not path.exists():
        raise InputError(f"{path}: no such file or folder; `rnnzoo export PRESET --format onnx -o {path}` writes one")
    else:
        description, models = _backend(path).open_file(path)
    if by_steps and "step" not in models:
        raise InputError(f"{path}: holds no model of one timestep")
    return Runner(description, models, _description.task_of(description, path), by_steps)


def _backend(path):
    if path.suffix not in BACKENDS:
        raise InputError(f"{path}: expected the folder of an export, or a file that ends in {' or '.join(BACKENDS)}")
    return importlib.import_module(f"rnnzoo.running.{BACKENDS[path.suffix]}")
