"""Whole sequences, and texts that are written, out of a model of one timestep."""

import numpy as np

from rnnzoo.running._tensors import filled


class Stepper:
    """Runs the `step` of an export, and its `start` or `read` where it writes.

    Args:
        models: role -> model, with `inputs`, `outputs` and `run` (see `rnnzoo.running._onnx`). A step may be of a batch of
            one alone: rows run one after the other then.
        description: what the export says of itself.
    """

    def __init__(self, models, description):
        self.step, self.start, self.reader = models["step"], models.get("start"), models.get("read")
        self.about, self.decoding = description["input"], description["decoding"]
        self.alone = any(shape[:1] == (1,) for shape, _ in self.step.inputs.values())

    def read(self, inputs, used):
        """(batch, timesteps, ...) and (batch, timesteps) bool -> (batch, timesteps, outputs): the outputs at each timestep.

        At a timestep that is not used they are those of the timestep before it.
        """
        if self.alone and len(inputs) > 1:
            return np.concatenate([self.read(inputs[i : i + 1], used[i : i + 1]) for i in range(len(inputs))])
        states, outputs = begin(self.step, len(inputs)), []
        for t in range(inputs.shape[1]):
            output, new = take(self.step, inputs[:, t], states)
            counts = used[:, t, None]
            states = {name: np.where(counts, new[name], state) for name, state in states.items()}
            outputs.append(np.where(counts, output["outputs"], outputs[-1] if outputs else np.zeros_like(output["outputs"])))
        return np.stack(outputs, axis=1)

    def write(self, inputs, used):
        """Writes greedily: inputs (batch, ...) -> token ids (batch, steps), 0 after the end token, and outputs, the same.

        As `rnnzoo.decoding.Decoder` does it.
        """
        if self.alone and len(inputs) > 1:
            rows = [slice(i, i + 1) for i in range(len(inputs))]
            return _stacked([self.write(inputs[row], None if used is None else used[row]) for row in rows])
        states = self._begun(inputs, used)
        fed, done = np.full(len(inputs), self.decoding["start_token"], np.int32), np.zeros(len(inputs), bool)
        written, outputs = [], []
        while not written or (len(written) < self.decoding["max_length"] and not done.all()):
            output, states = take(self.step, fed, states)
            token = output["outputs"][:, 1:].argmax(axis=-1).astype(np.int32) + 1  # id 0 is padding, which nothing writes
            outputs.append(np.where(done[:, None], np.float32(0), output["outputs"]))
            fed = np.where(done, np.int32(0), token)
            done |= token == self.decoding["end_token"]
            written.append(fed)
        return np.stack(written, axis=1), np.stack(outputs, axis=1)

    def _begun(self, inputs, used):
        """The states before the first step."""
        if self.reader is None:
            ((name, (shape, _)),) = self.start.inputs.items()
            if self.alone and used is not None:  # of a fixed length
                inputs = filled(self.about, inputs[:, : used.sum()], shape[1])
            return self.start.run({name: inputs})
        states, found = begin(self.reader, len(inputs)), {}
        for t in range(inputs.shape[1]):
            if used[0, t]:  # such models are of a batch of one
                found, states = take(self.reader, inputs[:, t], states)
        return found


def begin(step, batch):
    """The states of `batch` sequences that have not begun: zeros."""
    return {
        name: np.zeros((batch, shape[-1]), np.float32) for name, (shape, _) in step.inputs.items() if name in _states(step)
    }


def take(step, fed, states):
    """One timestep.

    Args:
        step: the model of one timestep.
        fed: (batch,) token ids or (batch, width) vectors.
        states: name -> (batch, units).

    Returns:
        A dict of what comes out beside the states, and the new states.
    """
    (name,) = set(step.inputs) - set(states)
    result = step.run({name: fed, **states})
    return result, {name: result.pop(f"new_{name}") for name in states}


def _states(step):
    return {name for name in step.inputs if f"new_{name}" in step.outputs}


def _stacked(rows):
    """Rows that took different numbers of steps, padded with zeros to the longest."""
    steps = max(written.shape[1] for written, _ in rows)
    ids = np.concatenate([np.pad(written, [(0, 0), (0, steps - written.shape[1])]) for written, _ in rows])
    padded_outputs = [np.pad(outputs, [(0, 0), (0, steps - outputs.shape[1]), (0, 0)]) for _, outputs in rows]
    return ids, np.concatenate(padded_outputs)
