"""What stands between a sequence and the recurrence: which timesteps count, token ids as vectors, what is beside them."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("rnnzoo")
class PaddingMask(keras.layers.Layer):
    """(batch, timesteps) token ids or (batch, timesteps, features) vectors -> (batch, timesteps) bool, True where used.

    A token id counts unless it is 0, and a bag of them, (batch, timesteps, bag), unless all are. A vector counts unless
    every component equals `mask_value`.

    Args:
        mask_value: the value that marks padding in vectors; not used for ids.
    """

    def __init__(self, mask_value=0.0, **kwargs):
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def call(self, inputs):
        if len(inputs.shape) == 2:
            return ops.not_equal(inputs, 0)
        ids = keras.backend.is_int_dtype(inputs.dtype)
        return ops.any(ops.not_equal(inputs, 0 if ids else self.mask_value), axis=-1)

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


@keras.saving.register_keras_serializable("rnnzoo")
class BagEmbedding(keras.layers.Embedding):
    """(batch, timesteps, bag) token ids -> (batch, timesteps, output_dim): the sum of the ids' embeddings; 0 adds nothing.

    A token is then described by several ids, such as a word's and those of its first and last letters, in one vocabulary
    (as the character n-grams of Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information").

    Args:
        input_dim: how many ids there are, 0 included.
        output_dim: width of an embedding.
    """

    def call(self, inputs):
        used = ops.cast(ops.expand_dims(ops.not_equal(inputs, 0), -1), self.compute_dtype)  # (batch, timesteps, bag, 1)
        return ops.sum(super().call(inputs) * used, axis=-2)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((*inputs.shape[:-1], self.output_dim), dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.output_dim)


@keras.saving.register_keras_serializable("rnnzoo")
class BesideEach(keras.layers.Layer):
    """(batch, timesteps, width) and (batch, more) -> (batch, timesteps, width + more): one vector beside each timestep's."""

    def call(self, inputs, beside):
        beside = ops.expand_dims(beside, 1)
        if inputs.shape[1] != 1:
            beside = ops.broadcast_to(beside, (*ops.shape(inputs)[:2], beside.shape[-1]))
        return ops.concatenate([inputs, beside], axis=-1)

    def compute_output_spec(self, inputs, beside):
        return keras.KerasTensor((*inputs.shape[:-1], inputs.shape[-1] + beside.shape[-1]), dtype=self.compute_dtype)
