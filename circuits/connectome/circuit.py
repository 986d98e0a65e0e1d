"""A circuit wired by a connectome: leaky rate neurons, synapse counts as weights, muscles on the body's joints."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ...errors import CircuitMismatch
from ..bounds import within
from ..contract import Neuron, State, Synapse, Wiring, step_length
from ..neurons import neuron_row
from ..recurrent import RecurrentCircuit, hold
from ..weights import check_size
from .files import load_graph
from .graph import Control

_PERIOD = 60  # control steps of dt_ref
_Classes = tuple[str, str, bool]  # of a contact: from, to, and whether it is a gap junction, which has both in order
_HEAD = 0.2  # of the body's length: B-neurons of the head are driven by the oscillator
# One gain per pair of classes, from where learning starts: the forward circuit swims, all else is weak.
_WEAK = 0.1
_GAINS = {("DB", "MD"): 3.0, ("VB", "MV"): 3.0, ("DB", "VD"): 2.0, ("VB", "DD"): 2.0,
          ("DD", "MD"): 1.0, ("VD", "MV"): 1.0, ("SMD", "MD"): 1.0, ("SMD", "MV"): 1.0,
          ("AVB", "DB"): 0.05, ("AVB", "VB"): 0.05}  # fmt: skip


class Connectome(RecurrentCircuit):
    """Drive a body by a graph of cells, such as the worm's connectome.

    Every cell has a rate r from 0 to 1, with a time constant tau in control steps of `dt_ref`:

        r' = r + (1 - exp(-1 / tau)) (tanh(max(x, 0)) - r)
        x_i = sum_j s_ij g_ij n_ij r_j + sum_j h_ij m_ij (r_j - r_i) + stretch q_i + osc wave_i(t) + tonic_i

    n and m are the counts of chemical synapses and gap junctions, normalised by `counts`; s is the sign; g and h are
    gains, never negative. B-neurons (classes DB and VB) sense the stretch of their own side some links ahead; those in
    the first fifth of the body, and the head's SMD neurons, receive the oscillator instead. AVB is tonically active.
    Each joint's motor command is the mean dorsal minus the mean ventral muscle at its position.

    Args:
        senses: name and size of each sense; only `joint_pos` is used.
        n_motors: number of joints.
        graph: the cells: a name, a file or its content, as `load_graph` reads them.
        gains: "class", one learned gain per pair of classes; "free", one per contact; "fixed", not learned.
        counts: "share": each count is divided by the total count that the target cell receives from the same pair of
            classes, so a gain is the total input from one class to one cell. "raw": each count is divided by the
            mean of that total over the pair's target cells, so that gains start at the same scale: weights are
            gain x count, and gap junctions conduct equally in both directions.
        nonnegative: how gains are constrained to 0 or above. "clamp": max(gain, 0), which has no gradient below 0.
            "softplus": log(1 + exp(gain)), whose gradient never vanishes; initial gains are the same. "projection": as
            "clamp", and after each update of the learner, gains below 0 are set to 0.
        taus: time constants: "class", one per class of cells; "cell", one per cell; "fixed", all 1.
        control: use a shuffled graph instead; see `Graph.control`.
        reach: how many links ahead stretch is sensed. 1.2 links are a fifth of a 6-link body, as in the worm (Wen et
            al. 2012). Longer swimmers have more links of the same length, and need the same number of links.
        dt: seconds of a control step.
        dt_ref: seconds of the control step that is the unit of time constants and of the oscillator's period. At
            another dt, 1 / tau becomes dt / (dt_ref tau), and the period stays the same in seconds.
        rng: random generator for shuffling.

    Attributes:
        gain: unconstrained gain of each pair of classes or contact; see `gains` for the constrained values.
        log_tau: logarithm of the time constant of each class or cell, in control steps.
        stretch, osc, tonic: weights of proprioception, of the oscillator, and of AVB's tonic input.
        current: external current into every cell, see `with_current`; None without.

    Raises:
        CircuitMismatch: the graph has no B-neurons (DB, VB), or no cell that the oscillator could drive.
    """

    is_bounded = True
    memory = "recurrent"
    needs = ("joint_pos",)
    origin = "It is a network of rate neurons wired by a connectome."
    gain: Float[Tensor, " gains"]
    log_tau: Float[Tensor, " taus"]
    base: Float[Tensor, " contacts"]
    place: Int[Tensor, " contacts"]
    index: Int[Tensor, " contacts"]
    felt: Float[Tensor, "cells joints"]
    driven: Float[Tensor, " cells"]
    awake: Float[Tensor, " cells"]
    kind: Int[Tensor, " cells"]
    current: Float[Tensor, "*batch cells"] | None

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        graph: str | Mapping[str, Any] = "ladder",
        gains: Literal["class", "free", "fixed"] = "class",
        counts: Literal["share", "raw"] = "share",
        nonnegative: Literal["clamp", "softplus", "projection"] = "clamp",
        taus: Literal["class", "cell", "fixed"] = "class",
        control: Control = "none",
        reach: float = 1.2,
        dt: float | None = None,
        dt_ref: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if gains not in ("class", "free", "fixed"):
            raise CircuitMismatch(f"gains is {gains!r}; give 'class', 'free' or 'fixed'")
        if counts not in ("share", "raw"):
            raise CircuitMismatch(f"counts is {counts!r}; give 'share' or 'raw'")
        if nonnegative not in ("clamp", "softplus", "projection"):
            raise CircuitMismatch(f"nonnegative is {nonnegative!r}; give 'clamp', 'softplus' or 'projection'")
        if taus not in ("class", "cell", "fixed"):
            raise CircuitMismatch(f"taus is {taus!r}; give 'class', 'cell' or 'fixed'")
        if control not in ("none", "rewired", "signs", "random"):
            raise CircuitMismatch(f"control is {control!r}; give 'none', 'rewired', 'signs' or 'random'")
        if not 0 <= reach < math.inf:
            raise CircuitMismatch(f"reach is {reach}; give 0 or more links")
        if senses["joint_pos"] != n_motors:
            raise CircuitMismatch(f"{senses['joint_pos']} joints are sensed and {n_motors} are moved; give as many")
        seed = int(torch.randint(2**31, (1,), generator=rng)) if control != "none" else 0
        self.graph = load_graph(graph).control(control, np.random.default_rng(seed))
        if not any(cell.kind in ("DB", "VB") for cell in self.graph.cells):
            raise CircuitMismatch("the graph has no cell of class DB or VB, so nothing senses stretch; name them so")
        check_size("graph", len(self.graph.cells) ** 2)
        self.senses, self.n_motors, self.n_features = (("joint_pos", n_motors),), n_motors, len(self.graph.cells)
        self.step_length = step_length(dt, dt_ref)
        self.nonnegative = nonnegative
        self._connect(gains, counts)
        self._embody(n_motors, reach)
        pools = [cell.name if taus == "cell" else cell.kind for cell in self.graph.cells]
        kinds = list(dict.fromkeys(pools))
        self.register_buffer("kind", torch.tensor([kinds.index(pool) for pool in pools]), False)
        self.register_buffer("current", None, persistent=False)
        hold(self, "log_tau", torch.zeros(len(kinds)), learned=taus != "fixed")
        self.stretch, self.osc = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(2.0))
        self.tonic = nn.Parameter(torch.tensor(0.5))
        self.neurons = (
            *neuron_row("joint_pos", "sensor", n_motors),
            *(Neuron(cell.name, cell.role, cell.position, cell.side, cell.kind) for cell in self.graph.cells),
            *neuron_row("motor", "motor", n_motors),
        )

    def initial_state(self, batch_size: int) -> State:
        """Return silent cells, [batch, cells], and the clock at zero, [batch, 1]."""
        cells = self.gain.new_zeros(batch_size, self.n_features)
        return {"r": cells, "step": self.gain.new_zeros(batch_size, 1)}

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch cells"], State]:
        """Run one control step; the features are the cells' rates, from 0 to 1."""
        heard, speed = self._acting()
        r = self._advance(state["r"], self._drive(sensors, state["step"]), heard, speed)
        return r, {"r": r, "step": state["step"] + 1}

    def unroll_features(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch cells"], State]:
        """Run a sequence; weights and external inputs are computed once for the whole sequence."""
        (heard, speed), r, rates = self._acting(), state["r"], []
        time = torch.arange(len(sensors), dtype=sensors.dtype, device=sensors.device)[:, None]
        started = torch.where(episode_start, time, -torch.inf)
        started[0] = torch.where(episode_start[0], 0.0, -state["step"][:, 0])
        steps = (time - started.cummax(0).values)[..., None]
        resets = episode_start.any(1).tolist()
        for row, drive in enumerate(self._drive(sensors, steps).unbind()):
            if resets[row]:
                r = torch.where(episode_start[row, :, None], 0.0, r)
            r = self._advance(r, drive, heard, speed)
            rates.append(r)
        return torch.stack(rates), {"r": r, "step": steps[-1] + 1}

    def _acting(self) -> tuple[Float[Tensor, "pre post"], Float[Tensor, " cells"]]:
        """Return what each cell hears of every rate, its own loss through gap junctions included, and its speed."""
        chemical, electrical = self.weights()
        heard = chemical + electrical - torch.diag(electrical.sum(1))
        return heard.T, (1 - torch.exp(-self.step_length * torch.exp(-self.log_tau)))[self.kind]

    def _drive(
        self, sensors: Float[Tensor, "*batch sensors"], step: Float[Tensor, "*batch 1"]
    ) -> Float[Tensor, "*batch cells"]:
        """Return what comes from outside the graph: stretch, oscillator and tonic drive."""
        wave = torch.sin((step + 0.5) * (2 * math.pi / _PERIOD * self.step_length))
        felt = self.stretch * (sensors.clamp(-1.0, 1.0) @ self.felt.T)
        drive = felt + self.osc * wave * self.driven + self.tonic * self.awake
        return drive if self.current is None else drive + self.current

    def _advance(
        self,
        r: Float[Tensor, "batch cells"],
        drive: Float[Tensor, "batch cells"],
        heard: Float[Tensor, "pre post"],
        speed: Float[Tensor, " cells"],
    ) -> Float[Tensor, "batch cells"]:
        return torch.lerp(r, torch.tanh(torch.relu(torch.addmm(drive, r, heard))), speed)

    def with_current(self, current: Float[Tensor, "*batch cells"]) -> Connectome:
        """Return a copy with a constant external current into its cells, which is added to x.

        Args:
            current: current into every cell, in the graph's order, optionally for each member of a batch.

        Raises:
            CircuitMismatch: the number of cells differs.
        """
        if current.shape[-1] != self.n_features:
            raise CircuitMismatch(f"the current is of {current.shape[-1]} cells; give {self.n_features}")
        copied = copy.deepcopy(self)
        copied.current = current.to(self.gain)
        return copied

    @property
    def gains(self) -> Float[Tensor, " gains"]:
        """The constrained gains, 0 or above."""
        return nn.functional.softplus(self.gain) if self.nonnegative == "softplus" else within(self.gain, 0.0)

    @property
    def changes_after_update(self) -> bool:
        """Whether negative gains are set to 0 after an update."""
        return self.nonnegative == "projection" and isinstance(self.gain, nn.Parameter)

    def after_update(
        self,
        sensors: Float[Tensor, "time batch sensors"],  # noqa: ARG002
        activity: Float[Tensor, "time batch neurons"],  # noqa: ARG002
    ) -> None:
        """Set negative gains to 0; only with `nonnegative="projection"`."""
        if self.changes_after_update:
            with torch.no_grad():
                self.gain.clamp_(min=0.0)

    def weights(self) -> tuple[Float[Tensor, "post pre"], Float[Tensor, "post pre"]]:
        """Return the effective chemical and electrical weights: gain times normalised count."""
        n = len(self.graph.cells)
        acting = self.gains[self.index] * self.base
        chemical, electrical = acting.new_zeros(2 * n * n).index_add(0, self.place, acting).reshape(2, n, n)
        return chemical, electrical

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return the contacts with their weights, the proprioceptive inputs, and the muscles' effect on the joints."""
        names = [cell.name for cell in self.graph.cells]
        chemical, electrical = (matrix.detach().tolist() for matrix in self.weights())
        synapses = [
            Synapse(names[j], names[i], matrix[i][j], group)
            for matrix, group in ((chemical, "gain"), (electrical, "gap"))
            for i in range(len(names))
            for j in range(len(names))
            if matrix[i][j]
        ]
        felt, pull = (self.stretch * self.felt).tolist(), self.readout.get_buffer("pull").tolist()
        for i, name in enumerate(names):
            synapses += [Synapse(f"joint_pos_{j}", name, w, "stretch") for j, w in enumerate(felt[i]) if w]
            synapses += [Synapse(name, f"motor_{j}", row[i], "pull") for j, row in enumerate(pull) if row[i]]
        return Wiring(self.neurons, tuple(synapses))

    def _connect(self, gains: str, counts: str) -> None:
        """Lay out where each contact acts, with which count and which gain; a gap junction acts both ways."""
        cells = {cell.name: i for i, cell in enumerate(self.graph.cells)}
        kind = {cell.name: cell.kind for cell in self.graph.cells}
        keys: dict[object, int] = {}
        start: list[float] = []
        rows: list[tuple[str, str, _Classes, float, int]] = []
        for number, contact in enumerate(self.graph.contacts):
            ends = [(contact.pre, contact.post)] + ([(contact.post, contact.pre)] if contact.is_electrical else [])
            pair = (kind[contact.pre], kind[contact.post])
            pair = (min(pair), max(pair)) if contact.is_electrical else pair
            classes = (*pair, contact.is_electrical)
            key: object = number if gains == "free" else classes
            if key not in keys:
                keys[key] = len(start)
                start.append(_GAINS.get(pair, _WEAK))
            rows += [(*end, classes, contact.sign * contact.count, keys[key]) for end in ends]
        # Denominator of each count: the cell's total input from this pair of classes ("share"), or that total averaged
        # over cells ("raw").
        total: dict[tuple[_Classes, str], float] = defaultdict(float)
        for _, post, classes, count, _ in rows:
            total[classes, post] += abs(count)
        if counts == "raw":
            of_pair: defaultdict[_Classes, list[float]] = defaultdict(list)
            for (classes, _), each in total.items():
                of_pair[classes].append(each)
            total = {(classes, post): float(np.mean(of_pair[classes])) for classes, post in total}
        n = len(cells)
        base = [count / total[classes, post] for _, post, classes, count, _ in rows]
        place = [int(classes[-1]) * n * n + cells[post] * n + cells[pre] for pre, post, classes, *_ in rows]
        gain = torch.tensor(start)
        if self.nonnegative == "softplus":
            gain = torch.log(torch.expm1(gain))
        hold(self, "gain", gain, learned=gains != "fixed")
        self.register_buffer("base", torch.tensor(base), persistent=False)
        self.register_buffer("place", torch.tensor(place), persistent=False)
        self.register_buffer("index", torch.tensor([row[-1] for row in rows]), persistent=False)

    def _embody(self, n_joints: int, reach: float) -> None:
        """Place stretch receptors, the oscillator's targets and the muscles on a body of so many joints."""
        joints = (np.arange(n_joints) + 1) / (n_joints + 1)
        cells = self.graph.cells
        felt, driven = np.zeros((len(cells), n_joints), np.float32), np.zeros(len(cells), np.float32)
        pull = np.zeros((n_joints, len(cells)), np.float32)
        for i, cell in enumerate(cells):
            if cell.kind in ("DB", "VB"):
                sign = 1.0 if cell.kind == "DB" else -1.0
                if cell.position < _HEAD:
                    driven[i] = sign
                else:
                    felt[i] = sign * _near(cell.position - reach / (n_joints + 1), joints)
            if cell.kind == "SMD":
                driven[i] = 1.0 if cell.name.startswith("SMDD") else -1.0
            if cell.role == "muscle":
                pull[:, i] = (1.0 if cell.side == "d" else -1.0) * _near(cell.position, joints)
        if not driven.any():
            raise CircuitMismatch(
                f"the graph has no cell of class DB or VB at a position below {_HEAD}, and none of class SMD, so the "
                "oscillator drives nothing; move one there"
            )
        for side, sign in (("d", 1.0), ("v", -1.0)):
            own = [i for i, cell in enumerate(cells) if cell.role == "muscle" and cell.side == side]
            at = np.array([cells[i].position for i in own])
            places = np.unique(at)
            # On a body of more joints than there are muscles, some are next to none: the nearest before and behind act.
            for joint in np.flatnonzero(~pull[:, own].any(1)):
                pull[joint, own] = sign * _near(joints[joint], places)[np.searchsorted(places, at)]
            pull[:, own] /= np.abs(pull[:, own]).sum(1, keepdims=True)
        self.register_buffer("felt", torch.from_numpy(felt), persistent=False)
        self.register_buffer("driven", torch.from_numpy(driven), persistent=False)
        self.register_buffer("awake", torch.tensor([float(cell.kind == "AVB") for cell in cells]), persistent=False)
        self.readout = _Pull(torch.from_numpy(pull))


class _Pull(nn.Module):
    """Muscles' mean pull on each joint."""

    pull: Float[Tensor, "joints cells"]

    def __init__(self, pull: Float[Tensor, "joints cells"]) -> None:
        super().__init__()
        self.register_buffer("pull", pull, persistent=False)

    def forward(self, rates: Float[Tensor, "*batch cells"]) -> Float[Tensor, "*batch joints"]:
        return rates @ self.pull.T


def _near(position: float, places: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return the weights that interpolate between places, the first or the last alone beyond them."""
    weights = np.zeros(len(places), np.float32)
    after = int(np.searchsorted(places, position))
    if after in (0, len(places)):
        weights[min(after, len(places) - 1)] = 1
        return weights
    share = (position - places[after - 1]) / (places[after] - places[after - 1])
    weights[after - 1 : after + 1] = 1 - share, share
    return weights
