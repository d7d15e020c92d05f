"""The learning curve of a run: what its epochs gave, on the examples trained on and on those of validation."""

import csv
import hashlib
import math

from rnnzoo import _figure
from rnnzoo._figure import GREY, INK

_COLOURS = {"": "#3465a4", "val_": "#c4501b"}
_LABELS = {"": "training", "val_": "validation"}
_INCHES, _DPI = (7.2, 2.6), 200
# Where the largest loss is so many times the least, its axis is logarithmic.
_RANGE = 30


def draw_curve(history, path):
    """Draws loss and metric over the epochs of a run, all its stages one after the other.

    The picture holds the sha256 of the history, so that it can be told which one it is of.

    Args:
        history: the path of a `history.csv`.
        path: where to write, `.png` or `.svg` by its suffix; a file that is there is replaced.

    Raises:
        InputError: the suffix is another.
        MissingExtraError: matplotlib is not installed.
    """
    rows, digest = _rows(history)
    names = [name for name in rows[0] if name not in ("stage", "epoch", "seconds") and not name.startswith("val_")]
    starts = [i for i, row in enumerate(rows) if i and row["stage"] != rows[i - 1]["stage"]]
    with _figure.drawing() as new_figure:
        figure = new_figure(figsize=_INCHES, layout="constrained")
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            values = []
            for prefix, colour in _COLOURS.items():
                points = [(i, float(row[prefix + name])) for i, row in enumerate(rows, 1) if row.get(prefix + name)]
                if points:
                    marker = "." if len(points) == 1 else None
                    axes.plot(*zip(*points, strict=True), color=colour, lw=1.2, marker=marker, label=_LABELS[prefix])
                    values += [value for _, value in points]
            if name == "loss" and min(values) > 0 and max(values) > _RANGE * min(values):
                axes.set_yscale("log")
                axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")  # Matplotlib's own is a formula
                axes.yaxis.set_minor_formatter("")
            for start in starts:
                axes.axvline(start + 0.5, color=GREY, lw=0.6, ls=":")
            axes.set_title(name.replace("_", " "), fontsize=9, color=INK)
            axes.set_xlabel("epoch" + (", a dotted line where a stage begins" if starts else ""), fontsize=8, color=INK)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.tick_params(labelsize=8, colors=INK)
            axes.spines[["top", "right"]].set_visible(False)
            if any(f"val_{name}" in row for row in rows):
                axes.legend(fontsize=8, frameon=False)
        _figure.save(figure, path, _DPI, description=f"history {digest}")


def is_of(path, history):
    """Whether a picture, `.svg`, is the curve of a history."""
    return f"history {_rows(history)[1]}" in path.read_text(encoding="utf-8")


def _rows(history):
    """The rows of a history whose figures are finite, and the history's sha256."""
    content = history.read_bytes()
    rows = list(csv.DictReader(content.decode("utf-8").splitlines()))
    return [row for row in rows if math.isfinite(float(row["loss"]))], hashlib.sha256(content).hexdigest()
