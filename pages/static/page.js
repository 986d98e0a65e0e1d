// What makes a page answer: curves to read and switch off, wiring that lights up as time moves.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
// Each stands out from white and from the dark page; dashes tell the ninth run from the first.
const COLOURS = ["#2f7bef", "#c45a00", "#27934a", "#d93440", "#9160e6", "#0e8a94", "#cf3f93", "#76808a"];
const DASHES = ["none", "2 4", "10 4", "10 4 2 4"];

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

// Lines {label, run, kind, x: [], y: []} as a chart: hover or arrow keys read values, boxes switch lines.
// A run has its colour; its first kind of line is shown, and others when they are asked for.
function chart(host) {
  const {lines, kinds, xlabel, ylabel} = JSON.parse(host.querySelector("script").textContent);
  const [height, left, right, top, bottom] = [300, 62, 12, 12, 44];
  const shown = lines.map((line) => line.kind === 0);
  const looks = lines.map((line) => ({
    stroke: COLOURS[line.run % COLOURS.length],
    "stroke-dasharray": DASHES[(Math.floor(line.run / COLOURS.length) * kinds + line.kind) % DASHES.length],
  }));
  const drawing = element("svg", {role: "img", tabindex: 0,
    "aria-label": `${ylabel} over ${xlabel}; arrow keys read values`});
  const readout = document.createElement("p");
  readout.className = "readout";
  readout.setAttribute("aria-live", "polite");
  readout.textContent = "Point at the curves, or use the arrow keys, to read values.";
  const legend = document.createElement("div");
  legend.className = "legend";
  let width, xs, px, py, cursor, dots;
  let at = null;

  function draw() {
    // As wide as it is shown, so that letters keep their size.
    width = Math.max(320, host.clientWidth);
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.replaceChildren();
    const visible = shown.some(Boolean) ? lines.filter((_, index) => shown[index]) : lines;
    const all = (axis) => visible.flatMap((line) => line[axis]);
    xs = [...new Set(all("x"))].sort((a, b) => a - b);
    const xhigh = xs.at(-1) || 1;
    let [ylow, yhigh] = [Math.min(0, ...all("y")), Math.max(...all("y"))];
    if (yhigh === ylow) yhigh = ylow + 1;
    px = (x) => left + x / xhigh * (width - left - right);
    py = (y) => height - bottom - (y - ylow) / (yhigh - ylow) * (height - bottom - top);
    const write = (text, attributes) => {
      element("text", {"text-anchor": "middle", ...attributes}, drawing).textContent = text;
    };
    for (const y of ticks(ylow, yhigh)) {
      element("line", {x1: left, x2: width - right, y1: py(y), y2: py(y), class: "grid"}, drawing);
      write(short(y), {x: left - 8, y: py(y) + 4, "text-anchor": "end"});
    }
    // The last number ends where the axis does.
    for (const x of ticks(0, xhigh)) {
      write(short(x), {x: px(x), y: height - bottom + 18, "text-anchor": px(x) > width - 24 ? "end" : "middle"});
    }
    write(xlabel, {x: (left + width) / 2, y: height - 6});
    write(ylabel, {transform: `translate(14 ${(height - bottom) / 2}) rotate(-90)`});
    cursor = element("line", {y1: top, y2: height - bottom, class: "cursor", visibility: "hidden"}, drawing);
    dots = lines.map((line, index) => {
      if (!shown[index]) return null;
      const points = line.x.map((x, i) => `${px(x).toFixed(1)},${py(line.y[i]).toFixed(1)}`);
      element("polyline", {points: points.join(" "), ...looks[index]}, drawing);
      const fill = looks[index].stroke;
      // A line through one point is invisible.
      if (line.x.length === 1) element("circle", {class: "point", cx: px(line.x[0]), cy: py(line.y[0]), r: 5, fill}, drawing);
      return element("circle", {class: "dot", r: 4, fill, visibility: "hidden"}, drawing);
    });
    if (at !== null) read();
  }
  function nearest(values, x) {
    return values.reduce((best, each, i) => Math.abs(each - x) < Math.abs(values[best] - x) ? i : best, 0);
  }
  function read() {
    cursor.setAttribute("x1", px(at));
    cursor.setAttribute("x2", px(at));
    cursor.setAttribute("visibility", "visible");
    const words = [`${short(at)} ${xlabel}`];
    lines.forEach((line, index) => {
      if (!shown[index]) return;
      const [first, last] = [line.x[0], line.x.at(-1)];
      const inside = first <= at && at <= last;
      dots[index].setAttribute("visibility", inside ? "visible" : "hidden");
      if (inside) {
        const i = nearest(line.x, at);
        dots[index].setAttribute("cx", px(line.x[i]));
        dots[index].setAttribute("cy", py(line.y[i]));
        words.push(`${line.label}: ${short(line.y[i])}`);
      } else words.push(`${line.label}: ${at < first ? `begins at ${short(first)}` : `ended at ${short(last)}`}`);
    });
    readout.textContent = words.join(" · ");
  }
  function point(event) {
    const box = drawing.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width * width - left) / (width - left - right);
    at = xs[nearest(xs, share * xs.at(-1))];
    read();
  }
  drawing.addEventListener("pointermove", point);
  drawing.addEventListener("pointerdown", point);
  drawing.addEventListener("keydown", (event) => {
    const step = {ArrowLeft: -1, ArrowRight: 1, Home: -xs.length, End: xs.length}[event.key];
    if (!step) return;
    event.preventDefault();
    const from = at === null ? xs.length - 1 : nearest(xs, at);
    at = xs[Math.min(Math.max(from + step, 0), xs.length - 1)];
    read();
  });
  lines.forEach((line, index) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = shown[index];
    box.addEventListener("change", () => {
      shown[index] = box.checked;
      draw();
    });
    label.append(box);
    const sample = element("svg", {viewBox: "0 0 26 8", "aria-hidden": true}, label);
    element("line", {x1: 0, x2: 26, y1: 4, y2: 4, ...looks[index]}, sample);
    label.append(line.label);
    legend.append(label);
  });
  host.append(legend, drawing, readout);
  new ResizeObserver(() => { if (Math.max(320, host.clientWidth) !== width) draw(); }).observe(host);
  draw();
}

