// Elements and numbers. Text goes in as text alone, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const at = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Without the zeros at the end of a fraction; those of an exponent stay.
function strip(text) {
  const [mantissa, exponent] = text.split("e");
  const shorter = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
  return exponent === undefined ? shorter : `${shorter}e${exponent.replace("+", "")}`;
}

function digits(value, count) {
  if (Number.isNaN(value)) return "no number";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size < 1e-4 || size >= 1e7 ? value.toExponential(count - 1) : value.toPrecision(count);
  return strip(text);
}

// All that 32-bit floats hold, and what fits into a drawing.
const exact = (value) => digits(value, 7);
const short = (value) => {
  const size = Math.abs(value);
  if (!Number.isFinite(value) || size === 0) return digits(value, 3);
  if (size < 1e-3 || size >= 1e5) return strip(value.toExponential(0));
  if (size >= 1000) return value.toFixed(0);
  const text = digits(value, 3);
  return text.length > 6 ? digits(value, 2) : text;
};

const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";
const lowered = (number) => String(number).replace(/\d/g, (d) => SUBSCRIPTS[d]);
const plural = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;

// A formula: _x_ goes below, *x* is italic, [x] is of a gradient's colour.
function formula(text) {
  const parent = el("p", { class: "formula" });
  let into = parent;
  for (const piece of text.split(/(_[^_]+_|\*[^*]+\*|\[|\])/)) {
    if (piece === "[") into = parent.appendChild(el("span", { class: "g" }));
    else if (piece === "]") into = parent;
    else if (/^_.+_$/.test(piece)) into.append(el("sub", null, piece.slice(1, -1)));
    else if (/^\*.+\*$/.test(piece)) into.append(el("i", null, piece.slice(1, -1)));
    else into.append(piece);
  }
  return parent;
}

const themed = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
