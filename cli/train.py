"""`rnnzoo train`: from a recipe to a run folder."""

from pathlib import Path

import click

from rnnzoo.cli._by_hand import print_by_hand
from rnnzoo.cli._shared import as_json, force, overrides, print_json, print_metrics, progress_bar


@click.command("train")
@click.argument("preset")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    help="Seed of initial weights and order; the preset's own if not given.",
)
@overrides("training.epochs=5")
@click.option("--data", type=click.Path(path_type=Path), help="A CSV of your own, `input,answer` a line without a header.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The run folder; a new one under runs/ if not given.")
@force
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard logs into the run folder.")
@as_json
def command(preset, seed, overrides, data, output, force, tensorboard, as_json):
    """Train a PRESET, score it on held-out data, write a run folder, and export a SavedModel into it."""
    import rnnzoo
    from rnnzoo.registry import load_preset

    load_preset(preset, overrides)  # what is wrong with it is said before TensorFlow is imported
    with progress_bar() as progress:
        run = rnnzoo.train(
            preset,
            seed=seed,
            run_dir=output,
            data=data,
            overrides=overrides,
            force=force,
            tensorboard=tensorboard,
            progress=progress,
        )
    if as_json:
        print_json({"path": str(run.path), **run.metadata})
        return
    print_metrics(run.metrics)
    click.echo()
    from rnnzoo import explaining

    if explaining.can_be_followed(run.predictor.preset):
        click.echo("The first step of this run, by hand:\n")
        print_by_hand(explaining.by_hand(run.predictor.preset))
        click.echo()
    if "not_rounded" in run.metadata:
        click.echo(f"Note: {run.metadata['not_rounded']}.")
    click.echo(f"Run folder: {run.path} (trained in {run.metadata['training_seconds']:g} s)")
    click.echo(f"SavedModel: {run.path / 'saved_model' / run.metadata['name']}")
