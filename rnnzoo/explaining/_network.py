"""What a network over time is: nodes and the links between them, whatever the number of timesteps.

A layer is one node that stands for all its units, and a layer that reads both directions is two.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class Weight(NamedTuple):
    """A matrix on a link.

    Attributes:
        symbol: how it is written on the link, as U⁽²⁾.
        letter: W from below, U from the step before, V to the output; E of an embedding, A to an initial state, D to a
            dense layer between.
        layer: the layer it is of.
        shape: (rows, columns).
    """

    symbol: str
    letter: str
    layer: str
    shape: tuple[int, int]

    def __str__(self):
        """What it is, in words."""
        what = {"U": "recurrent kernel", "E": "embedding"}.get(self.letter, "kernel")
        return f"{self.layer}: {what}, {self.shape[0]} × {self.shape[1]}"


class Link(NamedTuple):
    """What feeds what.

    Attributes:
        source, target: names of parts.
        how: "step" at the same timestep; "recur" from a step to the next that the layer takes; "next" from a timestep to the
            one after; "final" from the last step that a layer takes; "pool" from every step that is used; "initial" to the
            state before the first step.
        weight: a `Weight`, or `None` where nothing is multiplied.
    """

    source: str
    target: str
    how: str
    weight: Weight | None


@dataclass
class Part:
    """A node of the network: one, or one at each timestep.

    Attributes:
        name: the layer's name, with `/forward` or `/backward` where there are two directions.
        role: "input", "vectors" (of tokens), "state", "joined" (side by side), "pooled" (over time), "dense", "initial" (a
            dense layer that gives a state to begin with) or "output".
        axis: the input whose timesteps it goes along, or the layer that counts its own; `None` for no time.
        letter: what it is called, as h; `symbol` says which layer's and direction's.
        detail: a few words on it.
        backwards: whether it runs from the last timestep to the first.
        masked: whether its state stands still at masked timesteps.
        shifted: whether it holds at each timestep what belongs to the one before.
        late: whether the model itself shifts it: its array is the one that belongs to each timestep.
        level: its height above the inputs.
        number: which of its kind it is, counted from 1; 0 where there is one.
        two_directions: whether there is one for each direction of time.
        side: "ᵉ" and "ᵈ" where there is an encoder and a decoder.
    """

    name: str
    role: str
    axis: str | None
    letter: str
    detail: str = ""
    backwards: bool = False
    masked: bool = False
    shifted: bool = False
    late: bool = False
    level: int = 0
    number: int = 0
    side: str = ""
    two_directions: bool = False

    def symbol(self, letter=None):
        """The letter with a mark for its direction, its side and its layer."""
        mark = ("\u20d6" if self.backwards else "\u20d7") if self.two_directions else ""
        return f"{letter or self.letter}{mark}{self.side if letter else ''}{superscript(self.number)}"

    def at(self, t):
        """The symbol at a timestep, a number or `t`."""
        mark = ("\u20d6" if self.backwards else "\u20d7") if self.two_directions else ""
        return f"{self.letter}{mark}{subscript(t)}{superscript(self.number)}"


def subscript(t):
    """`h₁₂`'s 12, and `hₜ₋₁`'s t-1."""
    return str(t).translate(str.maketrans("0123456789t-", "₀₁₂₃₄₅₆₇₈₉ₜ₋"))


def superscript(number):
    """`U⁽²⁾`'s (2); nothing for 0."""
    return f"⁽{str(number).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}⁾" if number else ""


@dataclass
class Network:
    """The parts of a model and their links.

    Attributes:
        parts: name -> `Part`, each after what feeds it.
        links: a list of `Link`.
        padding: axis -> the value that marks a vector as padding, or `None` for token ids; without what has no mask.
        timesteps: axis -> their number where the model fixes it.
    """

    parts: dict = field(default_factory=dict)
    links: list = field(default_factory=list)
    padding: dict = field(default_factory=dict)
    timesteps: dict = field(default_factory=dict)

    def axes(self):
        """The axes of time, in the order in which the model goes along them."""
        order = {}
        for role in ("state", None):  # an axis stands where it is first read by something that recurs
            for part in self.parts.values():
                if part.axis and role in (part.role, None):
                    order[part.axis] = None
        return list(order)

    def into(self, name, *hows):
        """The links that arrive at a part."""
        return [link for link in self.links if link.target == name and (not hows or link.how in hows)]


def plural(count, what):
    """`1 unit`, `2 units`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def leads_to_state(found, name):
    """Whether a part without time is on the way to a state to begin with."""
    return found.parts[name].axis is None and any(
        link.how == "initial" or leads_to_state(found, link.target) for link in found.links if link.source == name
    )
