"""A classifier that is no network, for the scores of networks to be compared with."""

import collections
import math


class NaiveBayes:
    """The likeliest label by a text's parts, as if each were drawn by itself (multinomial; McCallum and Nigam 1998).

    Args:
        examples: `Examples` of texts and their labels, to count in.
        parts: a function: a text -> a list of what is counted in it.
        smoothing: how many of each part every label is taken to have beside those seen.
    """

    def __init__(self, examples, parts, smoothing):
        self._parts = parts
        counts = collections.defaultdict(collections.Counter)
        for text, label in zip(examples.inputs, examples.answers, strict=True):
            counts[label].update(parts(text))
        kinds = 1 + len(set().union(*counts.values()))  # and one for all that were never seen
        labels = collections.Counter(examples.answers)
        self._scores = {}
        for label, found in counts.items():
            log = math.log(found.total() + smoothing * kinds)
            known = {part: math.log(count + smoothing) - log for part, count in found.items()}
            self._scores[label] = math.log(labels[label]), known, math.log(smoothing) - log

    def predict(self, texts):
        """A list of texts -> a list of their likeliest labels."""
        return [self._likeliest(self._parts(text)) for text in texts]

    def _likeliest(self, parts):
        def score(label):
            prior, known, unseen = self._scores[label]
            return prior + sum(known.get(part, unseen) for part in parts)

        return max(self._scores, key=score)
