"""MNIST, a row at a time."""

from rnnzoo.tasks._mnist import MnistTask


class MnistRows(MnistTask):
    """(batch, 28, 28) -> (batch, 10): 28 timesteps, each a row of 28 pixels, from the top down."""

    description = "a picture of a handwritten digit, a row a timestep -> the digit"
    layout = "rows"
