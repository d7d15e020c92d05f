"""`rnnzoo train`: from a recipe to a run folder."""

import click

from rnnzoo.cli._by_hand import print_by_hand
from rnnzoo.cli._shared import (
    PATH,
    as_json,
    force,
    needs_data,
    notice,
    overrides,
    own_data,
    print_json,
    print_metrics,
    progress_bar,
)
from rnnzoo.meeting import name, parse_workers, workers_of_environment
from rnnzoo.registry import load_preset
from rnnzoo.runs import check_resumable


@click.command("train")
@click.argument("preset", required=False)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    help="Seed of initial weights and order; the preset's own if not given.",
)
@overrides("training.epochs=5")
@own_data
@click.option(
    "--valid", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Share of --data that is held out; 0.2."
)
@click.option(
    "--stream/--no-stream",
    default=None,
    help="Read --data from its files in every epoch, so that it need not fit into memory; where it is large if not given.",
)
@click.option("-o", "--output", type=PATH, help="The run folder; a new one under runs/ if not given.")
@click.option("--resume", metavar="RUN", type=PATH, help="Go on with a run that was interrupted.")
@force
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard logs into the run folder.")
@click.option(
    "--workers",
    metavar="HOST:PORT,...",
    help="All that train it together, each a rnnzoo train with the same options but for --index; TF_CONFIG if not given.",
)
@click.option("--index", type=int, help="Which of --workers this one is, from 0, the chief, who writes the run folder.")
@click.option("--gpus", type=click.IntRange(1), help="Train on so many GPUs of this host at a time.")
@as_json
def command(
    preset,
    seed,
    overrides,
    data,
    columns,
    skip_bad,
    valid,
    stream,
    output,
    resume,
    force,
    tensorboard,
    workers,
    index,
    gpus,
    as_json,
):
    """Train a PRESET, score it on held-out data, write a run folder, and export a SavedModel into it.

    Ctrl-C ends it after the current step, or epoch where that is short; --resume RUN goes on with what was ended, by that or
    in any other way, to the same weights, bit for bit.
    """
    import rnnzoo

    # What is wrong is said before TensorFlow is imported.
    needs_data(data, columns=columns, skip_bad=skip_bad, valid=valid, stream=stream)
    workers, index = _workers(workers, index)
    follows = bool(index)  # the chief sees to the run folder
    if resume is not None:
        given = {"a PRESET": preset, "--seed": seed, "--set": overrides, "--data": data, "-o": output}
        given |= {"--force": force, "--tensorboard": tensorboard}
        for name, value in given.items():
            if value not in (None, (), False):
                raise click.UsageError(f"--resume goes on with the run as it was begun: it does not go with {name}")
        if not follows:
            check_resumable(resume)
    elif preset is None:
        raise click.UsageError("give a PRESET (`rnnzoo list` shows them all), or --resume RUN")
    else:
        load_preset(preset, overrides)
    with progress_bar() as progress:
        options = {"workers": workers, "index": index, "gpus": gpus, "progress": progress, "notice": notice}
        if resume is not None:
            run = rnnzoo.resume(resume, **options)
        else:
            run = rnnzoo.train(
                preset,
                seed=seed,
                run_dir=output,
                data=data,
                columns=columns,
                skip_bad=skip_bad,
                stream=stream,
                **({} if valid is None else {"valid": valid}),
                overrides=overrides,
                force=force,
                tensorboard=tensorboard,
                **options,
            )
    if as_json:
        print_json({"path": None if run.path is None else str(run.path), **run.metadata})
        return
    print_metrics(run.metrics)
    click.echo()
    if run.path is None:
        click.echo(f"Trained as worker {index}: the run folder is the chief's, {workers[0]}.")
        return
    from rnnzoo import explaining

    if explaining.can_be_followed(run.predictor.preset):
        click.echo("The first step of this run, by hand:\n")
        print_by_hand(explaining.by_hand(run.predictor.preset))
        click.echo()
    if "not_rounded" in run.metadata:
        click.echo(f"Note: {run.metadata['not_rounded']}.")
    click.echo(f"Run folder: {run.path} (trained in {run.metadata['training_seconds']:g} s)")
    click.echo(f"SavedModel: {run.path / 'saved_model' / run.metadata['name']}")


def _workers(workers, index):
    """The addresses of all workers and which this is, from the options or from TF_CONFIG; `None` twice for neither."""
    if workers is not None:
        found = parse_workers(workers, index)
    elif index is not None:
        raise click.UsageError("--index goes with --workers")
    else:
        found = workers_of_environment()
    return (None, None) if found is None else ([name(address) for address in found[0]], found[1])
