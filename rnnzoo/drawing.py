"""Diagrams of models: one box a layer, arrows from what feeds what, loops where time recurs."""

import itertools
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import keras

from rnnzoo.errors import InputError, MissingExtraError
from rnnzoo.layers import FeedbackRNN

# All lengths are points (1/72 inch), and y grows downwards.
_FONT, _LINE, _PADDING, _LOOP, _LANE, _SPACE, _HEAD, _DPI = 9, 13, 10, 18, 6, 18, 7, 200
_SETTINGS = {  # a user's matplotlibrc must not change the drawing, nor a "$" in a layer's name become a formula
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, and is wide: what a viewer has instead fits the boxes too
    "text.usetex": False,
    "text.parse_math": False,
    "path.sketch": None,
    "savefig.bbox": None,
    "savefig.transparent": False,
    "svg.fonttype": "none",  # text stays text: sharp, small, and it can be searched
    "svg.hashsalt": "rnnzoo",  # ids are random without
}
_FILLS = {"input": "#e2f2e3", "mask": "#eeeeee", "recurrent": "#dbe8f8", "layer": "#fdf3dc"}
_DASHES = {"data": "solid", "mask": (0, (4, 2.5)), "weights": (0, (1, 1.8))}
_INK, _GREY = "#222222", "#555555"


class _Box(NamedTuple):
    lines: tuple[str, ...]  # name, class, output shapes, parameters
    role: str  # a key of _FILLS
    loops: tuple[str, ...]  # the directions of time in which it recurs
    is_output: bool
    row: int  # 0 is the top


class _Edge(NamedTuple):
    source: str
    target: str
    kind: str  # a key of _DASHES


class _Piece(NamedTuple):
    """The part of an arrow between two rows that follow each other; its ends are boxes, or lanes between boxes."""

    above: object
    below: object
    kind: str
    upwards: bool


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
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".svg"):
        raise InputError(f"{path}: expected a name that ends in .png or .svg")
    boxes, edges = _graph(model)
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing needs matplotlib: pip install 'rnnzoo[plot]'") from None
    heading = (model.name, _parameters(model), _legend(boxes, edges))
    with matplotlib.rc_context(_SETTINGS):
        sizes = {name: _size(box.lines, box.loops) for name, box in boxes.items()}
        header = _size(heading)
        places, arrows, (width, height) = _layout(boxes, edges, sizes, header)
        # A bare Figure takes the canvas of the format it is saved in: no pyplot, no backend, no window.
        figure = Figure(figsize=(width / 72, height / 72))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        _draw_text(axes, heading, width / 2, header[1] / 2)
        for points, kind, has_head in arrows:
            _draw_arrow(axes, points, kind, has_head)
        for name, (x, y) in places.items():
            _draw_box(axes, boxes[name], x, y, *sizes[name])
        figure.savefig(
            path,
            format=suffix[1:],
            dpi=min(_DPI, 60_000 * 72 / max(width, height)),  # matplotlib draws no more than 2^16 pixels a side
            facecolor="white",
            metadata={"Date": None} if suffix == ".svg" else None,
        )


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
    """Whether a call of `rnnzoo.layers.Readout` gave its weights for another layer to use."""
    return bool(call.arguments.kwargs.get("as_weights"))


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
    if isinstance(operation, keras.layers.Bidirectional):
        return ("forward", "backward")
    if isinstance(operation, keras.layers.RNN | FeedbackRNN):
        return ("backward",) if getattr(operation, "go_backwards", False) else ("forward",)
    return ()


def _class(operation):
    wrapped = f"({type(operation.layer).__name__})" if isinstance(operation, keras.layers.Wrapper) else ""
    return type(operation).__name__ + wrapped


def _parameters(operation):
    count = operation.count_params() if isinstance(operation, keras.Layer) else 0
    return f"{count:,} parameter{'' if count == 1 else 's'}" if count else ""


def _shape(tensor):
    """`(batch, timesteps, 32)`, followed by the type where that is no real number."""
    unknown = {0: "batch", 1: "timesteps"}
    sizes = [str(unknown.get(axis, "any") if size is None else size) for axis, size in enumerate(tensor.shape)]
    text = f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
    return text if keras.backend.is_float_dtype(tensor.dtype) else f"{text} {tensor.dtype}"


def _legend(boxes, edges):
    kinds = {edge.kind for edge in edges}
    notes = [
        ("loop: recurs", any(box.loops for box in boxes.values())),
        ("dashed: mask", "mask" in kinds),
        ("dotted: weights", "weights" in kinds),
    ]
    return ",  ".join(note for note, applies in notes if applies)