const mixed = (colour, share) => `color-mix(in srgb, var(${colour}) ${Math.round(100 * share)}%, var(--rest))`;
// From -1 to 1, as the key beside the wiring says.
const tint = (level) => level >= 0 ? mixed("--above", level) : mixed("--below", -level);

// A smooth line through the ends of the links, as in films: points with the place along the body of each.
function spine(knots) {
  const links = knots.length - 1;
  const beyond = (end, next) => [2 * end[0] - next[0], 2 * end[1] - next[1]];
  const padded = [beyond(knots[0], knots[1]), ...knots, beyond(knots[links], knots[links - 1])];
  return Array.from({length: 8 * links + 1}, (_, i) => {
    const link = Math.min(Math.floor(i / 8), links - 1);
    const t = i / 8 - link;
    const [a, b, c, d] = padded.slice(link, link + 4);
    const [x, y] = [0, 1].map((axis) => 0.5 * (2 * b[axis] + (c[axis] - a[axis]) * t
      + (2 * a[axis] - 5 * b[axis] + 4 * c[axis] - d[axis]) * t ** 2
      + (3 * b[axis] - a[axis] - 3 * c[axis] + d[axis]) * t ** 3));
    return {x, y, place: i / 8};
  });
}

// A worm in a drawing; what is returned lays it along the ends of its links, nose first, of so many units of length.
function worm(parent) {
  const skin = element("path", {class: "worm"}, parent);
  const eyes = [1, -1].map(() => element("circle", {class: "eye"}, parent));
  return (knots, length) => {
    const links = knots.length - 1;
    const line = spine(knots);
    const taper = (place) => Math.min(0.55 + place, 0.25 + 0.6 * (links - place), 1);
    const radius = (place) => Math.max(0.18 * length / links * taper(place), length / 110);
    const sides = line.map(({x, y, place}, i) => {
      const [before, after] = [line[Math.max(i - 1, 0)], line[Math.min(i + 1, line.length - 1)]];
      const size = Math.hypot(after.x - before.x, after.y - before.y) || 1;
      const [across, along] = [(before.y - after.y) / size, (after.x - before.x) / size];
      return (sign) => [x + sign * radius(place) * across, y + sign * radius(place) * along];
    });
    const text = (points) => points.map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" L");
    const round = (place) => `A${radius(place).toFixed(1)},${radius(place).toFixed(1)} 0 0 0 `;
    const [left, right] = [sides.map((side) => side(1)), sides.map((side) => side(-1)).reverse()];
    skin.setAttribute("d", `M${text(left)} ${round(links)}${text(right)} ${round(0)}${text(left.slice(0, 1))}Z`);
    // A quarter into the first link, as the nose is round.
    const at = line[2];
    eyes.forEach((eye, i) => {
      const [x, y] = sides[2](i ? -1 : 1);
      eye.setAttribute("cx", at.x + 0.55 * (x - at.x));
      eye.setAttribute("cy", at.y + 0.55 * (y - at.y));
      eye.setAttribute("r", 0.28 * radius(0.25));
    });
  };
}

// The wiring's neurons, and the body, at the moment that the slider is at.
function moments(host) {
  const {names, steps, dt, activity, body, span} = JSON.parse(host.querySelector("script").textContent);
  const levels = Int8Array.from(atob(activity), (each) => each.charCodeAt(0));
  const places = names.map((name) => host.querySelector(`[data-neuron="${CSS.escape(name)}"] use`));
  places.forEach((place, i) => { if (place) element("title", {}, place.parentNode).textContent = names[i]; });
  const slider = host.querySelector("input");
  const button = host.querySelector("button");
  const clock = host.querySelector("output");
  const posture = element("svg", {viewBox: "-62 -62 124 124", class: "posture", role: "img",
    "aria-label": "the body; the eyes are at its head"});
  const lay = worm(posture);
  host.querySelector(".moment").append(posture);

  function show() {
    const t = Number(slider.value);
    places.forEach((place, i) => { if (place) place.style.fill = tint(levels[t * names.length + i] / 127); });
    lay(body[t], span);
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
// Nothing moves by itself for those who asked for that.
if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
  document.querySelectorAll("section > figure video").forEach((video) => video.play().catch(() => {}));
}
