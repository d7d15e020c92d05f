"""The picture of a network with its recurrent connections, folded or unfolded in time."""

import numpy as np

from rnnzoo import _figure
from rnnzoo._figure import FILLS, GREY, INK
from rnnzoo.errors import InputError
from rnnzoo.explaining._network import plural
from rnnzoo.explaining._network_of import network
from rnnzoo.explaining._plan import HEAD
from rnnzoo.explaining._unfolded import Given, plan
from rnnzoo.layers.reference import padding_mask

_FILL = {
    "input": FILLS["input"],
    "vectors": FILLS["input"],
    "state": FILLS["recurrent"],
    "initial": FILLS["recurrent"],
    "dense": FILLS["layer"],
    "pooled": FILLS["layer"],
    "output": FILLS["layer"],
}
_FAINT, _PALE = "#a6a6a6", "#f3f3f3"
_DPI = 200


def draw_network(model, path, *, unfolded=False, traced=None, tokens=None, outputs=None, timesteps=4, title=""):
    """Draws a model with its recurrent connections: x_t -> h_t -> y_t, a node for each layer, direction and timestep.

    Folded it is one column, with a loop at each recurrent layer; unfolded in time a column a timestep, in which what is
    shared has one colour, and what is masked is grey. Weights have their names on the arrows: W from below, U from the step
    before, V to the output. More than eight timesteps are shortened. The same call gives the same bytes.

    Args:
        model: a `keras.Model` as the factories, `rnnzoo.build` and `rnnzoo.from_preset(...).model` give it.
        path: where to write, `.png` or `.svg` by its suffix; a file that is there is replaced.
        unfolded: in time; else folded.
        traced: the `Trace` of this model for an input, of which the first example is drawn, with its timesteps and masks;
            with `unfolded` alone.
        tokens: with `traced`, input name -> the text of each of its timesteps.
        outputs: with `traced`, the text of each output, one a timestep, or one; numbers where `None` and they are one wide.
        timesteps: how many are drawn without `traced`, where the model does not fix them.
        title: what stands above; the model's name if empty.

    Raises:
        InputError: the model is none of the factories', the suffix is another, or the trace is of another model.
        MissingExtraError: matplotlib is not installed.
    """
    _figure.picture_format(path)
    found = network(model)
    if isinstance(timesteps, bool) or not isinstance(timesteps, int) or timesteps < 1:
        raise InputError(f"timesteps must be a positive integer, not {timesteps!r}")
    if not unfolded:
        if traced is not None:
            raise InputError("a folded network shows no input: give the trace with unfolded=True, or leave it out")
        picture = plan(
            found, None, title or model.name, "Folded: the same layers at every timestep t" if found.axes() else ""
        )
    else:
        given = _given(found, traced, tokens or {}, outputs, timesteps)
        picture = plan(found, given, title or model.name, _subtitle(given))
    with _figure.drawing() as new_figure:
        _figure.save(_draw(picture, new_figure), path, _DPI)


def _given(found, traced, tokens, outputs, timesteps):
    """What the picture shows at its timesteps."""
    if traced is None:
        return Given({axis: found.timesteps.get(axis, timesteps) for axis in found.axes()}, {}, {}, [])
    inputs = {name for name, part in found.parts.items() if part.role == "input"}
    if set(traced.inputs) != inputs:
        theirs, ours = (", ".join(sorted(names)) for names in (traced.inputs, inputs))
        raise InputError(f"the trace is of another model: its inputs are {theirs}; expected {ours}")
    lengths = {axis: found.timesteps.get(axis) or traced.inputs[axis].shape[1] for axis in found.axes()}
    masks = {axis: padding_mask(traced.inputs[axis][0], value).tolist() for axis, value in found.padding.items()}
    texts = {
        name: [f"{number:.3g}" for number in array[0].ravel()]
        for name, array in traced.inputs.items()
        if array.ndim == 3 and array.shape[2] == 1
    }
    if outputs is None:
        one_wide = traced.outputs.shape[-1] == 1
        outputs = [f"{number + 0.0:.3g}" for number in traced.outputs[0].ravel()] if one_wide else []
    return Given(lengths, masks, {**texts, **tokens}, outputs)


def _subtitle(given):
    lengths = given.timesteps
    steps = [plural(count, "timestep") for count in lengths.values()]
    if len(lengths) < 2:
        return f"Unfolded in time: {steps[0]}" if steps else ""
    return "Unfolded in time: " + ", ".join(f"{count} of {axis}" for axis, count in zip(lengths, steps, strict=True))


def _draw(picture, new_figure):
    left, right, top, bottom = picture.bounds
    figure = new_figure(figsize=((right - left) / 72, (bottom - top) / 72), layout="none")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    for arrow in picture.arrows:
        _draw_arrow(axes, arrow, picture.colors)
    for node in picture.nodes.values():
        _draw_node(axes, node)
    for key in picture.keys:
        color = picture.colors[key.weight.symbol]
        axes.plot((key.x, key.x + key.length), (key.y, key.y), color=color, linewidth=2.2, solid_capstyle="round")
    for text in picture.labels:
        _draw_text(axes, text, picture.colors, halo=True)
    for text in picture.texts:
        _draw_text(axes, text, picture.colors)
    return figure


def _draw_arrow(axes, arrow, colors):
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    color = colors[arrow.weight.symbol] if arrow.weight else {"masked": "#cccccc"}.get(arrow.kind, GREY)
    steps, points = [step for step, *_ in arrow.path], np.array([point for _, *point in arrow.path])
    end = points[-1].copy()
    forward = end - points[-2]
    forward = forward / np.hypot(*forward)
    aside = np.array([-forward[1], forward[0]])
    points[-1] = end - forward * HEAD * 0.9
    dashes = (0, (3.5, 2.2)) if arrow.kind == "same" else "solid"
    width = 1.6 if arrow.kind == "weight" else 1.2
    axes.add_patch(
        PathPatch(Path(points, steps), fill=False, edgecolor=color, linewidth=width, linestyle=dashes, capstyle="butt")
    )
    back = end - forward * HEAD
    axes.add_patch(Polygon([end, back + aside * HEAD * 0.45, back - aside * HEAD * 0.45], color=color, linewidth=0))


def _draw_node(axes, node):
    from matplotlib.patches import FancyBboxPatch

    if node.role == "ellipsis":
        axes.text(node.x, node.y, node.text, ha="center", va="center_baseline", size=16, color=GREY)
        return
    left, _, top, _ = node.box
    color = _FAINT if node.is_masked else INK
    axes.add_patch(
        FancyBboxPatch(
            (left, top),
            node.width,
            2 * node.radius,
            boxstyle=f"round,pad=0,rounding_size={node.radius}",
            facecolor=color if node.role == "joined" else _PALE if node.is_masked else _FILL[node.role],
            edgecolor=color,
            linestyle=(0, (2.5, 2)) if node.is_masked else "solid",
            linewidth=1.8 if node.role == "output" and not node.is_masked else 1.1,
        )
    )
    if node.text:
        axes.text(node.x, node.y, node.text, ha="center", va="center_baseline", size=10.5, color=color)


def _draw_text(axes, text, colors, halo=False):
    color = {"": INK, "grey": GREY}.get(text.color) or colors.get(text.color, text.color)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8} if halo else None
    axes.text(
        text.x,
        text.y,
        text.text,
        ha=text.align,
        va="center_baseline",
        size=text.size,
        weight="bold" if text.bold else "normal",
        color=color,
        bbox=box,
    )
