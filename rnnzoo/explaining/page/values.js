// The numbers and formulas of the step in view: a card a layer.

const FIRST = 8;
const wide = new Set(); // the tables that are shown whole

function drawValues(position) {
  const { layers: here, t } = stops[stopIndex(position)];
  const back = isBack(position);
  const cards = (back ? [...here].reverse() : here).map((layer) =>
    (layer.kind === "recurrent" ? recurrentCard : denseCard)(layer, t, back, position));
  if (canGoBack && here.includes(layers[page.output])) {
    if (back) cards.unshift(lossCard(t, true));
    else cards.push(lossCard(t, false));
  }
  at("values").replaceChildren(...cards);
}

const about = (layer) => `${plural(layer.units, "unit")}${layer.kept < layer.units ? `, of which the first ${layer.kept} are in this file` : ""}`;

function card(layer, t, back, ...children) {
  const said = el("span", { class: "note" }, ` ${layer.kind === "recurrent" ? "recurrent" : "dense"}, ${about(layer)}, ${layer.activation}`);
  return el("article", { class: "card", "data-layer": layer.name, "data-phase": back ? "backward" : "forward", "data-t": t }, el("h3", null, layer.name, said), ...children);
}

// Where the gradient comes from that does not come through time.
function above(layer) {
  const block = blocks.find((one) => one.layers.includes(layer)), higher = block.layers.filter((other) => other.level > layer.level);
  const next = higher.length ? higher : (blocks[block.index + 1]?.layers ?? []);
  if (next.includes(layers[page.output]) && !next.some((other) => other.kind === "recurrent")) return "the output";
  return higher.length ? "the layer above" : "the decoder";
}

function recurrentCard(layer, t, back, position) {
  const step = t + 1, before = layer.backwards ? "t+1" : "t-1", after = layer.backwards ? "t-1" : "t+1";
  const bias = layer.b === null ? "" : " + *b*", act = layer.activation;
  const masked = isMasked(layer, t), follows = layer.backwards ? step - 1 : step + 1;
  const later = follows < 1 || follows > layer.steps ? "from a later step (none)" : `from step ${follows}`;
  if (!back) {
    const lines = masked
      ? [el("p", null, `Timestep ${step} is masked (padding): the state stands still.`), formula(`*h*_t_ = *h*_${before}_`)]
      : [formula(`*z*_t_ = *x*_t_ *W* + *h*_${before}_ *U*${bias}`), formula(`*h*_t_ = ${act}(*z*_t_)`)];
    return card(layer, t, back, ...lines, inputTable(layer, t), table(layer, "forward", t, [
      ["x_t_ W", row(layer.xw, t), "xw"], [`h_${before}_ U`, row(layer.hu, t), "hu"], ["b", row(layer.b, 0), "b"],
      ["z_t_", row(layer.z, t), "z"], ["h_t_", row(layer.h, t), "h", true],
    ]), weights(layer));
  }
  const lines = masked
    ? [el("p", null, `Timestep ${step} is masked (padding): the gradient passes through unchanged, and no weight gets a share.`)]
    : [
      formula(`[dL/d*h*_t_] = from ${above(layer)} + [d*z*_${after}_] *U*ᵀ`),
      formula(`[d*z*_t_] = ${act}′(*z*_t_) [dL/d*h*_t_]`),
      formula(`d*W* = Σ *x*_t_ᵀ [d*z*_t_],  d*U* = Σ *h*_${before}_ᵀ [d*z*_t_]${bias ? ",  d*b* = Σ [d*z*_t_]" : ""}`),
    ];
  return card(layer, t, back, ...lines, table(layer, "backward", t, [
    [`from ${above(layer)}`, row(layer.dOut, t), "dOut"], [later, row(layer.dLater, t), "dLater"],
    ["dL/dh_t_", row(layer.dH, t), "dH", true], [`${act}′(z_t_)`, masked ? null : row(layer.slope, t), "slope"], ["dz_t_", row(layer.dZ, t), "dZ", true],
  ]), shares(layer, t, position));
}

