"""Dense layers worked by hand."""

from rnnzoo.explaining._work import Work, number, signs


class DenseWork(Work):
    """Dense layers: inputs i, hidden units h, outputs o; weights w, counted unit by unit, biases b."""

    def work(self):
        """Section -> lines."""
        self.layers = list(self.traced.layers.values())
        self.names = [[f"i{k}" for k in range(1, self.layers[0].inputs.shape[1] + 1)]]
        self.weights, count = [], 0
        for depth, layer in enumerate(self.layers):
            last, several = depth == len(self.layers) - 1, len(self.layers) > 2
            letter = "o" if last else f"h{depth + 1}_" if several else "h"
            self.names.append([f"{letter}{j}" for j in range(1, layer.kernel.shape[1] + 1)])
            inputs, units = layer.kernel.shape
            self.weights.append([[f"w{count + j * inputs + k + 1}" for j in range(units)] for k in range(inputs)])
            count += inputs * units
        for depth in range(len(self.layers)):
            self._forward(depth)
        out = self.layers[-1]
        self.error(
            [
                (f"E_{name}", f"t{j + 1}", self.targets[0, j], name, out.outputs[0, j])
                for j, name in enumerate(self.names[-1])
            ]
        )
        for depth in reversed(range(len(self.layers))):
            self._back(depth)
        for depth in reversed(range(len(self.layers))):
            self._update(depth)
        return self.sections

    def _bias(self, depth, j):
        layer = self.layers[depth]
        if layer.bias is None:
            return None
        shared = (layer.bias == layer.bias[0]).all() and f"{layer.name}/bias" not in self.trained
        return (f"b{depth + 1}" if shared else f"b{depth + 1}_{j + 1}"), layer.bias[j]

    def _weight(self, depth, k, j):
        return self.weights[depth][k][j], self.layers[depth].kernel[k, j]

    def _forward(self, depth):
        layer, section = self.layers[depth], f"Forward: {self.layers[depth].name}"
        for j, name in enumerate(self.names[depth + 1]):
            terms = [(self._weight(depth, k, j), (below, layer.inputs[0, k])) for k, below in enumerate(self.names[depth])]
            z, h = layer.pre_activations[0, j], layer.outputs[0, j]
            self.products(section, f"net_{name}", terms, z, self._bias(depth, j))
            self.activate(section, name, f"net_{name}", layer.activation, z, h)

    def _back(self, depth):
        layer, section = self.layers[depth], f"Backward: {self.layers[depth].name}"
        for j, name in enumerate(self.names[depth + 1]):
            h, arrives, d_z = layer.outputs[0, j], layer.d_outputs[0, j], layer.d_pre_activations[0, j]
            if depth == len(self.layers) - 1:
                target = self.targets[0, j]
                numbers = f"{number(h)} − {number(target)}"
                self.line(section, f"dE/d{name}", f"{name} − t{j + 1}", numbers, arrives)
            else:
                above = self.layers[depth + 1]
                terms = [
                    ((f"dE/dnet_{unit}", above.d_pre_activations[0, m]), self._weight(depth + 1, j, m))
                    for m, unit in enumerate(self.names[depth + 2])
                ]
                self.products(section, f"dE/d{name}", terms, arrives)
            self.slope(section, f"dE/dnet_{name}", (f"dE/d{name}", arrives), (name, h), layer.activation, d_z)
            if f"{layer.name}/kernel" in self.trained:
                for k, below in enumerate(self.names[depth]):
                    terms = [((f"dE/dnet_{name}", d_z), (below, layer.inputs[0, k]))]
                    self.products(section, f"dE/d{self.weights[depth][k][j]}", terms, layer.kernel_shares[0][k, j])
            if f"{layer.name}/bias" in self.trained:
                self.line(section, f"dE/d{self._bias(depth, j)[0]}", f"dE/dnet_{name}", number(d_z), d_z)

    def _update(self, depth):
        layer = self.layers[depth]
        for j in range(layer.kernel.shape[1]):
            if f"{layer.name}/kernel" in self.trained:
                for k in range(layer.kernel.shape[0]):
                    self.update(*self._weight(depth, k, j), layer.kernel_shares[0][k, j])
            if f"{layer.name}/bias" in self.trained:
                self.update(*self._bias(depth, j), layer.bias_shares[0][j])

    def legend(self):
        """What the names stand for."""
        lines = ["i: inputs, h: hidden units, o: outputs, t: targets; net: what comes into a unit; η: the learning rate"]
        frozen = [f"b{i + 1}" for i, layer in enumerate(self.layers) if f"{layer.name}/bias" not in self.trained]
        frozen = [name for name, layer in zip(frozen, self.layers, strict=False) if layer.bias is not None]
        if frozen:
            lines.append(f"{' and '.join(frozen)}: one bias a layer, not trained")
        return [*lines, *signs(self.layers)]
