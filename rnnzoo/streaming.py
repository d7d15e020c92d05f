"""Answers as the timesteps come in: one at a time, in constant memory and time."""

import hashlib
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from rnnzoo.archives import UNPACKING
from rnnzoo.bounded import from_json
from rnnzoo.errors import InputError
from rnnzoo.files import fresh_output
from rnnzoo.stepping import step_model

# Why there is nothing to answer at a timestep, by architecture.
WHOLE = {
    "one_to_one": "has no timesteps",
    "one_to_many": "takes its whole input at once and has no timesteps to be fed",
    "encoder_decoder": "reads its whole source before it writes",
}
ABOUT = "about"  # the entry of a saved state that says what it is of


class Stepper:
    """One timestep of a trained model, compiled once: what all streams of a `Predictor` share.

    Args:
        model: the model.
        preset: its preset.
        task: its task.

    Raises:
        InputError: the model has no answer before it has seen its whole input; it says why.
    """

    def __init__(self, model, preset, task):
        self.model, self.preset, self.task = model, preset, task
        if preset.architecture in WHOLE:
            raise InputError(f"'{preset.name}' {WHOLE[preset.architecture]}: it cannot stream; ask `predict`")
        if getattr(task.input, "reverse", False):
            raise InputError(f"'{preset.name}' reads from the last timestep to the first: it cannot stream; ask `predict`")
        try:
            self.step = step_model(model)
        except InputError as error:
            raise InputError(f"{error}; it cannot stream; ask `predict`") from None
        self.names = [name for name in self.step.input if name != "inputs"]
        shapes = {name: (1, *tensor.shape[1:]) for name, tensor in self.step.input.items()}
        self.shapes = {name: shapes[name] for name in self.names}
        self.zeros = [tf.zeros(shape) for shape in self.shapes.values()]
        self._width = shapes["inputs"]
        self._dtype = tf.as_dtype(self.step.input["inputs"].dtype)
        try:
            self._call = self._compiled(jit_compile=True)
            self.run(np.zeros(self._width[1:], self._dtype.as_numpy_dtype), self.zeros)
        except tf.errors.OpError:  # XLA does not know all that TensorFlow does, strings for one
            self._call = self._compiled(jit_compile=False)

    def run(self, timestep, states):
        """What `timestep` of the task's input gave, and states -> named answers, outputs (1, outputs), new states."""
        named, outputs, *states = self._call([tf.constant(timestep, self._dtype, self._width), *states])
        return named, outputs, states

    def answer(self, named):
        """Named answers as tensors -> the answer of this timestep."""
        (answer,) = self.task.answer.answers({name: tensor.numpy() for name, tensor in named.items()})
        return answer[0] if self.task.answer.per_timestep else answer

    def fingerprint(self):
        """The sha256 of the recipe and the weights, without which a state means nothing."""
        digest = hashlib.sha256(self.preset.fingerprint().encode())
        for weight in self.model.get_weights():
            digest.update(np.ascontiguousarray(weight).tobytes())
        return digest.hexdigest()

    def _compiled(self, jit_compile):
        specs = [tf.TensorSpec(self._width, self._dtype), *(tf.TensorSpec(shape) for shape in self.shapes.values())]
        function = tf.function(self._answered, jit_compile=jit_compile, autograph=False).get_concrete_function(*specs)
        captured = list(function.captured_inputs)  # the weights themselves, not their values
        # Choosing among traces and checking arguments would take longer than the timestep does.
        return lambda tensors: function.inference_fn.call_preflattened([*tensors, *captured])

    def _answered(self, inputs, *states):
        outputs, states = self._stepped(inputs, states)
        last = inputs
        if getattr(self.task.input, "end_token", False) and not self.task.answer.per_timestep:
            # The answer is what the model would say if the sequence ended here, and its end is a token of its own.
            last = tf.fill([1], self.task.input.vocabulary_size - 1)
            outputs, _ = self._stepped(last, states)
        if self.task.answer.per_timestep:
            named = self.task.answer.back(outputs[:, None], last[:, None])
        else:
            named = self.task.answer.back(outputs, last[:, None])
        return named, outputs, *states

    def _stepped(self, inputs, states):
        found = dict(self.step({"inputs": inputs, **dict(zip(self.names, states, strict=True))}))
        return found.pop("outputs"), [found[name] for name in self.names]


