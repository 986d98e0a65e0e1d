// A live agent: what the server tells is drawn, what is clicked is told to it.
"use strict";

const find = (id) => document.querySelector(`#${id}`);
const facts = JSON.parse(find("facts").textContent);
const pool = document.querySelector(".pool");
const ground = element("image", {preserveAspectRatio: "none", visibility: "hidden"}, pool);
const ruled = grid(pool);
const standing = element("g", {class: "standing"}, pool);
const posts = element("g", {class: "standing"}, pool); // those that can be moved
const trail = element("polyline", {class: "trail"}, pool);
const sources = element("g", {class: "sources"}, pool);
const target = element("circle", {class: "target", visibility: "hidden"}, pool);
const lay = worm(pool);
const arrow = element("g", {class: "target", visibility: "hidden"}, pool);
element("path", {d: "M14,0 L-8,-9 L-8,9 Z"}, arrow);
const away = element("text", {"text-anchor": "middle", visibility: "hidden"}, pool);
const traced = trace(find("trace"), find("rows"));
let neurons = new Map();
let past = [];
let told = facts;
let shown = null; // the ground as it was told last
let view = null; // how places on the page become places in the plane
let last = null;
let held = null; // what stands under the finger, and where it is dragged

function draw(moment) {
  last = moment;
  const length = told.links * told.link_length;
  const {width, height, scale, middle, at} = framed(pool, moment.line, length);
  view = ([px, py]) => [middle[0] + (px - width / 2) / scale, middle[1] - (py - height / 2) / scale];
  lay(moment.line.map(at), length * scale);
  lie(at, scale);
  stand(moment.standing, at);
  sources.replaceChildren();
  for (const [cx, cy] of moment.sources.map(at)) element("circle", {cx, cy, r: 5}, sources);
  if (past.length && moment.time < past.at(-1).time) past = [];
  if (past.at(-1)?.time !== moment.time) past = [...past, {time: moment.time, middle}].slice(-400);
  trail.setAttribute("points", through(past.map((each) => each.middle), at));
  ruled(width, height, scale, middle, length / 3);
  if (moment.target.length) aim(at(moment.target), width, height, scale, moment);
  light(moment);
  find("clock").textContent = `${moment.time.toFixed(2)} s`;
  find("swum").textContent = moment.speed === null ? "" : `${moment.speed.toFixed(1)} cm/s`;
  find("return").textContent = moment.return.toFixed(0);
  list(moment.done);
  traced.record(moment.time, told.dt, moment.activity);
}

// The picture of the ground, where it belongs.
function lie(at, scale) {
  ground.setAttribute("visibility", shown ? "visible" : "hidden");
  if (!shown) return;
  const [x, y] = at([shown.middle[0] - shown.size / 2, shown.middle[1] + shown.size / 2]);
  const size = shown.size * scale;
  for (const [name, value] of Object.entries({x, y, width: size, height: size})) ground.setAttribute(name, value);
  if (ground.getAttribute("href") !== shown.picture) ground.setAttribute("href", shown.picture);
}

// What stands around the body: outlines at their places, turned.
function stand(rows, at) {
  const moving = rows.filter(([number]) => told.outlines[number].moves);
  const others = rows.filter(([number]) => !told.outlines[number].moves);
  while (standing.children.length > others.length) standing.lastChild.remove();
  others.forEach((row, index) => outline(standing.children[index] ?? element("polygon", {}, standing), row, at));
  // A post keeps its shape, and with it the focus, whatever else comes into sight.
  for (const shape of [...posts.children]) if (!moving.some(([number]) => number === shape.row[0])) shape.remove();
  for (const row of moving) {
    const shape = [...posts.children].find((each) => each.row[0] === row[0]) ?? movable(row[0]);
    outline(shape, held && held.number === row[0] ? [row[0], ...held.to, row[3]] : row, at);
    shape.row = row;
  }
}
function outline(shape, row, at) {
  const [number, x, y, angle] = shape.row = row;
  const {corners, colour} = told.outlines[number];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const placed = corners.map(([px, py]) => at([x + cos * px - sin * py, y + sin * px + cos * py]));
  shape.setAttribute("points", placed.map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" "));
  shape.setAttribute("fill", colour);
}

// A post that is moved by a finger, or by arrow keys a tenth of a body length at a time.
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
function movable(number) {
  const shape = element("polygon", {class: "movable", tabindex: 0, role: "button",
    "aria-label": `post ${number}: drag it, or press arrow keys`}, posts);
  shape.addEventListener("keydown", (event) => {
    const way = ARROWS[event.key];
    if (!way) return;
    event.preventDefault();
    find("said").textContent = "";
    const step = 0.1 * told.links * told.link_length;
    tell({move: {post: number, to: [0, 1].map((axis) => shape.row[1 + axis] + step * way[axis])}});
  });
  return shape;
}

