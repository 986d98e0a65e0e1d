"""Curricula on bit streams, which train a circuit to remember for longer step by step.

Khajehabdollahi et al., ICLR 2024 (https://arxiv.org/abs/2309.12927): single-head networks lengthen
their units' time constants with N, multi-head networks the network's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...circuits import CIRCUITS, Circuit, RecurrentCircuit, make_circuit
from ...circuits.code_files import circuit_from_json, circuit_json
from ...circuits.delays import DelayedUnits
from ...circuits.registry import unknown_circuit
from ...envs.tasks.bits import BIT_TASKS, answers, draw_bits, draw_length
from ...errors import CircuitMismatch, InvalidOption, InvalidRun, TrainingDiverged, UnknownName
from ...options import DEVICE, FLAG, PATH, Allowed, Instance, Number, checked, wrong_value
from ...progress import progress_bar
from ...threads import one_thread
from ..runs.folder import Folder
from ..runs.held_files import check_held, hold_files, told_config
from ..runs.metrics_log import make_logger
from .checks import device_named
from .cuda_graphs import Replayed
from .stopping import Stop, stopping

KINDS = {
    "single-head": "one N at a time, through one readout",
    "multi-head": "every N so far, a readout each",
    "sliding": "the last few N, a readout each",
}
_FIRST = 2  # the smallest N
_COUNTS = ("updates", "window", "batch_size", "evaluate_every", "evaluation_sequences")
_FIELDS: dict[str, Allowed] = {
    "circuit": Instance(str, "the name of a circuit, such as ctrnn"),
    "task": Instance(str, "parity or delayed-match"),
    "kind": Instance(str, "single-head, multi-head or sliding"),
    "circuit_options": Instance(Mapping, "values by name, such as units = 500"),
    **dict.fromkeys(_COUNTS, Number(1, is_whole=True)),
    "seed": Number(0, 2**32 - 1, is_whole=True),
    "max_n": Number(_FIRST, is_whole=True),
    "threshold": Number(0, 1),
    "learning_rate": Number(0, above=True),
    # Nesterov's, which is nothing without any.
    "momentum": Number(0, 1, above=True),
    "max_grad_norm": Number(0, above=True),
    "device": DEVICE,
}


@dataclasses.dataclass(frozen=True)
class CurriculumConfig:
    """The config of a curriculum; immutable.

    Attributes:
        circuit: a circuit with memory; it senses one `bit`, -1 or 1.
        task: "parity" or "delayed-match"; see `BIT_TASKS`.
        kind: "single-head", "multi-head" or "sliding"; see `KINDS`.
        seed: seed of all random numbers.
        updates: total number of weight updates.
        max_n: the N at which training ends early.
        window: number of heads trained together by "sliding".
        threshold: accuracy above which N increases.
        batch_size: sequences per update.
        learning_rate, momentum, max_grad_norm: options of SGD with Nesterov momentum.
        evaluate_every: updates between evaluations, each of which also writes a checkpoint.
        evaluation_sequences: number of new sequences per evaluation.
        circuit_options: options of the circuit; a file named by `graph` is stored as its content.
        device: torch device, such as cpu or cuda. CUDA rounds otherwise than a CPU, so that weights differ slightly.
    """

    circuit: str = "ctrnn"
    task: str = "parity"
    kind: Literal["single-head", "multi-head", "sliding"] = "multi-head"
    seed: int = 0
    updates: int = 10_000
    max_n: int = 40
    window: int = 10
    threshold: float = 0.98
    batch_size: int = 256
    learning_rate: float = 0.05
    momentum: float = 0.1
    max_grad_norm: float = 2.0
    evaluate_every: int = 100
    evaluation_sequences: int = 1024
    circuit_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    device: str = "cpu"

    def __post_init__(self) -> None:
        if wrong := wrong_value(vars(self), _FIELDS):
            raise InvalidOption(wrong)
        if self.circuit not in CIRCUITS:
            raise unknown_circuit(self.circuit)
        for what, name, known in (
            ("bit task", self.task, BIT_TASKS),
            ("curriculum", self.kind, KINDS),
        ):
            if name not in known:
                raise UnknownName(what, name, known)
        if self.kind != "sliding" and self.window != CurriculumConfig.window:
            raise InvalidOption(f"window is {self.window} and kind {self.kind!r}; only 'sliding' has a window")
        object.__setattr__(self, "circuit_options", hold_files(self.circuit, self.circuit_options))

    def make_circuit(self) -> Circuit:
        """Build the circuit, with one motor (readout head) for each N."""
        heads = 1 if self.kind == "single-head" else self.max_n - _FIRST + 1
        rng = torch.Generator().manual_seed(self.seed)
        return make_circuit(self.circuit, {"bit": 1}, heads, self.circuit_options, rng)

    def heads(self, n: int) -> dict[int, int]:
        """Return which readout head is trained on which N, while `n` is the largest N; consecutive ones, in order."""
        if self.kind == "single-head":
            return {0: n}
        first = max(_FIRST, n - self.window + 1) if self.kind == "sliding" else _FIRST
        return {each - _FIRST: each for each in range(first, n + 1)}

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON types."""
        return {**dataclasses.asdict(self), "circuit": circuit_json(self.circuit)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CurriculumConfig:
        """Read what `to_json` returned."""
        try:
            check_held(values.get("circuit_options"))
            return cls(**{**values, "circuit": circuit_from_json(values["circuit"])})
        except (TypeError, KeyError) as error:
            raise InvalidRun(f"the config is of another version of nervecord: {error}") from error

    def check(self) -> dict[str, Any]:
        """Raise the errors of this config before anything is written; return nothing to store beside it."""
        circuit = self.make_circuit()
        if not circuit.is_recurrent:
            raise CircuitMismatch(f"circuit {self.circuit!r} has no memory, which these tasks need; choose another")
        return {}


class CurriculumRun(Folder[CurriculumConfig]):
    """A curriculum's folder on disk; see `Folder`."""

    kind = "curriculum"
    config_type = CurriculumConfig

    def circuit(self) -> Circuit:
        """Return the circuit of the last checkpoint.

        Raises:
            InvalidRun: there is no checkpoint yet.
        """
        checkpoint = self.load_checkpoint()
        if checkpoint is None:
            raise InvalidRun(f"{self.path} has no checkpoint yet; the command that began it trains it")
        circuit = self.config.make_circuit()
        circuit.load_state_dict(checkpoint.weights)
        return circuit


@checked(InvalidOption, config=Instance(CurriculumConfig, "a CurriculumConfig"), out=PATH, progress=FLAG, trust=FLAG)
def curriculum(config: CurriculumConfig, out: str | Path, progress: bool = True, trust: bool = False) -> CurriculumRun:
    """Train a curriculum in the folder `out`, or resume the one in it.

    With `trust`, links in the folder are followed and its circuit's code is run; see `Folder`.

    Raises:
        InvalidOption: the device cannot be used here.
        InvalidRun: `out` contains another curriculum, or one that is being trained by another process.
        OutputExists: `out` contains something else.
        TrainingDiverged: a loss or gradient is not finite; the last checkpoint is kept.
    """
    device = device_named(config.device)
    run = CurriculumRun.create(out, config, config.check, trust)
    if not run.done:
        with one_thread(), stopping() as stop, run.lock():
            _Course(run, device).go(progress, stop)
    return run


def curriculum_summary(run: CurriculumRun) -> dict[str, Any]:
    """Return what a curriculum has reached."""
    checkpoint = run.load_checkpoint()
    state = checkpoint.state if checkpoint else {"step": 0, "largest_solved": 0, "done": False}
    table = run.metrics()
    taus = table[table["metric"] == "circuit/tau_mean"]["value"]
    return {
        "run": str(run.path),
        "done": state["done"],
        "updates": state["step"],
        "largest N solved": state["largest_solved"],
        "mean tau (steps)": float(taus.iloc[-1]) if len(taus) else None,
        "config": told_config(run.config.to_json()),
    }


class _Course:
    """One sitting at a curriculum."""

    def __init__(self, run: CurriculumRun, device: torch.device) -> None:
        self.run, self.config, self.device = run, run.config, device
        self.circuit = self.config.make_circuit().to(device)
        self.weights = tuple(self.circuit.parameters())
        # These circuits look only at which steps start an episode, which is on the CPU.
        self.is_replayed = device.type == "cuda" and isinstance(self.circuit, DelayedUnits)
        self.gradients = Replayed(self._gradients) if self.is_replayed else self._gradients
        self.optimizer = torch.optim.SGD(self.weights, self.config.learning_rate, self.config.momentum, nesterov=True)
        self.rng = np.random.default_rng(self.config.seed)
        self.n, self.largest_solved, self.update = _FIRST, 0, 0
        self.losses: list[float] = []  # of the updates since the last evaluation
        if checkpoint := run.load_checkpoint():
            self._put_back(checkpoint.weights, checkpoint.training, checkpoint.state)
        self.logger = make_logger(run.path, checkpoint.step if checkpoint else None)

    def go(self, progress: bool, stop: Stop) -> None:
        """Train until the updates are spent or the largest N is solved."""
        config = self.config
        if not self.run.checkpoints():
            self._save(done=False)
        bar = progress_bar(
            total=config.updates, initial=self.update, unit="update", desc=f"curriculum {self.run.path.name}",
            disable=not progress,
        )  # fmt: skip
        try:
            while self.update < config.updates and self.largest_solved < config.max_n:
                self.losses.append(self._train_once())
                self.update += 1
                bar.update()
                stops = stop.requested  # a signal from here on waits for the next update, so that this one is kept
                if self.update % config.evaluate_every == 0 or self.update == config.updates:
                    accuracies = self._evaluate()
                    self._log(float(np.mean(self.losses)), accuracies)
                    self._advance(accuracies)
                    loss = self.losses[-1]
                    self.losses.clear()
                    self._save(done=self.update >= config.updates or self.largest_solved >= config.max_n)
                    bar.set_postfix(N=self.n, solved=self.largest_solved, loss=f"{loss:.3f}", refresh=False)
                elif stops:
                    self._save(done=False)
                if stops:
                    stop.check()
        finally:
            bar.close()
            self.logger.close()

    def _train_once(self) -> float:
        """Make one update; return its loss."""
        bits = draw_bits(self.config.task, (draw_length(self.n, self.rng), self.config.batch_size), self.rng)
        heads = self.config.heads(self.n)
        loss, logits, gradients = self.gradients(self._sensors(bits), self._labels(bits, heads), first_head=min(heads))
        if not torch.isfinite(loss):
            raise TrainingDiverged(
                self._diagnosis("the loss is", "the answers" if logits.isnan().any() else "the loss")
            )
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient
        norm = nn.utils.clip_grad_norm_(self.weights, self.config.max_grad_norm)
        if not torch.isfinite(norm):
            bad = [n for n, p in self.circuit.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
            raise TrainingDiverged(self._diagnosis("a gradient is", bad[0] if bad else "their sum"))
        self.optimizer.step()
        return loss.item()

    def _gradients(
        self, sensors: Float[Tensor, "time batch 1"], labels: Float[Tensor, "batch heads"], first_head: int
    ) -> tuple[Tensor, Tensor, tuple[Tensor | None, ...]]:
        """Return the loss, the logits of the heads from `first_head` on, and the loss's gradient for each weight."""
        logits = self._answer(sensors)[:, first_head : first_head + labels.shape[1]]
        # Summed over heads: their mean would teach each of 10 heads at a tenth of the rate. 128 units came
        # to N = 9 in 3000 updates with the sum and to 5 with the mean.
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / len(labels)
        # Detached, since results that are held would hold all that led to them.
        return loss.detach(), logits.detach(), torch.autograd.grad(loss, self.weights, allow_unused=True)

    @torch.no_grad()
    def _evaluate(self) -> dict[int, float]:
        """Return the accuracy for each N that is trained now, on fresh sequences."""
        heads, count = self.config.heads(self.n), self.config.evaluation_sequences
        right = torch.zeros(len(heads), device=self.device)
        # Lengths vary between batches, so several batches see several lengths.
        for share in np.array_split(np.arange(count), min(8, count)):
            bits = draw_bits(self.config.task, (draw_length(self.n, self.rng), len(share)), self.rng)
            said = self._answer(self._sensors(bits))[:, list(heads)] > 0
            right += (said == (self._labels(bits, heads) > 0.5)).sum(0)
        return dict(zip(heads.values(), (right / count).tolist(), strict=True))

    def _advance(self, accuracies: Mapping[int, float]) -> None:
        """Let N grow once its newest is solved."""
        if accuracies[self.n] > self.config.threshold:
            self.largest_solved = self.n
            self.n = min(self.n + 1, self.config.max_n)

    def _answer(self, sensors: Float[Tensor, "time batch 1"]) -> Float[Tensor, "batch heads"]:
        """Return every head's logit after the last bit."""
        state = self.circuit.initial_state(sensors.shape[1])
        start = torch.zeros(sensors.shape[:2], dtype=torch.bool, device="cpu" if self.is_replayed else self.device)
        if isinstance(self.circuit, RecurrentCircuit):
            features, _ = self.circuit.unroll_features(sensors, state, start)
            logits: Tensor = self.circuit.readout(features[-1])
            return logits
        return self.circuit.unroll(sensors, state, start)[0][-1]

    def _sensors(self, bits: np.ndarray) -> Float[Tensor, "time batch 1"]:
        return torch.as_tensor(2.0 * bits[..., None] - 1.0, dtype=torch.float32, device=self.device)

    def _labels(self, bits: np.ndarray, heads: Mapping[int, int]) -> Float[Tensor, "batch heads"]:
        columns = [answers(self.config.task, bits, n) for n in heads.values()]
        return torch.as_tensor(np.stack(columns, 1), dtype=torch.float32, device=self.device)

    def _log(self, loss: float, accuracies: Mapping[int, float]) -> None:
        record = self.logger.record
        record("train/loss", loss)
        record("curriculum/n", self.n)
        record("curriculum/largest_solved", self.largest_solved)
        for n, accuracy in accuracies.items():
            record(f"accuracy/{n:02d}", accuracy)
        tau = getattr(self.circuit, "tau", None)
        if tau is not None:
            record("circuit/tau_mean", tau.mean().item())
            record("circuit/tau_max", tau.max().item())
        self.logger.dump(self.update)

    def _save(self, done: bool) -> None:
        slots = self.optimizer.state_dict()["state"]
        momenta = {
            f"momentum.{i}": held["momentum_buffer"]
            for i, held in slots.items()
            if held.get("momentum_buffer") is not None
        }
        state = {
            "done": done,
            "n": self.n,
            "largest_solved": self.largest_solved,
            "losses": self.losses,
            "rng": self.rng.bit_generator.state,
        }
        self.run.save_checkpoint(self.update, self.circuit.state_dict(), momenta, state)

    def _put_back(self, weights: Mapping[str, Tensor], momenta: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        try:
            self.circuit.load_state_dict(weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise InvalidRun(f"{self.run.path}: its checkpoint is of another circuit ({reason})") from error
        held = {int(name.split(".")[1]): {"momentum_buffer": value} for name, value in momenta.items()}
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": held})
        self.n, self.largest_solved, self.update = state["n"], state["largest_solved"], state["step"]
        # Format 2 was only written after an evaluation.
        self.losses = list(state.get("losses", ()))
        self.rng.bit_generator.state = state["rng"]

    def _diagnosis(self, what: str, which: str) -> str:
        return (
            f"{what} not finite at update {self.update}, N = {self.n}: {which}; the last checkpoint, of update "
            f"{int(self.run.checkpoints()[-1].name)}, stands; try a lower learning_rate"
        )
