// What pages of living agents share: a grid with a scale, and the trace of every neuron.
"use strict";

const written = (metres) => metres < 1 ? `${Math.round(100 * metres)} cm` : `${+metres.toFixed(1)} m`;

// The largest of 1, 2, 5 times a power of ten that is not above.
function roundLength(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  return [5, 2, 1].find((step) => step * power <= 1.0001 * length) * power;
}

// Fits a body of a length into a drawing, whichever way it lies, which is as large as it is shown, so that letters keep
// their size. `at` is where a place in the plane lies on the page, for a body along this line.
function framed(pool, line, length) {
  const width = pool.clientWidth;
  const height = Math.round(0.5625 * width);
  pool.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const scale = height / (1.15 * length);
  const middle = [0, 1].map((axis) => line.reduce((sum, point) => sum + point[axis], 0) / line.length);
  const at = ([x, y]) => [width / 2 + (x - middle[0]) * scale, height / 2 - (y - middle[1]) * scale];
  return {width, height, scale, middle, at};
}

// Points of a polyline through places.
const through = (places, at) => places.map((place) => at(place).map((value) => value.toFixed(1)).join(",")).join(" ");

// Lines one scale bar apart, the bar itself, and its length in words; what is returned draws them around a place.
function grid(pool) {
  const lines = element("g", {class: "grid"}, pool);
  const bar = element("rect", {class: "bar", x: 14, height: 3}, pool);
  const label = element("text", {"text-anchor": "middle"}, pool);
  return (width, height, scale, middle, longest) => {
    const step = roundLength(longest);
    lines.replaceChildren();
    const rule = (axis, size, line) => {
      const first = Math.ceil((middle[axis] - size / 2 / scale) / step);
      for (let i = first; i * step < middle[axis] + size / 2 / scale; i++) line((i * step - middle[axis]) * scale);
    };
    rule(0, width, (x) => element("line", {x1: width / 2 + x, x2: width / 2 + x, y1: 0, y2: height}, lines));
    rule(1, height, (y) => element("line", {y1: height / 2 - y, y2: height / 2 - y, x1: 0, x2: width}, lines));
    pool.append(bar, label);
    bar.setAttribute("width", step * scale);
    bar.setAttribute("y", height - 16);
    label.setAttribute("x", 14 + step * scale / 2);
    label.setAttribute("y", height - 22);
    label.textContent = written(step);
  };
}

// Every neuron's activity, a column for each control step, the present at the right; the name of each kind of neuron
// stands beside the first of its rows.
function trace(canvas, rows) {
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const shades = ["--below", "--rest", "--above"].map((name) => {
    const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  });
  let newest = null;
  function clear(names, columns) {
    canvas.width = columns;
    canvas.height = names.length;
    newest = null;
    const kinds = names.map((name) => name.replace(/_[^_]*$/, ""));
    let free = 0;
    rows.replaceChildren(...kinds.flatMap((kind, row) => {
      const top = 100 * row / kinds.length;
      if (kinds.indexOf(kind) !== row || top < free) return [];
      free = top + 6;
      const label = document.createElement("span");
      label.textContent = kind;
      label.style.top = `${top}%`;
      return [label];
    }));
  }
  function record(time, dt, activity) {
    const steps = newest === null || time < newest ? 1 : Math.round((time - newest) / dt);
    newest = time;
    if (!steps) return;
    const past = Math.min(steps, canvas.width);
    context.drawImage(canvas, -past, 0);
    const column = context.createImageData(past, canvas.height);
    activity.forEach((level, row) => {
      const end = shades[level < 0 ? 0 : 2];
      const colour = shades[1].map((rest, i) => rest + Math.abs(level) * (end[i] - rest));
      for (let x = 0; x < past; x++) column.data.set([...colour, 255], 4 * (row * past + x));
    });
    context.putImageData(column, canvas.width - past, 0);
  }
  return {clear, record};
}
