"""What a picture of a network consists of, before anything is drawn: nodes, arrows and texts, each in its place."""

import itertools
import math
from typing import NamedTuple

from rnnzoo.explaining._network import Weight

# All lengths are points (1/72 inch), and y grows downwards.
RADIUS, DOT, HEAD = 15, 3.5, 7
TEXT, SMALL = 10.5, 8.5
# Steps of a path, as matplotlib numbers them.
MOVE, LINE, QUADRATIC, CUBIC = 1, 2, 3, 4


class Text(NamedTuple):
    """A line of text. `align` says what x is: its "left", "center" or "right"; y is its middle."""

    text: str
    x: float
    y: float
    size: float = SMALL
    align: str = "left"
    bold: bool = False
    color: str = ""

    @property
    def box(self):
        """(left, right, top, bottom), a little generous."""
        width = text_width(self.text, self.size, self.bold)
        left = self.x - {"left": 0, "center": width / 2, "right": width}[self.align]
        return left, left + width, self.y - 0.62 * self.size, self.y + 0.62 * self.size


class Node(NamedTuple):
    """One circle, at a timestep `t` (a number, "t" of a folded network, "…" of those left out) or at none (`None`).

    A state to begin with has the `t` that comes before its first step.
    """

    part: str
    t: object
    x: float
    y: float
    width: float
    text: str
    role: str
    is_masked: bool = False

    @property
    def radius(self):
        """Half its height."""
        return DOT if self.role == "joined" else RADIUS

    @property
    def box(self):
        """(left, right, top, bottom)."""
        return self.x - self.width / 2, self.x + self.width / 2, self.y - self.radius, self.y + self.radius

    def rim(self, x, y):
        """Where a straight line from its middle to (x, y) leaves it."""
        across, up = x - self.x, y - self.y
        core = max(self.width / 2 - self.radius, 0)  # a circle, drawn out to both sides
        inside, outside = 0.0, 1.0
        for _ in range(40):
            middle = (inside + outside) / 2
            far = math.hypot(max(abs(middle * across) - core, 0), middle * up)
            inside, outside = (middle, outside) if far < self.radius else (inside, middle)
        return self.x + outside * across, self.y + outside * up


class Arrow(NamedTuple):
    """From one node to another.

    Attributes:
        source, target: (part, t) of the nodes.
        path: a list of (step, x, y), from rim to rim.
        weight: the `Weight` on it, or `None`.
        kind: "weight", "plain", "same" (a state that stands still or is handed over) or "masked".
        how: as that of a `Link`.
    """

    source: tuple
    target: tuple
    path: list
    weight: Weight | None
    kind: str
    how: str

    def points(self, each=12):
        """Points along the path."""
        found, i = [self.path[0][1:]], 1
        while i < len(self.path):
            step = self.path[i][0]
            count = {LINE: 1, QUADRATIC: 2, CUBIC: 3}[step]
            controls = [found[-1], *(point[1:] for point in self.path[i : i + count])]
            for k in range(1, each + 1):
                found.append(_bezier(controls, k / each))
            i += count
        return found


class Key(NamedTuple):
    """A line of the legend: a stroke of so many points from (x, y) in a weight's colour."""

    weight: Weight
    x: float
    y: float
    length: float


class Plan(NamedTuple):
    """A picture.

    Attributes:
        nodes: (part, t) -> `Node`.
        arrows: a list of `Arrow`.
        labels: the weights' names on the arrows, a list of `Text`.
        texts: everything else that is written outside the nodes.
        keys: the legend.
        colors: the symbol of each weight -> its colour.
        bounds: (left, right, top, bottom).
    """

    nodes: dict
    arrows: list
    labels: list
    texts: list
    keys: list
    colors: dict
    bounds: tuple


_NARROW, _WIDE = set("iljtfI.,:;'|!()[]\u20d7 /-"), set("mwWM@%…⋯→←")
_RAISED = set("₀₁₂₃₄₅₆₇₈₉ₜ₋⁽⁾⁰¹²³⁴⁵⁶⁷⁸⁹ᵉᵈ")


def text_width(text, size, bold=False):
    """About how wide a line of text is; rather more than less."""
    ems = 0.0
    for character in text:
        if character in "\u20d6\u20d7":  # arrows that stand above a letter
            continue
        narrow, raised = character in _NARROW, character in _RAISED
        ems += 0.4 if narrow or raised else 1.0 if character in _WIDE or character > "\u2e80" else 0.66
    return ems * size * (1.1 if bold else 1.0)


def straight(source, target):
    """The path of a straight arrow between two nodes."""
    return [(MOVE, *source.rim(target.x, target.y)), (LINE, *target.rim(source.x, source.y))]


def around(points, radius=9):
    """The path along points, with round corners."""
    path = [(MOVE, *points[0])]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        path.append((LINE, *_toward(corner, before, radius)))
        path += [(QUADRATIC, *corner), (QUADRATIC, *_toward(corner, after, radius))]
    return [*path, (LINE, *points[-1])]


def loop(node, side):
    """The path of a loop on the upper right of a node, or with side = -1 on its upper left."""
    core = node.width / 2 - node.radius
    start = (node.x + side * (core + node.radius * math.cos(0.1)), node.y - node.radius * math.sin(0.1))
    end = (node.x + side * (core + node.radius * math.cos(1.15)), node.y - node.radius * math.sin(1.15))
    far, high = node.x + side * (core + 3.4 * node.radius), node.y - 3.0 * node.radius
    return [
        (MOVE, *start),
        (CUBIC, far, start[1] - 0.2 * node.radius),
        (CUBIC, end[0] + side * 1.3 * node.radius, high),
        (CUBIC, *end),
    ]


def _toward(corner, other, most):
    """The point on the way from a corner to another, not past its middle."""
    length = math.dist(corner, other)
    share = min(most, length / 2) / length if length else 0
    return corner[0] + share * (other[0] - corner[0]), corner[1] + share * (other[1] - corner[1])


def _bezier(controls, share):
    while len(controls) > 1:
        controls = [(a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])) for a, b in itertools.pairwise(controls)]
    return controls[0]
