"""Where the boxes and arrows of a diagram go: layers of a graph in rows, arrows that cross little and nothing else."""

import itertools
from collections import defaultdict
from typing import NamedTuple

# All lengths are points (1/72 inch), and y grows downwards.
PADDING, LANE, SPACE, HEAD = 10, 6, 18, 7


class _Piece(NamedTuple):
    """The part of an arrow between two rows that follow each other; its ends are boxes, or lanes between boxes."""

    above: object
    below: object
    kind: str
    upwards: bool
    row: int  # that of `above`


def layout(boxes, edges, sizes, header):
    """Where everything goes.

    Args:
        boxes, edges: as `_graph` returns them.
        sizes: (width, height) of each box, loops included.
        header: (width, height) of the heading.

    Returns:
        places: a dict of name -> the box's middle (x, y).
        arrows: tuples of four points, kind, and whether there is a head: straight, an S between two rows, straight.
        size: (width, height) of the drawing.
    """
    rows, ranks = _pieces(boxes, edges)
    rows, pieces = _ordered(rows, ranks), list(ranks)
    widths = {item: sizes[item][0] if item in boxes else LANE for row in rows for item in row}
    straight = _straight(rows, ranks)
    x = _columns(rows, pieces, straight, widths)
    ports = _ports(rows, pieces, straight, {item: widths[item] if item in boxes else 0 for item in x})
    left = min(x[item] - widths[item] / 2 for item in x) - SPACE
    right = max(x[item] + widths[item] / 2 for item in x) + SPACE
    width = max(right - left, header[0])
    x = {item: at - (left + right - width) / 2 for item, at in x.items()}

    spans, y = {}, header[1] + PADDING  # (top, bottom) of each item's row
    for i, row in enumerate(rows):
        bottom = y + max(sizes[item][1] for item in row if item in boxes)
        spans.update(dict.fromkeys(row, (y, bottom)))
        far = max((abs(x[piece.above] - x[piece.below]) for piece in pieces if piece.row == i), default=0)
        y = bottom + 4 * HEAD + min(far / 6, 40)  # room for an S that goes far sideways
    places = {name: (x[name], sum(spans[name]) / 2) for name in boxes}

    arrows = []
    for piece in pieces:
        (_, foot), (top, end) = spans[piece.above], spans[piece.below]
        start = places[piece.above][1] + sizes[piece.above][1] / 2 if piece.above in boxes else foot
        end = places[piece.below][1] - sizes[piece.below][1] / 2 if piece.below in boxes else end
        from_x, to_x = (x[item] + ports[piece, item] for item in (piece.above, piece.below))
        points = [(from_x, start), (from_x, foot + HEAD), (to_x, top - HEAD), (to_x, end)]
        target = piece.above if piece.upwards else piece.below
        arrows.append((points[::-1] if piece.upwards else points, piece.kind, target in boxes))
    return places, arrows, (width, bottom + SPACE)


def _pieces(boxes, edges):
    """The rows of boxes and lanes, and a dict of piece -> rank: the lower, the straighter it is to be."""
    rows = [[] for _ in range(1 + max(box.row for box in boxes.values()))]
    for name in dict.fromkeys([*(edge.source for edge in edges), *boxes]):  # a layer's inputs stand as it takes them
        rows[boxes[name].row].append(name)
    ranks = {}
    for source, target, kind in edges:
        upwards = boxes[source].row > boxes[target].row
        top, bottom = (target, source) if upwards else (source, target)
        aside = kind != "data" or boxes[bottom].role == "mask"
        above = top
        for row in range(boxes[top].row + 1, boxes[bottom].row):
            lane = (top, kind, upwards, row)  # shared by all such arrows of one box: a trunk that branches
            if lane not in rows[row]:
                rows[row].append(lane)
            piece = _Piece(above, lane, kind, upwards, row - 1)
            ranks[piece] = min(ranks.get(piece, 2), 1 + aside) if above in boxes else 0
            above = lane
        ranks[_Piece(above, bottom, kind, upwards, boxes[bottom].row - 1)] = 3 if aside else 1
    return rows, ranks


