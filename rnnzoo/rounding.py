"""Rounding trained weights: to the integers that they have converged to, for networks that are sums; to 16 bits."""

import numpy as np

from rnnzoo.errors import TrainingError

LIMIT = 0.1


class RoundingRefused(TrainingError):
    """A weight would have moved by more than `LIMIT`; nothing was changed."""


def round_weights(model):
    """Rounds every weight to an integer, after folding scales out of the readout, and returns the largest move.

    A recurrent unit with a linear (or relu) activation can be scaled by s > 0 (or any s) without changing the model, if
    what comes in is multiplied by s and what goes out divided by it. From the readout down, every unit is scaled so that
    its strongest outgoing weight is 1; then all weights are rounded.

    Args:
        model: a model of `many_to_one`, `many_to_many`, `bidirectional` or `deep` without dense layers.

    Raises:
        RoundingRefused: a weight would move by more than 0.1, or the activations cannot be scaled. Nothing is changed.
    """
    weights = _fold(model)
    moves = {path: np.abs(value - np.round(value)).max() for path, (_, value) in weights.items()}
    path = max(moves, key=moves.get)
    if not moves[path] <= LIMIT:
        raise RoundingRefused(
            f"weights not rounded: {path} would move by {moves[path]:.3f}, and more than {LIMIT} means that it has not "
            "converged to an integer"
        )
    for variable, value in weights.values():
        variable.assign(np.round(value))
    return float(moves[path])


def round_to(model, dtype):
    """Rounds every weight to the nearest number that a float type such as float16 has; nothing where it has them all.

    Raises:
        TrainingError: a weight is too large for it. Nothing is changed.
    """
    with np.errstate(over="ignore"):
        rounded = [variable.numpy().astype(dtype) for variable in model.weights if variable.dtype == "float32"]
    variables = [variable for variable in model.weights if variable.dtype == "float32"]
    for variable, value in zip(variables, rounded, strict=True):
        if not np.isfinite(value).all():
            raise TrainingError(f"{variable.path}: a weight is too large for {dtype}; try training.storage=float32")
    for variable, value in zip(variables, rounded, strict=True):
        variable.assign(value.astype(np.float32))


def _fold(model):
    """The scaled weights: a dict of path -> (variable, value)."""
    values = {variable.path: (variable, variable.numpy().astype(np.float64)) for variable in model.weights}
    readout = model.get_layer("readout")
    if "pooling" in {layer.name for layer in model.layers}:
        raise RoundingRefused("weights not rounded: what is pooled over time is not scaled")
    above = [(readout.kernel.path, slice(None))]  # where the units of the layer below go out: paths and their rows
    for layer in reversed([layer for layer in model.layers if layer.name.split("_")[0] == "hidden"]):
        directions = [layer.forward_layer, layer.backward_layer] if hasattr(layer, "forward_layer") else [layer]
        below = []
        for i, rnn in enumerate(directions):
            rows = slice(i * rnn.units, (i + 1) * rnn.units)
            _scale(rnn, values, [(path, rows) for path, _ in above])
            below.append((rnn.cell.kernel.path, slice(None)))
        above = below
    return values


def _scale(rnn, values, outgoing):
    name = getattr(rnn.activation, "__name__", "")
    strongest = np.concatenate([values[path][1][rows] for path, rows in outgoing], axis=1)  # (units, all targets)
    strongest = strongest[np.arange(rnn.units), np.abs(strongest).argmax(axis=1)]
    if name not in ("linear", "relu") or (strongest == 0).any() or (name == "relu" and (strongest < 0).any()):
        raise RoundingRefused(f"weights not rounded: the units of {rnn.name} ({name}) cannot be scaled to go out with 1")
    for path, rows in outgoing:
        values[path][1][rows] /= strongest[:, None]
    cell = rnn.cell
    values[cell.kernel.path][1][...] *= strongest
    if cell.bias is not None:
        values[cell.bias.path][1][...] *= strongest
    values[cell.recurrent_kernel.path][1][...] *= strongest / strongest[:, None]