class Stream:
    """A sequence that is still going on: takes one timestep at a time and answers at each.

    The answer to a timestep is what `predict` says of the sequence up to it: that of the last timestep where there is one
    at each. Time and memory do not depend on how many timesteps there were. A timestep that is refused changes nothing.

    Attributes:
        timesteps: how many timesteps there were.
        scores: the model's raw outputs (outputs,) at the last of them, as a NumPy array; `None` before the first.
    """

    def __init__(self, stepper):
        self._stepper = stepper
        self.reset()

    def reset(self):
        """Begins a new sequence."""
        self._states, self._outputs, self.timesteps = self._stepper.zeros, None, 0

    def push(self, timestep, where=None):
        """The answer once `timestep` is in.

        Args:
            timestep: a character (or its number, see `Predictor.predict`), or a vector, as numbers (features,) or as text
                such as `0.3:1`.
            where: what a message about it begins with; which timestep it is if `None`.

        Raises:
            InputError: it is not what the task takes; it says which timestep, and what would be right. What can only be
                said of a whole sequence, such as how many timesteps are marked, is not checked.
        """
        try:
            checked = self._stepper.task.input.timestep(timestep)
        except InputError as error:
            where = f"{self._stepper.preset.name}: timestep {self.timesteps + 1}" if where is None else where
            raise InputError(f"{where}: {error}") from None
        named, self._outputs, self._states = self._stepper.run(checked, self._states)
        self.timesteps += 1
        return self._stepper.answer(named)

    def takes(self, timestep):
        """Whether `timestep` is one that `push` takes."""
        try:
            self._stepper.task.input.timestep(timestep)
        except InputError:
            return False
        return True

    def answers(self, timesteps):
        """Yields the answer to each of `timesteps`, an iterable that may be endless: it is read one by one."""
        for timestep in timesteps:
            yield self.push(timestep)

    @property
    def scores(self):
        return None if self._outputs is None else self._outputs.numpy()[0]

    @property
    def state(self):
        """All that a stream knows, as a dict of NumPy arrays: each layer's hidden state (units,), and `timesteps`, ()."""
        states = {name: state.numpy()[0] for name, state in zip(self._stepper.names, self._states, strict=True)}
        return {**states, "timesteps": np.array(self.timesteps, np.int64)}

    def save(self, path, force=False):
        """Writes the state to a file: a NumPy archive (.npz) that holds numbers alone.

        Raises:
            InputError: the file exists and `force` is false, or it cannot be written.
        """
        about = {"format": 1, "preset": self._stepper.preset.name, "fingerprint": self._stepper.fingerprint()}
        about = np.frombuffer(json.dumps(about).encode(), np.uint8)
        with fresh_output(Path(path), force) as partial, open(partial, "wb") as file:
            np.savez(file, **self.state, **{ABOUT: about})

    def restore(self, source):
        """Goes on where another stream of the same model was.

        Args:
            source: what `state` gave, or the path of a file that `save` wrote.

        Raises:
            InputError: it is missing, damaged, or the state of another model; the stream is as it was.
        """
        where = "the state"
        if not isinstance(source, dict):
            source, where = self._read(Path(source)), str(source)
        expected = {**{name: shape[1:] for name, shape in self._stepper.shapes.items()}, "timesteps": ()}
        found = {}
        for name, shape in expected.items():
            if name not in source:
                raise InputError(f"{where}: '{name}' is missing; expected {', '.join(expected)}")
            try:
                found[name] = np.asarray(source[name], np.int64 if name == "timesteps" else np.float32)
            except (ValueError, TypeError, OverflowError):
                raise InputError(f"{where}: '{name}' holds no numbers") from None
            if found[name].shape != shape:
                raise InputError(f"{where}: '{name}' is of shape {found[name].shape}; expected {shape}")
        timesteps = int(found.pop("timesteps"))
        if timesteps < 0:
            raise InputError(f"{where}: timesteps is {timesteps}; expected 0 or more")
        self._states, self._outputs = [tf.constant(state[None]) for state in found.values()], None
        self.timesteps = timesteps

    def _read(self, path):
        """The arrays of a file, once it is known to be the state of this model."""
        try:
            # Opened here: NumPy leaves a file open that is no whole archive.
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            about = from_json(arrays.pop(ABOUT).tobytes())
            preset, fingerprint = about["preset"], about["fingerprint"]
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
        except (*UNPACKING, LookupError, TypeError, AttributeError, MemoryError):
            raise InputError(f"{path}: damaged, or no state that a stream saved") from None
        if fingerprint != self._stepper.fingerprint():
            raise InputError(
                f"{path}: the state of another model ('{preset}'); expected one of '{self._stepper.preset.name}' with the "
                "same weights"
            )
        return arrays
