"""What a sweep varies: `--set KEY=VALUE` with choices, a range or a log range in the place of a value."""

import itertools
import math
import re
from typing import NamedTuple

from rnnzoo.errors import InputError
from rnnzoo.registry import override, parse_override

NUMBER = r"[+-]?(?:\d+\.\d*|\.?\d+)(?:[eE][+-]?\d+)?"
# What stands at an end of what was meant as a range.
END = rf"(?:{NUMBER}|[+-]?(?:nan|inf))"
# So many combinations are listed at the most.
LISTED = 10_000
HOW = "choices (model.units=32,64,128), a range (model.layers=1..4) or a log range (training.learning_rate=log:1e-4..1e-1)"


class Choices(NamedTuple):
    """Values to choose from, as text."""

    values: tuple[str, ...]

    def listed(self):
        """All values."""
        return self.values


class Range(NamedTuple):
    """Whole numbers, or any, from `low` to `high`, both included; `log`: as likely in each order of magnitude."""

    low: float
    high: float
    log: bool

    @property
    def whole(self):
        """Whether they are whole numbers."""
        return isinstance(self.low, int)

    def listed(self):
        """All values, `None` where there is no end of them."""
        return range(self.low, self.high + 1) if self.whole else None


class Space(NamedTuple):
    """What a sweep varies, and what is the same in all of its trials.

    Attributes:
        fixed: overrides such as `training.epochs=5`.
        varied: key -> `Choices` or `Range`.
    """

    fixed: tuple[str, ...]
    varied: dict

    @property
    def size(self):
        """How many combinations there are; `None`: no end of them."""
        listed = [parameter.listed() for parameter in self.varied.values()]
        return None if None in listed else math.prod(map(len, listed))

    def grid(self):
        """Every combination, a list of dicts of key -> value; the last key varies fastest."""
        listed = [parameter.listed() for parameter in self.varied.values()]
        return [dict(zip(self.varied, values, strict=True)) for values in itertools.product(*listed)]

    def overrides(self, values):
        """The overrides that key -> value stands for, with what is fixed."""
        return [*self.fixed, *(f"{key}={value}" for key, value in values.items())]


def parse_space(settings, preset=None):
    """`["model.units=32,64", "training.epochs=5"]` -> a `Space`.

    Args:
        settings: strings `KEY=VALUE`; commas part choices, `1..9` is a range, `log:1e-4..1e-1` a log range, anything else
            one value for all trials.
        preset: the `Preset` that is to take them; each choice and both ends of each range are tried on it.

    Raises:
        InputError: one of them is wrong, or nothing varies.
    """
    fixed, varied = [], {}
    for setting in settings:
        keys, _ = parse_override(setting)
        key, text = ".".join(keys), setting.partition("=")[2].strip()
        if key in varied or any(key == one.partition("=")[0] for one in fixed):
            raise InputError(f"--set {setting}: '{key}' is given twice; give all of its values at once: {key}=1,2,3")
        parameter = _parameter(setting, text)
        if parameter is None:
            fixed.append(f"{key}={text}")
        else:
            varied[key] = parameter
    if not varied:
        raise InputError(f"--set: nothing varies; give {HOW}")
    space = Space(tuple(fixed), varied)
    if preset is not None:
        _try_on(preset, space)
    return space


def _parameter(setting, text):
    """`Choices` or a `Range`, `None` of a single value."""
    log, found = text.startswith("log:"), re.fullmatch(rf"(?:log:)?\s*({NUMBER})\s*\.\.\s*({NUMBER})", text)
    if found:
        whole = all(re.fullmatch(r"[+-]?\d+", number) for number in found.groups())
        low, high = (int(number) if whole else float(number) for number in found.groups())
        if not (math.isfinite(low) and math.isfinite(high)) or low >= high:
            raise InputError(f"--set {setting}: the range ends at {found[2]}; expected more than {found[1]}")
        if log and low <= 0:
            raise InputError(f"--set {setting}: a log range begins above 0, not at {found[1]}")
        return Range(low, high, log)
    if log or re.match(rf"{END}\s*\.\.|\.\.\s*{END}", text, re.IGNORECASE):
        raise InputError(f"--set {setting}: not a range; expected two numbers, for example 1..9, 0.1..0.9 or log:1e-4..1e-1")
    parts = [part.strip() for part in _parted(text)]
    if len(parts) == 1:
        return None
    if not all(parts):
        raise InputError(f"--set {setting}: a choice is empty; expected values with a comma between each two")
    plain = [repr(parse_override(f"value={part}")[1]) for part in parts]
    for i, value in enumerate(plain):
        if value in plain[:i]:
            raise InputError(f"--set {setting}: the choice {parts[i]} is given twice")
    return Choices(tuple(parts))


def _parted(text):
    """A text at its commas, but for those in brackets or quotation marks."""
    parts, depth, quote = [""], 0, None
    for character in text:
        if quote:
            quote = None if character == quote else quote
        elif character in "\"'":
            quote = character
        else:
            depth += (character in "[{") - (character in "]}")
        if character == "," and not quote and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _try_on(preset, space):
    """Raises `InputError` where a preset does not take a value, with the others at their first."""
    ends = {key: p.values if isinstance(p, Choices) else (p.low, p.high) for key, p in space.varied.items()}
    first = {key: values[0] for key, values in ends.items()}
    for key, values in ends.items():
        for value in values:
            override(preset, space.overrides({**first, key: value}))
