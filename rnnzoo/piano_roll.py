"""Piano rolls: pictures of music, time from left to right and a row for each key."""

import hashlib

import numpy as np

from rnnzoo import _figure
from rnnzoo._figure import GREY, INK
from rnnzoo.tasks._midi import held

_COLOUR, _BLACK, _LINE = "#3465a4", "#f3f3f3", "#dddddd"
# Of the twelve notes from C on, those of black keys.
_SHARPS = (1, 3, 6, 8, 10)
# A frame and a row in inches, the most that a picture is wide, and dots an inch.
_FRAME, _ROW, _WIDEST, _DPI = 0.11, 0.055, 60.0, 200
_MARGIN = 2  # rows above the highest note and below the lowest
_EVERY = 4  # frames from a line to the next


def draw_roll(frames, path, first, unit):
    """Draws a piece; a key that sounds in frame after frame is one bar.

    The picture holds the sha256 of the piece, so that it can be told which one it is of.

    Args:
        frames: (frames, keys), over 0 where a key sounds.
        path: where to write, `.png` or `.svg` by its suffix; a file that is there is replaced.
        first: the MIDI number of the first key.
        unit: what a frame lasts, in words.

    Raises:
        InputError: the suffix is another.
        MissingExtraError: matplotlib is not installed.
    """
    notes = [(begin, end, first + key) for begin, end, key in held(frames)]
    pitches = [note for _, _, note in notes] or [60]
    low, high = min(pitches) - _MARGIN, max(pitches) + _MARGIN
    size = min(_WIDEST, 0.8 + _FRAME * max(len(frames), 16)), 0.6 + _ROW * (high - low + 1)
    with _figure.drawing() as new_figure:
        figure = new_figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        for note in range(low, high + 1):
            if note % 12 in _SHARPS:
                axes.axhspan(note - 0.5, note + 0.5, color=_BLACK, lw=0, zorder=0)
        for t in range(0, len(frames) + 1, _EVERY):
            axes.axvline(t, color=_LINE, lw=0.5, zorder=1)
        for begin, end, note in notes:
            axes.barh(note, end - begin - 0.12, left=begin + 0.06, height=0.8, color=_COLOUR, lw=0, zorder=2)
        octaves = [note for note in range(low, high + 1) if note % 12 == 0]
        axes.set_yticks(octaves, [f"C{note // 12 - 1}" for note in octaves])
        axes.set_xlim(0, max(len(frames), 1))
        axes.set_ylim(low - 0.5, high + 0.5)
        axes.set_xticks(range(0, len(frames) + 1, 4 * _EVERY))
        axes.tick_params(labelsize=7, colors=INK, length=2)
        axes.set_xlabel(f"{unit}s", fontsize=7, color=INK)
        for spine in axes.spines.values():
            spine.set(color=GREY, linewidth=0.5)
        _figure.save(figure, path, _DPI, description=f"music {digest(frames)}")


def digest(frames):
    """The sha256 of a piece, in hexadecimal."""
    return hashlib.sha256(np.packbits(np.asarray(frames) > 0).tobytes()).hexdigest()
