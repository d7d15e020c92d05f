"""Ten digits that are drawn here, stroke by stroke: pictures to try a model on where there are no others."""

import itertools

import numpy as np

# Half the width of a stroke and of its soft edge, where a digit is 1 high; and how many pixels that is.
HALF, EDGE, SIDE = 0.055, 0.035, 80


def drawn_digit(digit):
    """Grey levels (height, width) from 0 to 255, float32: one of the digits 0 to 9, bright on dark."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) * 1.4 - 0.2  # with a margin around the digit
    distance = np.full((SIDE, SIDE), np.inf)
    for stroke in _STROKES[digit]:
        for (x, y), (to_x, to_y) in itertools.pairwise(stroke):
            length = max((to_x - x) ** 2 + (to_y - y) ** 2, 1e-9)
            along = np.clip(((columns - x) * (to_x - x) + (rows - y) * (to_y - y)) / length, 0, 1)
            from_line = np.hypot(columns - x - along * (to_x - x), rows - y - along * (to_y - y))
            distance = np.minimum(distance, from_line)
    return (255 * np.clip((HALF + EDGE - distance) / EDGE, 0, 1)).astype(np.float32)


def _arc(x, y, across, down, begin, end):
    """Points of a piece of an ellipse around (x, y); angles in degrees, clockwise from the right, as y grows downwards."""
    angles = np.radians(np.linspace(begin, end, 25))
    return [(x + across * np.cos(a), y + down * np.sin(a)) for a in angles]


# Each digit's strokes: points (x, y) that are joined by lines, in a square from 0 to 1.
_STROKES = (
    [_arc(0.5, 0.5, 0.3, 0.5, 0, 360)],
    [[(0.58, 0), (0.44, 1)]],
    [[*_arc(0.47, 0.29, 0.33, 0.29, 190, 380), (0.6, 0.62), (0.16, 0.97), (0.85, 0.95)]],
    [_arc(0.45, 0.25, 0.3, 0.25, 200, 450), _arc(0.45, 0.74, 0.36, 0.26, 270, 510)],
    [[(0.22, 0.05), (0.16, 0.52), (0.82, 0.5)], [(0.74, 0), (0.62, 1)]],
    [[(0.82, 0.02), (0.32, 0.03), (0.26, 0.45), *_arc(0.44, 0.69, 0.34, 0.31, 240, 500)]],
    [[(0.68, 0), (0.42, 0.3), (0.25, 0.62), *_arc(0.48, 0.73, 0.25, 0.27, 190, 550)]],
    [[(0.12, 0.06), (0.84, 0.03), (0.42, 1)]],
    [_arc(0.52, 0.25, 0.25, 0.25, 0, 360), _arc(0.48, 0.75, 0.3, 0.25, 0, 360)],
    [_arc(0.48, 0.27, 0.27, 0.27, 0, 360), [(0.75, 0.27), (0.7, 0.6), (0.6, 1)]],
)