// What its tints mean.
function explain(key) {
  if (find("ground-key").dataset.shown === JSON.stringify(key)) return;
  find("ground-key").dataset.shown = JSON.stringify(key);
  find("ground-key").replaceChildren(...key.map(({name, parts}) => {
    const item = document.createElement("li");
    item.append(`${name}: `, ...parts.flatMap(({background, text, wide}) => {
      const patch = document.createElement("span");
      patch.className = wide ? "patch wide" : "patch";
      patch.style.background = background;
      return [patch, `${text} `];
    }));
    return item;
  }));
}

// What is done to neurons, each with a button that lets it go.
function list(done) {
  if (!find("done") || find("done").dataset.shown === JSON.stringify(done)) return;
  find("done").dataset.shown = JSON.stringify(done);
  find("done").replaceChildren(...Object.entries(done).map(([name, words]) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Let go";
    button.setAttribute("aria-label", `let ${name} go`);
    button.addEventListener("click", () => tell({toggle: name}));
    item.append(words, button);
    return item;
  }));
}

// The target, or an arrow to it at the edge, with its distance from the nose.
function aim([x, y], width, height, scale, {line, target: goal}) {
  const [dx, dy] = [x - width / 2, y - height / 2];
  const share = Math.min((width / 2 - 22) / Math.abs(dx), (height / 2 - 22) / Math.abs(dy));
  const seen = share >= 1;
  target.setAttribute("visibility", seen ? "visible" : "hidden");
  arrow.setAttribute("visibility", seen ? "hidden" : "visible");
  away.setAttribute("visibility", seen ? "hidden" : "visible");
  target.setAttribute("cx", x);
  target.setAttribute("cy", y);
  target.setAttribute("r", Math.max(told.target_radius * scale, 4));
  if (seen) return;
  const [ex, ey] = [width / 2 + share * dx, height / 2 + share * dy];
  arrow.setAttribute("transform", `translate(${ex} ${ey}) rotate(${Math.atan2(dy, dx) * 180 / Math.PI})`);
  away.setAttribute("x", Math.min(Math.max(ex, 30), width - 30));
  away.setAttribute("y", ey + (dy > 0 ? -18 : 28));
  away.textContent = written(Math.hypot(goal[0] - line[0][0], goal[1] - line[0][1]));
}

function light(moment) {
  told.names.forEach((name, i) => {
    const shape = neurons.get(name);
    if (!shape) return;
    const pinned = name in moment.done;
    shape.use.style.fill = tint(pinned && moment.done[name].startsWith("silence") ? 0 : moment.activity[i]);
    shape.group.classList.toggle("silenced", pinned);
    if (document.body.dataset.reachable) shape.group.setAttribute("aria-pressed", String(pinned));
  });
}

// Give each neuron of the drawing its name, and to fingers and keys.
function wire() {
  neurons = new Map();
  for (const name of told.names) {
    const group = document.querySelector(`[data-neuron="${CSS.escape(name)}"]`);
    if (!group) continue;
    const use = group.querySelector("use");
    neurons.set(name, {group, use});
    element("title", {}, group).textContent = name;
    if (!document.body.dataset.reachable) continue;
    element("circle", {class: "reach", cx: use.getAttribute("x"), cy: use.getAttribute("y")}, group);
    group.setAttribute("tabindex", 0);
    group.setAttribute("role", "button");
    group.setAttribute("aria-label", `silence ${name}`);
    const toggle = () => tell({toggle: name});
    group.addEventListener("click", toggle);
    group.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); toggle(); }
    });
  }
  traced.clear(told.names, told.columns);
  if (find("names")) find("names").replaceChildren(...told.names.map((name) => new Option(name)));
  reach();
}

// A finger needs 24 pixels, or half the way to the next neuron where they stand closer.
function reach() {
  const drawing = find("wiring").querySelector("svg");
  const units = drawing.viewBox.baseVal.width / drawing.getBoundingClientRect().width;
  const circles = [...drawing.querySelectorAll(".reach")];
  const places = circles.map((each) => [Number(each.getAttribute("cx")), Number(each.getAttribute("cy"))]);
  circles.forEach((circle, i) => {
    const [cx, cy] = places[i];
    const next = Math.min(...places.map(([x, y], j) => i === j ? Infinity : Math.hypot(x - cx, y - cy)));
    circle.setAttribute("r", Math.min(12.5 * units, next / 2));
  });
}

// While an answer is awaited, sliders show what is wanted; of many moves of one only the last is told.
const wanted = new Map();
let awaited = 0;

