"""Numbers on paper: lines of formulas, and what dense and recurrent networks share of them."""

from typing import NamedTuple

SHORT = {"sigmoid": "sig", "linear": ""}
SLOPES = {  # of an activation, in terms of its value
    "sigmoid": "{0}·(1 − {0})",
    "tanh": "(1 − {0}²)",
    "linear": "1",
}


class Line(NamedTuple):
    """One number: what it is called, its formula, the same with numbers, and its value."""

    name: str
    formula: str
    numbers: str
    value: float


def number(value, decimals=8):
    """So many decimals, without zeros at the end."""
    text = f"{value:.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def in_formula(value):
    return f"({number(value)})" if value < 0 else number(value)


def signs(layers):
    """The activations' formulas."""
    used = {layer.activation for layer in layers}
    return ["sig(z) = 1 / (1 + e^−z)"] if "sigmoid" in used else []


class Work:
    """What both kinds of network share: lines, sums of products, the update."""

    def __init__(self, traced, targets, trained, rate):
        self.traced, self.targets, self.trained, self.rate = traced, targets, trained, rate
        self.sections = {}

    def line(self, section, name, formula, numbers, value):
        """Puts a line down."""
        self.sections.setdefault(section, []).append(Line(name, formula, numbers, float(value)))

    def products(self, section, name, terms, value, constant=None):
        """A line that is a sum of products: terms are tuples of factors, (name, value) each; the constant is one such."""
        formula = ["·".join(name for name, _ in factors) for factors in terms]
        numbers = ["·".join(in_formula(factor) for _, factor in factors) for factors in terms]
        if constant is not None:
            formula.append(constant[0])
            numbers.append(in_formula(constant[1]))
        self.line(section, name, " + ".join(formula), " + ".join(numbers), value)

    def activate(self, section, name, net, activation, z, h):
        """The line of a unit's activation."""
        act = SHORT.get(activation, activation)
        self.line(section, name, f"{act}({net})" if act else net, f"{act}({number(z)})" if act else number(z), h)

    def error(self, parts):
        """The lines of the error: (name, target's name, target, output's name, output) each; then their sum."""
        values = []
        for name, target_name, target, output_name, output in parts:
            values.append((target - output) ** 2 / 2)
            formula = f"½({target_name} − {output_name})²"
            self.line("The error", name, formula, f"½({number(target)} − {number(output)})²", values[-1])
        if len(parts) > 1:
            names, numbers = [part[0] for part in parts], [f"{value:.9f}" for value in values]
            self.line("The error", "E", " + ".join(names), " + ".join(numbers), sum(values))

    def slope(self, section, name, arriving, unit, activation, value):
        """The line of dE/dnet: what arrives at the unit's output times the activation's slope there."""
        (arriving_name, arrives), (unit_name, h) = arriving, unit
        if activation == "linear":
            self.line(section, name, arriving_name, number(arrives), value)
            return
        formula, numbers = SLOPES[activation].format(unit_name), SLOPES[activation].format(in_formula(h))
        self.line(section, name, f"{arriving_name}·{formula}", f"{in_formula(arrives)}·{numbers}", value)

    def update(self, name, weight, gradient):
        """The line of a weight after the step."""
        rate = f"{self.rate:g}"
        numbers = f"{number(weight)} − {rate}·{in_formula(gradient)}"
        self.line("The update", f"{name} new", f"{name} − η·dE/d{name}", numbers, weight - self.rate * gradient)
