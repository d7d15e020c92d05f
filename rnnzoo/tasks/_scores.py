"""Metrics that several tasks share."""


def accuracy(given, right):
    """The share of labels that are the right ones."""
    return sum(g == r for g, r in zip(given, right, strict=True)) / len(right)


def macro_f1(given, right):
    """The mean over labels of the harmonic mean of precision and recall: rare labels count as much as common ones.

    Args:
        given, right: lists of labels, as long as each other; those that occur in either count.
    """
    labels = {*given, *right}
    hits = {label: sum(g == r == label for g, r in zip(given, right, strict=True)) for label in labels}
    return sum(2 * hits[label] / (given.count(label) + right.count(label)) for label in labels) / len(labels)
