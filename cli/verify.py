"""`rnnzoo verify`: whether exports give what the Keras model gives."""

import sys

import click

from rnnzoo.cli._shared import Named, as_json, print_json, print_table


@click.command("verify")
@click.argument("source", type=Named())
@click.option("--seed", type=int, default=0, show_default=True, help="Of the inputs drawn for a preset or a run.")
@as_json
def command(source, seed, as_json):
    """Ask every export of SOURCE in a process of its own, and compare it with the Keras model.

    SOURCE is a preset or a run's folder, of which every format is written into a temporary folder; or a folder or file that
    `rnnzoo export` wrote, which is held against what the Keras model gave then. The processes can import nothing but what
    runs the format: of ONNX and LiteRT no TensorFlow. Exit code 1 where an output is off by more than the limit, relative to
    the largest, or an answer is another one.
    """
    import rnnzoo
    from rnnzoo.errors import ExportError

    def progress(name):
        if sys.stderr.isatty():
            click.echo(f"\r\033[Kverifying {name} ...", nl=False, err=True)

    results = rnnzoo.verify(source, seed=seed, progress=progress)
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    if as_json:
        print_json([_plain(one) for one in results])
    else:
        heads = ("format", "largest difference", "limit", "the same answers", "bytes", "first answer after")
        print_table(heads, [_row(one) for one in results])
    wrong = [one.wrong for one in results if one.wrong is not None]
    if wrong:
        raise ExportError("; ".join(wrong))


def _row(one):
    size = None if one.bytes is None else f"{one.bytes:,}"
    if one.checked is None:
        return (one.format, one.missing, None, None, size, None)
    found = one.checked.difference
    limit = "none: 8 bits" if one.limit is None else f"{one.limit:g}"
    return (one.format, f"{found.largest:.1e}", limit, found.same, size, f"{one.checked.start_up:.2f} s")


def _plain(one):
    shown = {"format": one.format, "bytes": one.bytes, "missing": one.missing, "wrong": one.wrong}
    if one.checked is None:
        return shown
    found = one.checked.difference
    return {
        **shown,
        "largest_difference": found.largest,
        "limit": one.limit,
        "answers": found.answers,
        "different_answers": len(found.different),
        "start_up_seconds": round(one.checked.start_up, 3),
    }
