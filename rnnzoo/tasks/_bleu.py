"""BLEU, by sacrebleu."""

import importlib.util

from rnnzoo.errors import MissingExtraError


def require_bleu():
    """Raises `MissingExtraError` where sacrebleu is not installed."""
    if importlib.util.find_spec("sacrebleu") is None:
        raise MissingExtraError("BLEU is computed by sacrebleu: pip install 'rnnzoo[translation]'")


def bleu(given, references):
    """How near texts are to what they should be: BLEU of the whole corpus, from 0 to 100 (Papineni et al. 2002; Post 2018).

    Args:
        given: a list of texts.
        references: for each of them a list of texts that are right, as many as there are.

    Returns:
        The figure, and the signature that says how sacrebleu computed it.
    """
    require_bleu()
    from sacrebleu.metrics import BLEU

    most = max(map(len, references))
    streams = [[right[i] if i < len(right) else None for right in references] for i in range(most)]
    metric = BLEU()
    found = metric.corpus_score(given, streams)
    return found.score, str(metric.get_signature())
