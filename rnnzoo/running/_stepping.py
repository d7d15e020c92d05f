"""Whole sequences, and texts that are written, out of a model of one timestep."""

import numpy as np


class Stepper:
    """Runs the `step` of an export, and its `start` where it writes.

    Args:
        models: role -> model, with `inputs`, `outputs` and `run` (see `rnnzoo.running._onnx`). A step may be of a batch of
            one alone: rows run one after the other then.
        decoding: the description's `decoding`, or `None`.
    """

    def __init__(self, models, decoding=None):
        self.step, self.start, self.decoding = models["step"], models.get("start"), decoding
        self._fed = next(name for name in self.step.inputs if not name.startswith("state"))
        self._states = {name: shape[-1] for name, (shape, _) in self.step.inputs.items() if name != self._fed}
        self._alone = any(shape[:1] == (1,) for shape, _ in self.step.inputs.values())

    def begin(self, batch):
        """The states of `batch` sequences that have not begun: zeros."""
        return {name: np.zeros((batch, units), np.float32) for name, units in self._states.items()}

    def take(self, fed, states):
        """One timestep.

        Args:
            fed: (batch,) token ids or (batch, width) vectors.
            states: name -> (batch, units).

        Returns:
            outputs (batch, outputs), and the new states.
        """
        result = self.step.run({self._fed: fed, **states})
        return result["outputs"], {name: result[f"new_{name}"] for name in states}

    def read(self, inputs, used):
        """(batch, timesteps, ...) and (batch, timesteps) bool -> (batch, timesteps, outputs): the outputs at each timestep.

        At a timestep that is not used they are those of the timestep before it.
        """
        if self._alone and len(inputs) > 1:
            return np.concatenate([self.read(inputs[i : i + 1], used[i : i + 1]) for i in range(len(inputs))])
        states, outputs = self.begin(len(inputs)), []
        for t in range(inputs.shape[1]):
            output, new = self.take(inputs[:, t], states)
            counts = used[:, t, None]
            states = {name: np.where(counts, new[name], state) for name, state in states.items()}
            outputs.append(np.where(counts, output, outputs[-1] if outputs else np.zeros_like(output)))
        return np.stack(outputs, axis=1)

    def write(self, inputs):
        """Writes greedily: inputs (batch, ...) -> token ids (batch, steps), 0 after the end token, and outputs behind them.

        As `rnnzoo.decoding.Decoder` does it.
        """
        if self._alone and len(inputs) > 1:
            return _stacked([self.write(inputs[i : i + 1]) for i in range(len(inputs))])
        (source,) = self.start.inputs
        states = self.start.run({source: inputs})
        fed, done = np.full(len(inputs), self.decoding["start_token"], np.int32), np.zeros(len(inputs), bool)
        written, outputs = [], []
        while not written or (len(written) < self.decoding["max_length"] and not done.all()):
            output, states = self.take(fed, states)
            token = output[:, 1:].argmax(axis=-1).astype(np.int32) + 1  # id 0 is padding, which nothing writes
            fed = np.where(done, np.int32(0), token)
            done |= token == self.decoding["end_token"]
            written.append(fed)
            outputs.append(output)
        return np.stack(written, axis=1), np.stack(outputs, axis=1)


def _stacked(rows):
    """Rows that took different numbers of steps, padded with zeros to the longest."""
    steps = max(written.shape[1] for written, _ in rows)
    ids = np.concatenate([np.pad(written, [(0, 0), (0, steps - written.shape[1])]) for written, _ in rows])
    padded = [np.pad(outputs, [(0, 0), (0, steps - outputs.shape[1]), (0, 0)]) for _, outputs in rows]
    return ids, np.concatenate(padded)
