"""What is written on the plan of a network: names of weights, captions, what a row is, the legend."""

from rnnzoo.explaining._network import leads_to_state
from rnnzoo.explaining._plan import SMALL, TEXT, Key, Text, text_width
from rnnzoo.explaining._unfolded_arrows import ELLIPSIS

MARGIN, LINE_HEIGHT, LONGEST = 16, 13, 16
# Okabe and Ito's colours, which the colour-blind tell apart, and darker ones of the same hues for more layers.
_FAMILIES = {
    "W": ("#0072b2", "#3d9bd1", "#003f66", "#5b7f99", "#8ab8dd", "#2b4a9b"),
    "U": ("#d55e00", "#e08a00", "#8a3b00", "#b5805a", "#f0a860", "#a03a4a"),
    "V": ("#009e73",),
    "E": ("#b0588c", "#7a2d5c"),
    "D": ("#6a5acd", "#3b2f8f", "#9a8fe0", "#5a5580"),
    "A": ("#111111", "#6b6b6b", "#3d5245", "#8a8a5c"),
}


def colors(weights):
    """The symbol of each weight -> its colour: one hue a letter, one colour a weight as long as there are enough."""
    found, counts = {}, {}
    for weight in weights:
        family = _FAMILIES[weight.letter]
        number = counts[weight.letter] = counts.get(weight.letter, -1) + 1
        found[weight.symbol] = family[number % len(family)]
    return found


def shown(text):
    """A token as it can be read: a blank or a line end alone has a sign, what is long is cut."""
    text = {" ": "␣", "\n": "↵", "\t": "⇥"}.get(text, str(text))
    text = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def captions(planner):
    """(part, t) -> the lines below an input or above an output, each (text, size, bold)."""
    found, given = {}, planner.given
    for part in planner.parts.values():
        if part.axis is None and leads_to_state(planner.network, part.name) and part.role in ("input", "dense"):
            found[part.name, None] = [(part.name, SMALL, True), (part.detail, SMALL, False)]
        if given is None:
            continue
        texts = given.tokens.get(part.name, []) if part.role == "input" else given.outputs if part.role == "output" else []
        for t in planner.steps[part.axis] if part.axis else [None]:
            at = 1 if t is None else t
            if at == ELLIPSIS:
                continue
            at -= part.late
            text = "0" if at == 0 and texts else shown(texts[at - 1]) if 0 < at <= len(texts) else ""
            if text:
                found[part.name, t] = [(text, TEXT, True), *found.get((part.name, t), [])]
    return found


def row_labels(planner, named):
    """Each row's layer and what it is: on the left, of a decoder on the right, of what has no time beside it."""
    texts, axes = [], planner.axes
    boxes = [*(node.box for node in planner.nodes.values()), *(text.box for text in named)]
    left, right = min(box[0] for box in boxes) - 16, max(box[1] for box in boxes) + 14
    for part in planner.parts.values():
        keys = [key for key in planner.nodes if key[0] == part.name]
        if part.role in ("joined", "initial") or (part.axis is None and leads_to_state(planner.network, part.name)):
            continue
        node = planner.nodes[keys[0]]
        if part.axis is None:
            x, align = node.box[1] + 9, "left"
        elif len(axes) > 1 and part.axis == axes[-1]:
            x, align = right, "left"
        else:
            x, align = left, "right"
        name = part.name + (" →" if part.two_directions and not part.backwards else " ←" if part.backwards else "")
        for i, (text, bold) in enumerate([(name, True), (part.detail, False)]):
            texts.append(Text(text, x, node.y - 6 + 12 * i, SMALL, align, bold))
    return texts


def labels(planner):
    """The names of the weights on their arrows, and "=" where a state is handed on as it is."""
    texts = []
    for arrow in planner.arrows:
        text = arrow.weight.symbol if arrow.weight else "=" if arrow.kind == "same" and planner.given else ""
        if text:
            x, y, align = _beside(planner, arrow, text)
            texts.append(Text(text, x, y, TEXT, align, True, arrow.weight.symbol if arrow.weight else ""))
    return texts


def _beside(planner, arrow, text):
    """Where an arrow's name stands: x, y, and what x is of it."""
    source, points = planner.nodes[arrow.source], arrow.points()
    (x0, y0), (x1, y1) = points[0], points[-1]
    xs, ys = zip(*points, strict=True)
    if arrow.source == arrow.target:  # a loop
        return (max(xs) + 3, min(ys) + 12, "left") if max(xs) > source.box[1] + 2 else (min(xs) - 3, min(ys) + 12, "right")
    if arrow.how == "next":
        if planner.given is None:
            return max(xs) + 5, (y0 + y1) / 2, "left"
        return arrow.path[2][1] - 4, y0 + 36, "right"  # beside the part that goes down
    if abs(y1 - y0) < 1:  # from step to step
        shift = (x1 - x0) / 2
        if planner.feeds_back:  # clear of what comes down there
            shift = text_width(text, TEXT, True) / 2 + 4
        return x0 + shift, y0 - 10, "center"
    if len(arrow.path) == 2 and abs(x1 - x0) < 40:  # from row to row
        share = 0.3 if y0 - y1 > 80 else 0.5
        side = -1 if x1 < x0 - 1 else 1
        x = x0 + share * (x1 - x0) + side * (4.5 + 3 * (abs(x1 - x0) > 1))
        return x, y0 + share * (y1 - y0), "left" if side > 0 else "right"
    if len(arrow.path) > 2:
        (x0, y0) = arrow.path[-2][1:]
    share = 0.72 if planner.nodes[arrow.target].role == "initial" else 0.5  # where those that fan out are apart
    return x0 + share * (x1 - x0), y0 + share * (y1 - y0), "center"


