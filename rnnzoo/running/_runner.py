"""Answers from an exported model, the same as `rnnzoo.Predictor` gives."""

import importlib
import json
from pathlib import Path

from rnnzoo.answering import Answerer
from rnnzoo.errors import InputError
from rnnzoo.running import _description, _tensors
from rnnzoo.running._stepping import Stepper

# The ending of a model's file: the module beside this one and its class, with `inputs`, `outputs` and `run`.
BACKENDS = {".onnx": ("_onnx", "OnnxModel")}


class Runner(Answerer):
    """An exported model with everything between raw input and answer: `predict`, `predict_iter`, `scores`, `check`.

    Args:
        description: what the export says of itself.
        models: role (`model`, `step`, `start`) -> model.
        task: the task that the description tells of.
        by_steps: whether the answers come from the model of one timestep, even where there is one of whole sequences.

    Attributes:
        description, models, task: as given.
        stepper: runs the model of one timestep; `None` where there is none.
    """

    def __init__(self, description, models, task, by_steps=False):
        super().__init__(description["preset"], task)
        self.description, self.models = description, models
        self.stepper = Stepper(models, description["decoding"]) if "step" in models else None
        self._by_steps = by_steps or "model" not in models

    def _named(self, batch):
        inputs = _tensors.front(self.description["input"], batch)
        written, outputs = self._run(inputs)
        return _tensors.back(self.description["answer"], outputs if written is None else written, inputs)

    def _outputs(self, batch):
        return self._run(_tensors.front(self.description["input"], batch))[1]

    def _run(self, inputs):
        """(batch, ...) -> the token ids that the model writes, or `None`, and its outputs."""
        if not self._by_steps:
            model = self.models["model"]
            result = model.run(dict.fromkeys(model.inputs, inputs))
            return result.get("written"), result["outputs"]
        if self.description["decoding"] is not None:
            return self.stepper.write(inputs)
        outputs = self.stepper.read(inputs, _tensors.used(self.description["input"], inputs))
        return None, outputs if self.task.answer.per_timestep else outputs[:, -1]


def load(path, *, by_steps=False):
    """The `Runner` of what `rnnzoo export --format onnx` wrote: a folder, or the file of a model of whole sequences.

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
        description = _description.read(path)
        models = {role: _open(path / model["file"]) for role, model in description["models"].items()}
    elif not path.exists():
        raise InputError(f"{path}: no such file or folder; `rnnzoo export PRESET --format onnx -o {path}` writes one")
    else:
        model = _open(path)
        description = json.loads(model.metadata["rnnzoo"])
        if description["role"] != "model":
            raise InputError(f"{path}: is the {description['role']} of a model, for programs; give its folder")
        models = {"model": model}
    if by_steps and "step" not in models:
        raise InputError(f"{path}: holds no model of one timestep")
    return Runner(description, models, _description.task_of(description, path), by_steps)


def _open(path):
    if path.suffix not in BACKENDS:
        raise InputError(f"{path}: expected the folder of an export, or a file that ends in {' or '.join(BACKENDS)}")
    module, name = BACKENDS[path.suffix]
    return getattr(importlib.import_module(f"rnnzoo.running.{module}"), name)(path)
