"""Starts of recurrent kernels that Keras has not; to import them makes their names known to `keras.initializers.get`."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("rnnzoo")
class Shift(keras.initializers.Initializer):
    """A square matrix that moves every unit's state on to the next unit, and the last one's to the first.

    A linear layer with this start is a shift register: what came in goes round in it unchanged, and its gradients neither
    vanish nor explode, since the matrix is orthogonal (Henaff, Szlam and LeCun 2016, "Recurrent Orthogonal Networks and
    Long-Memory Tasks"). Named `shift` where Keras takes an initialiser's name.
    """

    def __call__(self, shape, dtype=None):
        """The matrix, h_t = h_{t-1} U, of `shape` (units, units).

        Raises:
            ValueError: the shape is not square.
        """
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(f"a shift is a square matrix; the shape is {tuple(shape)}")
        return ops.roll(ops.eye(shape[0], dtype=dtype or keras.config.floatx()), 1, axis=1)


keras.saving.get_custom_objects()["shift"] = Shift
