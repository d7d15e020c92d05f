"""What the commands share: options, tables, progress bars."""

import contextlib
import json
import re
from pathlib import Path

import click

from rnnzoo.registry import STATE, load_preset


class Named(click.Path):
    """A path; the empty one, as of a shell's variable that is not set, would be the current folder."""

    def convert(self, value, parameter, context):
        if value == "":
            self.fail("the name is empty; expected that of a file or folder", parameter, context)
        return super().convert(value, parameter, context)


PATH = Named(path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of a table.")
force = click.option("--force", is_flag=True, help="Replace an output that exists.")


def overrides(example):
    """`--set KEY=VALUE`, any number of times."""
    text = f"Override a value, for example {example}; may be given again."
    return click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help=text)


def _columns(context, parameter, value):
    if value is None:
        return None
    names = [name.strip() for name in value.split(",")]
    if len(names) != 2 or not all(names):
        expected = "expected two names, or numbers of columns, with a comma between them, for example text,label or 1,2"
        raise click.BadParameter(f"'{value}': {expected}")
    return tuple(names)


columns_option = click.option(
    "--columns",
    metavar="INPUT,ANSWER",
    callback=_columns,
    help="What the header of --data calls the two, where it is not plain; or where they stand, where there is none: 1,2.",
)
skip_bad_option = click.option("--skip-bad", is_flag=True, help="Leave out rows of --data that are wrong, and count them.")


def own_data(function):
    """`--data FILE` and how it is read: `--columns`, `--skip-bad`."""
    data = click.option(
        "--data",
        type=PATH,
        help="Examples of your own: CSV, TSV or JSONL of inputs and answers, or what the preset reads (CoNLL columns); a "
        "folder or a pattern ('parts/*.csv') of such files; or a folder that `rnnzoo data pack` wrote.",
    )
    return data(columns_option(skip_bad_option(function)))


def needs_data(data, **options):
    """Refuses options that go with --data alone."""
    for name, value in options.items():
        if data is None and value not in (None, False):
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --data")


def notice(line):
    """A line on standard error where something is not as it should be and the command goes on all the same."""
    click.echo(f"Note: {seen(line)}", err=True)


def with_weights(preset):
    """The preset of a name or folder, if it has trained weights; or `RUN/unfinished`, and then it is said what that is.

    Raises:
        InputError: it has none.
    """
    found = load_preset(preset)
    if not note_unfinished(preset):
        found.metadata()
    return found


def note_unfinished(preset):
    """Whether a folder is that of a run that is not complete, which is said where it is so."""
    there = (Path(preset) / STATE).is_file()
    if there:
        notice(f"{preset}: of a run that is not complete, as of its last checkpoint")
    return there


@contextlib.contextmanager
def picture(output, force):
    """A temporary path to draw at, which takes the place of `output`, a .png or .svg, when all went well."""
    from rnnzoo._figure import picture_format
    from rnnzoo.files import fresh_output

    picture_format(output)  # named as the user did
    with fresh_output(output, force) as partial:
        yield partial


def needs_output(draw, output):
    """Refuses `--draw` without a file."""
    if draw is not None and output is None:
        raise click.UsageError(f"--draw {draw} needs a file to draw: give -o FILE.svg or FILE.png")


def print_json(value):
    """`value` as JSON on standard output."""
    click.echo(json_text(value, indent=2))


def json_text(value, indent=None):
    """`value` as JSON, readable, but for what could move a terminal's cursor, of which JSON itself lets some stand."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return re.sub("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]", lambda found: f"\\u{ord(found[0]):04x}", text)


def seen(text):
    """A text without what could move a terminal's cursor: it is written out."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def print_table(columns, rows, optional=()):
    """A table on standard output, as wide as it needs to be where that is no terminal.

    Args:
        columns: their heads.
        rows: tuples of cells.
        optional: the columns that are left out, one after the other, where the terminal is too narrow; with some, the first
            column, a name, is kept on one line.
    """
    from rich.console import Console

    rows = [["" if cell is None else seen(str(cell)) for cell in row] for row in rows]
    console = Console()
    table = _table(columns, rows, bool(optional))
    if not console.is_terminal:  # nothing is folded in a file or a pipe
        console = Console(width=max(80, _width(table)))
    else:
        for less in optional:
            if _width(table) <= console.width:
                break
            kept = [i for i, column in enumerate(columns) if column != less]
            columns, rows = [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]
            table = _table(columns, rows, True)
    console.print(table)


def _table(columns, rows, whole_first):
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i, column in enumerate(columns):
        numeric = i > 0 and all(re.fullmatch(r"[0-9,.]*%?", row[i]) for row in rows)
        justify = "right" if numeric else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=whole_first and i == 0)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _width(table):
    """How wide a table is where nothing is folded."""
    from rich.console import Console

    return Console(width=100_000).measure(table).maximum


@contextlib.contextmanager
def progress_bar():
    """A function `(stage, done, total, figures)` that draws a bar for each stage on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=8),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
    )
    bars, tasks = Progress(*columns, console=console), {}

    def update(stage, done, total, figures):
        bars.start()  # not before: an error that comes first is not preceded by an empty bar
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total, figures="")
        shown = "  ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in figures.items())
        bars.update(tasks[stage], completed=done, total=total, figures=shown)

    try:
        yield update
    finally:
        if tasks:
            bars.stop()


def print_metrics(metrics):
    """Test set -> metrics as a table on standard output."""
    from rnnzoo.cards import metrics_rows

    columns, rows = metrics_rows(metrics)
    print_table([column.replace("_", " ") for column in columns], rows)
