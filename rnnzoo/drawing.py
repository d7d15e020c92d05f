"""Diagrams of models: one box a layer, arrows from what feeds what, loops where time recurs."""

import itertools
from collections import defaultdict
from typing import NamedTuple

import keras

from rnnzoo import _figure
from rnnzoo._figure import FILLS, GREY, INK
from rnnzoo._layout import HEAD, PADDING, layout
from rnnzoo.errors import InputError
from rnnzoo.layers import FeedbackRNN, Readout

# All lengths are points (1/72 inch), and y grows downwards.
_FONT, _LINE, _LOOP, _DPI = 9, 13, 18, 200
_DASHES = {"data": "solid", "mask": (0, (4, 2.5)), "weights": (0, (1, 1.8))}


class _Box(NamedTuple):
    lines: tuple[str, ...]  # name, class, output shapes, parameters
    role: str  # a key of FILLS
    loops: tuple[str, ...]  # the directions of time in which it recurs
    is_output: bool
    row: int  # 0 is the top


class _Edge(NamedTuple):
    source: str
    target: str
    kind: str  # a key of _DASHES


def draw(model, path):
    """Draws a functional model as a diagram, inputs at the top, output at the bottom.

    Each box holds a layer's name, class, output shapes, and parameters where it has any. Dashed arrows are masks, dotted
    ones weights that a layer lends to another. A loop on a box's right is a recurrence forward in time, on its left
    backward. The same model gives the same bytes.

    Args:
        model: a `keras.Model` as the factories, `rnnzoo.build` and `keras.models.load_model` return it.
        path: where to write, `.png` or `.svg` by its suffix; a file that is there is replaced.

    Raises:
        InputError: the model is not a functional one, or the suffix is another.
        MissingExtraError: matplotlib is not installed.
    """
    _figure.picture_format(path)
    boxes, edges = _graph(model)
    heading = tuple(filter(None, (model.name, _parameters(model), _legend(boxes, edges))))
    with _figure.drawing() as new_figure:
        sizes = {name: _size(box.lines, box.loops) for name, box in boxes.items()}
        header = _size(heading)
        places, arrows, (width, height) = layout(boxes, edges, sizes, header)
        figure = new_figure(figsize=(width / 72, height / 72), layout="none")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        _draw_text(axes, heading, width / 2, header[1] / 2)
        for points, kind, has_head in arrows:
            _draw_arrow(axes, points, kind, has_head)
        for name, (x, y) in places.items():
            _draw_box(axes, boxes[name], x, y, *sizes[name])
        _figure.save(figure, path, _DPI)


def _graph(model):
    """What is drawn: a dict of layer name -> `_Box`, and the `_Edge`s, each once."""
    # Keras has no public way to a model's own calls; a layer also remembers those that other models made.
    calls = getattr(model, "_nodes_by_depth", None)
    if not isinstance(model, keras.Model) or calls is None:
        raise InputError(f"only functional models can be drawn, not {type(model).__name__}")
    edges, shapes = {}, defaultdict(dict)
    depths, last = {}, {}  # the depth of each call, and of each layer's last call
    for call in itertools.chain.from_iterable(calls[depth] for depth in sorted(calls, reverse=True)):
        name = call.operation.name
        depths[call] = 0
        # What a layer is given where it lends its weights is there for Keras to trace, and feeds nothing.
        for tensor in () if _lends_weights(call) else call.input_tensors:
            source, index, _ = tensor._keras_history
            parent = source._inbound_nodes[index]
            depths[call] = max(depths[call], depths[parent] + 1)
            kind = "weights" if _lends_weights(parent) else "mask" if tensor.dtype == "bool" else "data"
            edges[_Edge(source.name, name, kind)] = None
        last[name] = max(depths[call], last.get(name, 0))
        if not _lends_weights(call):
            shapes[name].update({_shape(tensor): tensor.dtype for tensor in call.outputs})
    rows = _rows(last, edges)
    outputs = {tensor._keras_history.operation.name for tensor in model.outputs}
    boxes = {}
    for operation in model.operations:
        name = operation.name
        fed_by_itself = any(edge.source == edge.target == name for edge in edges)
        loops = _directions(operation) or (("forward",) if fed_by_itself else ())
        role = "recurrent" if loops else "mask" if set(shapes[name].values()) == {"bool"} else "layer"
        boxes[name] = _Box(
            lines=tuple(filter(None, (name, _class(operation), *shapes[name], _parameters(operation)))),
            role="input" if isinstance(operation, keras.layers.InputLayer) else role,
            loops=loops,
            is_output=name in outputs,
            row=rows[name],
        )
    return boxes, [edge for edge in edges if edge.source != edge.target]


def _lends_weights(call):
    """Whether a layer was not called on data, but for its weights, which another layer is to use."""
    return isinstance(call.operation, Readout) and bool(call.arguments.kwargs.get("as_weights"))


