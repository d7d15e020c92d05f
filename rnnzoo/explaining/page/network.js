// The network unfolded in time: a window of columns around the step in view.

const ROW = 104, NODE = 64, NARROW = 60;
const blocks = [];
for (const group of page.groups) {
  const block = (blocks[group.block] ??= { layers: [], steps: group.steps, index: group.block });
  block.layers.push(...group.layers.map((place) => layers[place]));
}
const columns = blocks.flatMap((block) => Array.from({ length: Math.max(block.steps, 1) }, (_, t) => ({ block, t })));
for (const block of blocks) {
  block.layers.forEach((layer, i) => {
    layer.row = i + 1;
    const beside = block.layers.filter((other) => other.level === layer.level);
    layer.shift = beside.length > 1 ? (beside.indexOf(layer) / (beside.length - 1) - 0.5) * 44 : 0;
  });
  block.start = columns.findIndex((column) => column.block === block);
  block.top = Math.max(...block.layers.map((layer) => layer.level));
}
// Each weight one colour.
let colours = 0;
for (const layer of layers) {
  layer.colour = {};
  for (const letter of layer.kind === "recurrent" ? "WU" : layer.letters.kernel) layer.colour[letter] = `c${colours++ % 8}`;
}
// Of the encoder ᵉ, of the decoder ᵈ, of the second of several layers ⁽²⁾.
const SMALL = { enc: "ᵉ", dec: "ᵈ", " ": "" };
const raised = (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit];
const weightName = (layer, letter) =>
  letter + layer.tag.replace(/enc|dec| /g, (word) => SMALL[word]).replace(/\d+/g, (number) => `⁽${[...number].map(raised).join("")}⁾`);
// A column is as wide as the names on its arrows need, two of them side by side where two layers are.
const longestName = Math.max(...layers.flatMap((layer) => Object.keys(layer.colour).map((letter) => weightName(layer, letter).length)));
const WIDE = Math.max(104, layers.some((layer) => layer.shift) ? 36 + 16 * longestName : 66 + 9 * longestName);
const boxWidth = (layer, node) => (layer.shift ? Math.min(NARROW, node) : node);
const hasLoss = (block) => canGoBack && block.layers.includes(layers[page.output]);
const rowsOf = (block) => block.layers.length + (hasLoss(block) ? 1 : 0);

let atBottom = 0; // below it arrows begin at an input

