"""What every picture shares: matplotlib where it is there, settings that no user's own change, one way to save."""

import contextlib
import warnings
from pathlib import Path

from rnnzoo.errors import InputError, MissingExtraError

_SETTINGS = {  # a user's matplotlibrc must not change the drawing, nor a "$" in a layer's name become a formula
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, and is wide: what a viewer has instead fits the boxes too
    "text.usetex": False,
    "text.parse_math": False,
    "path.sketch": None,
    "path.effects": [],
    "savefig.bbox": None,
    "savefig.transparent": False,
    "svg.fonttype": "none",  # text stays text: sharp, small, and it can be searched
    "svg.hashsalt": "rnnzoo",  # ids are random without
}
FILLS = {"input": "#e2f2e3", "mask": "#eeeeee", "recurrent": "#dbe8f8", "layer": "#fdf3dc"}
INK, GREY = "#222222", "#555555"


def picture_format(path):
    """The format that a path's suffix asks for, `png` or `svg`.

    Raises:
        InputError: the suffix is another.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".svg"):
        raise InputError(f"{path}: expected a name that ends in .png or .svg")
    return suffix[1:]


@contextlib.contextmanager
def drawing():
    """Gives matplotlib's `Figure`, under the zoo's own settings.

    A bare Figure takes the canvas of the format it is saved in: no pyplot, no backend, no window.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing needs matplotlib: pip install 'rnnzoo[plot]'") from None
    with matplotlib.rc_context(_SETTINGS):
        yield Figure


def save(figure, path, dpi, description=None):
    """Writes a figure as its path's suffix says; the same figure gives the same bytes.

    Args:
        figure: the figure.
        path: where to write.
        dpi: dots an inch of a PNG.
        description: what an SVG's metadata say of it, if anything.
    """
    suffix = picture_format(path)
    with warnings.catch_warnings():
        # A token of a script that the font lacks: an SVG's viewer has it, a PNG shows a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(
            path,
            format=suffix,
            dpi=min(dpi, 60_000 / max(figure.get_size_inches())),  # matplotlib draws no more than 2^16 pixels a side
            facecolor="white",
            metadata={"Date": None, **({"Description": description} if description else {})} if suffix == "svg" else None,
        )
