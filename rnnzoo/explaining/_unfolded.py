"""The plan of a network folded, or unfolded in time: which node stands where, and what goes from one to another.

A folded network is one column for each axis of time, with loops; unfolded it is a column for each timestep.
"""

from typing import NamedTuple

from rnnzoo.explaining._network import leads_to_state
from rnnzoo.explaining._plan import DOT, RADIUS, TEXT, Node, Plan, Text, text_width
from rnnzoo.explaining._unfolded_arrows import ELLIPSIS, FOLDED, arrows
from rnnzoo.explaining._unfolded_texts import captions, colors, labels, legend, row_labels

ROW, PITCH, ASIDE = 72, 92, 19
# Longer sequences show so many first and last timesteps.
MOST, ENDS = 8, 3
LETTERS = "EWUVAD"  # as the legend lists them


class Given(NamedTuple):
    """What is known of the sequences.

    Attributes:
        timesteps: axis -> their number.
        masks: axis -> a list of whether each timestep is used.
        tokens: input name -> what stands at each timestep, as text.
        outputs: the texts of the outputs, one a timestep, or one.
    """

    timesteps: dict
    masks: dict
    tokens: dict
    outputs: list


def plan(network, given=None, title="", subtitle=""):
    """The `Plan` of a network, unfolded for what is `Given`, or folded."""
    return _Planner(network, given).plan(title, subtitle)


def visible(timesteps):
    """The timesteps that are drawn, from 1, with "…" for those left out."""
    if timesteps <= MOST:
        return list(range(1, timesteps + 1))
    return [*range(1, ENDS + 1), ELLIPSIS, *range(timesteps - ENDS + 1, timesteps + 1)]


