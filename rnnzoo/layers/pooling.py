"""One vector out of a sequence of them: the mean, the maximum, or both, of the timesteps that count."""

import keras
from keras import ops

POOLINGS = {"mean": ("mean",), "max": ("max",), "mean_max": ("mean", "max")}
# What stands for a timestep that is not used where the maximum is looked for: no number of 32 bits is smaller.
LEAST = -3.4028234663852886e38


@keras.saving.register_keras_serializable("rnnzoo")
class MaskedPooling(keras.layers.Layer):
    """(batch, timesteps, width) -> (batch, width), or (batch, 2 * width), the mean before the maximum, of "mean_max".

    Each component's mean and its maximum are over the used timesteps; where none is used, they are zeros.

    Args:
        how: "mean", "max" or "mean_max".
    """

    def __init__(self, how, **kwargs):
        super().__init__(**kwargs)
        self.how = how
        self.parts = POOLINGS[how]

    def call(self, inputs, mask=None):
        """`mask` (batch, timesteps) is True where a timestep is used; all are if it is `None`."""
        found = []
        for part in self.parts:
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

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_spec(self, inputs, mask=None):
        return keras.KerasTensor((inputs.shape[0], inputs.shape[-1] * len(self.parts)), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "how": self.how}


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
        return {"count": 1, **{{"mean": "sum", "max": "max"}[part]: width for part in self.parts}}

    def call(self, inputs, states):
        """A list: what is pooled, and each new state."""
        before, *kept = states
        count, found, new = before + 1.0, [], []
        for part, state in zip(self.parts, kept, strict=True):
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
