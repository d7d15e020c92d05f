"""MNIST, a pixel at a time."""

from rnnzoo.tasks._mnist import MnistTask


class MnistPixels(MnistTask):
    """(batch, 784, 1) -> (batch, 10): 784 timesteps, each a pixel, row after row from the top left.

    Le, Jaitly and Hinton 2015, "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units", section 4.2.
    """

    description = "a picture of a handwritten digit, a pixel a timestep -> the digit"
    layout = "pixels"
