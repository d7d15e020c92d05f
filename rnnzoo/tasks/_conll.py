"""Sentences whose tokens have a tag each, in CoNLL columns; and the entities that tags mark."""

import itertools
import re
from typing import NamedTuple

from rnnzoo.errors import InputError
from rnnzoo.tasks._inputs import short
from rnnzoo.texts import wrong_in

OUTSIDE = "O"
NONE = "no sentence; expected a token and its tag a line, and a blank line after each sentence"
SNIFFED = 2**14  # so many characters of a file say what it is
_TAG = re.compile(r"O|[BI]-(\S+)")


class Sentence(NamedTuple):
    """Tokens and their tags, as many, and the number of the line that the first one is on."""

    tokens: list
    tags: list
    line: int


class Wrong(NamedTuple):
    """What is wrong with a sentence, and the number of the line that it is on."""

    error: str
    line: int


def read_conll(text, where, drop_empty=False):
    """The sentences of a text in CoNLL columns: a token a line, a blank line after each sentence.

    The token is the first column and its tag the last one: O, B-TYPE where an entity begins, I-TYPE inside it (IOB2; Ramshaw
    and Marcus 1995). An I that continues nothing begins an entity, as in IOB1, and is read as B. Columns are separated by
    tabs, or by blanks where a line has no tab; `-DOCSTART-` lines are skipped.

    Args:
        text: the text.
        where: what it is, in messages.
        drop_empty: whether a line whose token is empty is left out, as some corpora have, and not refused.

    Returns:
        A list of `Sentence`, none of them empty.

    Raises:
        InputError: a line has no two columns, no token or no such tag; or there is no sentence at all. It names the line.
    """
    found = list(each_sentence(text.removeprefix("\ufeff").split("\n"), drop_empty=drop_empty))
    for sentence in found:
        if isinstance(sentence, Wrong):
            raise InputError(f"{where}, line {sentence.line}: {sentence.error}")
    if not found:
        raise InputError(f"{where}: {NONE}")
    return found


def each_sentence(rows, labels=None, drop_empty=False):
    """Yields a `Sentence`, or what is `Wrong` with it, for each sentence of a text; see `read_conll`.

    Args:
        rows: the lines of the text, an iterable.
        labels: the tags that there can be; any if `None`.
        drop_empty: whether a line whose token is empty is left out.
    """
    lines = []
    for number, line in enumerate(itertools.chain(rows, [""]), 1):
        line = line.rstrip("\r\n")
        if line.strip() and not line.startswith("-DOCSTART-"):
            lines.append((number, line))
            continue
        sentence = _sentence(lines, labels, drop_empty)
        if sentence is not None:
            yield sentence
        lines = []


def _sentence(lines, labels, drop_empty):
    """The sentence of some numbered lines, or what is wrong with it; `None` where it has no tokens."""
    tokens, tags, first, before = [], [], None, OUTSIDE
    for number, line in lines:
        if wrong := wrong_in(line):
            return Wrong(wrong, number)
        try:
            token, tag = _columns(line)
        except InputError as error:
            return Wrong(str(error), number)
        if not token and drop_empty:
            continue
        if not token:
            return Wrong("the token is empty", number)
        if tag.startswith("I-") and before[1:] != tag[1:]:
            tag = f"B{tag[1:]}"
        if labels is not None and tag not in labels:
            return Wrong(f"'{tag}' is no label; expected one of {', '.join(map(repr, labels))}", number)
        first = number if first is None else first
        tokens.append(token)
        tags.append(tag)
        before = tag
    return Sentence(tokens, tags, first) if tokens else None


def is_tag(text):
    """Whether a text is O, B-TYPE or I-TYPE."""
    return _TAG.fullmatch(text) is not None


def looks_like(text):
    """Whether most lines of a text, the first `SNIFFED` characters of a file, have columns, the last of which is a tag."""
    lines = [line for line in text.split("\n") if line.strip()]
    columns = [line.split("\t") if "\t" in line else [] if "," in line else line.split() for line in lines]
    return sum(len(one) > 1 and is_tag(one[-1].strip()) for one in columns) * 2 > len(lines)


def _columns(line):
    """The token and the tag of a line."""
    columns = line.split("\t") if "\t" in line else line.split()
    token, tag = columns[0].strip(), columns[-1].strip()
    if len(columns) < 2:
        raise InputError("1 column; expected a token and its tag, separated by blanks or a tab")
    if not is_tag(tag):
        raise InputError(f"the tag '{short(tag)}'; expected O, B-TYPE or I-TYPE, for example B-PER")
    return token, tag


def entities(tags):
    """The entities that a sentence's tags mark, strictly: a set of (type, first token, the one after the last).

    One begins at a B alone and goes on over the I of its type that follow; an I that continues nothing marks none.
    """
    found, begun = set(), None
    for i, tag in enumerate([*tags, OUTSIDE]):
        if begun is not None and tag != f"I-{begun[0]}":
            found.add((*begun, i))
            begun = None
        if tag.startswith("B-"):
            begun = tag[2:], i
    return found


def entity_scores(given, right):
    """Precision, recall and F1 of the entities in all sentences together (micro-averages), counted strictly.

    An entity is right if its type and both its ends are, as `seqeval` counts in its mode "strict" with IOB2 tags.

    Args:
        given, right: lists of sentences' tags; the tags of a sentence are as many in both.

    Returns:
        A dict of `entity_precision`, `entity_recall` and `entity_f1`, 0 where there is nothing to divide by.
    """
    hits = marked = wanted = 0
    for one, other in zip(given, right, strict=True):
        if len(one) != len(other):
            raise ValueError(f"{len(one)} tags for {len(other)} tokens")
        one, other = entities(one), entities(other)
        hits, marked, wanted = hits + len(one & other), marked + len(one), wanted + len(other)
    return {
        "entity_precision": hits / marked if marked else 0.0,
        "entity_recall": hits / wanted if wanted else 0.0,
        "entity_f1": 2 * hits / (marked + wanted) if marked + wanted else 0.0,
    }
