"""`rnnzoo evaluate`: the scores of trained weights."""

import click

from rnnzoo.cli._shared import as_json, needs_data, notice, own_data, print_json, print_metrics, progress_bar, with_weights


@click.command("evaluate")
@click.argument("preset")
@own_data
@as_json
def command(preset, data, columns, skip_bad, as_json):
    """Score the trained weights of a PRESET (or a run's folder) on its test sets, or on your own --data."""
    needs_data(data, columns=columns, skip_bad=skip_bad)
    with_weights(preset)
    import rnnzoo

    with progress_bar() as progress:
        metrics = rnnzoo.evaluate(
            preset,
            data,
            lambda name, done, total: progress(name, done, total, {}),
            columns=columns,
            skip_bad=skip_bad,
            notice=notice,
        )
    if as_json:
        print_json(metrics)
    else:
        print_metrics(metrics)