def legend(planner, weights, texts, title, subtitle):
    """The legend and the notes below everything, the title above: the keys, their texts, and the picture's bounds."""
    boxes = [node.box for node in planner.nodes.values()] + [text.box for text in texts]
    points = [point for arrow in planner.arrows for point in arrow.points()]
    left = min(*(box[0] for box in boxes), *(x for x, _ in points)) if points else min(box[0] for box in boxes)
    right = max([box[1] for box in boxes] + [x for x, _ in points])
    top = min([box[2] for box in boxes] + [y for _, y in points])
    bottom = max([box[3] for box in boxes] + [y for _, y in points])
    heads = [
        Text(text, left, 0, size, "left", bold) for text, size, bold in ((title, 12, True), (subtitle, 9, False)) if text
    ]
    written = [heads[i]._replace(y=top - 12 - 17 * (len(heads) - i - 0.5)) for i in range(len(heads))]
    top -= 12 + 17 * len(heads)
    right = max([right, left + 340, *(text.box[1] for text in written)])

    keys, y = [], bottom + 26
    symbol = max((text_width(weight.symbol, TEXT, True) for weight in weights), default=0)
    width = 22 + 8 + symbol + 8 + max((text_width(str(weight), SMALL) for weight in weights), default=0) + 24
    columns = max(1, int((right - left + 24) // width))
    lines = -(-len(weights) // columns)
    for i, weight in enumerate(weights):
        column, line = divmod(i, lines)
        x, at = left + column * width, y + line * 15
        keys.append(Key(weight, x, at, 22))
        written.append(Text(weight.symbol, x + 30, at, TEXT, "left", True, weight.symbol))
        written.append(Text(str(weight), x + 38 + symbol, at, SMALL))
    y += lines * 15 + 3
    for note in notes(planner):
        for line in _wrapped(note, right - left):
            written.append(Text(line, left, y, SMALL, "left", False, "grey"))
            y += LINE_HEIGHT
    right = max(text.box[1] for text in [*written, *texts, Text("", right, 0)])
    return keys, written, (left - MARGIN, right + MARGIN, top - MARGIN, y - LINE_HEIGHT / 2 + MARGIN)


def notes(planner):
    """What the signs of a picture mean, a sentence each, of those that occur in it."""
    parts, given, found = planner.parts.values(), planner.given, []
    states = [part for part in parts if part.role == "state"]
    if given is None:
        if states:
            found.append("Loop: the state goes on to the next timestep, with the same weights at every step.")
        if any(link.how == "final" for link in planner.network.links):
            found.append("What is above the last state, without t, is there once: it reads the state after the last step.")
        if any(part.role == "initial" for part in parts):
            found.append("Dashed: the state that the first step begins with.")
        if any(arrow.how == "initial" for arrow in planner.arrows):
            found.append("Dashed: the encoder's state after its last step is the one that the decoder begins with.")
    else:
        handed = {arrow.target for arrow in planner.arrows if arrow.how == "initial"}
        zeros = [node.text for key, node in planner.nodes.items() if planner.is_start(node) and key not in handed]
        if zeros:
            found.append(f"{', '.join(zeros)} = 0: before the first step there is nothing to remember.")
        if any(arrow.how == "initial" for arrow in planner.arrows):
            found.append("Dashed, =: the encoder's last state is handed over as the one that the decoder begins with.")
        if any(node.is_masked for node in planner.nodes.values()):
            stands = "; the state stands still (=)" if any(arrow.kind == "same" for arrow in planner.arrows) else ""
            found.append(f"Grey: masked timesteps, which are padding{stands}, and the output there does not count.")
        for axis in given.timesteps:
            steps = planner.steps.get(axis, [])
            if ELLIPSIS in steps:
                at = steps.index(ELLIPSIS)
                of = f" of {axis}" if len(given.timesteps) > 1 else ""
                found.append(f"⋯: timesteps {steps[at - 1] + 1:,} to {steps[at + 1] - 1:,}{of}, which are left out.")
    if any(part.shifted for part in parts):
        found.append("y*: what should have been written at the step before (teacher forcing).")
    if any(link.how == "next" for link in planner.network.links):
        found.append("Each output is fed to the next step; to the first one, zeros.")
    if any(part.role == "pooled" for part in parts):
        found.append("p: what is made of all timesteps that count, each unit by itself.")
    if any(part.role == "joined" for part in parts):
        found.append("Dot: both directions side by side (concatenated).")
    return found


def _wrapped(text, width):
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, SMALL) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
