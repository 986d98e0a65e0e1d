// A live agent: what the server tells is drawn, what is clicked is told to it.
"use strict";

const facts = JSON.parse(document.querySelector("#facts").textContent);
const pool = document.querySelector(".pool");
const [WIDTH, HEIGHT] = [800, 450];
const gridlines = element("g", {class: "grid"}, pool);
const trail = element("polyline", {class: "trail"}, pool);
const target = element("circle", {r: 10, fill: "#cf222e", visibility: "hidden"}, pool);
const line = element("polyline", {class: "body"}, pool);
const nose = element("circle", {r: 7, fill: "#1f6feb"}, pool);
const find = (id) => document.querySelector(`#${id}`);
const neurons = new Map();
let past = [];
let told = facts;

function draw(moment) {
  // Two body lengths of the first body across, whatever it grows to.
  const scale = WIDTH / 1.8;
  const middle = moment.line.reduce(([a, b], [x, y]) => [a + x / moment.line.length, b + y / moment.line.length], [0, 0]);
  const at = ([x, y]) => [WIDTH / 2 + (x - middle[0]) * scale, HEIGHT / 2 - (y - middle[1]) * scale];
  const points = (list) => list.map((each) => at(each).map((value) => value.toFixed(1)).join(",")).join(" ");
  if (past.length && moment.time < past.at(-1).time) past = [];
  past.push({time: moment.time, middle});
  past = past.slice(-400);
  trail.setAttribute("points", points(past.map((each) => each.middle)));
  line.setAttribute("points", points(moment.line));
  const [x, y] = at(moment.line[0]);
  nose.setAttribute("cx", x);
  nose.setAttribute("cy", y);
  if (moment.target.length) {
    const [tx, ty] = at(moment.target);
    target.setAttribute("cx", tx);
    target.setAttribute("cy", ty);
    target.setAttribute("visibility", "visible");
  }
  gridlines.replaceChildren();
  const step = 0.2;
  for (let gx = Math.ceil((middle[0] - 0.9) / step) * step; gx < middle[0] + 0.9; gx += step) {
    element("line", {x1: at([gx, 0])[0], x2: at([gx, 0])[0], y1: 0, y2: HEIGHT}, gridlines);
  }
  for (let gy = Math.ceil((middle[1] - 0.5) / step) * step; gy < middle[1] + 0.5; gy += step) {
    element("line", {y1: at([0, gy])[1], y2: at([0, gy])[1], x1: 0, x2: WIDTH}, gridlines);
  }
  told.names.forEach((name, i) => {
    const level = moment.activity[i];
    const shape = neurons.get(name);
    if (!shape) return;
    const silenced = moment.silenced.includes(name);
    shape.use.style.fill = silenced ? "#24292f" : level >= 0 ? mixed("#f2a900", level) : mixed("#8250df", -level);
    shape.group.setAttribute("aria-pressed", String(silenced));
  });
  find("clock").textContent = `${moment.time.toFixed(2)} s`;
  find("swum").textContent = moment.speed === null ? "" : `${moment.speed.toFixed(1)} cm/s`;
  find("silenced").textContent = moment.silenced.length ? `Silenced: ${moment.silenced.join(", ")}` : "";
}

function learn(now) {
  told = now;
  find("pause").textContent = now.paused ? "Go on" : "Pause";
  find("speed").value = Math.log2(now.speed);
  find("links").value = now.links;
  find("length").value = now.length;
  find("speed-out").textContent = `${now.speed.toFixed(2)} ×`;
  find("links-out").textContent = now.links;
  find("length-out").textContent = `${(100 * now.link_length).toFixed(1)} cm`;
}

const socket = new WebSocket(`ws://${location.host}/live`);
const tell = (order) => socket.send(JSON.stringify(order));
socket.addEventListener("message", (event) => {
  const news = JSON.parse(event.data);
  if (news.reload) return location.reload();
  if (news.error) { find("said").textContent = news.error; return; }
  if (news.facts) learn(news.facts);
  if (news.line) draw(news);
});
socket.addEventListener("close", () => { find("said").textContent = "The server has stopped."; });

for (const name of facts.names) {
  const group = document.querySelector(`[id="neuron ${CSS.escape(name)}"]`);
  if (!group) continue;
  neurons.set(name, {group, use: group.querySelector("use")});
  element("title", {}, group).textContent = name;
  if (!document.body.dataset.reachable) continue;
  group.setAttribute("tabindex", 0);
  group.setAttribute("role", "button");
  group.setAttribute("aria-label", `silence ${name}`);
  const toggle = () => tell({silence: name});
  group.addEventListener("click", toggle);
  group.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); toggle(); }
  });
}
if (find("by-name")) {
  find("names").replaceChildren(...facts.names.map((name) => new Option(name)));
  find("by-name").addEventListener("submit", (event) => {
    event.preventDefault();
    find("said").textContent = "";
    tell({silence: find("which").value});
  });
}
find("pause").addEventListener("click", () => tell({pause: !told.paused}));
find("restart").addEventListener("click", () => tell({restart: true}));
for (const button of document.querySelectorAll("[data-push]")) {
  button.addEventListener("click", () => { find("said").textContent = ""; tell({push: button.dataset.push}); });
}
find("speed").addEventListener("change", () => tell({speed: 2 ** Number(find("speed").value)}));
find("links").addEventListener("change", () => { find("said").textContent = ""; tell({links: Number(find("links").value)}); });
find("length").addEventListener("change", () => { find("said").textContent = ""; tell({length: Number(find("length").value)}); });
learn(facts);
