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


@keras.saving.register_keras_serializable("rnnzoo")
class SummedBinaryCrossentropy(keras.losses.Loss):
    """Targets of 0 and 1 and outputs (batch, ..., outputs) -> (batch, ...): what a timestep costs in nats.

    The sum over the outputs of their binary cross-entropies, each output being there or not for itself, as the keys of a
    piano in Boulanger-Lewandowski et al. 2012; Keras's own loss is their mean.

    Args:
        from_logits: whether the outputs are logits, and not probabilities.
        reduction: how the costs of examples and timesteps become one number, as in every `keras.losses.Loss`.
        name: the loss's name.
    """

    def __init__(self, from_logits=False, reduction="sum_over_batch_size", name="summed_binary_crossentropy", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.from_logits = from_logits

    def call(self, y_true, y_pred):
        return ops.sum(ops.binary_crossentropy(ops.cast(y_true, y_pred.dtype), y_pred, self.from_logits), axis=-1)

    def get_config(self):
        return {**super().get_config(), "from_logits": self.from_logits}


@keras.saving.register_keras_serializable("rnnzoo")
class SmoothedCrossentropy(keras.losses.Loss):
    """Class numbers (batch, ...) and logits (batch, ..., classes) -> (batch, ...): cross-entropy with smoothed labels.

    The right class has 1 - `label_smoothing` of the target's probability, and what is left is shared by all classes alike
    (Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision"). Keras has it for one-hot targets
    alone.

    Args:
        label_smoothing: from 0 up to but not including 1.
        reduction: how the costs of examples and timesteps become one number, as in every `keras.losses.Loss`.
        name: the loss's name.
    """

    def __init__(self, label_smoothing, reduction="sum_over_batch_size", name="smoothed_crossentropy", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        log_probabilities = ops.log_softmax(y_pred, axis=-1)
        right = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1], dtype=y_pred.dtype)
        smoothed = right * (1 - self.label_smoothing) + self.label_smoothing / y_pred.shape[-1]
        return -ops.sum(smoothed * log_probabilities, axis=-1)

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


def named():
    """snake_case name -> class of every loss that a recipe can name, Keras's own and those of this module."""
    classes = [*(getattr(keras.losses, entry) for entry in dir(keras.losses)), HalfSquaredError, SummedBinaryCrossentropy]
    is_loss = [cls for cls in classes if isinstance(cls, type) and issubclass(cls, keras.losses.Loss)]
    return {_snake(cls.__name__): cls for cls in is_loss if cls is not keras.losses.Loss}


def _snake(name):
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))
