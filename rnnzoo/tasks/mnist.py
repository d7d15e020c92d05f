"""MNIST, all of a picture at once."""

from rnnzoo.tasks._mnist import MnistTask


class Mnist(MnistTask):
    """(batch, 784) -> (batch, 10): what a feed-forward network sees."""

    description = "a picture of a handwritten digit, all of it at once -> the digit"
    layout = "flat"
