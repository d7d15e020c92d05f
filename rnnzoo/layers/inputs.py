"""What stands between a sequence and the recurrence: which timesteps count, and token ids as vectors."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("rnnzoo")
class PaddingMask(keras.layers.Layer):
    """(batch, timesteps) token ids or (batch, timesteps, features) vectors -> (batch, timesteps) bool, True where used.

    A token id counts unless it is 0. A vector counts unless every component equals `mask_value`.

    Args:
        mask_value: the value that marks padding in vectors; not used for ids.
    """

    def __init__(self, mask_value=0.0, **kwargs):
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def call(self, inputs):
        if len(inputs.shape) == 2:
            return ops.not_equal(inputs, 0)
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape[:2], dtype="bool")

    def get_config(self):
        return {**super().get_config(), "mask_value": self.mask_value}


@keras.saving.register_keras_serializable("rnnzoo")
class OneHot(keras.layers.Layer):
    """(batch, timesteps) token ids, or (batch,) -> (..., depth) with `depth = vocabulary_size - 1`.

    Id k becomes the unit vector k - 1, and id 0, which is padding, becomes the zero vector, so that the kernel behind has
    no row that nothing ever trains.

    Args:
        depth: the number of ids without padding.
    """

    def __init__(self, depth, **kwargs):
        super().__init__(**kwargs)
        self.depth = depth

    def call(self, inputs):
        return ops.one_hot(ops.cast(inputs, "int32") - 1, self.depth, dtype=self.compute_dtype)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((*inputs.shape, self.depth), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "depth": self.depth}
