"""Losses that Keras has not."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("rnnzoo")
class HalfSquaredError(keras.losses.Loss):
    """(batch, ..., outputs) -> (batch, ...): half the sum of the squared errors over the outputs.

    E = Σ ½ (target - output)², the error of Rumelhart, Hinton and Williams 1986, "Learning representations by
    back-propagating errors", for one example: its derivative by an output is output - target. With the reduction "sum" it
    is also summed over the examples and timesteps.

    Args:
        reduction: how the errors of examples and timesteps become one number, as in every `keras.losses.Loss`.
        name: the loss's name.
    """

    def __init__(self, reduction="sum_over_batch_size", name="half_squared_error", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true, y_pred):
        return ops.sum(ops.square(y_pred - y_true), axis=-1) / 2


def named():
    """snake_case name -> class of every loss there is, Keras's own and those of this module."""
    classes = [*(getattr(keras.losses, entry) for entry in dir(keras.losses)), HalfSquaredError]
    is_loss = [cls for cls in classes if isinstance(cls, type) and issubclass(cls, keras.losses.Loss)]
    return {_snake(cls.__name__): cls for cls in is_loss if cls is not keras.losses.Loss}


def _snake(name):
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))
