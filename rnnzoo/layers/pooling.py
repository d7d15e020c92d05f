"""One vector out of a sequence of them: the mean, the maximum or the last of the timesteps that count, or two of those."""

import keras
from keras import ops

POOLINGS = {"mean": ("mean",), "max": ("max",), "mean_max": ("mean", "max"), "last_mean": ("last", "mean")}
# What stands for a timestep that is not used where the maximum is looked for: no number of 32 bits is smaller.
LEAST = -3.4028234663852886e38
# What of the timesteps so far is a state, of a part that needs one.
_KEPT = {"mean": "sum", "max": "max"}


@keras.saving.register_keras_serializable("rnnzoo")
class MaskedPooling(keras.layers.Layer):
    """(batch, timesteps, width) -> (batch, width), or, of what has two parts, (batch, 2 * width), in the order of its name.

    Each component's mean and its maximum are over the used timesteps, and the last is its value at the last of them; where
    none is used, they are zeros.

    Args:
        how: "mean", "max", "mean_max" or "last_mean".
        bidirectional: whether the second half of the width comes from the other direction of time, whose last used timestep
            is the first.
    """

    def __init__(self, how, bidirectional=False, **kwargs):
        super().__init__(**kwargs)
        self.how, self.bidirectional = how, bidirectional
        self.parts = POOLINGS[how]

    def call(self, inputs, mask=None):
        """`mask` (batch, timesteps) is True where a timestep is used; all are if it is `None`."""
        found = []
        for part in self.parts:
            if part == "last":
                found.append(self._last(inputs, mask))
                continue
            if mask is None:
                found.append((ops.mean if part == "mean" else ops.max)(inputs, axis=1))
                continue
            used = ops.expand_dims(mask, -1)  # (batch, timesteps, 1)
            if part == "mean":
                count = ops.sum(ops.cast(used, inputs.dtype), axis=1)  # (batch, 1)
                found.append(ops.sum(ops.where(used, inputs, 0.0), axis=1) / ops.maximum(count, 1.0))
            else:
                largest = ops.max(ops.where(used, inputs, LEAST), axis=1)
                found.append(ops.where(ops.any(used, axis=1), largest, 0.0))
        return found[0] if len(found) == 1 else ops.concatenate(found, axis=-1)

    def _last(self, inputs, mask):
        """What each direction ends with."""
        forward = inputs.shape[-1] // 2 if self.bidirectional else inputs.shape[-1]
        if mask is None:
            if not self.bidirectional:
                return inputs[:, -1]
            return ops.concatenate([inputs[:, -1, :forward], inputs[:, 0, forward:]], axis=-1)
        count = ops.cumsum(ops.cast(mask, "int32"), axis=1)  # used timesteps so far
        ends = [ops.logical_and(mask, ops.equal(count, count[:, -1:]))]
        if self.bidirectional:
            ends.append(ops.logical_and(mask, ops.equal(count, 1)))
        halves = [inputs[..., :forward], inputs[..., forward:]]
        found = [
            ops.sum(ops.where(ops.expand_dims(end, -1), half, 0.0), axis=1) for end, half in zip(ends, halves, strict=False)
        ]
        return ops.concatenate(found, axis=-1)

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_spec(self, inputs, mask=None):
        return keras.KerasTensor((inputs.shape[0], inputs.shape[-1] * len(self.parts)), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "how": self.how, "bidirectional": self.bidirectional}


@keras.saving.register_keras_serializable("rnnzoo")
class PoolingStep(keras.layers.Layer):
    """(batch, width) of one timestep, and states -> what `MaskedPooling` gives of the timesteps so far, and new states.

    The states, zeros at first, are `count` (batch, 1), how many timesteps there were, and `sum` and `max` (batch, width),
    those of them that are needed.

    Args:
        how: as of `MaskedPooling`.
    """

    def __init__(self, how, **kwargs):
        super().__init__(**kwargs)
        self.how = how
        self.parts = POOLINGS[how]

    def widths(self, width):
        """The names of the states -> how wide each is."""
        return {"count": 1, **{_KEPT[part]: width for part in self.parts if part in _KEPT}}

    def call(self, inputs, states):
        """A list: what is pooled, and each new state."""
        before, *kept = states
        count, found, new = before + 1.0, [], []
        for part in self.parts:
            if part == "last":
                found.append(inputs)
                continue
            state = kept[len(new)]
            if part == "mean":
                new.append(state + inputs)
                found.append(new[-1] / count)
            else:
                new.append(ops.where(before > 0, ops.maximum(state, inputs), inputs))
                found.append(new[-1])
        return [found[0] if len(found) == 1 else ops.concatenate(found, axis=-1), count, *new]

    def compute_output_spec(self, inputs, states):
        pooled = keras.KerasTensor((inputs.shape[0], inputs.shape[-1] * len(self.parts)), dtype=self.compute_dtype)
        return [pooled, *(keras.KerasTensor(state.shape, dtype=self.compute_dtype) for state in states)]

    def get_config(self):
        return {**super().get_config(), "how": self.how}
