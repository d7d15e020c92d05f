// How much of the gradient is left, the further back in time it goes.

let flowMarks = [];

function buildFlow() {
  if (!page.flows.length) {
    const said = canGoBack ? "Nothing recurs in this network, so no gradient flows through time." : "Without a target there is no loss, and no gradient flows.";
    return at("flow").replaceChildren(el("p", null, said));
  }
  const verdicts = page.flows.map((flow) => el("p", { class: "verdict" }, flow.said));
  const curves = page.flows.map((flow, i) => ({ flow, colour: `c${(2 * i) % 8}`, norms: array(flow.norms).data, alone: array(flow.transported).data }));
  const all = curves.flatMap(({ norms, alone }) => [...norms, ...alone]).filter((v) => v > 0 && Number.isFinite(v));
  flowMarks = [];
  if (!all.length) {
    return at("flow").replaceChildren(...verdicts, el("p", null, "Here every gradient is zero: this example's loss is at its minimum, so there is nothing to plot."));
  }
  let [low, high] = [Math.floor(Math.log10(Math.min(...all))), Math.ceil(Math.log10(Math.max(...all)))];
  if (high - low < 2) [low, high] = [low - 1, high + 1];
  const width = Math.min(at("flow").clientWidth, 760), height = 300, left = 58, bottom = 46, right = 14, top = 12;
  const longest = Math.max(...curves.map(({ norms }) => norms.length), 2);
  const x = (d) => left + (d / (longest - 1)) * (width - left - right);
  const y = (value) => top + ((high - Math.log10(value)) / (high - low)) * (height - top - bottom);
  const parts = [], every = Math.max(1, Math.ceil((high - low) / 6));
  for (let power = low; power <= high; power += every) {
    parts.push(svg("line", { x1: left, x2: width - right, y1: y(10 ** power), y2: y(10 ** power), class: "grid" }));
    parts.push(svg("text", { x: left - 6, y: y(10 ** power) + 5, "text-anchor": "end", class: "quiet" }, `1e${power}`));
  }
  const ticks = Math.min(longest - 1, width < 500 ? 4 : 8);
  for (const d of new Set(Array.from({ length: ticks + 1 }, (_, i) => Math.round((i * (longest - 1)) / ticks)))) {
    parts.push(svg("text", { x: x(d), y: height - bottom + 20, "text-anchor": "middle", class: "quiet" }, String(d)));
  }
  parts.push(svg("line", { x1: left, x2: width - right, y1: height - bottom, y2: height - bottom, class: "axis" }));
  parts.push(svg("text", { x: (left + width) / 2, y: height - 6, "text-anchor": "middle" }, "timesteps back from the last one"));
  parts.push(svg("text", { x: 14, y: height / 2 - 20, transform: `rotate(-90 14 ${height / 2 - 20})`, "text-anchor": "middle" }, "norm of dL/dh"));
  for (const curve of curves) {
    const differs = curve.norms.some((v, i) => Math.abs(v - curve.alone[i]) > 1e-6 * Math.abs(v));
    parts.push(...line(curve.alone, `curve ${curve.colour}`, x, y));
    if (differs) parts.push(...line(curve.norms, `curve all ${curve.colour}`, x, y));
    const mark = svg("circle", { r: 6, class: `mark ${curve.colour}`, visibility: "hidden" });
    parts.push(mark);
    flowMarks.push({ mark, layer: layers.find((layer) => layer.name === curve.flow.name), norms: curve.norms, x, y });
  }
  const names = curves.map(({ flow, colour }) => svg("svg", { width: 26, height: 14, "aria-hidden": "true" }, svg("line", { x1: 0, x2: 26, y1: 8, y2: 8, class: `curve ${colour}` })));
  const key = el("ul", { class: "key" }, curves.map(({ flow }, i) => el("li", null, names[i], ` ${flow.name}: ${flow.verdict}`)));
  const said = `Norm of dL/dh by the distance from the last timestep, on a logarithmic axis: ${page.flows.map((flow) => flow.said).join("; ")}`;
  const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": said }, parts);
  const note = "A whole line: of the gradient that begins at the last used step, what is left so many steps back. A broken one: all that arrives there, from each step's own output too.";
  at("flow").replaceChildren(...verdicts, picture, key, el("p", { class: "note" }, note));
}

// A point wherever a logarithmic axis can show the value.
function line(values, kind, x, y) {
  const pieces = [[]];
  values.forEach((value, d) => {
    if (value > 0 && Number.isFinite(value)) pieces.at(-1).push(`${x(d).toFixed(1)},${y(value).toFixed(1)}`);
    else if (pieces.at(-1).length) pieces.push([]);
  });
  return pieces.filter((piece) => piece.length).map((piece) => svg("polyline", { points: piece.join(" "), class: kind }));
}

function drawFlow(position) {
  const stop = stops[stopIndex(position)];
  for (const { mark, layer, norms, x, y } of flowMarks) {
    const used = layer.mask ?? new Array(layer.steps).fill(1);
    const last = layer.backwards ? used.indexOf(1) : used.lastIndexOf(1);
    const distance = Math.abs(last - stop.t), value = norms[distance];
    const seen = isBack(position) && stop.layers.includes(layer) && !isMasked(layer, stop.t) && value > 0 && Number.isFinite(value);
    mark.setAttribute("visibility", seen ? "visible" : "hidden");
    if (seen) {
      mark.setAttribute("cx", x(distance));
      mark.setAttribute("cy", y(value));
    }
  }
}