function denseCard(layer, t, back, position) {
  const out = symbol(layer), act = layer.activation, { kernel, bias } = layer.letters;
  if (!back) {
    const columnsOf = [[`x ${kernel}`, row(layer.xw, t), "xw"], [bias, row(layer.b, 0), "b"], ["z", row(layer.z, t), "z"], [out, row(layer.h, t), "h", true]];
    if (isOutput(layer) && isLossCategorical() && layer.kept === layer.units) columnsOf.push(["softmax", Float64Array.from(softmax(row(layer.h, t))), "p"]);
    return card(layer, t, back, formula(`*z* = *x* *${kernel}*${layer.b === null ? "" : ` + *${bias}*`},  *${out}* = ${act}(*z*)`), inputTable(layer, t), table(layer, "forward", t, columnsOf), weights(layer));
  }
  return card(layer, t, back,
    formula(`[d*z*] = ${act}′(*z*) [dL/d*${out}*],  d*${kernel}* = Σ *x*ᵀ [d*z*],  [dL/d*x*] = [d*z*] *${kernel}*ᵀ`),
    table(layer, "backward", t, [[`dL/d${out}`, row(layer.dH, t), "dH"], ["dz", row(layer.dZ, t), "dZ", true]]),
    el("p", null, `dL/dx, which goes on to the layer below, has the norm `, el("b", { "data-norm": "dX" }, exact(row(layer.norms.dX, t)[0])), "."),
    shares(layer, t, position));
}

function lossCard(t, back) {
  const each = row(page.loss.each, t)[0], weight = row(page.loss.weights, t)[0], total = array(page.loss.value).data[0];
  const output = layers[page.output], parts = [];
  const wanted = page.wanted[t], values = row(output.h, t);
  if (wanted !== undefined) {
    const written = page.names.length ? page.names[best(values)] : Array.from(values, exact).join(", ");
    parts.push(el("p", null, "Output ", el("b", null, written), ", right is ", el("b", null, wanted), "."));
  }
  const where = output.steps ? " of this step" : "";
  parts.push(el("p", null, `Loss${where}: `, el("b", { "data-loss": "each" }, exact(each)), weight > 0 ? "" : " (masked: it counts for nothing)", ". Loss of the whole: ", el("b", { "data-loss": "total" }, exact(total)), "."));
  if (back) parts.push(el("p", null, "The way back begins here: dL/dy is what the loss asks the output to change."));
  return el("article", { class: "card", "data-layer": "loss" }, el("h3", null, "loss"), ...parts);
}

function head(text, options = {}) {
  const cell = el("th", { scope: "col", ...options });
  text.split(/_([^_]+)_/).forEach((piece, i) => piece && cell.append(i % 2 ? el("sub", null, piece) : piece));
  return cell;
}

// A row a unit. Of many the first are shown until all are asked for.
function table(layer, phase, t, given) {
  const shown = given.filter(([, values]) => values);
  const key = `${layer.name} ${phase}`, all = layer.kept, count = wide.has(key) ? all : Math.min(all, FIRST);
  const named = isOutput(layer) && page.names.length;
  const top = named && phase === "forward" ? best(row(layer.h, t)) : -1;
  const indices = Array.from({ length: count }, (_, i) => i);
  if (top >= count) indices.push(top);
  const body = indices.map((i) => el("tr", { class: i === top ? "best" : null },
    el("th", { scope: "row" }, named ? `${i + 1}: ${quoted(page.names[i])}` : String(i + 1)),
    shown.map(([, values, what, main]) => el("td", { class: main ? "main" : null, "data-what": what, "data-unit": i }, exact(values[i])))));
  const heads = el("tr", null, el("th", { scope: "col", class: "text" }, named ? "output" : "unit"), shown.map(([name]) => head(name)));
  const said = `${layer.name}, ${phase}, by unit`;
  return el("div", null,
    el("div", { class: "scroll", role: "region", "aria-label": said, tabindex: "0" }, el("table", null, el("caption", { class: "unseen" }, said), el("thead", null, heads), el("tbody", null, body))),
    more(key, all, "unit"));
}

