"""The recurrence: Keras layers, and the NumPy reference that they are compared with."""

from rnnzoo.layers.dropout import Dropout
from rnnzoo.layers.feedback import FeedbackRNN
from rnnzoo.layers.initializers import Shift, Timescales
from rnnzoo.layers.inputs import BagEmbedding, BesideEach, OneHot, PaddingMask
from rnnzoo.layers.pooling import MaskedPooling, PoolingStep
from rnnzoo.layers.readout import Readout
from rnnzoo.layers.simple_rnn import SimpleRNN

__all__ = [
    "BagEmbedding",
    "BesideEach",
    "Dropout",
    "FeedbackRNN",
    "MaskedPooling",
    "OneHot",
    "PaddingMask",
    "PoolingStep",
    "Readout",
    "Shift",
    "SimpleRNN",
    "Timescales",
]
