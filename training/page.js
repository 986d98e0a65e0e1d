// What makes a page answer: curves to read and switch off, wiring that lights up as time moves.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = ["#1f6feb", "#bf5700", "#2da44e", "#cf222e", "#8250df", "#6e7781"];

function element(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
}

function ticks(low, high) {
  const rough = (high - low) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9 * step; value += step) found.push(value);
  return found;
}

const short = (value) => Math.abs(value) >= 1e6 ? `${+(value / 1e6).toFixed(2)}M`
  : Math.abs(value) >= 1e4 ? `${+(value / 1e3).toFixed(1)}k` : `${+value.toPrecision(4)}`;

// Lines {label, x: [], y: []} as a chart: hover or arrow keys read values, buttons switch lines.
function chart(host) {
  const {lines, xlabel, ylabel} = JSON.parse(host.querySelector("script").textContent);
  // As wide as it is shown, so that letters keep their size on a phone.
  const width = Math.max(320, Math.min(host.clientWidth, 960));
  const [height, left, bottom] = [300, 62, 44];
  const drawing = element("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0,
    "aria-label": `${ylabel} over ${xlabel}; arrow keys read values`});
  const readout = document.createElement("p");
  readout.className = "readout";
  readout.setAttribute("aria-live", "polite");
  const legend = document.createElement("div");
  legend.className = "legend";
  const shown = lines.map(() => true);
  const all = (axis) => lines.flatMap((line) => line[axis]);
  const [xlow, xhigh] = [0, Math.max(...all("x"))];
  let [ylow, yhigh] = [Math.min(0, ...all("y")), Math.max(...all("y"))];
  if (yhigh === ylow) yhigh = ylow + 1;
  const px = (x) => left + (x - xlow) / (xhigh - xlow || 1) * (width - left - 12);
  const py = (y) => height - bottom - (y - ylow) / (yhigh - ylow) * (height - bottom - 12);
  for (const y of ticks(ylow, yhigh)) {
    element("line", {x1: left, x2: width - 12, y1: py(y), y2: py(y), class: "grid"}, drawing);
    element("text", {x: left - 8, y: py(y) + 4, "text-anchor": "end"}, drawing).textContent = short(y);
  }
  for (const x of ticks(xlow, xhigh)) {
    element("text", {x: px(x), y: height - bottom + 18, "text-anchor": "middle"}, drawing).textContent = short(x);
  }
  element("text", {x: (left + width) / 2, y: height - 6, "text-anchor": "middle"}, drawing).textContent = xlabel;
  element("text", {transform: `translate(14 ${(height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle"}, drawing)
    .textContent = ylabel;
  const cursor = element("line", {y1: 12, y2: height - bottom, class: "cursor", visibility: "hidden"}, drawing);
  const paths = lines.map((line, index) => element("polyline", {
    points: line.x.map((x, i) => `${px(x).toFixed(1)},${py(line.y[i]).toFixed(1)}`).join(" "),
    stroke: COLOURS[index % COLOURS.length]}, drawing));
  const dots = lines.map((_, index) => element("circle", {r: 4, fill: COLOURS[index % COLOURS.length],
    visibility: "hidden"}, drawing));
  const grid = [...new Set(all("x"))].sort((a, b) => a - b);
  let at = grid.length - 1;

  function nearest(line, x) {
    let best = 0;
    line.x.forEach((each, i) => { if (Math.abs(each - x) < Math.abs(line.x[best] - x)) best = i; });
    return best;
  }
  function read() {
    const x = grid[at];
    cursor.setAttribute("x1", px(x));
    cursor.setAttribute("x2", px(x));
    cursor.setAttribute("visibility", "visible");
    const words = [`${short(x)} ${xlabel}`];
    lines.forEach((line, index) => {
      const i = nearest(line, x);
      dots[index].setAttribute("visibility", shown[index] ? "visible" : "hidden");
      dots[index].setAttribute("cx", px(line.x[i]));
      dots[index].setAttribute("cy", py(line.y[i]));
      if (shown[index]) words.push(`${line.label}: ${short(line.y[i])}`);
    });
    readout.textContent = words.join(" · ");
  }
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const x = xlow + ((event.clientX - box.left) / box.width * width - left) / (width - left - 12) * (xhigh - xlow);
    at = grid.reduce((best, each, i) => Math.abs(each - x) < Math.abs(grid[best] - x) ? i : best, 0);
    read();
  });
  drawing.addEventListener("keydown", (event) => {
    const step = {ArrowLeft: -1, ArrowRight: 1, Home: -grid.length, End: grid.length}[event.key];
    if (!step) return;
    event.preventDefault();
    at = Math.min(Math.max(at + step, 0), grid.length - 1);
    read();
  });
  lines.forEach((line, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = line.label;
    button.style.setProperty("--colour", COLOURS[index % COLOURS.length]);
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      shown[index] = !shown[index];
      button.setAttribute("aria-pressed", String(shown[index]));
      paths[index].setAttribute("visibility", shown[index] ? "visible" : "hidden");
      read();
    });
    legend.append(button);
  });
  readout.textContent = "Point at the curves, or use the arrow keys, to read values.";
  host.append(legend, drawing, readout);
}

const mixed = (colour, share) => `color-mix(in srgb, ${colour} ${Math.round(100 * share)}%, white)`;

// The wiring's neurons, and the body, at the moment that the slider is at.
function moments(host) {
  const {names, steps, dt, activity, body, links} = JSON.parse(host.querySelector("script").textContent);
  const levels = Int8Array.from(atob(activity), (each) => each.charCodeAt(0));
  const places = names.map((name) => host.querySelector(`[id="neuron ${CSS.escape(name)}"] use`));
  places.forEach((place, i) => { if (place) element("title", {}, place.parentNode).textContent = names[i]; });
  const slider = host.querySelector("input");
  const button = host.querySelector("button");
  const clock = host.querySelector("output");
  const posture = element("svg", {viewBox: "-62 -62 124 124", class: "posture", role: "img",
    "aria-label": "the body, head in blue"});
  const line = element("polyline", {class: "body"}, posture);
  const head = element("circle", {r: 3.4, fill: "#1f6feb"}, posture);
  host.querySelector(".moment").append(posture);

  function show() {
    const t = Number(slider.value);
    places.forEach((place, i) => {
      if (!place) return;
      const level = levels[t * names.length + i] / 127;
      place.style.fill = level >= 0 ? mixed("#f2a900", level) : mixed("#8250df", -level);
    });
    const points = body[t];
    line.setAttribute("points", Array.from({length: links + 1}, (_, i) => `${points[2 * i]},${points[2 * i + 1]}`).join(" "));
    head.setAttribute("cx", points[0]);
    head.setAttribute("cy", points[1]);
    clock.textContent = `${(t * dt).toFixed(2)} s`;
    slider.setAttribute("aria-valuetext", clock.textContent);
  }
  let timer = null;
  function pause() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }
  button.addEventListener("click", () => {
    if (timer) return pause();
    button.textContent = "Pause";
    timer = setInterval(() => {
      slider.value = (Number(slider.value) + 1) % steps;
      show();
    }, 1000 * dt);
  });
  slider.addEventListener("input", () => { pause(); show(); });
  show();
}

document.querySelectorAll(".chart").forEach(chart);
document.querySelectorAll(".moments").forEach(moments);