def _ordered(rows, pieces):
    """The rows in the order with the fewest crossings that sweeps down and up come by (Sugiyama et al. 1981)."""
    around, gaps = defaultdict(list), defaultdict(list)
    for piece in pieces:
        around[piece.below, True].append(piece.above)
        around[piece.above, False].append(piece.below)
        gaps[piece.row].append(piece)
    best = fewest = None
    for sweep in range(24):
        at = _positions(rows)
        crossings = sum(_cross(at, *pair) for gap in gaps.values() for pair in itertools.combinations(gap, 2))
        if fewest is None or crossings < fewest:
            best, fewest = list(rows), crossings
        downwards = sweep % 2 == 0
        for i in range(len(rows)) if downwards else reversed(range(len(rows))):
            wishes = {item: [at[other] for other in around[item, downwards]] or [at[item]] for item in rows[i]}
            rows[i] = sorted(rows[i], key=lambda item, wishes=wishes: sum(wishes[item]) / len(wishes[item]))
            at.update({item: j for j, item in enumerate(rows[i])})
    return best


def _positions(rows):
    """item -> its place in its row."""
    return {item: i for row in rows for i, item in enumerate(row)}


def _cross(at, one, other):
    """Whether two pieces between the same rows cross; pieces that share an end do not."""
    return (at[one.above] - at[other.above]) * (at[one.below] - at[other.below]) < 0


def _straight(rows, ranks):
    """The pieces that run straight down: one at most on each side of an item, and none across another."""
    at, sides, chosen = _positions(rows), _sides(rows, ranks), defaultdict(list)

    def off_centre(piece):
        ends = (sides[piece.above, "below"], sides[piece.below, "above"])
        return ranks[piece], sum(abs(met.index(piece) - (len(met) - 1) / 2) for met in ends)

    for piece in sorted(ranks, key=off_centre):
        others = chosen[piece.row]
        touch = any(piece.above == other.above or piece.below == other.below for other in others)
        if not touch and not any(_cross(at, piece, other) for other in others):
            others.append(piece)
    return set(itertools.chain.from_iterable(chosen.values()))


def _sides(rows, pieces):
    """(item, "above" or "below") -> the pieces that meet it there, from left to right."""
    at, sides = _positions(rows), defaultdict(list)
    for piece in pieces:
        sides[piece.above, "below"].append(piece)
        sides[piece.below, "above"].append(piece)
    for (_, end), met in sides.items():
        met.sort(key=lambda piece, end=end: at[getattr(piece, end)])
    return sides


def _columns(rows, pieces, straight, widths):
    """The middle x of each item: what straight pieces join moves as one column (after Brandes and Köpf 2001)."""
    column = {item: [item] for item in widths}
    for piece in pieces:
        if piece in straight:
            joined = column[piece.above] + column[piece.below]
            column.update(dict.fromkeys(joined, joined))
    columns = list({id(items): items for items in column.values()}.values())
    after, before, around = defaultdict(list), defaultdict(list), defaultdict(list)
    for row in rows:
        for left, right in itertools.pairwise(row):
            gap = (widths[left] + widths[right]) / 2 + SPACE
            after[left].append((right, gap))
            before[right].append((left, gap))
    for piece in pieces:
        if piece not in straight:
            around[piece.above].append(piece.below)
            around[piece.below].append(piece.above)

    x = dict.fromkeys(widths, 0.0)
    # No column is both left and right of another, as straight pieces do not cross, so that both loops settle.
    for _ in columns:  # at first as far to the left as the neighbours allow
        packed = dict(x)
        for items in columns:
            x.update(dict.fromkeys(items, max((x[left] + gap for i in items for left, gap in before[i]), default=0.0)))
        if x == packed:
            break
    for sweep in range(100):  # then as near to what they are joined with as the neighbours allow
        for items in columns[:: 1 if sweep % 2 else -1]:
            wishes = [x[other] for item in items for other in around[item]] or [x[items[0]]]
            low = max((x[left] + gap for item in items for left, gap in before[item]), default=-float("inf"))
            high = min((x[right] - gap for item in items for right, gap in after[item]), default=float("inf"))
            x.update(dict.fromkeys(items, min(max(sum(wishes) / len(wishes), low), high)))
    return x


def _ports(rows, pieces, straight, widths):
    """How far from an item's middle each piece meets it: straight ones at 0, the others beside it in their order."""
    ports = {}
    for (item, _), met in _sides(rows, pieces).items():
        middle = next((i for i, piece in enumerate(met) if piece in straight), (len(met) - 1) / 2)
        step = min(20, widths[item] / 2 / (max(middle, len(met) - 1 - middle) + 1))
        ports.update({(piece, item): (i - middle) * step for i, piece in enumerate(met)})
    return ports