def _size(lines, loops=()):
    """The width and height that a box's text needs; loops stand beside it, with as much room on either side."""
    from matplotlib.textpath import TextPath

    # Bold names are up to a fifth wider than measured.
    widths = [TextPath((0, 0), line, size=_FONT * (1.2 if i == 0 else 1)).get_extents().width for i, line in enumerate(lines)]
    return max(widths) + 2 * _PADDING + (2 * _LOOP if loops else 0), _LINE * len(lines) + _PADDING


def _layout(boxes, edges, sizes, header):
    """Where everything goes.

    Args:
        boxes, edges: as `_graph` returns them.
        sizes: (width, height) of each box, loops included.
        header: (width, height) of the heading.

    Returns:
        places: a dict of name -> the box's middle (x, y).
        arrows: tuples of four points, kind and whether there is a head: straight, an S between two rows, straight.
        size: (width, height) of the drawing.
    """
    rows = [[] for _ in range(1 + max(box.row for box in boxes.values()))]
    for name, box in boxes.items():
        rows[box.row].append(name)
    pieces = {}
    for source, target, kind in edges:
        upwards = boxes[source].row > boxes[target].row
        top, bottom = (target, source) if upwards else (source, target)
        above = top
        for row in range(boxes[top].row + 1, boxes[bottom].row):
            lane = (top, kind, upwards, row)  # shared by all such arrows from one box: a trunk that branches
            if lane not in rows[row]:
                rows[row].append(lane)
            pieces[_Piece(above, lane, kind, upwards)] = None
            above = lane
        pieces[_Piece(above, bottom, kind, upwards)] = None
    widths = {item: sizes[item][0] if item in boxes else _LANE for row in rows for item in row}
    x = _columns(rows, list(pieces), widths)
    left = min(x[item] - widths[item] / 2 for item in x) - _SPACE
    right = max(x[item] + widths[item] / 2 for item in x) + _SPACE
    width = max(right - left, header[0])
    x = {item: at - (left + right - width) / 2 for item, at in x.items()}

    places, spans, y = {}, {}, header[1] + _SPACE / 2
    for i, row in enumerate(rows):
        height = max(sizes[item][1] for item in row if item in boxes)
        for item in row:
            inner = sizes[item][1] if item in boxes else height
            spans[item] = (y + (height - inner) / 2, y + (height + inner) / 2, y, y + height)
            if item in boxes:
                places[item] = (x[item], y + height / 2)
        # Room for an S that goes far sideways.
        far = max((abs(x[p.above] - x[p.below]) for p in pieces if p.above in row), default=0)
        y += height + (4 * _HEAD + min(far / 6, 40) if i < len(rows) - 1 else _SPACE)

    ports = _ports(list(pieces), x, {item: widths[item] if item in boxes else 0 for item in x})
    arrows = []
    for piece in pieces:
        (_, leave, _, top), (enter, end, bottom, _) = spans[piece.above], spans[piece.below]
        start_x, end_x = ports[piece, piece.above], ports[piece, piece.below]
        enter = enter if piece.below in boxes else end
        points = [(start_x, leave), (start_x, top + _HEAD), (end_x, bottom - _HEAD), (end_x, enter)]
        arrows.append((points[::-1] if piece.upwards else points, piece.kind, piece[not piece.upwards] in boxes))
    return places, arrows, (width, y)


def _columns(rows, pieces, widths):
    """x of each box and lane; orders each row in place, so that few pieces cross."""
    around = defaultdict(list)  # of (item, weight, whether it is above)
    for piece in pieces:
        lanes = isinstance(piece.above, tuple) + isinstance(piece.below, tuple)
        weight = (4 if lanes == 2 else 1) * (1 if piece.kind == "mask" else 2)  # keep lanes and the main path straight
        around[piece.below].append((piece.above, weight, True))
        around[piece.above].append((piece.below, weight, False))
    x = {}
    for row in rows:
        x.update(zip(row, _spread([0] * len(row), [1] * len(row), [widths[item] for item in row]), strict=True))

    def settle(row, sides):
        weights = [[(x[other], weight) for other, weight, above in around[item] if above in sides] for item in row]
        wishes = [sum(at * w for at, w in ws) / sum(w for _, w in ws) if ws else x[item] for item, ws in zip(row, weights, strict=True)]
        return wishes

    best = (len(pieces) ** 2 + 1, rows)
    for sweep in range(16):
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            wishes = dict(zip(row, settle(row, (down,)), strict=True))
            row.sort(key=wishes.get)
            x.update(zip(row, _spread([wishes[i] for i in row], [1] * len(row), [widths[i] for i in row]), strict=True))
        # tbd
    return x