class _Planner:
    def __init__(self, network, given):
        self.network, self.given, self.parts = network, given, network.parts
        self.axes = network.axes()
        self.steps = {
            axis: [FOLDED] if given is None else visible(given.timesteps[axis]) for axis in (*self.axes, *network.timesteps)
        }
        self.nodes, self.arrows = {}, []

    def plan(self, title, subtitle):
        columns = self._columns()
        self.captions = captions(self)
        self._place(columns)
        self.arrows = arrows(self)
        seen = self._weights()
        named = labels(self)
        texts = [*self.captions_placed(), *row_labels(self, named)]
        keys, more, bounds = legend(self, seen, [*named, *texts], title, subtitle)
        return Plan(self.nodes, self.arrows, named, [*texts, *more], keys, colors(seen), bounds)

    def _weights(self):
        """The weights that occur, as the legend lists them."""
        found = {link.weight: self.parts[link.target] for link in self.network.links if link.weight}
        seen = {arrow.weight for arrow in self.arrows}

        def place(weight):
            part = found[weight]
            return LETTERS.index(weight.letter), self.axes.index(part.axis) if part.axis else -1, part.level

        return sorted((weight for weight in found if weight in seen), key=place)

    # Where everything stands

    def before(self, part):
        """The `t` of the state that a layer begins with."""
        if not part.backwards or self.given is None:
            return 0
        return self.given.timesteps[part.axis] + 1

    def last(self, part):
        """The last `t` that a layer takes."""
        return self.steps[part.axis][0 if part.backwards else -1]

    def is_start(self, node):
        """Whether a node is the state before the first step."""
        return node.role == "state" and node.t == self.before(self.parts[node.part])

    def states(self, axis):
        return [part for part in self.parts.values() if part.role == "state" and part.axis == axis]

    def begun(self, part):
        """The dense part that is a state's first one, or `None`."""
        found = self.network.into(part.name, "initial")
        source = self.parts[found[0].source] if found else None
        return source if source and source.role == "initial" else None

    def reads(self, name):
        """The axis that a part without time comes from, or `None`."""
        for link in self.network.into(name):
            source = self.parts[link.source]
            axis = source.axis or self.reads(source.name)
            if axis:
                return axis
        return None

    def _columns(self):
        """(part or axis, t) -> its column."""
        columns, at = {}, 0
        outside = [part for part in self.parts.values() if part.role == "input" and not part.axis and self.axes]
        for axis in self.axes:
            begins = [part for part in self.states(axis) if not part.backwards or self.given is None]
            if any(self.given or self.begun(part) for part in begins):
                feeds = [part for part in outside if any(self.begun(state) for state in begins)]
                if feeds and len(begins) > 1:  # its arrows fan out
                    columns.update({(part.name, None): at for part in feeds})
                    at += 1
                columns.update({(part.name, None): at for part in feeds if (part.name, None) not in columns})
                columns[axis, 0] = at
                at += 1
            for t in self.steps[axis]:
                columns[axis, t] = at
                at += 1
            if self.given and any(part.backwards for part in self.states(axis)):
                columns[axis, "end"] = at
                at += 1
            for part in self.parts.values():
                bridges = part.role == "dense" and leads_to_state(self.network, part.name)
                if bridges and self.reads(part.name) == axis:
                    columns[part.name, None] = at
                    at += 1
            if sum(part.role == "initial" and self.reads(part.name) == axis for part in self.parts.values()) > 1:
                at += 0.6  # its arrows fan out
        for part in self.parts.values():
            if part.axis is None and part.role != "initial" and (part.name, None) not in columns:
                axis = self.reads(part.name)
                columns[part.name, None] = columns[axis, self.steps[axis][-1]] if axis else 0
        return columns

    def _place(self, columns):
        widths = [text_width(self._text(part, t), TEXT) for part in self.parts.values() for t in self._times(part)]
        self.width = max(2 * RADIUS, max(widths) + 10)
        wide = max((text_width(text, TEXT) for lines in self.captions.values() for text, *_ in lines), default=0)
        longest = max((text_width(link.weight.symbol, TEXT) for link in self.network.links if link.weight), default=0)
        two = any(part.two_directions for part in self.parts.values())
        self.feeds_back = any(link.how == "next" for link in self.network.links)
        pitch = max(PITCH, self.width + longest + 34 + 14 * two + (24 + longest) * self.feeds_back, wide + 14)
        if self.given is None:
            pitch = max(pitch, 150)
        self.pitch = pitch
        for part in self.parts.values():
            y = -part.level * ROW
            for t in self._times(part):
                if t == self.before(part) and part.role == "state":
                    if self.begun(part) or self.given is None:
                        continue
                    column = columns[part.axis, "end" if part.backwards else 0]
                elif part.role == "initial":
                    column = columns[self._begins(part).axis, 0]
                else:
                    column = columns[part.axis or part.name, t]
                x = column * pitch + self._aside(part)
                role = part.role if t != ELLIPSIS else "ellipsis"
                width = {"joined": 2 * DOT, "ellipsis": 2 * RADIUS}.get(role, self.width)
                text = self._text(part, t)
                self.nodes[part.name, t] = Node(part.name, t, x, y, width, text, role, not self.used(part.axis, t))

    def _times(self, part):
        """Every `t` at which a part has a node."""
        if part.axis is None:
            return [None]
        return [*self.steps[part.axis], *([self.before(part)] if part.role == "state" else [])]

    def _aside(self, part):
        """Where there are two directions, they stand to both sides of the column."""
        return 0 if not part.two_directions else -ASIDE if part.backwards else ASIDE

    def _begins(self, part):
        """The state that an initial part begins."""
        return next(self.parts[link.target] for link in self.network.links if link.source == part.name)

    def _text(self, part, t):
        """What stands in a node."""
        if part.role == "joined" or t == ELLIPSIS:
            return "" if t != ELLIPSIS else "⋯"
        if part.role == "initial":
            return part.at(self.before(self._begins(part)))
        if part.axis is None:
            return part.symbol()
        if part.shifted:
            return part.at("t-1" if t == FOLDED else t - 1)
        return part.at(t)

    def used(self, axis, t):
        """Whether a timestep counts."""
        mask = self.given.masks.get(axis) if self.given else None
        return mask is None or not isinstance(t, int) or not 0 < t <= len(mask) or bool(mask[t - 1])

    def captions_placed(self):
        """What stands below the inputs and above the outputs."""
        texts = []
        for key, lines in self.captions.items():
            node = self.nodes[key]
            side = -1 if node.role in ("output", "dense") else 1
            for i, (text, size, bold) in enumerate(lines):
                y = node.y + side * (RADIUS + 10 + (len(lines) - 1 - i if side < 0 else i) * 12)
                texts.append(Text(text, node.x, y, size, "center", bold, "#999999" if node.is_masked else ""))
        return texts
