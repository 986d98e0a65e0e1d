// Circuits, one control step at a time: the equations of circuits/*_lanes.py and circuits/ctrnn.py for one body.
"use strict";

const clip = (x, low = 0, high = 1) => Math.min(Math.max(x, low), high);
const above = (x) => Math.max(x, 0);
const leaky = (x) => x > 0 ? x : 0.01 * x;

// Each takes numbers (see `LaneStep.numbers` of its Python), flat weights, a memory that it changes, and `group`: what
// gives a row of neurons by name, as a function (i, value) that notes the value of neuron i and returns what others
// hear: the value, or what the neuron is pinned to. It returns the step: sensors to motor commands.
const CIRCUITS = {
  ncap(numbers, weights, memory, group) {
    const [n, period, stepLength, isShared, sign, prop, osc, ipsi, contra, atTime] = numbers;
    const [q, clocks, b, muscle] = [sided(group, "q"), ["d", "v"].map((side) => group(`osc_${side}`)),
      sided(group, "B"), sided(group, "muscle")];
    const weight = (first, index, keeps) => {
      const value = weights[isShared ? first : first + index];
      return keeps > 0 ? Math.max(value, 0) : keeps < 0 ? Math.min(value, 0) : value;
    };
    return (sensors) => {
      let clock = 0;
      if (osc >= 0) {
        let middle = ((atTime >= 0 ? sensors[atTime] : memory[0]) + 0.5) * stepLength;
        if (stepLength !== 1) middle = Math.floor(middle) + 0.5;
        clock = Math.sign(Math.floor(period / 2) - (middle - period * Math.floor(middle / period)));
        if (atTime < 0) memory[0] += 1;
      }
      const heard = [1, -1].map((s, side) => ({
        clock: osc >= 0 ? clocks[side](0, clip(s * clock)) : 0,
        stretch: Array.from({length: n}, (_, i) => q[side](i, Math.min(above(s * sensors[i]), 1))),
      }));
      const [dorsal, ventral] = heard.map(({clock: beat, stretch}, side) => Array.from({length: n}, (_, i) => {
        let drive = 0;
        if (i === 0 && osc >= 0) drive = beat * weight(osc, side, sign);
        if (i > 0 && prop >= 0) drive = stretch[i - 1] * weight(prop, side * (n - 1) + i - 1, sign);
        return b[side](i, clip(drive));
      }));
      return Array.from({length: n}, (_, i) => {
        const pull = (side, own, other) => muscle[side](i, clip(
          weight(ipsi, side * n + i, sign) * own + weight(contra, side * n + i, -sign) * other));
        return pull(0, dorsal[i], ventral[i]) - pull(1, ventral[i], dorsal[i]);
      });
    };
  },

  ncap_plus(numbers, weights, memory, group) {
    const [n, turn, perSpin, perDrift, atTime, velocities, ...places] = numbers;
    const [prop1, prop2, prop3, own, rate, drift, spin, osc, tempo, sharpness, ipsi] =
      places.map((at) => at >= 0 ? weights[at] : 0);
    const kinds = ["q", "rate", "drift", "spin"].map((kind) => sided(group, kind));
    const [clocks, b, muscle] = [["d", "v"].map((side) => group(`osc_${side}`)), sided(group, "B"), sided(group, "muscle")];
    const felt = (rows, i, value) => rows[0](i, above(value)) - rows[1](i, above(-value));
    return (sensors) => {
      const time = atTime >= 0 ? sensors[atTime] : memory[0];
      if (atTime < 0) memory[0] += 1;
      const beat = Math.tanh(Math.exp(sharpness) * Math.sin((time + 0.5) * turn * Math.exp(tempo)));
      const clock = felt(clocks, 0, beat);
      const bends = Array.from({length: n}, (_, i) => felt(kinds[0], i, clip(sensors[i], -1, 1)));
      return bends.map((bend, i) => {
        const before = velocities + 3 * i;
        const [behind, at] = [before + 3, (j) => sensors[j]];
        let total = own * bend
          + rate * felt(kinds[1], i, perSpin * (at(behind + 2) - at(before + 2)))
          + drift * felt(kinds[2], i, perDrift * (at(behind) + at(before)) / 2)
          + spin * felt(kinds[3], i, perSpin * (at(behind + 2) + at(before + 2)) / 2);
        [prop1, prop2, prop3].forEach((prop, k) => { if (i > k) total += prop * bends[i - 1 - k]; });
        if (i === 0) total += osc * clock;
        const pull = (side, sign) => muscle[side](i, clip(ipsi * b[side](i, Math.tanh(above(sign * total)))));
        return pull(0, 1) - pull(1, -1);
      });
    };
  },

  relay(numbers, weights, memory, group) {
    const [n, dt, limit, least, isSensed] = numbers;
    const theta = Math.exp(weights[0]);
    const [gTheta, w, gM, gain] = [1, 4, 8, 9].map((i) => weights[i]);
    const lessBehind = Math.exp(-1 / (n * Math.exp(weights[2])));
    const lessBefore = Math.exp(-1 / (n * Math.exp(weights[3])));
    const ahead = Math.exp(weights[5]);
    const [sensing, contracting] = [6, 7].map((i) => 1 - Math.exp(-dt / Math.exp(weights[i])));
    const [q, b, muscle] = ["q", "B", "muscle"].map((kind) => sided(group, kind));
    const [on, felt, pull, last] = [0, 1, 2, 3].map((row) => memory.subarray(row * n, (row + 1) * n));
    return (sensors) => {
      const hasFelt = isSensed ? 0 : memory[4 * n] / dt;
      const bends = Array.from({length: n}, (_, i) => q[0](i, above(sensors[i])) - q[1](i, above(-sensors[i])));
      const stretch = bends.map((bend, i) =>
        limit * (bend + ahead * (isSensed ? sensors[n + i] : hasFelt * (bend - last[i]))));
      const behind = [];
      for (let i = n - 1, total = 0, count = 0; i >= 0; i--) {
        [total, count] = [stretch[i] + lessBehind * total, 1 + lessBehind * count];
        behind[i] = total / count;
      }
      let [total, count] = [0, 0];
      return stretch.map((_, i) => {
        let heard = behind[i];
        if (i > 0) {
          [total, count] = [stretch[i - 1] + lessBefore * total, 1 + lessBefore * count];
          heard = (1 - w) * heard - w * (total / count);
        }
        const place = i / Math.max(n - 1, 1);
        felt[i] += sensing * (heard - felt[i]);
        if (on[i] * felt[i] > theta * Math.max(1 + gTheta * place, least)) on[i] = -on[i];
        const switched = b[0](i, above(on[i])) - b[1](i, above(-on[i]));
        pull[i] += contracting * (switched - pull[i]);
        if (!isSensed) {
          last[i] = bends[i];
          memory[4 * n] = 1;
        }
        const strength = gain * (1 + gM * place) * pull[i];
        return muscle[0](i, Math.min(above(strength), 1)) - muscle[1](i, Math.min(above(-strength), 1));
      });
    };
  },

  along(numbers, weights, memory, group) {
    const [n, channels, layers, speed, spin, limit] = numbers;
    const names = ["q", "before_x", "before_y", "before_spin", "behind_x", "behind_y", "behind_spin"].map((kind) => group(kind));
    const units = Array.from({length: layers + 1}, (_, layer) =>
      Array.from({length: channels}, (__, c) => group(`along_${layer}_${c}`)));
    const motor = group("motor");
    const [bias, output] = [7 * channels, 8 * channels];
    const first = output + channels + 1;
    return (sensors) => {
      const total = Array.from({length: n}, (_, i) => {
        const links = Array.from({length: 6}, (__, k) =>
          clip(sensors[n + 3 * i + k] / (k % 3 === 2 ? spin : speed), -limit, limit));
        const heard = [sensors[i], ...links].map((value, k) => names[k](i, value));
        return Array.from({length: channels}, (__, c) =>
          heard.reduce((sum, value, k) => sum + weights[7 * c + k] * value, weights[bias + c]));
      });
      let values = [];
      for (let layer = 0; layer <= layers; layer++) {
        values = total.map((row, i) => row.map((value, c) => units[layer][c](i, Math.tanh(value))));
        if (layer === layers) break;
        const at = first + layer * (3 * channels + 1) * channels;
        total.forEach((row, i) => row.forEach((_, c) => {
          row[c] += weights[at + 3 * channels * channels + c];
          for (let step = 0; step < 3; step++) {
            const from = values[i + step - 1];
            if (from) from.forEach((value, d) => { row[c] += weights[at + (3 * c + step) * channels + d] * value; });
          }
        }));
      }
      return values.map((row, i) =>
        motor(i, row.reduce((sum, value, c) => sum + weights[output + c] * value, weights[output + channels])));
    };
  },

  cpg(numbers, weights, memory, group) {
    const [n, dt, frequency, coupling, steps, hasFeedback] = numbers;
    const turn = 2 * Math.PI * frequency * Math.exp(weights[0]);
    const strength = coupling * Math.exp(weights[1]);
    const lag = weights[2] * -2 * Math.PI / n;
    const [cosines, q, sines, motor] = ["cos", "q", "sin", "motor"].map((kind) => group(kind));
    const angles = Array.from({length: n}, (_, i) => Math.atan2(memory[2 * i + 1], memory[2 * i]));
    return (sensors) => {
      const pushed = angles.map((_, i) => hasFeedback ? coupling * weights[4] * q(i, sensors[i]) : 0);
      for (let step = 0; step < steps; step++) {
        const own = angles.map((angle) => [Math.cos(angle), Math.sin(angle)]);
        const heard = own.map(([c, s], i) => [cosines(i, c), sines(i, s)]);
        // What comes from the joint before is turned by the lag, what comes from the joint behind by as much back.
        own.forEach(([c, s], i) => {
          let [toCos, toSin] = [0, pushed[i]];
          for (const [j, by] of [[i - 1, lag], [i + 1, -lag]]) {
            if (!heard[j]) continue;
            toCos += strength * (heard[j][0] * Math.cos(by) - heard[j][1] * Math.sin(by));
            toSin += strength * (heard[j][0] * Math.sin(by) + heard[j][1] * Math.cos(by));
          }
          angles[i] += dt / steps * (turn + c * toSin - s * toCos);
        });
      }
      return angles.map((angle, i) => {
        cosines(i, Math.cos(angle));
        return motor(i, clip(weights[3] * sines(i, Math.sin(angle)), -1, 1));
      });
    };
  },

  mlp([layers, ...sizes], weights, memory, group) {
    const names = sizes.map((_, layer) =>
      layer === 0 ? group("") : layer === layers ? group("motor") : group(`hidden_${layer - 1}`));
    return (sensors) => {
      let values = sensors.map((value, i) => names[0](i, value));
      for (let layer = 1, at = 0; layer <= layers; layer++) {
        const biases = at + sizes[layer] * sizes[layer - 1];
        const total = dense(values, weights, at, weights.subarray(biases, biases + sizes[layer]));
        values = Array.from(total, (value, i) => names[layer](i, layer < layers ? Math.tanh(value) : value));
        at = biases + sizes[layer];
      }
      return values;
    };
  },

  ctrnn([inputs, units, motors, substeps, isUpdate], weights, memory, group) {
    const [sense, unit, motor] = [group(""), group("unit"), group("motor")];
    let at = 0;
    const next = (size) => weights.subarray(at, at += size);
    const [input, recurrent, bias, leak, output, outputBias] =
      [units * inputs, units * units, units, units, motors * units, motors].map(next);
    return (sensors) => {
      const drive = dense(sensors.map((value, i) => sense(i, value)), input, 0, bias);
      for (let step = 0; step < substeps; step++) {
        const heard = dense(memory, recurrent, 0, drive);
        heard.forEach((value, i) => {
          const moved = memory[i] + leak[i] * ((isUpdate ? value : leaky(value)) - memory[i]);
          heard[i] = isUpdate ? leaky(moved) : moved;
        });
        memory.set(heard);
      }
      memory.forEach((value, i) => { memory[i] = unit(i, value); });
      return Array.from(dense(memory, output, 0, outputBias), (value, i) => motor(i, value));
    };
  },
};

const sided = (group, kind) => ["d", "v"].map((side) => group(`${kind}_${side}`));

// Weighted sums of values, a row of weights for each output from `at` on, added to what is given.
function dense(values, weights, at, start) {
  return Float64Array.from(start, (total, row) => {
    for (let i = 0, first = at + row * values.length; i < values.length; i++) total += weights[first + i] * values[i];
    return total;
  });
}
