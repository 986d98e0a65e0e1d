// A planar chain of links in a fluid: the equations of envs/physics/lanes/kernel.py, which are MuJoCo's, for one body.
"use strict";

// Rows of a link's parameters and of the constants, in the order of envs/physics/lanes/rows.py.
const [LENGTH, CENTRE, MASS, INERTIA, SQUARE_ALONG, SQUARE_ACROSS, SQUARE_TURN, LINEAR_ALONG, LINEAR_ACROSS, LINEAR_TURN,
  ARMATURE, LOW, HIGH, INVERSE_WEIGHT, GEAR, STIFFNESS, BEND, DAMPING, IMPLICIT_DAMPING, TORQUE_0, FACING] = Array(21).keys();
const [STEP, TURN, ROOT_ARMATURE, REF_DAMPING, REF_STIFFNESS, IMPEDANCE_0, IMPEDANCE_1, PER_WIDTH] = Array(8).keys();
const [EULER, EULER_DAMPED, IMPLICITFAST, RK4] = Array(4).keys();
const MOST_SWEEPS = 12;

// {links: [[parameters]], body: [nose along, nose across, origin x, origin y], constants, kind, ctrl_range: [[low, high]]}
// as a body at rest, straight, at the origin. Coordinates are the world angle of each link, then the front's x and y.
function makeChain({links, body, constants, kind, ctrl_range: ctrlRange}) {
  const n = links.length;
  const [place, speed, accel] = [0, 1, 2].map(() => new Float64Array(n + 2));
  const numbers = () => new Float64Array(n);
  const [cos, sin, biasTurn, biasX, biasY, share, backX, backY, rest] = Array.from({length: 9}, numbers);
  const [stiff, wanted, side, pushes, motor, torque, held] = Array.from({length: 7}, numbers);
  const [dragAlong, dragAcross, dragTurn] = Array.from({length: 3}, numbers);
  const h = constants[STEP];
  const isImplicit = kind === EULER_DAMPED || kind === IMPLICITFAST;

  // Drag, what it takes to keep speeds constant, and torques, down the chain; whether any joint is past a limit.
  function findForces() {
    let [vx, vy, gx, gy, isPast] = [speed[n], speed[n + 1], 0, 0, false];
    for (let i = 0; i < n; i++) {
      const t = links[i];
      const [s, c, rate] = [Math.sin(place[i]), Math.cos(place[i]), speed[i]];
      const centreSpeed = t[CENTRE] * rate;
      const endSpeed = t[LENGTH] * rate;
      const along = c * vx + s * vy;
      const across = c * vy - s * vx + centreSpeed;
      vx -= endSpeed * s;
      vy += endSpeed * c;
      const [squareAlong, squareAcross] = [t[SQUARE_ALONG] * Math.abs(along), t[SQUARE_ACROSS] * Math.abs(across)];
      const squareTurn = t[SQUARE_TURN] * Math.abs(rate);
      dragAlong[i] = t[LINEAR_ALONG] + 2 * squareAlong;
      dragAcross[i] = t[LINEAR_ACROSS] + 2 * squareAcross;
      dragTurn[i] = t[LINEAR_TURN] + 2 * squareTurn;
      const forceAlong = (squareAlong + t[LINEAR_ALONG]) * along - t[MASS] * centreSpeed * rate;
      const forceAcross = (squareAcross + t[LINEAR_ACROSS]) * across;
      cos[i] = c;
      sin[i] = s;
      biasX[i] = t[MASS] * gx + c * forceAlong - s * forceAcross;
      biasY[i] = t[MASS] * gy + s * forceAlong + c * forceAcross;
      biasTurn[i] = (squareTurn + t[LINEAR_TURN]) * rate + t[CENTRE] * (c * biasY[i] - s * biasX[i]);
      gx -= endSpeed * rate * c;
      gy -= endSpeed * rate * s;
      if (i > 0) {
        const bend = place[i] - place[i - 1];
        isPast ||= bend < t[LOW] || bend > t[HIGH];
        torque[i] = motor[i] - t[STIFFNESS] * (bend - t[BEND]) - t[DAMPING] * (rate - speed[i - 1]);
        held[i] = 0;
      }
    }
    return isPast;
  }

  const isPushing = (i) => side[i] * (accel[i] - accel[i - 1]) < wanted[i] ? side[i] * side[i] : 0;

  // Stiffness and reference of each joint's limit.
  function findLimits() {
    for (let i = 1; i < n; i++) {
      const t = links[i];
      const bend = place[i] - place[i - 1];
      const [low, high] = [t[LOW] - bend, bend - t[HIGH]];
      side[i] = low > 0 ? 1 : high > 0 ? -1 : 0;
      const depth = Math.max(low, high, 0);
      const x = Math.min(depth * constants[PER_WIDTH], 1);
      const smooth = x < 0.5 ? 2 * x * x : 1 - 2 * (1 - x) * (1 - x);
      const impedance = constants[IMPEDANCE_0] + (constants[IMPEDANCE_1] - constants[IMPEDANCE_0]) * smooth;
      wanted[i] = constants[REF_STIFFNESS] * impedance * depth
        - constants[REF_DAMPING] * side[i] * (speed[i] - speed[i - 1]);
      stiff[i] = side[i] * side[i] * impedance / ((1 - impedance) * t[INVERSE_WEIGHT]);
      pushes[i] = isPushing(i);
    }
  }

  // Articulated inertias up the chain, then accelerations down it. With `ahead` above 0 the step is implicit.
  function sweep(withLimits, ahead) {
    let [xx, xy, yy, ex, ey, et, sumX, sumY, sumTurn] = Array(9).fill(0);
    for (let i = n - 1; i >= 0; i--) {
      const t = links[i];
      const [c, s] = [cos[i], sin[i]];
      const [dx, dy] = [t[LENGTH] * c, t[LENGTH] * s];
      sumTurn += dx * sumY - dy * sumX + biasTurn[i];
      sumX += biasX[i];
      sumY += biasY[i];
      let hx = ex + (dx * xy - dy * xx);
      let hy = ey + (dx * yy - dy * xy);
      let turn = et + (dx * (ey + hy) - dy * (ex + hx)) + t[INERTIA];
      let [massAcross, own, total] = [t[MASS], t[ARMATURE], torque[i]];
      if (withLimits) {
        own += stiff[i] * pushes[i];
        total += stiff[i] * pushes[i] * side[i] * wanted[i];
      }
      if (ahead > 0) {
        own += ahead * t[IMPLICIT_DAMPING];
        total += held[i];
        if (kind === IMPLICITFAST) {
          const [d, e] = [ahead * dragAlong[i], ahead * dragAcross[i]];
          massAcross += e;
          turn += ahead * dragTurn[i];
          xx += d * c * c + e * s * s;
          yy += d * s * s + e * c * c;
          xy += (d - e) * c * s;
        }
      }
      const moment = massAcross * t[CENTRE];
      turn += moment * t[CENTRE];
      hx -= moment * s;
      hy += moment * c;
      const mass = t[MASS] + (i === 0 ? constants[ROOT_ARMATURE] : 0);
      xx += mass;
      yy += mass;
      const inverse = 1 / (turn + own);
      rest[i] = (total - sumTurn) * inverse;
      share[i] = own * inverse;
      backX[i] = hx * inverse;
      backY[i] = hy * inverse;
      xx -= hx * backX[i];
      xy -= hx * backY[i];
      yy -= hy * backY[i];
      sumX += hx * rest[i];
      sumY += hy * rest[i];
      sumTurn = total - own * rest[i];
      [ex, ey, et] = [hx * share[i], hy * share[i], turn * share[i]];
    }
    const inverse = 1 / (xx * yy - xy * xy);
    let ax = accel[n] = (xy * sumY - yy * sumX) * inverse;
    let ay = accel[n + 1] = (xy * sumX - xx * sumY) * inverse;
    for (let i = 0, before = 0; i < n; i++) {
      before = accel[i] = share[i] * before + (rest[i] - backX[i] * ax - backY[i] * ay);
      ax -= links[i][LENGTH] * before * sin[i];
      ay += links[i][LENGTH] * before * cos[i];
    }
  }

  function accelerate() {
    const isPast = findForces();
    if (isPast) {
      findLimits();
      for (let left = MOST_SWEEPS; left > 0; left--) {
        sweep(true, 0);
        let isChanged = false;
        for (let i = 1; i < n; i++) {
          const now = isPushing(i);
          isChanged ||= now !== pushes[i];
          pushes[i] = now;
        }
        if (!isChanged) break;
      }
      if (isImplicit) {
        for (let i = 1; i < n; i++) {
          held[i] = stiff[i] * pushes[i] * (side[i] * wanted[i] - (accel[i] - accel[i - 1]));
        }
      }
    }
    if (isImplicit || !isPast) sweep(false, isImplicit ? h : 0);
  }

  function integrate() {
    if (kind !== RK4) {
      accelerate();
      for (let i = 0; i < n + 2; i++) {
        speed[i] += h * accel[i];
        place[i] += h * speed[i];
      }
      return;
    }
    const [from, speedFrom, to, speedTo] = [place, speed, place, speed].map((each) => each.slice());
    for (let stage = 0; stage < 4; stage++) {
      accelerate();
      const weight = stage === 0 || stage === 3 ? h / 6 : h / 3;
      const ahead = stage < 2 ? h / 2 : h;
      for (let i = 0; i < n + 2; i++) {
        to[i] += weight * speed[i];
        speedTo[i] += weight * accel[i];
        place[i] = from[i] + ahead * speed[i];
        speed[i] = speedFrom[i] + ahead * accel[i];
      }
    }
    place.set(to);
    speed.set(speedTo);
  }

  return {
    n,
    // At rest with the head's heading and the joints' angles, rad.
    reset(heading, jointPos) {
      speed.fill(0);
      accel.fill(0);
      place[0] = constants[TURN] + heading;
      for (let i = 1; i < n; i++) place[i] = place[i - 1] + jointPos[i - 1] + links[i][BEND];
      [place[n], place[n + 1]] = body.slice(2);
    },
    // Physics steps under commands in units of the motors' range.
    step(commands, substeps) {
      for (let i = 1; i < n; i++) {
        const [low, high] = ctrlRange[i - 1];
        const command = Number.isNaN(commands[i - 1]) ? 0 : commands[i - 1];
        motor[i] = links[i][GEAR] * Math.min(Math.max(command, low ?? -Infinity), high ?? Infinity) + links[i][TORQUE_0];
      }
      for (let step = 0; step < substeps; step++) integrate();
    },
    // Speed up the whole body, m/s.
    push(vx, vy) {
      speed[n] += vx;
      speed[n + 1] += vy;
    },
    // Readings in the order of rows.reading_slices: qpos, qvel, link velocities, centre of mass, and the nose's place.
    read() {
      let [x, y, vx, vy] = [place[n], place[n + 1], speed[n], speed[n + 1]];
      const [qpos, qvel, link] = [[x - body[2], y - body[3]], [vx, vy], []];
      let [mass, massX, massY] = [0, 0, 0];
      const s0 = Math.sin(place[0]);
      const c0 = Math.cos(place[0]);
      const nose = [x + body[0] * c0 - body[1] * s0, y + body[0] * s0 + body[1] * c0];
      for (let i = 0; i < n; i++) {
        const t = links[i];
        const [s, c, rate, facing] = [Math.sin(place[i]), Math.cos(place[i]), speed[i], t[FACING]];
        qpos.push(i === 0 ? place[0] - constants[TURN] : place[i] - place[i - 1] - t[BEND]);
        qvel.push(i === 0 ? rate : rate - speed[i - 1]);
        link.push(facing * (s * vx - c * vy - t[CENTRE] * rate), facing * (c * vx + s * vy), rate);
        mass += t[MASS];
        massX += t[MASS] * (x + t[CENTRE] * c);
        massY += t[MASS] * (y + t[CENTRE] * s);
        x += t[LENGTH] * c;
        y += t[LENGTH] * s;
        vx -= t[LENGTH] * rate * s;
        vy += t[LENGTH] * rate * c;
      }
      return [...qpos, ...qvel, ...link, massX / mass, massY / mass, ...nose];
    },
    // The ends of the links, nose first, m, and the centre of mass.
    line(halves) {
      let [x, y] = [place[n], place[n + 1]];
      const points = [];
      for (let i = 0; i < n; i++) {
        const [c, s] = [Math.cos(place[i]), Math.sin(place[i])];
        const {[CENTRE]: centre, [LENGTH]: length, [FACING]: facing} = links[i];
        const [mx, my] = [x + centre * c, y + centre * s];
        if (i === 0) points.push([mx - facing * halves[i] * c, my - facing * halves[i] * s]);
        points.push([mx + facing * halves[i] * c, my + facing * halves[i] * s]);
        x += length * c;
        y += length * s;
      }
      return points;
    },
  };
}
