"""Writing a number out in English."""

from rnnzoo.tasks._answers import TextAnswer
from rnnzoo.tasks._inputs import NumberInput
from rnnzoo.tasks._task import Examples, Task, check_option, learned_alphabet, split

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


class NumberSpelling(Task):
    """`1294` -> `one thousand two hundred ninety-four`; the number is given at the first step only.

    Args:
        split_seed: decides which fifth of the numbers 0 to 9999 is held out; no part of a training run's seed.
        repeat_short: a number is trained on this many times more often for each digit that it is short of four.
            Nine numbers in ten have four digits, and a network hardly notices the others.
    """

    learns_own = ("alphabet", "max_length")
    own = False  # whether other numbers, or other words, are learned than those of English
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

    def open(self):
        """See `Task`."""
        super().open()
        self.answer, self.own = TextAnswer("spelling", "", 0, open=True), True

    def learn(self, training, *others):
        """The characters of the numbers written out, and how long one is: in another language, say."""
        self.answer = TextAnswer("spelling", *learned_alphabet(training, *others))

    def recall(self, learned):
        """See `Task`."""
        self.learns, self.own = self.learns_own, True
        self.answer = TextAnswer("spelling", learned["alphabet"], learned["max_length"])

    def right_answer(self, raw):
        return None if self.own else spell(raw)

    def train(self):
        examples = self._part(0)
        times = [self.repeat_short ** (4 - len(str(n))) for n in examples.inputs]
        return examples.take([i for i, count in enumerate(times) for _ in range(count)])

    def tests(self):
        return {"held_out": lambda: self._part(1)}

    def _part(self, which):
        numbers = split(10_000, 0.2, self.split_seed)[which].tolist()
        return Examples(numbers, [spell(n) for n in numbers])
