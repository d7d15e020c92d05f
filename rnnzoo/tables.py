"""Tables of the user's, CSV, TSV and what is like them: row by row, and which of their columns are an example."""

import collections
import csv
import itertools
import re
from typing import NamedTuple

from rnnzoo.errors import InputError
from rnnzoo.texts import open_text, wrong_in

# What a column of a header, or a key of an object, may be called beside the task's own name of it.
INPUTS = ("input", "text", "sentence", "x", "source", "name")
ANSWERS = ("answer", "label", "y", "target", "class", "category")
COMMAS, SEMICOLONS = ({"delimiter": one, "strict": True} for one in ",;")
TABS = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
SAMPLED = 50  # so many lines say what separates the fields
UNCLOSED = "a quote is opened and never closed"
_POSITION = re.compile("[1-9][0-9]{0,3}")
_HEAD = re.compile(r"[^\W\d_][\w ()/#-]{0,39}")  # what the head of a column looks like


class Form(NamedTuple):
    """Where a table has what of an example.

    Attributes:
        places: the columns of the input, `None` where inputs say nothing, and of the answer.
        width: how many fields each row has.
        why: what says so, in words; `None` where that is what is expected of any table.
        header: whether the row that told it is a header.
    """

    places: tuple
    width: int
    why: str | None = None
    header: bool = False


class Wanted:
    """The two columns that are looked for.

    Args:
        task: the task.
        columns: what they are called or where they stand (`("1", "2")`), if that is said, else `None`.
    """

    def __init__(self, task, columns):
        self.columns = columns
        self.names = (task.input.name, *INPUTS), (task.answer.name, *ANSWERS)
        self.constant = task.input.example if task.input.kind == "constant" else None
        self.positions = None
        if columns is not None and all(map(_POSITION.fullmatch, columns)):
            self.positions = tuple(int(one) - 1 for one in columns)
        # Of inputs that say nothing the column is not looked for.
        self.sides = (1,) if self.constant is not None else (0, 1)
        self.width = len(self.sides)

    @property
    def text(self):
        """The columns as they are expected, in words."""
        return ",".join(self.names[side][0] for side in self.sides)

    def headed(self, first):
        """Whether a row is a header by which the columns can be found."""
        cells = [cell.strip() for cell in first]
        if self.positions:
            known = {*self.names[0], *self.names[1]}
            return all(i < len(cells) and cells[i].lower() in known for i in self._places())
        if self.columns:
            return all(self.columns[i] in cells for i in self.sides)
        return all(any(self._known(cell, i) for cell in cells) for i in self.sides)

    def _places(self):
        return [self.positions[i] for i in self.sides]

    @property
    def last(self):
        """The last of the positions."""
        return max(self._places())

    def _known(self, cell, side):
        return cell.lower() in self.names[side]

    def form(self, first, width, where):
        """The `Form` that the first row of a table says.

        Args:
            first: its fields.
            width: how many fields most rows have.
            where: the row, in messages.

        Raises:
            InputError: there is no such column, or more than one.
        """
        cells = [cell.strip() for cell in first]
        if self.positions:
            if self.last >= width:
                raise InputError(f"{where}: no column {self.last + 1}; there {'is' if width == 1 else 'are'} {width}")
            return Form(self._both(self.positions), width, "as most lines have", self.headed(first))
        if self.columns:
            for name in (self.columns[i] for i in self.sides):
                if cells.count(name) != 1:
                    raise InputError(f"{where}: no header with one column '{name}'; there are {', '.join(map(repr, cells))}")
            places = [cells.index(name) if name in cells else None for name in self.columns]
            return Form(self._both(places), len(cells), "as the header has", True)
        if not self.headed(first):
            return Form(self._both((0, self.width - 1)), self.width)
        found = [[i for i, cell in enumerate(cells) if self._known(cell, side)] for side in (0, 1)]
        if self.constant is not None:  # `name,class`: the task's own name comes first
            found[1] = [i for i in found[1] if cells[i].lower() == self.names[1][0]] or found[1]
        if any(len(found[side]) > 1 for side in self.sides):
            what = "be the input or the answer" if self.constant is None else "be the answer"
            raise InputError(f"{where}: more than one column may {what}; give columns: INPUT,ANSWER")
        return Form(self._both([one[0] if one else None for one in found]), len(cells), "as the header has", True)

    def _both(self, places):
        return (None if self.constant is not None else places[0]), places[1]

    def example(self, fields, form):
        """The input and the answer of a row of a `Form`, or `None` where it has another number of fields."""
        (first, second), width, *_ = form
        if len(fields) == width:
            return self.constant if first is None else fields[first].strip(), fields[second].strip()
        # A pair where the answer alone would do.
        if self.constant is not None and form.why is None and len(fields) == 2 and fields[0].strip() == self.constant:
            return self.constant, fields[1].strip()
        return None


