"""The heat map of hidden states over time: each unit a row, each timestep a column."""

import numpy as np

from rnnzoo import _figure
from rnnzoo.errors import InputError
from rnnzoo.explaining._network import plural
from rnnzoo.explaining._parts import RecurrentTrace, tokens_of
from rnnzoo.explaining._unfolded_texts import shown

# So many numbers of a panel are written into their cells, so many units have a label, and cells have rims up to so many.
_WRITTEN, _UNITS, _RIMS = 60, 16, (40, 20)
_DPI, _HIGHEST, _WIDEST = 150, 4.0, 12.0  # of a panel, in inches
_COLORS, _MASKED = "RdBu_r", "#d0d0d0"  # red and blue, which the colour-blind tell apart


def plot_states(traced, path, *, tokens=None, title=""):
    """Draws the hidden states of an input as a heat map: a panel for each recurrent layer and direction.

    Each unit is a row and each timestep a column, white at 0, red above and blue below, with a scale for each panel.
    Masked timesteps are grey. The same call gives the same bytes.

    Args:
        traced: the `Trace` of an input, of which the first example is drawn.
        path: where to write, `.png` or `.svg` by its suffix; a file that is there is replaced.
        tokens: input name -> the text of each of its timesteps, which then stands below it.
        title: what stands above.

    Raises:
        InputError: the suffix is another, or no layer recurs.
        MissingExtraError: matplotlib is not installed.
    """
    _figure.picture_format(path)
    layers = [layer for layer in traced.layers.values() if isinstance(layer, RecurrentTrace)]
    if not layers:
        raise InputError("nothing in the model recurs: there are no states over time to draw")
    # As wide as the longest sequence needs, and as high as all units: lengths in inches.
    longest = max(layer.states.shape[1] for layer in layers)
    heights = [min(max(0.17 * layer.states.shape[2], 0.55), _HIGHEST) for layer in layers]
    width = min(max(0.4 * longest, 4.5), _WIDEST)
    with _figure.drawing() as new_figure:
        # Around each panel: its title, its labels and its colour bar.
        around = 1.15
        figure = new_figure(figsize=(width + 2, sum(heights) + around * len(heights) + 0.3), layout="constrained")
        panels = figure.subplots(len(layers), squeeze=False, height_ratios=heights)[:, 0]
        for axes, layer in zip(panels, layers, strict=True):
            _panel(figure, axes, layer, _below(traced, tokens or {}, layer), width)
        if title:
            figure.suptitle(title, fontsize=11, fontweight="bold")
        _figure.save(figure, path, _DPI)


def _panel(figure, axes, layer, tokens, width):
    from matplotlib import colormaps

    states = layer.states[0].T  # (units, timesteps)
    units, timesteps = states.shape
    used = np.ones(timesteps, bool) if layer.mask is None else layer.mask[0]
    finite = np.abs(states[:, used])[np.isfinite(states[:, used])]
    most = finite.max() if finite.size and finite.max() > 0 else 1.0
    cells = np.ma.masked_array(states, ~np.isfinite(states) | ~used)
    colors = colormaps[_COLORS].with_extremes(bad=_MASKED)
    # Each cell as it is, where it has a pixel; else none is dropped.
    large = timesteps <= _WIDEST * _DPI and units <= _HIGHEST * _DPI
    how = {"aspect": "auto", "interpolation": "none" if large else "antialiased"}
    picture = axes.imshow(cells, cmap=colors, vmin=-most, vmax=most, **how)
    bar = figure.colorbar(
        picture, ax=axes, pad=0.015, fraction=0.05, aspect=max(6, min(20, 3 * units)), ticks=[-most, 0, most]
    )
    bar.ax.set_yticklabels([f"{value:,.4g}" for value in (-most, 0.0, most)], fontsize=8)
    _number(axes, states, used, most)

    longest = max([len(token) for token in tokens] + [len(f"{timesteps:,}")])
    steps = _thinned(timesteps, width / (0.09 * longest + 0.12))
    axes.set_xticks(steps, [f"{tokens[t]}\n{t + 1:,}" if tokens else f"{t + 1:,}" for t in steps], fontsize=8)
    rows = _thinned(units, _UNITS)
    axes.set_yticks(rows, [str(row + 1) for row in rows], fontsize=8)
    axes.set_ylabel("unit", fontsize=8)
    axes.set_xlabel("token and timestep" if tokens else "timestep", fontsize=8)
    axes.tick_params(length=2)
    order = ", from the last timestep to the first" if layer.backwards else ""
    masked = "" if used.all() else "; grey: masked"
    axes.set_title(f"{layer.name}: {plural(units, 'unit')}, {layer.activation}{order}{masked}", fontsize=9, loc="left")
    if timesteps <= _RIMS[0] and units <= _RIMS[1]:
        axes.set_xticks(np.arange(1, timesteps) - 0.5, minor=True)
        axes.set_yticks(np.arange(1, units) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1)
        axes.tick_params(which="minor", length=0)


def _number(axes, states, used, most):
    """Writes the states into their cells where there are few."""
    units, timesteps = states.shape
    if units * timesteps > _WRITTEN or timesteps > 16:
        return
    for unit, t in np.ndindex(units, timesteps):
        if used[t]:
            color = "white" if abs(states[unit, t]) > 0.6 * most else _figure.INK
            axes.text(t, unit, f"{states[unit, t] + 0.0:.2g}", ha="center", va="center", fontsize=7.5, color=color)


def _thinned(count, most):
    """The places of at most so many of a count, from 0: of the first and of round numbers."""
    every = next(
        size * step for size in (1, 10, 100, 1000, 10**4, 10**5, 10**6) for step in (1, 2, 5) if count <= most * size * step
    )
    return [place for place in range(count) if (place + 1) % every == 0 or (place == 0 and every != 2)]


def _below(traced, tokens, layer):
    """The tokens of a layer's timesteps: those of the input that is as long and that it reads."""
    side, found = tokens_of(layer, tokens)
    if side == "target" and found and "inputs" in traced.inputs:  # it is fed the target of the step before; first zeros
        found = ["0", *found[:-1]]
    return [shown(token) for token in found]
