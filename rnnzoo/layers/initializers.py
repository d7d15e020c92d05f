"""Starts of recurrent kernels that Keras has not; to import them makes their names known to `keras.initializers.get`."""

import math

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


@keras.saving.register_keras_serializable("rnnzoo")
class Timescales(keras.initializers.Initializer):
    """A diagonal matrix that gives every unit a pace of its own to forget at: 1 - u, where log u is uniform.

    A unit's state falls to 1/e of what it was in about 1 / u timesteps, from 3 to 1,000 of them with the least and the most
    `u` that are the defaults, and as many units forget within 3 to 10 of them as within 100 to 333. The identity, with which
    no unit forgets at first (Le, Jaitly and Hinton 2015, "A Simple Way to Initialize Recurrent Networks of Rectified Linear
    Units"), has every state grow with the sequence; times spread evenly over their logarithm are what gates are given by
    Tallec and Ollivier 2018, "Can recurrent neural networks warp time?". Named `timescales` where Keras takes an
    initialiser's name.

    Args:
        least, most: between which u lies, 0 < least <= most < 1.
        seed: as of Keras's own initialisers.
    """

    def __init__(self, least=0.001, most=0.3, seed=None):
        if not 0 < least <= most < 1:
            raise ValueError(f"expected 0 < least <= most < 1, not least={least}, most={most}")
        self.least, self.most = least, most
        self._uniform = keras.initializers.RandomUniform(math.log(least), math.log(most), seed)

    def __call__(self, shape, dtype=None):
        """The matrix, h_t = h_{t-1} U, of `shape` (units, units).

        Raises:
            ValueError: the shape is not square.
        """
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(f"the diagonal of a square matrix; the shape is {tuple(shape)}")
        return ops.diag(1 - ops.exp(self._uniform(shape[:1], dtype)))

    def get_config(self):
        return {"least": self.least, "most": self.most, "seed": self._uniform.get_config()["seed"]}


# What Keras's initialisers are looked up by.
NAMES = {"shift": Shift, "timescales": Timescales}
keras.saving.get_custom_objects().update(NAMES)
