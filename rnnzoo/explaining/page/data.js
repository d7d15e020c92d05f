// The data of the page, and the stops of its slider.

const page = JSON.parse(document.getElementById("data").textContent);
const unpacked = [];
const KNOWN = { tanh: Math.tanh, relu: (z) => Math.max(z, 0) };

// The array at a place: { shape, width, data }, its rows `width` numbers each; null of null.
function array(place) {
  if (place === null || place === undefined) return null;
  return (unpacked[place] ??= unpack(page.arrays[place]));
}

function unpack(packed) {
  const shape = packed.shape;
  const width = shape.slice(1).reduce((a, b) => a * b, 1);
  for (const [name, activate] of Object.entries(KNOWN)) {
    if (name in packed) return { shape, width, data: Float64Array.from(array(packed[name]).data, activate) };
  }
  if (packed.hot) {
    const data = new Float32Array(shape[0] * width);
    packed.hot.forEach((hot, i) => hot >= 0 && (data[i * width + hot] = 1));
    return { shape, width, data, hot: packed.hot };
  }
  const text = atob(packed.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  let numbers = new Float32Array(bytes.buffer);
  if (packed.exponents) {
    numbers = Float64Array.from(numbers, (value, i) => {
      const exponent = packed.exponents[Math.floor(i / width)];
      // In two steps: 2 ** -1080 alone is no longer a number.
      return value * 2 ** Math.trunc(exponent / 2) * 2 ** (exponent - Math.trunc(exponent / 2));
    });
  }
  if (!packed.rows) return { shape, width, data: numbers };
  const data = new numbers.constructor(shape[0] * width);
  packed.rows.forEach((row, i) => data.set(numbers.subarray(i * width, (i + 1) * width), row * width));
  return { shape, width, data };
}

// One row of an array; null of null.
function row(place, t) {
  const found = array(place);
  return found && found.data.subarray(t * found.width, (t + 1) * found.width);
}

const layers = page.layers;
const recurrent = layers.filter((layer) => layer.kind === "recurrent");
const canGoBack = page.loss !== null;

// A stop is one step of one group of layers, in the order in which the model runs them.
const stops = [];
for (const group of page.groups) {
  const count = Math.max(group.steps, 1);
  for (let i = 0; i < count; i++) {
    const t = group.backwards ? count - 1 - i : i;
    stops.push({ group, t, layers: group.layers.map((place) => layers[place]) });
    for (const place of group.layers) (layers[place].stopOf ??= [])[t] = stops.length - 1;
  }
}
const N = stops.length;
const POSITIONS = canGoBack ? 2 * N : N;
const isBack = (position) => position >= N;
const stopIndex = (position) => (isBack(position) ? 2 * N - 1 - position : position);
const isMasked = (layer, t) => layer.mask !== null && !layer.mask[t];

// What has been computed when the slider stands at a position.
const isForward = (layer, t, position) => layer.stopOf[t] <= position;
const isBackward = (layer, t, position) => 2 * N - 1 - layer.stopOf[t] <= position;

const tokenAt = (layer, t) => (layer.tokens ? layer.tokens[t] : null);
const quoted = (token) => (token.length > 1 ? token : token === "" ? "nothing" : `'${token}'`);

// What a layer is at its step: h of a recurrent one, y of the output.
const isOutput = (layer) => layers[page.output] === layer;
const symbol = (layer) => (layer.kind === "recurrent" ? "h" : layer.letters.value);
const isLossCategorical = () =>
  page.names.length > 1 && layers[page.output].activation === "linear" && page.told.some(([, v]) => /crossentropy/.test(v));

function softmax(numbers) {
  const top = Math.max(...numbers);
  const exponentials = Array.from(numbers, (z) => Math.exp(z - top));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((e) => e / sum);
}

const best = (numbers) => numbers.reduce((top, value, i) => (value > numbers[top] ? i : top), 0);
