"""Writing a number out in English."""

from rnnzoo.tasks._answers import TextAnswer
from rnnzoo.tasks._inputs import NumberInput
from rnnzoo.tasks._own_text import OwnTextTask
from rnnzoo.tasks._task import Examples, check_option, split

ONES = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def spell(number):
    """`1294` -> `one thousand two hundred ninety-four`: American usage, without "and"."""
    if number < 20:
        return ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return TENS[tens] + (f"-{ONES[ones]}" if ones else "")
    size, word = (1000, "thousand") if number >= 1000 else (100, "hundred")
    count, rest = divmod(number, size)
    return f"{spell(count)} {word}" + (f" {spell(rest)}" if rest else "")


class NumberSpelling(OwnTextTask):
    """`1294` -> `one thousand two hundred ninety-four`; the number is given at the first step only.

    Args:
        split_seed: decides which fifth of the numbers 0 to 9999 is held out; no part of a training run's seed.
        repeat_short: a number is trained on this many times more often for each digit that it is short of four.
            Nine numbers in ten have four digits, and a network hardly notices the others.
    """

    description = "a number from 0 to 9999 -> its English words, letter by letter"

    def __init__(self, split_seed: int = 0, repeat_short: int = 1):
        check_option("repeat_short", repeat_short, 1, 40)
        self.split_seed, self.repeat_short = split_seed, repeat_short
        self.input = NumberInput("number", 4, "1294")
        self.answer = TextAnswer(
            "spelling",
            "".join(sorted(set("".join([*ONES, *TENS, " ", "-", "hundred", "thousand"])))),
            max_length=max(len(spell(n)) for n in range(10_000)),
        )

    def right_answer(self, raw):
        return None if self.learns else spell(raw)  # other words than these

    def train(self):
        examples = self._part(0)
        times = [self.repeat_short ** (4 - len(str(n))) for n in examples.inputs]
        return examples.take([i for i, count in enumerate(times) for _ in range(count)])

    def tests(self):
        return {"held_out": lambda: self._part(1)}

    def _part(self, which):
        numbers = split(10_000, 0.2, self.split_seed)[which].tolist()
        return Examples(numbers, [spell(n) for n in numbers])
