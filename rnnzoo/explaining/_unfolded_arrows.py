"""The arrows of a network, folded or unfolded in time, between nodes that have their places."""

import itertools

from rnnzoo.explaining._plan import LINE, MOVE, RADIUS, Arrow, around, loop, straight

# What stands for the timesteps that are left out, and for any timestep of a folded network.
ELLIPSIS, FOLDED = "…", "t"


def arrows(planner):
    """A list of `Arrow`: for each link of the network one, or one at each timestep that is drawn."""
    made = _Arrows(planner)
    for link in planner.network.links:
        getattr(made, f"_{link.how}")(link)
    return made.found


class _Arrows:
    def __init__(self, planner):
        self.of, self.found = planner, []

    def _add(self, link, source, target, *, kind="weight", path=None):
        """An arrow between two nodes, straight where no path is given; what is no "weight" has none."""
        weight = link.weight if kind == "weight" else None
        kind = "plain" if kind == "weight" and weight is None else kind
        path = path or straight(self.of.nodes[source], self.of.nodes[target])
        self.found.append(Arrow(source, target, path, weight, kind, link.how))

    def _step(self, link):
        source, target = self.of.parts[link.source], self.of.parts[link.target]
        if source.axis is None and target.axis is None:
            start, end, path = self.of.nodes[source.name, None], self.of.nodes[target.name, None], None
            if target.role == "initial" and start.x != end.x:  # arrows that fan out arrive from the side
                side = end.box[0], end.y
                # From where two directions meet: over what stands beside it first.
                turn = [(LINE, start.x + self.of.pitch, start.y)] if source.role == "joined" and self.of.given else []
                path = [(MOVE, *start.rim(*(turn[0][1:] if turn else side))), *turn, (LINE, *side)]
            self._add(link, (source.name, None), (target.name, None), path=path)
            return
        for t in self.of.steps[target.axis]:
            if t == ELLIPSIS:
                continue
            if self.of.used(target.axis, t):
                self._add(link, (source.name, t), (target.name, t))
            elif not (target.role == "state" and target.masked):
                self._add(link, (source.name, t), (target.name, t), kind="masked")

    def _recur(self, link):
        part, name = self.of.parts[link.target], link.target
        begun = self.of.begun(part)
        if self.of.given is None:
            path = loop(self.of.nodes[name, FOLDED], -1 if part.backwards else 1)
            self._add(link, (name, FOLDED), (name, FOLDED), path=path)
            if begun:
                self._add(link, (begun.name, None), (name, FOLDED), kind="same")
            return
        first = (begun.name, None) if begun else (name, self.of.before(part))
        steps = self.of.steps[part.axis][:: -1 if part.backwards else 1]
        for source, target in itertools.pairwise([first, *((name, t) for t in steps)]):
            stands = part.masked and not self.of.used(part.axis, target[1])
            self._add(link, source, target, kind="same" if stands else "weight")

    def _next(self, link):
        axis = self.of.parts[link.target].axis
        for t, after in [(FOLDED, FOLDED)] if self.of.given is None else itertools.pairwise(self.of.steps[axis]):
            start, end = self.of.nodes[link.source, t], self.of.nodes[link.target, after]
            if self.of.given is None:  # around the loop, and in from below
                far, low = start.x + self.of.width / 2 + 3.2 * RADIUS, end.y + 1.7 * RADIUS
                points = [start.rim(far, start.y), (far, start.y), (far, low), (end.x + 5, low), (end.x + 5, end.y + RADIUS)]
            else:
                down = end.x - self.of.width / 2 - 18
                points = [start.rim(down, start.y), (down, start.y), (down, end.y - 20)]
                points.append(end.rim(*points[-1]))
            self._add(link, (link.source, t), (link.target, after), path=around(points))

    def _final(self, link):
        source, target = self.of.parts[link.source], self.of.parts[link.target]
        key, end, path = (source.name, self.of.last(source)), self.of.nodes[target.name, None], None
        start = self.of.nodes[key]
        if abs(start.x - end.x) > self.of.pitch / 2:  # over everything, to where the other direction ends
            path = around([(start.x, start.y - RADIUS), (start.x, end.y), (end.x - end.width / 2, end.y)], 14)
            path = path if target.role == "joined" else None
        self._add(link, key, (target.name, None), path=path)

    def _pool(self, link):
        axis = self.of.parts[link.source].axis
        end = self.of.nodes[link.target, None]
        for t in self.of.steps[axis]:
            if t == ELLIPSIS or not self.of.used(axis, t):
                continue
            start, path = self.of.nodes[link.source, t], None
            if abs(start.x - end.x) > self.of.pitch / 2:  # up, and along the row where all meet
                path = around([(start.x, start.y - start.radius), (start.x, end.y), (end.box[0], end.y)], 14)
            self._add(link, (link.source, t), (link.target, None), path=path)

    def _initial(self, link):
        source, target = self.of.parts[link.source], self.of.parts[link.target]
        if source.role == "initial":
            return  # it is the state itself
        key, path = (source.name, self.of.last(source) if source.axis else None), None
        first = (target.name, self.of.before(target) if self.of.given else FOLDED)
        if self.of.given is None:  # below the loop
            start, end, low = self.of.nodes[key], self.of.nodes[first], RADIUS * 0.45
            path = [(MOVE, start.box[1] - 1.5, start.y + low), (LINE, end.box[0] + 1.5, end.y + low)]
        self._add(link, key, first, kind="same", path=path)