def _rows(depths, edges):
    """Each layer's row: its longest path from the top. Layers that nothing below needs stand at the bottom."""
    around = defaultdict(set)
    for source, target, _ in edges:
        if source != target:
            around[source].add(target)
            around[target].add(source)
    rows = {}
    # Not along the arrows, which may go in a circle (a layer that is called twice), but in the order of the last calls.
    for name in sorted(depths, key=depths.get):
        rows[name] = max([depths[name], *(rows[other] + 1 for other in around[name] if other in rows)])
    bottom = max(rows.values())
    ends = {name for name in rows if around[name] and all(rows[other] < rows[name] for other in around[name])}
    rows.update(dict.fromkeys(ends, bottom))
    used = sorted(set(rows.values()))
    return {name: used.index(row) for name, row in rows.items()}


def _directions(operation):
    """The directions of time in which a layer recurs."""
    if isinstance(operation, keras.layers.Bidirectional):
        return ("forward", "backward")
    if isinstance(operation, keras.layers.RNN | FeedbackRNN):
        return ("backward",) if getattr(operation, "go_backwards", False) else ("forward",)
    return ()


def _class(operation):
    kind = type(operation).__name__
    if isinstance(operation, keras.layers.Bidirectional):
        return f"{kind}({type(operation.forward_layer).__name__})"
    return kind


def _parameters(operation):
    count = operation.count_params() if isinstance(operation, keras.Layer) else 0
    return f"{count:,} parameter{'' if count == 1 else 's'}" if count else ""


def _shape(tensor):
    """`(batch, timesteps, 32)`, followed by the type where that is no real number."""
    unknown = {0: "batch", 1: "timesteps"} if len(tensor.shape) < 4 else {0: "batch"}
    sizes = [str(unknown.get(axis, "any") if size is None else size) for axis, size in enumerate(tensor.shape)]
    text = f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
    return text if keras.backend.is_float_dtype(tensor.dtype) else f"{text} {tensor.dtype}"


def _legend(boxes, edges):
    kinds, loops = {edge.kind for edge in edges}, {loop for box in boxes.values() for loop in box.loops}
    notes = [
        ("loop: recurs", loops == {"forward"}),
        ("loop: recurs (left: backward in time)", "backward" in loops),
        ("dashed: mask", "mask" in kinds),
        ("dotted: weights", "weights" in kinds),
    ]
    return " · ".join(note for note, applies in notes if applies)


def _size(lines, loops=()):
    """The width and height that a box's text needs; loops stand beside it, with as much room on either side."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    fonts = [FontProperties(size=_FONT, weight=_weight(i)) for i in range(len(lines))]
    widths = [text_to_path.get_text_width_height_descent(*pair, ismath=False)[0] for pair in zip(lines, fonts, strict=True)]
    return max(widths) + 2 * PADDING + (2 * _LOOP if loops else 0), _LINE * len(lines) + PADDING


def _draw_arrow(axes, points, kind, has_head):
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path as Outline

    start, leave, arrive, (x, y) = points
    back = HEAD if start[1] > y else -HEAD
    end = (x, y + back) if has_head else (x, y)
    middle = (leave[1] + arrive[1]) / 2
    codes = [Outline.MOVETO, Outline.LINETO, Outline.CURVE4, Outline.CURVE4, Outline.CURVE4, Outline.LINETO]
    outline = Outline([start, leave, (leave[0], middle), (arrive[0], middle), arrive, end], codes)
    # Round ends close the seams between solid pieces; they would fill dashes up.
    caps = "round" if kind == "data" else "butt"
    axes.add_patch(PathPatch(outline, fill=False, edgecolor=GREY, linewidth=1.1, linestyle=_DASHES[kind], capstyle=caps))
    if has_head:
        axes.add_patch(Polygon([(x, y), (x - HEAD / 2, y + back), (x + HEAD / 2, y + back)], color=GREY, linewidth=0))


def _draw_box(axes, box, x, y, width, height):
    from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
    from matplotlib.path import Path as Outline

    half = width / 2 - (_LOOP if box.loops else 0)
    for direction in box.loops:
        side = 1 if direction == "forward" else -1
        edge, far = x + side * half, x + side * (half + _LOOP * 1.2)  # a curve reaches 3/4 of the way to `far`
        points = [(edge, y + 8), (far, y + 8), (far, y - 8), (edge + side * HEAD, y - 8)]
        outline = Outline(points, [Outline.MOVETO] + [Outline.CURVE4] * 3)
        axes.add_patch(PathPatch(outline, fill=False, edgecolor=INK, linewidth=1.3))
        head = [(edge, y - 8), (edge + side * HEAD, y - 8 - HEAD / 2), (edge + side * HEAD, y - 8 + HEAD / 2)]
        axes.add_patch(Polygon(head, color=INK, linewidth=0))
    axes.add_patch(
        FancyBboxPatch(
            (x - half, y - height / 2),
            2 * half,
            height,
            boxstyle="round,pad=0,rounding_size=4",
            facecolor=FILLS[box.role],
            edgecolor=INK,
            linewidth=2 if box.is_output else 1,
        )
    )
    _draw_text(axes, box.lines, x, y)


def _draw_text(axes, lines, x, y):
    """Lines of text around a middle, the first one bold."""
    for i, line in enumerate(lines):
        axes.text(
            x,
            y + (i - (len(lines) - 1) / 2) * _LINE,
            line,
            ha="center",
            va="center_baseline",
            size=_FONT,
            color=GREY if i else INK,
            weight=_weight(i),
        )


def _weight(line):
    """The first line is bold."""
    return "normal" if line else "bold"
