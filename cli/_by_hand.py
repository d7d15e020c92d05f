"""A network worked by hand, on the terminal."""

import click

from rnnzoo.cli._shared import print_table


def print_by_hand(hand):
    """Every number of a `ByHand`, with its formula and the numbers in it."""
    from rnnzoo.explaining import number

    for line in hand.legend:
        click.echo(line)
    for title, lines in hand.sections.items():
        click.echo(f"\n{title}")
        digits = 9 if title == "The error" else 8
        rows = [[line.name, line.formula, line.numbers, number(line.value, digits)] for line in lines]
        print_table(["", "formula", "with the numbers", "value"], rows)
    if hand.trained is not None:
        steps, error = hand.trained
        click.echo(f"\nAfter {steps:,} such steps: E = {number(error, 10) if error > 1e-9 else f'{error:.4g}'}")


def by_hand_json(hand):
    """A `ByHand` as values that JSON has."""
    sections = {title: [line._asdict() for line in lines] for title, lines in hand.sections.items()}
    trained = None if hand.trained is None else {"steps": hand.trained[0], "error": hand.trained[1]}
    return {"legend": hand.legend, "sections": sections, "trained": trained}
