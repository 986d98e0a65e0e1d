// Agents that swim in this page: chain.js moves the body, circuits.js its muscles.
"use strict";

const find = (id) => document.querySelector(`#${id}`);
const SECONDS = 12; // of activity that the trace shows
const PUSH = 0.5; // m/s, as in play
const {agents} = JSON.parse(find("agents").textContent);

// Weights as they are packed: 32-bit floats in base 64.
function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  return Float64Array.from(new Float32Array(bytes.buffer));
}

// An agent on one of its bodies, at the start of an episode.
function makeSwimmer({chain: shape, circuit, sensors, substeps, squash, dt, reward, start, halves, episode_steps: steps}) {
  const chain = makeChain(shape);
  const {neurons} = circuit;
  const activity = new Float64Array(neurons.length);
  const silenced = new Set();
  const index = new Map(neurons.map((name, i) => [name, i]));
  // Notes the value of neuron i of a kind and returns what others hear; the kind "" has the first neurons of all.
  const group = (kind) => {
    const place = (i) => kind === "" ? i : index.get(`${kind}_${i}`) ?? index.get(kind);
    const places = [];
    return (i, value) => {
      const at = places[i] ??= place(i);
      activity[at] = silenced.has(at) ? 0 : value;
      return activity[at];
    };
  };
  const weights = unpack(circuit.weights);
  const comAt = 2 * (chain.n + 2) + 3 * chain.n;
  const [paid, price, least, most] = reward;
  let step, readings, begun;
  const now = {elapsed: 0, return: 0, netSpeed: 0};

  function sense() {
    return sensors.map(({reading, time, value, bounds: [low, high], numbers: [shift, factor, least, most, scale]}) => {
      let felt = time ? now.elapsed * dt : value ?? readings[reading];
      felt = clip(felt, low ?? -Infinity, high ?? Infinity);
      return clip((felt - shift) * factor, least ?? -Infinity, most ?? Infinity) * scale;
    });
  }

  return {
    neurons, activity, silenced, dt, now, steps,
    // Start an episode in a pose, rad; one that is drawn at random where none is given.
    reset(heading = Math.PI * (2 * Math.random() - 1),
          jointPos = start.map(([low, high]) => low + (high - low) * Math.random())) {
      chain.reset(heading, jointPos);
      activity.fill(0);
      step = CIRCUITS[circuit.kind](circuit.numbers, weights, Float64Array.from(circuit.memory), group);
      readings = chain.read();
      begun = readings.slice(comAt, comAt + 2);
      Object.assign(now, {elapsed: 0, return: 0, netSpeed: 0});
    },
    // Advance by a control step; whether the episode goes on.
    advance() {
      const commands = step(sense());
      chain.step(squash ? commands.map(Math.tanh) : commands, substeps);
      readings = chain.read();
      now.elapsed += 1;
      const isSound = readings.every((value) => Math.abs(value) < 1e10);
      if (isSound) {
        now.return += clip(readings[paid] / price, least, most);
        now.netSpeed = Math.hypot(readings[comAt] - begun[0], readings[comAt + 1] - begun[1]) / (now.elapsed * dt);
      }
      return isSound && now.elapsed < steps;
    },
    push: (x, y) => chain.push(PUSH * x, PUSH * y),
    line: () => chain.line(halves),
  };
}

// The page around it.
const pool = document.querySelector(".pool");
const ruled = grid(pool);
const trail = element("polyline", {class: "trail"}, pool);
const lay = worm(pool);
const traced = trace(find("trace"), find("rows"));
let [agent, swimmer, cells, past, greatest] = [agents[0], null, [], [], []];
let isPaused = matchMedia("(prefers-reduced-motion: reduce)").matches;

// The bodies that the slider goes through: numbers of links.
const sizes = () => Object.keys(agent.bodies).map(Number).sort((a, b) => a - b);

