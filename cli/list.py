"""`rnnzoo list`: every preset."""

import fnmatch

import click

from rnnzoo.cli._shared import PATH, as_json, print_json, print_table
from rnnzoo.errors import InputError
from rnnzoo.registry import UNFINISHED, list_presets, load_preset
from rnnzoo.runs import COMPLETE, run_state

# So many characters of why a run failed are in the table; --json has them all.
LONG = 100


@click.command("list")
@click.argument("pattern", default="*")
@click.option("--runs", metavar="DIR", type=PATH, help="List the runs in a folder and how they stand.")
@as_json
def command(pattern, runs, as_json):
    """List the presets (that match PATTERN, such as 'digit-*'), or the runs in a folder.

    The score is that of the shipped weights on held-out examples, by the preset's own metric: a share that is right, or
    what the metric's name says, such as nats, of which fewer are better. Presets worked by hand are scored on their one
    example. A run is running, interrupted (`rnnzoo train --resume` goes on with it), failed or complete.
    """
    if runs is not None:
        _list_runs(runs, pattern, as_json)
        return
    rows = [_row(load_preset(name)) for name in list_presets(pattern)]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["preset", "architecture", "task", "parameters", "metric", "score", "weights", "what it does"],
        [
            [
                row["name"],
                row["architecture"],
                row["task"],
                f"{row['parameters']:,}" if row["parameters"] else "",
                *_scored(row),
                "yes" if row["weights"] else "no",
                row["description"],
            ]
            for row in rows
        ],
        optional=("what it does", "weights", "task", "parameters"),
    )


def _scored(row):
    """The metric and the score of a row as the table shows them: shares in per cent, all else in its own unit."""
    from rnnzoo.cards import lower_is_better

    if row["score"] is None:
        return "", ""
    share = not lower_is_better(row["metric"]) and row["metric"] != "bleu"
    return row["metric"].replace("_", " "), f"{row['score']:.2%}" if share else f"{row['score']:.4g}"


def _list_runs(folder, pattern, as_json):
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected one that holds run folders, such as runs")
    rows = [_run_row(path) for path in sorted(folder.iterdir()) if fnmatch.fnmatch(path.name, pattern)]
    rows = [row for row in rows if row is not None]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["run", "preset", "state", "epochs", "metric", "score", "why it failed"],
        [
            [
                row["run"],
                row["preset"],
                row["state"],
                "" if row["epochs"] is None else f"{row['epochs']}/{row['of_epochs']}",
                *_scored(row),
                row["error"] if row["error"] is None or len(row["error"]) <= LONG else f"{row['error'][: LONG - 1]}…",
            ]
            for row in rows
        ],
        optional=("why it failed", "metric", "score"),
    )


def _run_row(path):
    """What is told of a folder, `None` where it is no run."""
    state = run_state(path) if path.is_dir() and not path.name.startswith(".") else None
    if state is None:
        return None
    found = {"name": None, "metric": None, "score": None}
    try:
        found = _row(load_preset(path if state.state == COMPLETE else path / UNFINISHED))
    except InputError as error:  # it is damaged; the others are listed all the same
        state = state._replace(error=state.error or str(error))
    told = {key: found[key] for key in ("metric", "score")}
    return {"run": str(path), "preset": found["name"], **state._asdict(), **told}


def _row(preset):
    metadata = preset.metadata() if preset.has_weights else {}
    first = next(iter(metadata.get("metrics", {}).values()), {})
    return {
        "name": preset.name,
        "architecture": preset.architecture,
        "task": preset.task,
        "description": preset.description,
        "parameters": metadata.get("parameters"),
        "metric": preset.metric,
        "score": first.get(preset.metric),
        "weights": preset.has_weights,
    }
