"""What the parts of a network are called, and how high each stands."""

from rnnzoo.explaining._network import leads_to_state


def name_all(found):
    """Gives parts their letters and numbers, and weights their symbols."""
    parts, axes = found.parts, found.axes()
    recurs = [axis for axis in axes if any(part.role == "state" and part.axis == axis for part in parts.values())]
    for link in found.links:
        source = parts[link.source]
        if link.how == "initial" and source.axis is None and source.role == "dense":
            source.role = "initial"
    for part in parts.values():
        if part.role == "state" and len(recurs) > 1:
            part.side = "ᵉᵈ"[min(recurs.index(part.axis), 1)]
            part.letter = "hs"[min(recurs.index(part.axis), 1)]
        elif part.role == "dense" and not recurs:
            part.letter = "h"
        elif part.role == "input" and part.axis and (part.shifted or (len(recurs) > 1 and part.axis == recurs[-1])):
            part.letter, part.shifted = "y*", True  # the teacher's: what should have been written at the step before
    groups = {}
    for part in parts.values():
        if part.role in ("state", "dense", "vectors"):
            side = part.axis if part.role != "dense" else None
            layer = part.name.partition("/")[0] if part.two_directions else part.name
            groups.setdefault((part.role, side), {}).setdefault(layer, []).append(part)
    for layers in groups.values():
        for number, members in enumerate(layers.values(), 1):
            for part in members:
                part.number = number if len(layers) > 1 else 0
    for link in found.links:
        if link.how == "initial" and parts[link.source].role == "initial":
            source, target = parts[link.source], parts[link.target]
            source.letter, source.number = target.letter, target.number
    embeddings = [part for part in parts.values() if part.role == "vectors"]
    for part in embeddings:
        part.side = "ᵉᵈ"[recurs.index(part.axis) > 0] if len(embeddings) > 1 else ""
    for i, link in enumerate(found.links):
        if link.weight is None:
            continue
        letter, target = link.weight.letter, parts[link.target]
        if letter == "D":
            letter = "A" if target.role == "initial" else "D" if recurs else "W"
        found.links[i] = link._replace(weight=link.weight._replace(symbol=target.symbol(letter), letter=letter))


def raise_all(found):
    """Gives parts their levels: each above what feeds it, and the recurrent ones of all axes on common ones."""
    parts = found.parts
    embedded = {part.axis for part in parts.values() if part.role == "vectors"}
    base = 2 if embedded else 1
    for part in parts.values():
        below = [parts[link.source].level for link in found.into(part.name, "step", "final", "pool")]
        if part.role == "input":
            part.level = base - 1 - (part.axis in embedded)
        elif part.role == "state":
            part.level = max([base, *(level + 1 for level in below)])
            if part.backwards and part.two_directions:
                part.level += 1
        else:
            part.level = max(below) + 1
    for part in parts.values():
        if part.role == "initial":
            part.level = next(parts[link.target].level for link in found.links if link.source == part.name)
        elif part.role == "dense" and leads_to_state(found, part.name):
            part.level = max(parts[link.source].level for link in found.into(part.name))
