"""Characters by counting: what a language model of characters is to be compared with."""

import numpy as np


class Ngrams:
    """n-grams of every order up to `order`, interpolated by the rule of Witten and Bell 1991, "The zero-frequency problem".

    p(c | h) = (count(h c) + T(h) p(c | h')) / (count(h) + T(h)), where h' is the context h without its first symbol and T(h)
    says how many different symbols came after h; below the empty context all symbols are alike. Nothing is chosen. Before
    the beginning of a sequence stands a symbol of its own.

    Args:
        sequences: integer arrays of symbols from 1 to `symbols`.
        order: of the longest n-grams: n - 1 symbols of context.
        symbols: how many different ones can come.
    """

    def __init__(self, sequences, order, symbols):
        self.order, self.symbols = order, symbols
        self._tables = []
        contexts, came = self._events(sequences)
        for length in range(order):
            context = self._codes(contexts, length)
            pairs, counts = np.unique(context * (symbols + 1) + came, return_counts=True)
            known, first, kinds = np.unique(pairs // (symbols + 1), return_index=True, return_counts=True)
            self._tables.append((pairs, counts, known, np.add.reduceat(counts, first), kinds))

    def nats(self, sequences, order):
        """The mean over all symbols of minus the logarithm of their probability given `order` - 1 symbols."""
        contexts, came = self._events(sequences)
        p = np.full(len(came), 1 / self.symbols)
        for length, (pairs, counts, known, totals, kinds) in enumerate(self._tables[:order]):
            context = self._codes(contexts, length)
            total, kind = _looked_up(known, totals, context), _looked_up(known, kinds, context)
            count = _looked_up(pairs, counts, context * (self.symbols + 1) + came)
            p = np.where(total > 0, (count + kind * p) / np.maximum(total + kind, 1), p)
        return float(-np.log(p).mean())

    def _events(self, sequences):
        """What came, (events,), and the symbols before it, (events, order - 1), 0 before a sequence begins."""
        before = np.zeros(self.order - 1, np.int64)
        whole = np.concatenate([part for sequence in sequences for part in (before, sequence)])
        windows = np.lib.stride_tricks.sliding_window_view(whole, self.order)
        windows = windows[windows[:, -1] > 0]
        return windows[:, :-1], windows[:, -1]

    def _codes(self, contexts, length):
        """The last `length` symbols of each context as one number."""
        powers = (self.symbols + 1) ** np.arange(length, dtype=np.int64)
        return contexts[:, contexts.shape[1] - length :] @ powers


def _looked_up(keys, values, wanted):
    """The value of each wanted key, 0 where there is none; `keys` ascend."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)
