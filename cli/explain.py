"""`rnnzoo explain`: what flows forward and backward through time."""

from pathlib import Path

import click

from rnnzoo.cli._by_hand import by_hand_json, print_by_hand
from rnnzoo.cli._shared import (
    PATH,
    as_json,
    force,
    needs_output,
    note_unfinished,
    overrides,
    picture,
    print_json,
    print_table,
)
from rnnzoo.cli._trace_tables import print_trace, trace_json
from rnnzoo.errors import InputError

# So many characters of an input stand in the table of what was asked; a picture has thousands, and --json all of them.
LONG = 1000


@click.command("explain")
@click.argument("model")
@click.argument("sample", required=False)
@click.option("--gradients", is_flag=True, help="How gradients flow back through time, over held-out examples.")
@click.option("--untrained", "seed", type=click.IntRange(0), metavar="SEED", help="With --gradients: of initial weights.")
@overrides("model.activation=tanh with --untrained")
@click.option("--examples", type=click.IntRange(1), default=64, show_default=True, help="With --gradients: how many.")
@click.option("-o", "--output", type=PATH, help="With --gradients or --draw: draw FILE.png or .svg.")
@click.option(
    "--draw", type=click.Choice(["folded", "unfolded", "states"]), help="With -o: the network over time, or a heat map."
)
@force
@click.option("--answer", help="The right answer: of a preset as text, of a .keras file as JSON.")
@click.option("--loss", help="Of a .keras file, the name of a Keras loss; else the one that it was compiled with.")
@click.option("--units", "shown", type=click.IntRange(1), default=3, show_default=True, help="Units shown of each vector.")
@click.option("--steps", type=click.IntRange(2), default=24, show_default=True, help="Timesteps shown of each layer.")
@click.option("--html", "page", type=PATH, help="Write a page that shows every step to FILE.html.")
@as_json
def command(
    model, sample, gradients, seed, overrides, examples, output, draw, force, answer, loss, shown, steps, page, as_json
):
    """Show what flows through MODEL for SAMPLE, forward and, from the loss, back through time.

    MODEL is a preset's name, a run's folder, and SAMPLE raw input; or a .keras file of a model that the factories made, and
    SAMPLE a JSON array of one example (an object where it takes several inputs).

    Without a SAMPLE, a preset whose start is written down (backprop-by-hand, forward-by-hand) is worked by hand: every
    number of its first step, with its formula.

    With --gradients it takes no SAMPLE, and says of each recurrent layer of a preset whether gradients vanish, explode or
    keep steady on their way back through time.

    With --draw it draws the network: folded, which takes no SAMPLE; unfolded in time, for SAMPLE or for any four timesteps;
    or the hidden states that SAMPLE leaves, each unit a row and each timestep a column.
    """
    if draw is not None:
        if page is not None:
            raise click.UsageError("--draw and --html are two outputs: give one")
        _draw(draw, model, sample, gradients or seed is not None, output, force, answer, as_json)
        return
    if gradients and sample is not None:
        raise click.UsageError("--gradients looks at held-out examples and takes no SAMPLE")
    if sample is None and not gradients and model.endswith(".keras"):
        raise click.UsageError("give a SAMPLE to follow")
    if page is not None and sample is None:
        raise click.UsageError("--html shows what flows for a SAMPLE: give one, and no --gradients")
    if not gradients and (seed is not None or output is not None):
        raise click.UsageError("--untrained and -o go with --gradients, and -o with --draw too")
    if overrides and seed is None:
        raise click.UsageError("--set goes with --gradients --untrained SEED: trained weights belong to their own recipe")
    import rnnzoo

    note_unfinished(model)
    with rnnzoo.quiet_import():
        from rnnzoo import explaining

    if gradients:
        _gradients(explaining, rnnzoo.load_preset(model, overrides), seed, examples, output, force, as_json)
        return
    if sample is None:
        hand = explaining.by_hand(model)
        if as_json:
            print_json(by_hand_json(hand))
        else:
            print_by_hand(hand)
        return
    explanation = None
    if model.endswith(".keras"):
        told, tokens, traced = _of_file(explaining, model, sample, answer, loss)
    else:
        if loss is not None:
            raise click.UsageError("--loss goes with a .keras file; a preset has its own")
        explanation = explaining.explain(model, sample, answer)
        told, tokens, traced = explanation.told, explanation.tokens, explanation.trace
    if page is not None:
        _write_page(explaining, page, force, traced, f"{model}: {sample}", told, explanation)
    if as_json:
        print_json({**{key.replace(" ", "_"): value for key, value in told.items()}, **trace_json(tokens, traced)})
        return
    if page is not None:
        click.echo(f"Written: {page}; open it in a browser.")
        return
    print_table(["what", "value"], [[key, _short(value, LONG)] for key, value in told.items() if value is not None])
    if traced.loss is None:
        click.echo("\nThere is no target, so no loss and no way back: give --answer.")
    else:
        click.echo(f"\nLoss {traced.loss:.6g}.")
    print_trace(tokens, traced, shown, steps)


