"""Keras's activations as ONNX nodes."""

import keras
import numpy as np

from rnnzoo.errors import InputError

# What ONNX's RNN operator has built in: the name, alpha and beta.
BUILT_IN = {
    "linear": ("Affine", 1.0, 0.0),
    "relu": ("Relu", 0.0, 0.0),
    "tanh": ("Tanh", 0.0, 0.0),
    "sigmoid": ("Sigmoid", 0.0, 0.0),
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5),
    "softsign": ("Softsign", 0.0, 0.0),
}


def name_of(activation):
    """The name of one of Keras's own activations.

    Raises:
        InputError: it is another function.
    """
    name = "linear" if activation is None else getattr(activation, "__name__", "")
    if name != "linear" and activation is not getattr(keras.activations, name, None):
        raise InputError(f"ONNX: the activation {name or activation!r} is none of Keras's and cannot be exported")
    return name


def activate(graph, activation, x):
    """`activation` of x, elementwise (or over the last axis); the name of the result.

    Raises:
        InputError: there is no such thing in ONNX.
    """
    name = name_of(activation)
    if name not in _EMITTERS:
        raise InputError(f"ONNX: the activation '{name}' cannot be exported; expected one of {', '.join(_EMITTERS)}")
    return _EMITTERS[name](graph, x)


def _number(graph, value):
    return graph.constant(np.float32(value))


def _clip(low, high):
    return lambda g, x: g.op("Clip", x, _number(g, low), _number(g, high))


def _times(graph, x, factor):
    return graph.op("Mul", x, _number(graph, factor))


def _plus(graph, x, term):
    return graph.op("Add", x, _number(graph, term))


def _gelu(g, x):
    erf = g.op("Erf", _times(g, x, 0.5**0.5))
    return g.op("Mul", _times(g, x, 0.5), _plus(g, erf, 1.0))


def _hard_sigmoid(g, x):
    return g.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def _squareplus(g, x):
    root = g.op("Sqrt", _plus(g, g.op("Mul", x, x), 4.0))
    return _times(g, g.op("Add", x, root), 0.5)


def _sparse_plus(g, x):
    """0 up to -1, x from 1 on, and ((x + 1) / 2)^2 between."""
    half = _times(g, _plus(g, _clip(-1.0, 1.0)(g, x), 1.0), 0.5)
    over = g.op("Relu", _plus(g, x, -1.0))
    return g.op("Add", g.op("Mul", half, half), over)


def _plain(kind, **attributes):
    return lambda g, x: g.op(kind, x, **attributes)


_EMITTERS = {
    "linear": lambda g, x: x,
    "relu": _plain("Relu"),
    "tanh": _plain("Tanh"),
    "sigmoid": _plain("Sigmoid"),
    "hard_sigmoid": _hard_sigmoid,
    "softsign": _plain("Softsign"),
    "softplus": _plain("Softplus"),
    "elu": _plain("Elu"),
    "celu": _plain("Celu"),
    "selu": _plain("Selu"),
    "softmax": _plain("Softmax", axis=-1),
    "log_softmax": _plain("LogSoftmax", axis=-1),
    "exponential": _plain("Exp"),
    "leaky_relu": _plain("LeakyRelu", alpha=0.2),
    "relu6": _clip(0.0, 6.0),
    "hard_tanh": _clip(-1.0, 1.0),
    "gelu": _gelu,
    "silu": lambda g, x: g.op("Mul", x, g.op("Sigmoid", x)),
    "hard_silu": lambda g, x: g.op("Mul", x, _hard_sigmoid(g, x)),
    "mish": lambda g, x: g.op("Mul", x, g.op("Tanh", g.op("Softplus", x))),
    "log_sigmoid": lambda g, x: g.op("Neg", g.op("Softplus", g.op("Neg", x))),
    "tanh_shrink": lambda g, x: g.op("Sub", x, g.op("Tanh", x)),
    "hard_shrink": _plain("Shrink", lambd=0.5, bias=0.0),
    "soft_shrink": _plain("Shrink", lambd=0.5, bias=0.5),
    "squareplus": _squareplus,
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": lambda g, x: _times(g, _plus(g, _clip(-1.0, 1.0)(g, x), 1.0), 0.5),
}