function learn(now) {
  told = now;
  find("pause").textContent = now.paused ? "Resume" : "Pause";
  find("body").textContent = now.body;
  find("medium").value = now.medium;
  explain(now.key);
  find("watching").textContent = now.watching > 1 ? ` · ${now.watching} are watching` : "";
  if (awaited || wanted.size) return;
  find("speed").value = Math.log2(now.speed);
  find("links").value = now.links;
  find("length").value = now.length;
  say();
}
function say() {
  const [speed, links, length] = ["speed", "links", "length"].map((what) => Number(find(what).value));
  const words = {speed: `${(2 ** speed).toFixed(2)} ×`, links: `${links}`,
    length: `${(100 * told.link_length / told.length * length).toFixed(1)} cm`};
  for (const [what, text] of Object.entries(words)) {
    find(`${what}-out`).textContent = text;
    find(what).setAttribute("aria-valuetext", text);
  }
}

const socket = new WebSocket(`ws://${location.host}/live`);
const STOPPED = "The server has stopped.";
function tell(order) {
  // Whoever tells it something has taken the words away.
  if (socket.readyState !== WebSocket.OPEN) {
    find("said").textContent = socket.readyState === WebSocket.CONNECTING ? "Not connected yet." : STOPPED;
    return;
  }
  awaited += 1;
  socket.send(JSON.stringify(order));
}
function tellWanted() {
  for (const [what, value] of wanted) {
    if (awaited) return;
    wanted.delete(what);
    tell({[what]: value});
  }
}
socket.addEventListener("message", (event) => {
  const news = JSON.parse(event.data);
  if (news.answered) { awaited -= 1; tellWanted(); }
  if (news.error) find("said").textContent = news.error;
  if (news.facts) learn(news.facts);
  if (news.wiring) { find("wiring").innerHTML = news.wiring; wire(); }
  if ("ground" in news) shown = news.ground;
  if (news.line) {
    draw(news);
    requestAnimationFrame(() => socket.readyState === WebSocket.OPEN && socket.send("drew"));
  }
});
socket.addEventListener("close", () => { find("said").textContent = STOPPED; });

if (find("by-name")) {
  find("by-name").addEventListener("submit", (event) => {
    event.preventDefault();
    find("said").textContent = "";
    tell({do: {kind: find("kind").value, neuron: find("which").value, value: Number(find("value").value) * !isSilence()}});
  });
  const isSilence = () => find("kind").value === "silence";
  const offer = () => { for (const id of ["value", "value-label"]) find(id).hidden = isSilence(); };
  find("kind").addEventListener("change", offer);
  offer();
}
find("medium").addEventListener("change", () => {
  find("said").textContent = "";
  tell({medium: find("medium").value});
});
// Where a finger is in the plane.
function pointed({clientX, clientY}) {
  const {x, y} = new DOMPoint(clientX, clientY).matrixTransform(pool.getScreenCTM().inverse());
  return view([x, y]);
}
let onPost = false; // the click that ends a drag drops nothing
pool.addEventListener("pointerdown", (event) => {
  const {row} = event.target;
  onPost = Boolean(row);
  if (!row || !view) return;
  pool.setPointerCapture(event.pointerId);
  const [x, y] = pointed(event);
  held = {number: row[0], off: [row[1] - x, row[2] - y], to: row.slice(1, 3), moved: false};
});
pool.addEventListener("pointermove", (event) => {
  if (!held) return;
  held.to = pointed(event).map((value, axis) => value + held.off[axis]);
  held.moved = true;
  draw(last);
});
pool.addEventListener("pointerup", () => {
  if (held && held.moved) {
    find("said").textContent = "";
    tell({move: {post: held.number, to: held.to}});
  }
  held = null;
});
pool.addEventListener("pointercancel", () => { held = null; });
if (find("drop")) {
  const drop = (place) => { find("said").textContent = ""; tell({drop: place}); };
  pool.addEventListener("click", (event) => { if (view && !onPost) drop(pointed(event)); });
  // A body length ahead of the nose.
  find("drop").addEventListener("click", () => {
    if (!last) return;
    const [nose, behind] = last.line, length = told.links * told.link_length;
    const step = Math.hypot(nose[0] - behind[0], nose[1] - behind[1]);
    drop([0, 1].map((axis) => nose[axis] + length * (nose[axis] - behind[axis]) / step));
  });
}
find("pause").addEventListener("click", () => tell({pause: !told.paused}));
find("restart").addEventListener("click", () => tell({restart: true}));
for (const button of document.querySelectorAll("[data-push]")) {
  button.addEventListener("click", () => { find("said").textContent = ""; tell({push: button.dataset.push}); });
}
for (const [what, meant] of [["speed", (value) => 2 ** value], ["links", Number], ["length", Number]]) {
  find(what).addEventListener("input", say);
  find(what).addEventListener("change", () => {
    find("said").textContent = "";
    wanted.set(what, meant(Number(find(what).value)));
    tellWanted();
  });
}
learn(facts);
wire();
new ResizeObserver(() => { if (last) draw(last); }).observe(pool);
new ResizeObserver(reach).observe(find("wiring"));
