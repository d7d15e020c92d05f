// Hidden states over time: a row a unit, a column a timestep.

const tops = new Map();

// The largest size of a layer's states, which has the strongest colour.
function largest(layer) {
  if (!tops.has(layer)) {
    let top = 0;
    for (const value of array(layer.h).data) if (Math.abs(value) > top) top = Math.abs(value);
    tops.set(layer, top || 1);
  }
  return tops.get(layer);
}

const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

// -1 is blue, 0 the ground, 1 orange.
function tint(share) {
  const size = Number.isFinite(share) ? Math.min(1, Math.abs(share)) : 1;
  const ground = isDark() ? [44, 50, 59] : [255, 255, 255];
  const full = share < 0 ? (isDark() ? [90, 160, 255] : [20, 80, 190]) : isDark() ? [255, 160, 70] : [200, 80, 0];
  return ground.map((from, i) => Math.round(from + (full[i] - from) * size));
}

const colourOf = (share) => `rgb(${tint(share).join(" ")})`;
let maps = [];

function buildHeat() {
  if (!recurrent.length) return at("heat-section").setAttribute("hidden", "");
  maps = recurrent.map((layer) => {
    const { steps, kept } = layer, width = at("heat").clientWidth;
    const cell = Math.min(56, width / steps), unit = Math.max(2, Math.min(28, Math.floor(220 / kept)));
    const tokens = layer.tokens !== null && cell >= 15, wide = Math.round(cell * steps), high = unit * kept;
    const picture = document.createElement("canvas");
    [picture.width, picture.height] = [steps, kept];
    const pixels = new ImageData(steps, kept), states = array(layer.h).data, top = largest(layer);
    for (let t = 0; t < steps; t++) {
      for (let u = 0; u < kept; u++) pixels.data.set([...tint(states[t * kept + u] / top), 255], 4 * (u * steps + t));
    }
    picture.getContext("2d").putImageData(pixels, 0, 0);
    const scale = devicePixelRatio || 1, tall = high + 6 + (tokens ? 22 : 0);
    const said = `Hidden states of ${layer.name}: ${plural(kept, "unit")} by ${plural(steps, "timestep")}, from blue, ${exact(-top)}, to orange, ${exact(top)}`;
    const canvas = el("canvas", { width: wide * scale, height: tall * scale, role: "img", "aria-label": said });
    [canvas.style.width, canvas.style.height] = [`${wide}px`, `${tall}px`];
    const map = { layer, canvas, picture, cell, unit, wide, high, tall, scale, tokens };
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const t = Math.max(0, Math.min(steps - 1, Math.floor(((event.clientX - box.left) / box.width) * steps)));
      go(isBack(now) ? 2 * N - 1 - layer.stopOf[t] : layer.stopOf[t]);
    });
    map.figure = el("figure", null, el("figcaption", null, `${layer.name}: ${plural(kept, "unit")}${kept < layer.units ? `, the first of ${layer.units}` : ""}, blue ${short(-top)} to orange ${short(top)}`), canvas);
    return map;
  });
  at("heat").replaceChildren(...maps.map((map) => map.figure));
}

function drawHeat(position) {
  const stop = stops[stopIndex(position)];
  for (const { layer, canvas, picture, cell, high, wide, tall, scale, tokens } of maps) {
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, wide, tall);
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, 0, 3, wide, high);
    // What is still to come lies in the dark.
    context.fillStyle = themed("--ground");
    context.globalAlpha = 0.8;
    if (!isBack(position)) {
      const done = layer.stopOf.filter((s) => s <= position).length;
      const from = layer.backwards ? 0 : done, to = layer.backwards ? layer.steps - done : layer.steps;
      context.fillRect(from * cell, 3, (to - from) * cell, high);
    }
    context.globalAlpha = 1;
    context.strokeStyle = themed("--line");
    context.lineWidth = 1;
    context.strokeRect(0.5, 3.5, wide - 1, high - 1);
    if (stop.layers.includes(layer)) {
      context.strokeStyle = themed(isBack(position) ? "--grad" : "--text");
      context.lineWidth = 3;
      context.strokeRect(Math.max(1.5, stop.t * cell), 1.5, Math.max(2, Math.min(cell, wide - stop.t * cell - 1.5)), high + 3);
    }
    if (tokens) {
      context.fillStyle = themed("--text");
      context.font = "14px system-ui, sans-serif";
      context.textAlign = "center";
      layer.tokens.forEach((token, t) => context.fillText(cell < 52 && token.length > 1 ? "·" : token, (t + 0.5) * cell, high + 22, cell));
    }
  }
}