def rows(path, tabs, wanted):
    """The rows of a table: (where, input, answer, what is wrong, the header that it may be).

    Args:
        path: the file.
        tabs: whether its fields have tabs between them and no quotes. Of others the first lines tell what they have.
        wanted: a `Wanted`.

    Raises:
        InputError: the columns that are said are not there, or the file is in another encoding.
    """
    with open_text(path, newline="") as file:
        sample = list(itertools.islice(file, SAMPLED))
        how, found = _separator(sample, len(sample) < SAMPLED, tabs, wanted)
        width = collections.Counter(map(len, found)).most_common(1)[0][0] if found else 0
        form = None
        for number, text, fields, error in records(itertools.chain(sample, file), how):
            where, header = f"{path}, line {number}", None
            if form is None and fields:
                form = wanted.form(fields, width, where)
                if form.header:
                    continue
                header = _header(wanted.example(fields, form) or fields) if form.places[0] is not None else None
            error = error or wrong_in(text)
            if error:
                yield where, None, None, error
            elif fields:
                example = wanted.example(fields, form)
                if example is None:
                    yield where, None, None, _fields(fields, form, wanted, how, header)
                else:
                    yield where, *example, None, header


def records(lines, how):
    """The records of a table: (number of the first line, text, fields, what is wrong).

    A field in quotes may have lines. A quote that is never closed would take all that follows; the line that opens it is
    wrong, and the next one is read for itself. What is taken for one field ends at `csv.field_size_limit`.

    Args:
        lines: an iterator of lines.
        how: arguments of `csv.reader`.
    """
    waiting, taken = collections.deque(), []

    def feed():
        for line in iter(lambda: waiting.popleft() if waiting else next(lines, None), None):
            taken.append(line)
            yield line

    reader, number = csv.reader(feed(), **how), 1
    while True:
        error = None
        try:
            fields = next(reader, None)
        except csv.Error as wrong:
            fields, error = None, UNCLOSED if len(taken) > 1 or "end of data" in str(wrong) else str(wrong)
            waiting.extendleft(reversed(taken[1:]))
            del taken[1:]
            reader = csv.reader(feed(), **how)
        if not taken:
            return
        yield number, taken[0] if len(taken) == 1 else "".join(taken), fields, error
        number += len(taken)
        taken.clear()


def _separator(sample, whole, tabs, wanted):
    """What separates the fields of a table, as arguments of `csv.reader`, and the rows of its first lines.

    Commas, unless semicolons or tabs alone make of the first line a header that is known, or of all of them rows that are
    right; or rows of one length at least, which then can be told what columns to take.
    """
    if tabs:
        return TABS, _sampled(sample, whole, TABS)
    found = [(how, _sampled(sample, whole, how)) for how in (COMMAS, SEMICOLONS, TABS)]
    for how, rows in found:
        if rows and wanted.headed(rows[0]):
            return how, rows
    more = wanted.positions is not None
    least = wanted.last + 1 if more else wanted.width
    right = [[len(row) == least or (more and len(row) > least) for row in rows] for _, rows in found]
    # One line of text may have any of them; all of them have as many semicolons or tabs only where these separate.
    alike = [len({*map(len, rows)}) == 1 and (i == 0 or len(rows[0]) > 1) for i, (_, rows) in enumerate(found)]
    for i in range(3):
        if alike[i] and all(right[i]):
            return found[i]
    for i in range(3):
        if alike[i] and len(found[i][1][0]) > 1:
            return found[i]
    return found[0]


def _sampled(sample, whole, how):
    """The rows of some lines, but for the last one where the lines are not all."""
    try:
        rows = [row for row in csv.reader(sample, **{**how, "strict": False}) if row]
    except csv.Error:
        return []
    return rows if whole else rows[:-1]


def _header(fields):
    """A row that may be a header, as `--columns` would have it, else `None`."""
    cells = [cell.strip() for cell in fields]
    return ",".join(cells) if all(map(_HEAD.fullmatch, cells)) else None


def _fields(fields, form, wanted, how, header):
    """What is wrong with a row that has another number of fields."""
    count = f"{len(fields)} field" + ("" if len(fields) == 1 else "s")
    said = f"{count}; expected {form.width}, {form.why or f'`{wanted.text}`'}"
    own = how["delimiter"]
    others = [one for one in SEPARATORS if one != own and any(one in field for field in fields)]
    if len(fields) < form.width and others:
        return f"{said}; there is {SEPARATORS[others[0]]} where {SEPARATORS[own]} is expected"
    if len(fields) > form.width and form.why is None:
        which = "1,2 says which they are" if wanted.constant is None else "1,1 says which it is"
        return f"{said}; --columns {which}" + (", or if this is a header, two of its names" if header else "")
    return said
