"""`rnnzoo sweep`: many trials with other values, and the best of them."""

import contextlib

import click

from rnnzoo.cli._shared import PATH, as_json, force, needs_data, notice, own_data, print_json, print_table

# So many trials are shown at the end; the tables in the folder have all.
SHOWN = 12


@click.command("sweep")
@click.argument("preset")
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUES",
    multiple=True,
    help="What to try: model.units=32,64,128 (choices), model.layers=1..4 (a range), "
    "training.learning_rate=log:1e-4..1e-1; or one value, for all trials. May be given again.",
)
@click.option("--trials", type=click.IntRange(min=1), help="How many; every combination once if not given.")
@click.option("--grid", is_flag=True, help="Every combination once.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="How many trials at a time.")
@click.option("-o", "--output", type=PATH, help="The folder; a new one under sweeps/ if not given.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Seed of what is drawn.")
@click.option("--metric", help="What is compared, on validation data; the preset's own metric if not given; loss.")
@click.option("--direction", type=click.Choice(["minimize", "maximize"]), help="What the metric's name says if not given.")
@click.option(
    "--pruner",
    type=click.Choice(["median", "halving", "none"]),
    help="Which trials are given up early; median if not given, and none of a grid.",
)
@click.option(
    "--storage",
    metavar="URL",
    help="postgresql://USER:PASSWORD@HOST:PORT/DATABASE, for several machines: the same command on each.",
)
@click.option("--study", metavar="NAME", help="What the sweep is called on that server; -o's last part if not given.")
@click.option(
    "--grace",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    help="Seconds without a sign of life after which another machine takes a trial over.",
)
@own_data
@click.option(
    "--valid", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Share of --data that is held out; 0.2."
)
@force
@as_json
def command(preset, settings, valid, data, columns, skip_bad, as_json, **options):
    """Train a PRESET again and again with other values, and find the best of them.

    Trials are compared on validation data; the test sets are not read. Killed and called again with the same -o, a sweep
    goes on where it was. The folder gets tables, plots, and the winner as a preset, best/, for `rnnzoo train`.
    """
    from rnnzoo.sweeping import sweep

    needs_data(data, columns=columns, skip_bad=skip_bad, valid=valid)
    with _table() as progress:
        found = sweep(
            preset,
            settings,
            data=data,
            columns=columns,
            skip_bad=skip_bad,
            **({} if valid is None else {"valid": valid}),
            **options,
            progress=progress,
            notice=notice,
        )
    if as_json:
        told = found._asdict()
        print_json({**told, "path": str(found.path), "preset": str(found.preset)})
        return
    _print(found)


def _print(found):
    from rnnzoo.cards import figure
    from rnnzoo.sweeping._report import CARD, PLOTS, RESULTS, shown, train_line

    rows = [
        (
            row["number"],
            shown(row),
            "" if row["state"] != "complete" else figure(row["value"]),
            row["state"],
            row.get("epochs"),
            row.get("seconds"),
        )
        for row in found.trials[:SHOWN]
    ]
    print_table(["trial", "values", found.metric.replace("_", " "), "state", "epochs", "seconds"], rows)
    if len(found.trials) > SHOWN:
        click.echo(f"... and {len(found.trials) - SHOWN} more, in {found.path / 'results.csv'}")
    if found.importances:
        click.echo("\nImportance: " + ", ".join(f"{key} {share:.0%}" for key, share in found.importances.items()))
    better = "lowest" if found.lower else "highest"
    click.echo(
        f"\nBest: trial {found.best['number']}, {shown(found.best)}, with the {better} {found.metric.replace('_', ' ')} on "
        f"validation data, {figure(found.best['value'])}"
    )
    there = ", ".join(name for name in (CARD, RESULTS, PLOTS) if (found.path / name).exists())
    click.echo(f"Sweep: {found.path} ({there})")
    click.echo(f"Train the best: {train_line(found)}")


@contextlib.contextmanager
def _table():
    """A function that shows a `Standing`: in a terminal a table on standard error, else a line for each finished trial."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    live = Live(console=console, auto_refresh=False, transient=True)
    try:
        yield lambda standing: (live.start(), live.update(_drawn(standing, console.height), refresh=True))
    finally:
        live.stop()


def _lines():
    told = set()

    def show(standing):
        from rnnzoo.sweeping._report import shown

        for row in standing.rows:
            if row["state"] in ("waiting", "running") or row["number"] in told:
                continue
            told.add(row["number"])
            value, why = "", f": {row['why']}" if row["why"] else ""
            if row["state"] == "complete":
                value = f", {standing.metric.replace('_', ' ')} {row['value']:.4g}"
            line = f"{len(told)}/{standing.total}: trial {row['number']}, {shown(row)}, {row['state']}"
            click.echo(f"{line}{value}{why}", err=True)

    return show


def _drawn(standing, height):
    """A table of what runs and of the best so far, as high as the terminal allows."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from rnnzoo.sweeping._report import shown

    counts = {}
    for row in standing.rows:
        counts[row["state"]] = counts.get(row["state"], 0) + 1
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, title_justify="left", title_style="")
    table.title = f"{standing.finished} of {standing.total} trials finished ({states})"
    for column in ("trial", "values", standing.metric.replace("_", " "), "state", "epoch", "then"):
        table.add_column(column, justify="left" if column in ("values", "state") else "right", overflow="fold")
    sign = 1 if standing.lower else -1
    done = [row for row in standing.rows if row["state"] == "complete"]
    done.sort(key=lambda row: (sign * row["value"], row["number"]))
    running = [row for row in standing.rows if row["state"] == "running"]
    room = max(3, height - 6)
    for row in [*running[:room], *done[: max(1, room - len(running))]]:
        epoch = row.get("epochs") or row["epoch"]
        of = f"/{row['of']}" if row["state"] == "running" and row["of"] else ""
        value = "" if row["value"] is None else f"{row['value']:.4g}"
        # What is looked at after each epoch may be another figure than the metric: a loss, a share of tokens.
        values = (value, "") if row["state"] == "complete" else ("", value)
        cells = (str(row["number"]), shown(row), values[0], row["state"], "" if epoch is None else f"{epoch}{of}", values[1])
        table.add_row(*map(Text, cells), style="bold" if done and row is done[0] else None)
    return table
