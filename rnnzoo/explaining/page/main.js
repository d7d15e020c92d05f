// The slider, its keys and buttons, and the clock of play.

let now = 0, timer = null;
const slider = at("slider"), play = at("play");

function describe(position) {
  const stop = stops[stopIndex(position)], step = isBack(position) ? position - N + 1 : position + 1;
  const named = stop.layers.find((layer) => layer.tokens), token = named ? tokenAt(named, stop.t) : null;
  const parts = [`${isBack(position) ? "backward" : "forward"}, step ${step} of ${N}`];
  if (stop.group.steps) parts.push(`${page.groups.length > 1 ? `${stop.layers[0].name} ` : ""}t = ${stop.t + 1}`);
  else parts.push(stop.layers.map((layer) => layer.name).join(", "));
  if (stop.layers.some((layer) => isMasked(layer, stop.t))) parts.push("masked");
  else if (token !== null) parts.push(`${named.reads ? "token" : "to write"} ${quoted(token)}`);
  return parts.join(", ");
}

function draw(position) {
  const back = isBack(position);
  slider.value = position;
  slider.classList.toggle("backward", back);
  slider.setAttribute("aria-valuetext", describe(position));
  const [phase, ...rest] = describe(position).split(", ");
  at("where").replaceChildren(el("span", { class: `phase ${phase}` }, phase), rest.join(", "));
  drawNetwork(position);
  drawValues(position);
  drawHeat(position);
  drawFlow(position);
}

let speaking = null;
function say(text) {
  // Once the hand rests: no step in between is read out.
  clearTimeout(speaking);
  speaking = setTimeout(() => (at("live").textContent = text), 400);
}

function go(position, quiet = false) {
  now = Math.max(0, Math.min(POSITIONS - 1, position));
  draw(now);
  // The slider itself says where it stands while it has the focus.
  if (!quiet && document.activeElement !== slider) say(describe(now));
}

function stopPlaying() {
  clearTimeout(timer);
  timer = null;
  play.textContent = "Play";
}

// From the first step to the last in at most about a minute, and at the end it stops.
const pause = () => Number(at("speed").value) * Math.max(25, Math.min(900, 45000 / POSITIONS));

function tick() {
  if (now >= POSITIONS - 1) {
    stopPlaying();
    return say(`At the end: ${describe(now)}`);
  }
  go(now + 1, true);
  timer = setTimeout(tick, pause());
}

function toggle() {
  if (timer !== null) {
    stopPlaying();
    return say(`Paused: ${describe(now)}`);
  }
  if (now >= POSITIONS - 1) go(0, true);
  play.textContent = "Pause";
  say("Playing");
  timer = setTimeout(tick, pause());
}

function by(steps) {
  stopPlaying();
  go(now + steps);
}

slider.max = POSITIONS - 1;
slider.addEventListener("input", () => {
  stopPlaying();
  go(Number(slider.value));
});
play.addEventListener("click", toggle);
at("first").addEventListener("click", () => by(-POSITIONS));
at("back").addEventListener("click", () => by(-1));
at("next").addEventListener("click", () => by(1));
at("last").addEventListener("click", () => by(POSITIONS));
// In the player alone: elsewhere these keys scroll the page, as they should.
at("player").addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.tagName === "SELECT") return;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, Home: -POSITIONS, End: POSITIONS }[event.key];
  if (steps !== undefined) by(steps);
  else if (event.key === " " && event.target.tagName !== "BUTTON") toggle();
  else return;
  event.preventDefault();
});

function rebuild() {
  buildHeat();
  buildFlow();
  draw(now);
}

at("title").textContent = page.title || "What flows through the network";
at("told").replaceChildren(...page.told.map(([what, value]) => el("div", null, el("dt", null, what), el("dd", null, value))));
at("story").textContent = canGoBack
  ? `The first half of the slider goes forward: each step turns its input and the state before into a new state. The second half goes back from the loss, ${exact(array(page.loss.value).data[0])}: at each step arrives what its output asks for and what the later step asks for, and each step adds its share to the weights' gradients.`
  : "The slider goes forward: each step turns its input and the state before into a new state. There is no target, so there is no loss and no way back; give the right answer to see it.";
if (!canGoBack) at("phase-back").textContent = "";
at("legend").textContent = `Arrows have the colour of their weight${canGoBack ? "; on the way back they turn red and point to where the gradient goes, and ∇ is dL/dh (its norm where there are several units)" : ""}. Strips of colour are the first units of a state, blue below zero, orange above. A click on a box goes to its step.${layers.some((layer) => layer.tag.includes("enc")) ? " ᵉ: of the encoder, ᵈ: of the decoder." : ""}`;
if (blocks.some((block, i) => i && blocks[i - 1].layers.some((layer) => layer.backwards))) {
  at("legend").append(" A layer that runs backwards ends at t = 1: its final state is handed on from there, which no arrow shows.");
}
at("about").textContent = `Numbers are shown to 7 digits, as 32-bit floats hold them.${page.examples > 1 ? ` Of ${page.examples} examples this is one; the shares and sums are its own.` : ""}${layers.some((layer) => layer.kept < layer.units) ? " So that the file stays small, only the first units of large layers are in it; norms are of all units." : ""} This page loads nothing and sends nothing.`;
rebuild();
slider.focus({ preventScroll: true });
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return; // a phone's bar that hides changes the height alone
  width = innerWidth;
  rebuild();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", rebuild);
