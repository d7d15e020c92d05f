"""A recurrent layer and its readout worked by hand, timestep by timestep."""

from rnnzoo.explaining._work import Work, in_formula, number, signs

KINDS = ["Why", "Whh", "Wxh", "bh", "by"]  # as gradients and updates are listed


class RecurrentWork(Work):
    """One recurrent layer and its readout over time: inputs x, hidden states h, outputs y."""

    def work(self):
        """Section -> lines."""
        self.hidden, self.readout = self.traced.layers.values()
        self.features, self.units = self.hidden.kernel.shape
        self.outputs = self.readout.kernel.shape[1]
        self.timesteps = self.hidden.states.shape[1]
        for t in range(self.timesteps):
            self._forward(t)
        parts = [
            (self._of("E", t, o, self.outputs), *self._target(t, o), *self._output(t, o))
            for t in range(self.timesteps)
            for o in range(self.outputs)
        ]
        self.error(parts)
        for t in reversed(range(self.timesteps)):
            self._back(t)
        self._sums()
        return self.sections

    @staticmethod
    def _of(letter, t, i, count):
        """`h2`, or `h2[1]` where there are several."""
        return f"{letter}{t + 1}" if count == 1 else f"{letter}{t + 1}[{i + 1}]"

    def _entry(self, letters, matrix, i, j):
        """The name and value of a weight."""
        rows, columns = matrix.shape
        places = [str(place + 1) for place, size in ((i, rows), (j, columns)) if size > 1]
        return letters + (f"[{','.join(places)}]" if places else ""), matrix[i, j]

    def _x(self, t, i):
        return self._of("x", t, i, self.features), self.hidden.inputs[0, t, i]

    def _h(self, t, j):
        """The state after timestep t; before the first one, h0."""
        value = self.hidden.initial_state[0, j] if t < 0 else self.hidden.states[0, t, j]
        return self._of("h", t, j, self.units), value

    def _output(self, t, o):
        return self._of("y", t, o, self.outputs), self.readout.outputs[0, t, o]

    def _target(self, t, o):
        return self._of("target", t, o, self.outputs), self.targets[0, t, o]

    def _wxh(self, i, j):
        return self._entry("Wxh", self.hidden.kernel, i, j)

    def _whh(self, i, j):
        return self._entry("Whh", self.hidden.recurrent_kernel, i, j)

    def _why(self, i, j):
        return self._entry("Why", self.readout.kernel, i, j)

    def _constant(self, name, bias, i):
        if bias is None:
            return None
        return (name if len(bias) == 1 else f"{name}[{i + 1}]"), bias[i]

    def _forward(self, t):
        section = f"Forward: timestep {t + 1}"
        for j in range(self.units):
            name, h = self._h(t, j)
            terms = [(self._wxh(i, j), self._x(t, i)) for i in range(self.features)]
            terms += [(self._whh(i, j), self._h(t - 1, i)) for i in range(self.units)]
            z = self.hidden.pre_activations[0, t, j]
            self.products(section, f"net_{name}", terms, z, self._constant("bh", self.hidden.bias, j))
            self.activate(section, name, f"net_{name}", self.hidden.activation, z, h)
        for o in range(self.outputs):
            name, y = self._output(t, o)
            terms = [(self._why(j, o), self._h(t, j)) for j in range(self.units)]
            z = self.readout.pre_activations[0, t, o]
            self.products(section, f"net_{name}", terms, z, self._constant("by", self.readout.bias, o))
            self.activate(section, name, f"net_{name}", self.readout.activation, z, y)

    def _back(self, t):
        section, hidden, readout = f"Backward: timestep {t + 1}", self.hidden, self.readout
        for o in range(self.outputs):
            (name, y), (target_name, target) = self._output(t, o), self._target(t, o)
            arrives, d_z = readout.d_outputs[0, t, o], readout.d_pre_activations[0, t, o]
            self.line(section, f"dE/d{name}", f"{name} − {target_name}", f"{number(y)} − {number(target)}", arrives)
            self.slope(section, f"dE/dnet_{name}", (f"dE/d{name}", arrives), (name, y), readout.activation, d_z)
        for j in range(self.units):
            name, h = self._h(t, j)
            above = [(self._d_net(t, o, "y"), self._why(j, o)) for o in range(self.outputs)]
            self.products(section, f"dE/d{name} from the output", above, hidden.d_from_output[0, t, j])
            if t < self.timesteps - 1:
                later = [(self._d_net(t + 1, i, "h"), self._whh(j, i)) for i in range(self.units)]
                self.products(section, f"dE/d{name} from timestep {t + 2}", later, hidden.d_from_later[0, t, j])
                both = hidden.d_from_output[0, t, j], hidden.d_from_later[0, t, j]
                numbers = f"{number(both[0])} + {in_formula(both[1])}"
                self.line(section, f"dE/d{name}", "the sum of both", numbers, sum(both))
            else:
                only = hidden.d_from_output[0, t, j]
                self.line(section, f"dE/d{name}", "from the output alone: no later timestep", number(only), only)
            arrives, d_z = hidden.d_states[0, t, j], hidden.d_pre_activations[0, t, j]
            self.slope(section, f"dE/dnet_{name}", (f"dE/d{name}", arrives), (name, h), hidden.activation, d_z)
        for _, (name, _), share, factors in self._shares(t):
            self.products(section, f"dE/d{name} at {t + 1}", [factors], share)

    def _d_net(self, t, i, letter):
        if letter == "y":
            return f"dE/dnet_{self._output(t, i)[0]}", self.readout.d_pre_activations[0, t, i]
        return f"dE/dnet_{self._h(t, i)[0]}", self.hidden.d_pre_activations[0, t, i]

    def _shares(self, t):
        """(path, (weight's name, its value), its gradient's share of a timestep, the factors of that) each."""
        hidden, readout = self.hidden, self.readout
        for o in range(self.outputs):
            for j in range(self.units):
                factors = self._d_net(t, o, "y"), self._h(t, j)
                yield f"{readout.name}/kernel", self._why(j, o), readout.kernel_shares[t][j, o], factors
        for j in range(self.units):
            d_net = self._d_net(t, j, "h")
            for i in range(self.units):
                share, path = hidden.recurrent_kernel_shares[t][i, j], f"{hidden.name}/recurrent_kernel"
                yield path, self._whh(i, j), share, (d_net, self._h(t - 1, i))
            for i in range(self.features):
                share, path = hidden.kernel_shares[t][i, j], f"{hidden.name}/kernel"
                yield path, self._wxh(i, j), share, (d_net, self._x(t, i))
        for letter, layer, unit in (("bh", hidden, "h"), ("by", readout, "y")):
            for i in range(0 if layer.bias is None else len(layer.bias)):
                weight = self._constant(letter, layer.bias, i)
                yield f"{layer.name}/bias", weight, layer.bias_shares[t][i], (self._d_net(t, i, unit),)

    def _sums(self):
        """The gradients, each the sum of the timesteps' shares, and the update."""
        weights, shares = {}, {}
        for t in reversed(range(self.timesteps)):
            for path, (name, value), share, _ in self._shares(t):
                if path in self.trained:
                    weights[name] = value
                    shares.setdefault(name, []).append((t, share))
        names = sorted(weights, key=lambda name: KINDS.index(name.split("[")[0]))  # each matrix in one piece
        gradients = {name: sum(share for _, share in shares[name]) for name in names}
        for name in names:
            formula = " + ".join(f"dE/d{name} at {t + 1}" for t, _ in shares[name])
            numbers = " + ".join(in_formula(share) for _, share in shares[name])
            self.line("The gradients: summed over the timesteps", f"dE/d{name}", formula, numbers, gradients[name])
        for name in names:
            self.update(name, weights[name], gradients[name])

    def legend(self):
        """What the names stand for."""
        several = ["x1[2]: the second number of timestep 1"] if self.features > 1 else []
        return [
            "; ".join(
                [
                    "x: inputs, h: hidden states (h0 = 0), y: outputs",
                    *several,
                    "net: what comes into a unit",
                    "η: the learning rate",
                ]
            ),
            *signs(self.traced.layers.values()),
        ]
