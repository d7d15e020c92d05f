"""Truncated backpropagation through time: one long sequence, read piece by piece with the state carried along.

The sequence is cut into as many streams as a batch has rows, and each step trains on the next timesteps of all of them, from
the states that the step before left: gradients end where a piece begins, and what was read does not (Williams and Peng 1990,
"An efficient gradient-based algorithm for on-line training of recurrent network trajectories").
"""

import numpy as np
import tensorflow as tf

from rnnzoo.epochs import CompiledEpochs, CompiledScores


def steps_of(timesteps, streams, truncate, moves=True):
    """How many steps an epoch of a sequence has: such that none is of padding alone, wherever the first piece begins.

    Where it `moves`, that is at any of the first `truncate` timesteps, fewer than so many are left out of an epoch.
    """
    return max(1, -(-(timesteps - moves * (truncate - 1)) // (streams * truncate)))


def pieces(arrays, streams, truncate, steps, offset=0, padding=0):
    """A sequence in pieces: those of each step, in the order of the streams, after those of the step before.

    What is before the offset is left out, and what the pieces do not hold at the end.

    Args:
        arrays: inputs, targets and weights, (timesteps, ...) each.
        streams: how many parts of the sequence are read side by side.
        truncate: timesteps a piece.
        steps: pieces a stream.
        offset: where the first stream begins.
        padding: what stands in the inputs behind a stream's end; targets and weights are 0 there.

    Returns:
        The arrays, (steps * streams, truncate, ...) each.
    """
    timesteps = len(arrays[0])
    length = steps * truncate  # of a stream, with padding
    left = max(1, min(timesteps - offset, streams * length))
    each = -(-left // streams)
    t = np.arange(length)
    index = np.arange(streams)[:, None] * each + t  # (streams, length)
    used = (t < each) & (index < left)
    index = np.minimum(index + offset, timesteps - 1)
    found = []
    for array, fill in zip(arrays, (padding, 0, 0), strict=True):
        cut = array[index]
        cut[~used] = fill
        cut = cut.reshape(streams, -1, truncate, *array.shape[1:]).swapaxes(0, 1)
        found.append(np.ascontiguousarray(cut).reshape(-1, truncate, *array.shape[1:]))
    return found


class _Carried:
    """What is different where a sequence is read in pieces; stands before a `_Pass` among a class's bases.

    The figure beside the loss is the share of timesteps that were right.

    Args:
        model: what `carried` of its architecture gave.
        inputs, targets, weights: (timesteps, ...) each, and (timesteps,).
        batch_size: streams.
        truncate: timesteps a piece.
        examples: how many examples the sequence was made of.
        padding: see `pieces`.
        The others are those of `_Pass`.
    """

    def __init__(self, model, loss, *rest, batch_size, truncate, examples, correct, padding=0, in_memory=None):
        *rest, inputs, targets, weights = rest
        self._sequence = inputs, targets, np.asarray(weights, np.float32)
        streams = min(batch_size, len(targets))
        self._how = streams, truncate, steps_of(len(targets), streams, truncate, self.moves)
        self._padding = padding
        cut = pieces(self._sequence, *self._how, padding=padding)
        super().__init__(model, loss, *rest, *cut, batch_size=streams, correct=correct, in_memory=in_memory)
        self.arrays, self.examples = self._sequence, examples
        shapes = {name: tensor.shape[1:] for name, tensor in model.input.items() if name != "inputs"}
        self._states = {name: tf.Variable(tf.zeros((self._how[0], *shape))) for name, shape in shapes.items()}

    def replace(self, inputs, targets, weights):
        """Trains on another sequence of the same length from now on."""
        self._sequence = inputs, targets, np.asarray(weights, np.float32)

    def order(self, rng):
        """Cuts the sequence anew, from a timestep on that is drawn; the order of its pieces is what it is."""
        offset = int(rng.integers(self._how[1]))
        self._epochs.replace(tuple(pieces(self._sequence, *self._how, offset, self._padding)))
        self.data = self._epochs.data

    def run(self, order=None, between=None):
        """Goes once over the sequence, from states of zeros; see `_Pass`."""
        for state in self._states.values():
            state.assign(tf.zeros_like(state))
        return super().run(np.arange(self.steps * self.batch_size), between)

    def _answers(self, weight):
        return weight

    def _forward(self, inputs, training):
        states = {name: state.value() for name, state in self._states.items()}
        found = dict(self.model({"inputs": inputs, **states}, training=training))
        outputs = found.pop("outputs")
        for name, state in found.items():
            self._states[name].assign(state)
        return outputs

    def _right(self, targets, outputs, weights, used):
        alone = [tf.reshape(array, [-1, 1, *array.shape[2:]]) for array in (targets, outputs, weights)]
        return tf.reduce_sum(tf.cast(self.correct(*alone), tf.float32) * alone[2][:, 0])


class CarriedEpochs(_Carried, CompiledEpochs):
    """Epochs of truncated backpropagation through time."""

    moves = True


class CarriedScores(_Carried, CompiledScores):
    """The loss and the metric of a sequence that is not trained on, read in as many streams as a batch has rows."""

    moves = False