function drawNetwork(position) {
  const width = at("network").clientWidth;
  // Where there is room, the names of the rows stand left of the first column.
  const longest = Math.max(...layers.map((layer) => layer.name.length * 7.5 - layer.shift));
  const margin = width < 600 ? 8 : Math.max(8, longest - 40);
  const count = Math.min(columns.length, Math.max(2, Math.min(9, Math.floor((width - margin - 8) / WIDE))));
  const step = Math.min(Math.max(140, WIDE), (width - margin - 8) / count);
  const stop = stops[stopIndex(position)];
  const block = blocks[stop.group.block];
  const focus = block.start + stop.t;
  const first = Math.max(0, Math.min(focus - Math.floor(count / 2), columns.length - count));
  const shown = columns.slice(first, first + count);
  const rows = Math.max(...blocks.map(rowsOf));
  const height = rows * ROW + NODE / 2 + 36 + (blocks.every((block) => rowsOf(block) < rows || hasLoss(block)) ? 28 : 58);
  const base = height - 36 - NODE / 2;
  const node = Math.min(76, step - 38);
  const place = {
    x: (index) => margin + (index - first + 0.5) * step, y: (level) => base - level * ROW, node, step, position, first, count, focus,
  };
  const parts = [];
  atBottom = base - 30;
  shown.forEach((column, i) => parts.push(...edges(column, first + i, place)));
  shown.forEach((column, i) => parts.push(...nodes(column, first + i, place)));
  shown.forEach((column, i) => parts.push(...rowLabels(column, first + i, place)));
  if (first > 0) parts.push(svg("text", { x: 2, y: height - 6, class: "quiet" }, `… ${first} before`));
  const after = columns.length - first - count;
  if (after > 0) parts.push(svg("text", { x: width - 2, y: height - 6, "text-anchor": "end", class: "quiet" }, `${after} after …`));
  const said = `${plural(shown.length, "column")} of ${columns.length}, ${isBack(position) ? "gradients flow back" : "values flow forward"}; ${describe(position)}`;
  at("network").replaceChildren(svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": said }, parts));
}

// The arrows that lead into the nodes of a column.
function edges(column, index, place) {
  const { block, t } = column, parts = [];
  const { x, y, position, node } = place;
  const into = (layer, from, letter, options = {}) => {
    const to = [x(index) + layer.shift, y(layer.row) + NODE / 2];
    parts.push(...arrow(from, options.to ?? to, layer, t, letter, position, options));
  };
  for (const layer of block.layers) {
    const letter = layer.kind === "recurrent" ? "W" : layer.letters.kernel;
    if (layer.level > 0) {
      for (const below of block.layers.filter((other) => other.level === layer.level - 1)) {
        const beside = block.layers.filter((other) => other.level === below.level);
        const label = below === beside.at(-1) ? weightName(layer, letter) : null;
        const to = [x(index) + layer.shift + below.shift * 0.6, y(layer.row) + NODE / 2];
        into(layer, [x(index) + below.shift, y(below.row) - NODE / 2], letter, { label, to });
      }
    } else if (block.steps || block.index === 0) {
      const side = layer.shift < 0 ? -1 : 1;
      into(layer, [x(index) + layer.shift / 2, y(0) - 22], letter, { label: weightName(layer, letter), side });
    }
    if (layer.kind !== "recurrent") continue;
    const from = layer.backwards ? index + 1 : index - 1;
    const other = t + (layer.backwards ? 1 : -1);
    if (other < 0 || other >= block.steps) continue;
    const hidden = from < place.first || from >= place.first + place.count;
    const sign = layer.backwards ? -1 : 1;
    const half = boxWidth(layer, node) / 2;
    const to = [x(index) + layer.shift - sign * half, y(layer.row)];
    const begin = hidden ? [to[0] - sign * 22, to[1]] : [x(from) + layer.shift + sign * half, to[1]];
    into(layer, begin, "U", { to, label: hidden ? null : weightName(layer, "U"), flat: true });
  }
  if (t === 0 && block.index > 0 && index > place.first) parts.push(...links(block, index, place));
  if (hasLoss(block)) {
    const output = layers[page.output], top = output.row + 1;
    const ends = [[x(index), y(output.row) - NODE / 2], [x(index), y(top) + 24]];
    parts.push(...arrow(...ends, output, t, null, position, {}));
  }
  return parts;
}

// From the last step of one time line to the first of the next: a state handed on, or the final state read out.
function links(block, index, place) {
  const { x, y, node, position } = place, before = blocks[block.index - 1], parts = [];
  const tops = before.layers.filter((layer) => layer.level === before.top && !layer.backwards);
  const heirs = block.layers.filter((layer) => layer.kind === "recurrent");
  const bottoms = block.layers.filter((layer) => layer.level === 0);
  const states = before.steps ? before.layers.filter((layer) => layer.kind === "recurrent" && !layer.backwards) : tops;
  const pairs = heirs.length
    ? heirs.map((layer, i) => [states[Math.min(i, states.length - 1)], layer])
    : bottoms.flatMap((layer) => tops.map((top) => [top, layer]));
  for (const [from, to] of pairs) {
    const begin = [x(index - 1) + from.shift + boxWidth(from, node) / 2, y(from.row)];
    const end = [x(index) + to.shift - boxWidth(to, node) / 2, y(to.row)];
    const letter = to.kind === "recurrent" ? null : to.letters.kernel;
    parts.push(...arrow(begin, end, to, 0, letter, position, { label: letter ? weightName(to, letter) : "h₀", flat: true }));
  }
  return parts;
}

function arrow(from, to, layer, t, letter, position, { label, side = 1, flat }) {
  const back = isBack(position) && isBackward(layer, t, position);
  const now = stopIndex(position) === layer.stopOf[t];
  const reached = isBack(position) ? back : isForward(layer, t, position);
  const colour = back ? "c-grad" : letter ? layer.colour[letter] : "c-plain";
  const state = `${now ? " now" : ""}${reached ? "" : " todo"}`;
  const [[x1, y1], [x2, y2]] = back ? [to, from] : [from, to];
  const angle = Math.atan2(y2 - y1, x2 - x1);
  const tip = (turn) => `${x2 - 11 * Math.cos(angle + turn)},${y2 - 11 * Math.sin(angle + turn)}`;
  const end = [x2 - 8 * Math.cos(angle), y2 - 8 * Math.sin(angle)];
  const parts = [
    svg("line", { x1, y1, x2: end[0], y2: end[1], class: `edge ${colour}${state}` }),
    svg("polygon", { points: `${x2},${y2} ${tip(0.45)} ${tip(-0.45)}`, class: `head ${colour}${state}` }),
  ];
  if (label) {
    // Of an arrow past a box, where it ends or begins: there is room.
    const length = Math.max(50, from[1] - to[1]), near = 25 / length;
    const along = flat ? 0.5 : length > ROW && from[1] < atBottom ? 1 - near : near;
    const middle = [from[0] + (to[0] - from[0]) * along, from[1] + (to[1] - from[1]) * along];
    const where = flat ? { x: middle[0], y: middle[1] - 7, "text-anchor": "middle" }
      : { x: middle[0] + 7 * side, y: middle[1] + 5, "text-anchor": side > 0 ? "start" : "end" };
    parts.push(svg("text", { ...where, class: `label ${letter ? layer.colour[letter] : ""}` }, label));
  }
  return parts;
}

function nodes(column, index, place) {
  const { block, t } = column, parts = [];
  const { x, y, node, position } = place;
  const reads = block.layers.filter((layer) => layer.level === 0);
  if (block.steps || block.index === 0) parts.push(...inputNode(reads[0], t, x(index), y(0), node, position, block));
  for (const layer of block.layers) {
    const now = stopIndex(position) === layer.stopOf[t], masked = isMasked(layer, t);
    const done = isForward(layer, t, position), back = isBack(position) && isBackward(layer, t, position);
    const name = `${symbol(layer)}${layer.tag.match(/[→←]/)?.[0] ?? ""}${block.steps ? lowered(t + 1) : ""}`;
    const lines = [svg("text", { x: 0, y: -14, "text-anchor": "middle", class: "quiet" }, name)];
    if (masked) lines.push(svg("text", { x: 0, y: 5, "text-anchor": "middle", class: "quiet" }, "masked"));
    else if (done) lines.push(...inside(layer, t, boxWidth(layer, node)));
    if (back) lines.push(svg("text", { x: 0, y: 24, "text-anchor": "middle", class: "gradient" }, `∇ ${short(gradient(layer, t))}`));
    const state = `${now ? " now" : ""}${masked ? " masked" : done ? "" : " todo"}`;
    const across = boxWidth(layer, node);
    const box = { x: -across / 2, y: -NODE / 2, width: across, height: NODE, rx: 8, class: `node${state}` };
    const click = () => go(isBack(position) ? 2 * N - 1 - layer.stopOf[t] : layer.stopOf[t]);
    parts.push(svg("g", { transform: `translate(${x(index) + layer.shift},${y(layer.row)})`, onclick: click }, svg("rect", box), lines));
  }
  if (hasLoss(block)) parts.push(...lossNode(t, x(index), y(layers[page.output].row + 1), node, position, block));
  if (block.steps) parts.push(svg("text", { x: x(index), y: y(0) + 42, "text-anchor": "middle", class: "quiet" }, `t = ${t + 1}`));
  return parts;
}

const gradient = (layer, t) => (layer.units === 1 ? row(layer.dH, t)[0] : row(layer.norms.dH, t)[0]);

// A number, what an output stands for, or the first units as a strip of colours.
function inside(layer, t, node) {
  const values = row(layer.h, t);
  if (layer.units === 1) return [svg("text", { x: 0, y: 6, "text-anchor": "middle", class: "value" }, short(values[0]))];
  if (isOutput(layer) && page.names.length) {
    const name = page.names[best(values)];
    return [svg("text", { x: 0, y: 6, "text-anchor": "middle", class: "value" }, quoted(name))];
  }
  const numbers = Array.from(values, short).join(", ");
  if (layer.units === 2 && numbers.length < 10) return [svg("text", { x: 0, y: 6, "text-anchor": "middle", class: "value" }, numbers)];
  const count = Math.min(values.length, 8), size = Math.min(14, (node - 10) / count), top = largest(layer);
  return Array.from({ length: count }, (_, i) =>
    svg("rect", { x: (i - count / 2) * size, y: -6, width: size, height: 14, fill: colourOf(values[i] / top) }));
}

function inputNode(layer, t, x, y, node, position, block) {
  const values = row(layer.x, t), now = stops[stopIndex(position)].layers.some((l) => l.level === 0 && block.layers.includes(l)) && stops[stopIndex(position)].t === t;
  let text = values.length === 1 && layer.features === 1 ? short(values[0]) : "";
  const token = readToken(layer, t);
  if (token !== null) text = quoted(token);
  if (block.index > 0 && layer.kind !== "recurrent") return [];
  const name = `x${block.steps ? lowered(t + 1) : ""}`;
  const state = isMasked(layer, t) ? " masked" : now ? " now" : "";
  const box = svg("rect", { x: -node / 2, y: -22, width: node, height: 44, rx: 20, class: `node${state}` });
  const texts = [svg("text", { x: 0, y: text ? -4 : 5, "text-anchor": "middle", class: "quiet" }, name)];
  if (text) texts.push(svg("text", { x: 0, y: 14, "text-anchor": "middle", class: "value" }, text));
  return [svg("g", { transform: `translate(${x},${y})` }, box, texts)];
}

// What a layer reads at a step. One that writes reads what should have stood at the step before.
function readToken(layer, t) {
  if (!layer.tokens) return null;
  if (layer.reads) return layer.tokens[t];
  return t ? layer.tokens[t - 1] : "<start>";
}

function lossNode(t, x, y, node, position, block) {
  const output = layers[page.output], value = row(page.loss.each, t)[0], counts = row(page.loss.weights, t)[0] > 0;
  const done = isForward(output, t, position), now = stopIndex(position) === output.stopOf[t];
  const texts = [svg("text", { x: 0, y: -4, "text-anchor": "middle", class: "quiet" }, `L${block.steps ? lowered(t + 1) : ""}`)];
  if (done) texts.push(svg("text", { x: 0, y: 14, "text-anchor": "middle", class: "gradient" }, counts ? short(value) : "masked"));
  const box = svg("rect", { x: -node / 2, y: -22, width: node, height: 44, rx: 4, class: `loss${now ? " now" : ""}` });
  return [svg("g", { transform: `translate(${x},${y})` }, box, texts)];
}

// A layer's name at the left of its row, once for each time line in view.
function rowLabels(column, index, place) {
  if (index !== place.first && column.t !== 0) return [];
  const { x, y } = place;
  return column.block.layers.map((layer) => {
    const right = x(index) + layer.shift - 9, fits = layer.name.length * 7.5 < right;
    const anchored = fits ? { x: right, "text-anchor": "end" } : { x: 1 };
    return svg("text", { ...anchored, y: y(layer.row) - NODE / 2 - 7, class: "label row" }, layer.name);
  });
}
