"""`rnnzoo evaluate`: the scores of trained weights."""

from pathlib import Path

import click

from rnnzoo.cli._shared import as_json, print_json, print_metrics, progress_bar


@click.command("evaluate")
@click.argument("preset")
@click.option("--data", type=click.Path(path_type=Path), help="A CSV of your own, `input,answer` a line without a header.")
@as_json
def command(preset, data, as_json):
    """Score the trained weights of a PRESET (or a run's folder) on its test sets, or on your own --data."""
    from rnnzoo.registry import load_preset

    load_preset(preset).metadata()
    import rnnzoo

    with progress_bar() as progress:
        metrics = rnnzoo.evaluate(preset, data, lambda name, done, total: progress(name, done, total, {}))
    if as_json:
        print_json(metrics)
    else:
        print_metrics(metrics)