function take(links) {
  const before = new Set([...swimmer?.silenced ?? []].map((i) => swimmer.neurons[i]));
  swimmer = makeSwimmer(agent.bodies[links]);
  swimmer.neurons.forEach((name, i) => { if (before.has(name)) swimmer.silenced.add(i); });
  greatest = swimmer.neurons.map(() => 1e-9);
  find("body").textContent = agent.bodies[links].body;
  find("about").textContent = `${agent.about}.`;
  find("links").max = sizes().length - 1;
  find("links").value = sizes().indexOf(links);
  find("links").setAttribute("aria-valuetext", find("links-out").textContent = `${links}`);
  seat();
  begin();
}

function begin() {
  swimmer.reset();
  past = [];
  traced.clear(swimmer.neurons, Math.round(SECONDS / swimmer.dt));
  show();
}

// A button for each neuron, in rows of a kind.
function seat() {
  const rows = new Map();
  cells = swimmer.neurons.map((name, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = name;
    button.setAttribute("aria-label", `silence ${name}`);
    button.setAttribute("aria-pressed", String(swimmer.silenced.has(i)));
    button.addEventListener("click", () => {
      if (!swimmer.silenced.delete(i)) swimmer.silenced.add(i);
      button.setAttribute("aria-pressed", String(swimmer.silenced.has(i)));
    });
    const kind = name.replace(/_\d+$/, "");
    rows.set(kind, [...rows.get(kind) ?? [], button]);
    return button;
  });
  find("neurons").replaceChildren(...[...rows].flatMap(([kind, buttons]) => {
    const [label, row] = [document.createElement("span"), document.createElement("div")];
    label.textContent = kind;
    row.append(...buttons);
    return [label, row];
  }));
}

function show() {
  const line = swimmer.line();
  const length = line.slice(1).reduce((sum, [x, y], i) => sum + Math.hypot(x - line[i][0], y - line[i][1]), 0);
  const {width, height, scale, middle, at} = framed(pool, line, length);
  lay(line.map(at), length * scale);
  past = [...past, middle].slice(-400);
  trail.setAttribute("points", through(past, at));
  ruled(width, height, scale, middle, length / 3);
  const {now, dt, activity} = swimmer;
  const levels = Array.from(activity, (value, i) => {
    greatest[i] = Math.max(greatest[i], Math.abs(value));
    return value / greatest[i];
  });
  cells.forEach((cell, i) => { cell.style.background = tint(levels[i]); });
  traced.record(now.elapsed * dt, dt, levels);
  find("clock").textContent = `${(now.elapsed * dt).toFixed(2)} s`;
  find("swum").textContent = `${(100 * now.netSpeed).toFixed(1)} cm/s`;
  find("return").textContent = now.return.toFixed(0);
}

// As many control steps as time has passed, and one picture; a page that was away goes on where it was.
let then = null;
function frame(time) {
  requestAnimationFrame(frame);
  if (isPaused || then === null || time - then > 500) {
    then = time;
    return;
  }
  let isNew = false;
  for (; time - then >= 1000 * swimmer.dt; then += 1000 * swimmer.dt) {
    if (!swimmer.advance()) begin();
    isNew = true;
  }
  if (isNew) show();
}

function name() { find("pause").textContent = isPaused ? "Swim" : "Pause"; }
find("pause").addEventListener("click", () => { isPaused = !isPaused; name(); });
find("restart").addEventListener("click", begin);
find("heal").addEventListener("click", () => {
  swimmer.silenced.clear();
  cells.forEach((cell) => cell.setAttribute("aria-pressed", "false"));
});
for (const button of document.querySelectorAll("[data-push]")) {
  const [x, y] = {left: [-1, 0], right: [1, 0], up: [0, 1], down: [0, -1]}[button.dataset.push];
  button.addEventListener("click", () => swimmer.push(x, y));
}
find("links").addEventListener("input", () => take(sizes()[find("links").value]));
find("agent").addEventListener("change", () => {
  agent = agents[find("agent").value];
  take(agent.links);
});
new ResizeObserver(show).observe(pool);
name();
take(agent.links);
requestAnimationFrame(frame);