def _write_page(explaining, path, force, traced, title, told, explanation):
    from rnnzoo.files import fresh_output

    if path.suffix != ".html":  # said before anything is written
        raise InputError(f"{path}: expected a name that ends in .html")
    title = title if len(title) <= 60 else f"{title[:57]}..."
    with fresh_output(path, force) as partial:
        explaining.write_page(partial, explanation or traced, title=title, told=told)


def _draw(kind, model, sample, gradients, output, force, answer, as_json):
    """Draws a network folded or unfolded, or the states of a sample."""
    if gradients or as_json:
        raise click.UsageError("--draw goes with neither --gradients, --untrained nor --json")
    needs_output(kind, output)
    if kind == "states" and sample is None:
        raise click.UsageError("the states are those of an input: give a SAMPLE, or --draw unfolded")
    if sample is not None and kind == "folded":
        raise click.UsageError("a folded network shows no input: leave SAMPLE out, or --draw unfolded")
    if sample is None and answer is not None:
        raise click.UsageError("--answer goes with a SAMPLE")
    import rnnzoo

    note_unfinished(model)
    with rnnzoo.quiet_import():
        from rnnzoo import explaining
        from rnnzoo.building import load_model

    name = Path(model).stem if model.endswith(".keras") else Path(model).name
    told = {"title": name}
    if sample is None:
        network = load_model(model) if model.endswith(".keras") else rnnzoo.from_preset(model).model
    elif model.endswith(".keras"):
        network = load_model(model)
        told["traced"] = explaining.trace(network, _example("SAMPLE", sample))
    else:
        explanation = explaining.explain(model, sample, answer)
        network, told["traced"] = explanation.model, explanation.trace
        told |= {
            "tokens": explanation.tokens,
            "outputs": explanation.outputs,
            "title": f"{name}: {_short(explanation.input)}",
        }
    with picture(output, force) as partial:
        if kind == "states":
            told.pop("outputs", None)
            explaining.plot_states(path=partial, **told)
        else:
            explaining.draw_network(network, partial, unfolded=kind == "unfolded", **told)
    click.echo(f"Drawn: {output}")


def _short(raw, most=40):
    """A raw input, cut where it is too long to stand above a picture."""
    text = str(raw)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _gradients(explaining, preset, seed, examples, output, force, as_json):
    flows = explaining.preset_flow(preset, examples, seed)
    if output is not None:
        with picture(output, force) as partial:
            explaining.plot_flow(flows, partial, title=preset.name if seed is None else f"{preset.name}, untrained")
    if as_json:
        print_json([{key: _finite(value) for key, value in vars(flow).items()} | {"said": str(flow)} for flow in flows])
        return
    for flow in flows:
        click.echo(str(flow))
    click.echo("")
    heads = ["layer", "verdict", "powers of ten", "a step", "memory", "spectral radius", "kernel norm", "singular values"]
    print_table(heads, [_flow_row(flow) for flow in flows])
    click.echo("\nThe norm of dL/dh_t, by the distance from the last used timestep:")
    longest = max(len(flow.transported) for flow in flows)
    distances = sorted({0, *(d for d in (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000) if d < longest), longest - 1})
    rows = [[f"{d}", *(f"{flow.norms[d]:.3g}" if d < len(flow.norms) else "" for flow in flows)] for d in distances]
    print_table(["distance", *(flow.name for flow in flows)], rows)
    if output is not None:
        click.echo(f"\nDrawn: {output}")


def _flow_row(flow):
    memory = "whole sequence" if flow.memory > len(flow.transported) else f"{flow.memory:.0f}"
    values = f"{flow.singular_values.min():.3g} to {flow.singular_values.max():.3g}"
    numbers = [f"{flow.powers:.2f}", f"{flow.rate:.4f}", memory, f"{flow.spectral_radius:.4g}", f"{flow.kernel_norm:.4g}"]
    return [flow.name, flow.verdict, *numbers, values]


def _finite(value):
    """What JSON has: no infinities."""
    if hasattr(value, "tolist"):
        return [_finite(one) for one in value.tolist()]
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def _of_file(explaining, path, sample, answer, loss):
    """The trace of a saved model for one example in JSON."""
    from rnnzoo.building import load_model

    model = load_model(path)
    x, y = _example("SAMPLE", sample), None if answer is None else _example("--answer", answer)
    traced = explaining.trace(model, x, y, loss=loss)
    return {"model": model.name, "output": traced.outputs[0].tolist(), "right answer": answer, "loss": loss}, {}, traced


def _example(what, text):
    """One example as a batch of one."""
    from rnnzoo.bounded import from_json

    try:
        value = from_json(text)
    except ValueError as error:
        raise InputError(
            f"{what}: no JSON ({error}); expected an array of one example, such as [[0.1, 0.2], [0.3, 0.4]]"
        ) from None
    return {name: [array] for name, array in value.items()} if isinstance(value, dict) else [value]