function more(key, all, what) {
  if (all <= FIRST) return null;
  const whole = wide.has(key);
  const toggle = () => {
    if (whole) wide.delete(key);
    else wide.add(key);
    draw(now);
    document.querySelector(`[data-more="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  };
  return el("button", { type: "button", "data-more": key, "aria-expanded": String(whole), onclick: toggle }, whole ? `Show the first ${FIRST}` : `Show all ${all} ${what}s`);
}

// x of the step: where it is one-hot its place, else its numbers.
function inputTable(layer, t) {
  const packed = array(layer.x), values = row(layer.x, t), token = readToken(layer, t);
  const name = layer.steps ? "x_t_" : "x";
  const line = el("p", null);
  line.append(...head(name).childNodes, " = ");
  if (packed.hot) {
    const hot = packed.hot[t];
    line.append(hot < 0 ? "zeros" : `one-hot: 1 at place ${hot + 1} of ${layer.features}`);
  } else {
    const key = `${layer.name} x`, count = wide.has(key) ? values.length : Math.min(values.length, FIRST);
    line.append("(");
    for (let i = 0; i < count; i++) line.append(i ? ", " : "", el("span", { "data-what": "x", "data-unit": i }, exact(values[i])));
    line.append(count < layer.features ? `, …) ` : ")");
    const button = more(key, values.length, "number");
    if (button) line.append(" ", button);
  }
  if (token !== null && layer.level === 0) line.append(`, ${layer.reads ? "the token" : "the token before,"} ${quoted(token)}`);
  return line;
}

// What this step adds to each weight's gradient, and the sum so far.
function shares(layer, t, position) {
  const rows = layer.shares.map((share) => {
    const one = share.shape.reduce((a, b) => a * b, 1) === 1 && share.each !== null;
    const own = one ? row(share.each, t)[0] : row(share.norms, t)[0];
    const sum = one ? row(share.running, t)[0] : row(share.sums, t)[0];
    const first = layer.backwards ? layer.steps - 1 : 0;
    const whole = one ? row(share.running, first)[0] : row(share.sums, first)[0];
    const bars = (value) => (one ? exact(value) : `‖${exact(value)}‖`);
    return el("tr", null, el("th", { scope: "row" }, `d${share.name}`), el("td", { class: "text" }, share.shape.join(" × ")),
      el("td", { "data-share": share.name }, bars(own)), el("td", { class: "main", "data-sum": share.name }, bars(sum)), el("td", null, bars(whole)));
  });
  const heads = el("tr", null, ["gradient", "shape", "this step's share", "sum so far", "the whole gradient"].map((text, i) => el("th", { scope: "col", class: i < 2 ? "text" : null }, text)));
  const said = `${layer.name}, shares of the gradients`;
  const matrices = layer.shares.filter((share) => share.each !== null && share.shape.reduce((a, b) => a * b, 1) > 1);
  const details = matrices.length ? el("details", { "data-keep": `${layer.name} shares` }, el("summary", null, "The shares and sums, number by number"), matrices.map((share) => [matrix(`d${share.name}, this step's share`, share.shape, row(share.each, t)), matrix(`d${share.name}, sum so far`, share.shape, row(share.running, t))])) : null;
  return el("div", null, el("div", { class: "scroll", role: "region", "aria-label": said, tabindex: "0" }, el("table", null, el("caption", { class: "unseen" }, said), el("thead", null, heads), el("tbody", null, rows))),
    rows.some((r) => r.textContent.includes("‖")) ? el("p", { class: "note" }, "‖ ‖: the norm of a matrix or vector, the root of the sum of its squares.") : null, kept(details));
}

function matrix(caption, shape, values) {
  const [rows, cols] = shape.length === 2 ? shape : [1, shape[0]];
  const body = Array.from({ length: rows }, (_, i) => el("tr", null, Array.from({ length: cols }, (_, j) => el("td", null, exact(values[i * cols + j])))));
  return el("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" }, el("table", null, el("caption", null, caption), el("tbody", null, body)));
}

function weights(layer) {
  const names = Object.entries(layer.weights);
  if (!names.length && layer.b === null) return null;
  if (!names.length) return null;
  return kept(el("details", { "data-keep": `${layer.name} weights` }, el("summary", null, `Weights ${names.map(([name]) => name).join(", ")}`), names.map(([name, place]) => {
    const found = array(place);
    return matrix(`${name}, ${found.shape.join(" × ")}`, found.shape, found.data);
  })));
}

// What was opened stays open from step to step.
const opened = new Set();
function kept(details) {
  if (!details) return null;
  const key = details.dataset.keep;
  details.open = opened.has(key);
  details.addEventListener("toggle", () => (details.open ? opened.add(key) : opened.delete(key)));
  return details;
}
