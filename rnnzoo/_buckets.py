"""Which examples share a batch: those of about one length where sequences are ragged, and no example dropped."""

from typing import NamedTuple

import numpy as np

# More buckets than this compile longer than they save: each is a step of its own shape.
MOST_BUCKETS = 4
LEAST_SAVING = 0.2
# Beyond this many different lengths, boundaries are looked for on a grid.
FINEST_GRID = 128


class Buckets(NamedTuple):
    """Classes of examples by their length.

    Attributes:
        widths: how many timesteps each bucket keeps, rising; `(None,)` keeps all of them in the only bucket.
        of_example: (examples,) the bucket of each example.
    """

    widths: tuple
    of_example: np.ndarray


class Plan(NamedTuple):
    """The batches of one epoch, each example in one of them.

    Attributes:
        batches: (steps, batch_size) indices of examples, int32.
        buckets: (steps,) the bucket of each batch, int32.
        last: (fewer than batch_size,) indices of the last, smaller batch, which is of the widest bucket; may be empty.
    """

    batches: np.ndarray
    buckets: np.ndarray
    last: np.ndarray


def one_bucket(examples):
    """`Buckets` that trim nothing."""
    return Buckets((None,), np.zeros(examples, np.int32))


def choose_buckets(lengths, timesteps):
    """At most four buckets that leave the fewest padded timesteps; one where that saves less than a fifth of them.

    Args:
        lengths: (examples,) timesteps that each example uses.
        timesteps: how many there are with padding.

    Returns:
        `Buckets`.
    """
    lengths = np.clip(lengths, 1, None)
    grid = -(-timesteps // FINEST_GRID)
    ends, counts = np.unique(np.minimum(-(-lengths // grid) * grid, timesteps), return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)])
    # cost[i, j]: the timesteps of one bucket that holds the lengths from the i-th up to, not including, the j-th.
    cost = np.where(below[None, :] > below[:, None], np.r_[0, ends][None, :] * (below[None, :] - below[:, None]), np.inf)
    best, cuts, found = np.r_[0.0, np.full(len(ends), np.inf)], [], []
    for _ in range(min(MOST_BUCKETS, len(ends))):
        total = best[:, None] + cost
        cuts.append(total.argmin(axis=0))
        best = total.min(axis=0)
        found.append(best[-1])
    padded = len(lengths) * timesteps
    # The fewest buckets that come close: each one more is one more shape to compile.
    few = next(i for i, left in enumerate(found) if left <= min(found) + 0.05 * padded)
    if found[few] > (1 - LEAST_SAVING) * padded:
        return one_bucket(len(lengths))
    widths, end = [], len(ends)
    for i in range(few, -1, -1):
        widths.append(int(ends[end - 1]))
        end = cuts[i][end]
    widths = tuple(reversed(widths))
    return Buckets(widths, np.searchsorted(widths, lengths).astype(np.int32))


def plan_epoch(order, batch_size, buckets):
    """The batches of an epoch.

    What does not fill a batch of its bucket goes to the next wider one, so that one batch at most is smaller than the rest.
    Batches follow the order of their examples, so the buckets are mixed.

    Args:
        order: a permutation of the examples' indices.
        batch_size: examples a batch.
        buckets: `Buckets`.

    Returns:
        A `Plan`.
    """
    order = np.asarray(order, np.int32)
    position, bucket = np.arange(len(order)), buckets.of_example[order]
    batches, kinds, left = [], [], position[:0]
    for kind in range(len(buckets.widths)):
        members = np.concatenate([left, position[bucket == kind]])
        full = len(members) // batch_size * batch_size
        batches.append(members[:full].reshape(-1, batch_size))
        kinds.append(np.full(len(batches[-1]), kind, np.int32))
        left = members[full:]
    batches, kinds = np.concatenate(batches), np.concatenate(kinds)
    mixed = np.argsort(batches.mean(axis=1), kind="stable")
    return Plan(order[batches[mixed]], kinds[mixed], order[left])


def share_of(plan, part, parts, multiple=1):
    """A `Plan` without a smaller last batch -> the one of who takes one of so many equal parts of each batch's rows.

    Args:
        plan: the `Plan`.
        part: which part, from 0.
        parts: how many there are.
        multiple: of what the rows of a part are to be a multiple. Where there are too few, -1 fills them up: no example.
    """
    rows = -(-plan.batches.shape[1] // (parts * multiple)) * multiple
    filled = np.pad(plan.batches, ((0, 0), (0, parts * rows - plan.batches.shape[1])), constant_values=-1)
    return plan._replace(batches=filled[:, part * rows : (part + 1) * rows])
