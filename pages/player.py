"""A live agent that a user can push, lengthen and lesion, in surroundings that can be changed."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from ..agents import Agent, Rollout
from ..circuits import Wiring, check_pins
from ..circuits.contract import wiring_at
from ..drawing.scenery import Layer
from ..envs import Arena, Body, EnvBatch, Landscape, Post, Swimmer, Task, gel, make_arena, make_body, newtonian
from ..envs.arenas.contacts import post_joints
from ..envs.arenas.media import PLACE
from ..errors import InvalidArena, InvalidBody, InvalidTask, NervecordError, UnknownName
from ..training.rollouts.interventions import Intervention, pins_at
from ..training.runs.run import Run
from .room import check_room

LINKS = (3, 24)
LENGTH = (0.5, 2.0)  # of a link, of its own
OWN = "its own"
# What can be put around the body.
MEDIA = {OWN: None, "water": gel(0.0), "0.3 Pa s": newtonian(0.3), "gel": gel(0.01), "agar": gel(1.0)}
_SIGHT = 1.3  # body lengths to each side that a page shows
_MOVING = ("time", "qpos", "qvel", "mocap_pos", "mocap_quat")  # what goes on in another medium
# Of the picture of the ground: its size, and how far the body goes until another is drawn, in body lengths.
_GROUND, _GROUND_STEP, _CELLS = 6.0, 1.5, 192
_REDRAWN = 0.5  # s
_PUSH = 0.5  # m/s, given to the whole body at once
# m/s along each axis, all pushes together; from 1.5 on, MuJoCo's integration of 24 links of twice their length breaks.
_FASTEST = 1.0
_UNKNOWN = np.full(1, np.nan)
_DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, 1), "down": (0, -1)}


class Player:
    """One body driven by a run's agent, episode after episode.

    Args:
        run: the run.
        body: another body than the run's own.

    Attributes:
        body: the current body.
        neurons: names of the neurons, in the order of `moment()["activity"]`.
        interventions: current interventions, at most one per neuron.
        medium: current medium, a name of `MEDIA`.
        posts: positions of the arena's single posts; None if none was moved.

    Raises:
        InvalidRun: the run has no checkpoint yet.
        CircuitMismatch: the agent does not fit the body.
    """

    _greatest: Float[np.ndarray, " neurons"]
    _ground_of: tuple[Any, Any, int] | None
    envs: EnvBatch
    neurons: tuple[str, ...]
    posts: tuple[Post, ...] | None
    _rollout: Rollout

    def __init__(self, run: Run, body: str | Body | None = None) -> None:
        self.run = run
        self._own = make_body(run.config.body if body is None else body)
        self.interventions: tuple[Intervention, ...] = ()
        self._links, self._length, self.medium, self.posts = self._own.n_links, 1.0, OWN, None
        self._take(*self._fitted(self._own))

    @property
    def length(self) -> float:
        """The link length, relative to the body's own."""
        return self._length

    @property
    def n_links(self) -> int:
        """The current number of links."""
        return self.body.n_links

    def resize(self, links: int | None = None, length: float | None = None) -> None:
        """Change the number of links, or their length relative to the body's own, and start a new episode.

        Raises:
            InvalidBody: a value is out of range, or the body is from XML, which has a fixed number of links.
            CircuitMismatch: the agent does not fit this number of links; the body is not changed.
        """
        links, length = self._links if links is None else links, self._length if length is None else length
        if not LINKS[0] <= links <= LINKS[1] or not LENGTH[0] <= length <= LENGTH[1]:
            raise InvalidBody(f"{links} links of {length} times their length; give {LINKS[0]} to {LINKS[1]} links "
                              f"and {LENGTH[0]} to {LENGTH[1]}")  # fmt: skip
        if links == self._own.n_links and length == 1:
            body = self._own
        elif not isinstance(self._own, Swimmer):
            raise InvalidBody(f"{self._own.name} comes from XML, whose links stay as they are; play a swimmerN instead")
        else:
            body = dataclasses.replace(self._own, n_links=links, link_length=self._own.link_length * length)
        fitted = self._fitted(body)
        self.close()
        self._take(*fitted)
        self._links, self._length = links, length

    def change_medium(self, medium: str) -> None:
        """Change the medium (with zones, the medium between them) without ending the episode.

        Raises:
            UnknownName: there is no such medium.
            InvalidArena, InvalidTask: the arena or task does not allow it; nothing is changed.
        """
        if medium not in MEDIA:
            raise UnknownName("medium", medium, MEDIA)
        before, self.medium = self.medium, medium
        try:
            envs = self._make_envs(self.body)
        except NervecordError:
            self.medium = before
            raise
        self._go_on_in(envs, self.envs.get_state())

    def move_post(self, number: int, place: Sequence[float]) -> None:
        """Move a post, in this episode and in all later ones.

        Args:
            number: index of the post's outline; see `outlines`.
            place: new position of its centre, m.

        Raises:
            InvalidArena: there is no such post, it cannot be moved, or there is no room; nothing is changed.
        """
        which, arena = self.envs.physics.obstacles.which, self.envs.arena
        if not 0 <= number < len(which):
            raise InvalidArena(f"post {number} is none of the {len(which)} that stand here; give 0 to {len(which) - 1}"
                               if which else "no post stands here; play a run with posts in its arena")  # fmt: skip
        posts = list(arena.posts) if isinstance(arena, Landscape) else []
        index = which[number]
        if not 0 <= index < len(posts):
            stands = arena.stands(self.body)
            what = (f"an obstacle of {self.body.name}'s own" if index < 0 or stands is None
                    else "a wall" if index < stands.n_own else "a post of a lattice")  # fmt: skip
            raise InvalidArena(f"{what} stays where it is; move a single post")
        if len(place) != 2 or not all(map(PLACE.takes, place)):
            raise InvalidArena(f"place is {list(place)}; give x and y in m, each {PLACE}")
        posts[index] = dataclasses.replace(posts[index], x=float(place[0]), y=float(place[1]))
        if isinstance(arena, Landscape) and arena.solid:
            check_room(self.envs, posts, index)
        before, self.posts = self.posts, tuple(posts)
        try:
            envs = self._make_envs(self.body)
        except NervecordError:
            self.posts = before
            raise
        state, (model, _) = self.envs.get_state(), envs.physics.mujoco(0)
        for joint in post_joints(model, index):
            # One that was pushed stood beside its place.
            for name, adr in (("qpos", joint.qposadr[0]), ("qvel", joint.dofadr[0])):
                state["physics"][name][0, adr] = 0.0
        self._go_on_in(envs, state)

    def _go_on_in(self, envs: EnvBatch, old: dict[str, Any]) -> None:
        """Go on with the episode of a state in an environment of another arena."""
        new = envs.get_state()
        # Poses and velocities, but not actuators: other media have others.
        moving = {name: old["physics"][name] for name in _MOVING if name in old["physics"]}
        envs.set_state({**old, "physics": {**new["physics"], **moving}})
        self.close()
        self.envs = self._rollout.envs = envs
        self._rollout.observation = envs.observation()
        self._ground_of = None

    def place_target(self, place: Sequence[float]) -> None:
        """Move the task's target, such as food, to a position in the plane, m.

        Raises:
            InvalidTask: the task has no target, or the position is invalid.
        """
        if len(place) != 2 or not all(map(PLACE.takes, place)):
            raise InvalidTask(f"place is {list(place)}; give x and y in m, each {PLACE}")
        self.envs.task.place_target(0, np.array(place, float))
        self._rollout.observation = self.envs.observation()

    def toggle(self, neuron: str) -> None:
        """Silence a neuron, or end any intervention on it.

        Raises:
            UnknownName: there is no such neuron.
            CircuitMismatch: the circuit's neurons cannot be reached.
        """
        if any(each.neuron == neuron for each in self.interventions):
            self.release(neuron)
        else:
            self.intervene(Intervention(neuron))

    def intervene(self, intervention: Intervention) -> None:
        """Silence, clamp or drive a neuron, which replaces any intervention on it.

        Raises:
            UnknownName: there is no such neuron.
            CircuitMismatch: the circuit's neurons cannot be reached.
        """
        self._check(intervention.neuron)
        check_pins(self.agent.circuit)
        self.interventions = (*self._others(intervention.neuron), intervention)

    def release(self, neuron: str) -> None:
        """End any intervention on a neuron.

        Raises:
            UnknownName: there is no such neuron.
        """
        self._check(neuron)
        self.interventions = self._others(neuron)

    def _check(self, neuron: str) -> None:
        if neuron not in self.neurons:
            raise UnknownName("neuron", neuron, self.neurons)

    def _others(self, neuron: str) -> tuple[Intervention, ...]:
        return tuple(each for each in self.interventions if each.neuron != neuron)

    def push(self, direction: str) -> None:
        """Add a velocity of 0.5 m/s to the left, right, up or down to the body, up to a speed of 1 m/s.

        Raises:
            UnknownName: there is no such direction.
        """
        if direction not in _DIRECTIONS:
            raise UnknownName("direction", direction, _DIRECTIONS)
        # The root's slides carry the body; its own axes are those of the world.
        velocity = np.array(self.envs.physics.read("root_vel")[0, :2])
        # A body that is faster by itself is not braked.
        fastest = np.maximum(_FASTEST, np.abs(velocity))
        pushed = np.clip(velocity + _PUSH * np.array(_DIRECTIONS[direction]), -fastest, fastest)
        self.envs.physics.push(0, pushed)

    def restart(self) -> None:
        """Start a new episode."""
        self._rollout.start()
        self._activity, self._return, self._speed = np.zeros(len(self.neurons)), 0.0, float("nan")

    def step(self) -> None:
        """Advance by one control step; an episode that ends is followed by another."""
        stepped = self._rollout.step()
        self._activity = self._rollout.extra[0].cpu().numpy()
        self._speed = float(stepped.metrics.get("net_speed", _UNKNOWN)[0])
        self._return += float(stepped.reward[0])
        if not self._rollout.is_running:
            self._rollout.start()
            self._return = 0.0

    def _act(self, observation: np.ndarray, state: Any, episode_start: np.ndarray) -> tuple[np.ndarray, Any, Any]:
        pins = pins_at(self.interventions, self.agent.circuit, self._rollout.elapsed)
        return self.agent.predict_with_activity(observation, state, episode_start, pins=pins)

    def wiring(self) -> Wiring:
        """Return the circuit's wiring, with the weights in its current state."""
        return wiring_at(self.agent.circuit, self._rollout.state)

    def moment(self) -> dict[str, Any]:
        """Return the present for a page: body as a line of points (m), neurons in -1 to 1, time and speed.

        `return` is that of the episode so far, which has no unit.
        """
        physics = self.envs.physics
        centres, angles = physics.read("link_pos")[0], physics.read("link_angle")[0]
        half = 0.5 * self.body.link_sizes[0][:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)
        line = np.concatenate([(centres + half)[:1], centres - half])
        self._greatest = np.maximum(self._greatest, np.abs(self._activity))
        target = self.envs.task.target_pos[0]
        return {
            "time": round(self._rollout.elapsed * self.body.control_dt, 2),
            "speed": None if np.isnan(self._speed) else round(100 * self._speed, 1),
            "line": np.round(line, 4).tolist(),
            "target": np.round(target, 4).tolist(),
            "sources": np.round(self.envs.sources[0].reshape(-1, 3)[:, :2], 4).tolist(),
            "standing": self._standing(centres.mean(0)),
            "activity": np.round(self._activity / self._greatest, 2).tolist(),
            "return": round(self._return, 1),
            "done": {each.neuron: str(each) for each in self.interventions},
        }

    def _standing(self, middle: np.ndarray) -> list[list[float]]:
        """Return number, place, m, and angle, rad, of each of the outlines that stand in sight."""
        if (obstacles := self.envs.poses(0).obstacles) is None:
            return []
        reach = _SIGHT * float(self.body.link_sizes[0].sum())
        return np.round(obstacles.seen(0, middle - reach, middle + reach), 4).tolist()

    def outlines(self) -> list[dict[str, Any]]:
        """Return the obstacles for a page: corners (m), colour, and whether each can be moved."""
        there, arena = self.envs.physics.obstacles, self.envs.arena
        n_posts = len(arena.posts) if isinstance(arena, Landscape) else 0
        return [
            {"corners": np.round(corners, 4).tolist(), "colour": colour, "moves": 0 <= which < n_posts}
            for corners, colour, which in zip(there.outlines, there.colours, there.which, strict=True)
        ]

    def ground(self, anew: bool = False) -> dict[str, Any]:
        """Return the ground around the body for a page, where it is another than the last: {} where it is not.

        `ground` has a picture (the address of a PNG), its middle and size, m; None where there is nothing to see.

        Args:
            anew: return it in any case.
        """
        middle, length = self.envs.physics.read("com_pos")[0], float(self.body.link_sizes[0].sum())
        step = _GROUND_STEP * length
        cell = tuple(np.round(middle / step).astype(int).tolist())
        things = np.round(np.concatenate([self.envs.sources[0], self.envs.task.target_pos[0]]), 3).tolist()
        # What changes all the time is drawn twice a second.
        if not anew and self._ground_of is not None:
            seen, had, when = self._ground_of
            is_due = abs(self._rollout.elapsed - when) * self.body.control_dt > _REDRAWN
            if seen == cell and (had == things or not is_due):
                return {}
        self._ground_of = cell, things, self._rollout.elapsed
        scenery = self.envs.poses(0).scenery
        if not scenery.layers:
            return {"ground": None}
        extent, at = _GROUND * length, np.array(cell) * step
        image, file = Image.fromarray(scenery.picture(at, (extent, extent), (_CELLS, _CELLS), 0)), io.BytesIO()
        image.save(file, "PNG")
        picture = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
        return {"ground": {"picture": picture, "middle": at.tolist(), "size": extent}}

    def key(self) -> list[dict[str, Any]]:
        """Return the legend of the ground's tints: a name for each, and CSS backgrounds with labels."""
        return [{"name": layer.name, "parts": list(_css(layer))} for layer in self.envs.poses(0).scenery.layers]

    @property
    def has_target(self) -> bool:
        """Whether the task has a target that can be moved."""
        return type(self.envs.task).place_target is not Task.place_target

    @property
    def has_posts(self) -> bool:
        """Whether the arena has single posts, which can be moved."""
        return isinstance(self.envs.arena, Landscape) and bool(self.envs.arena.posts)

    def close(self) -> None:
        """Free the native threads."""
        self.envs.close()

    def _fitted(self, body: Body) -> tuple[Body, Agent, EnvBatch]:
        """Return the body with the agent that fits it."""
        return body, self.run.agent(body), self._make_envs(body)

    def _make_envs(self, body: Body) -> EnvBatch:
        """Return the run's environment of a body in the medium that is chosen, by MuJoCo, which starts at once."""
        resolved = self.run.resolved.on(body).stepped_by("mujoco")
        arena = own = make_arena(resolved.config.arena)
        if (medium := MEDIA[self.medium]) is not None:
            arena = dataclasses.replace(arena, medium=medium) if isinstance(arena, Landscape) else Arena(medium)
        if self.posts is not None and isinstance(arena, Landscape):
            arena = dataclasses.replace(arena, posts=self.posts)
        if arena is not own:
            resolved = dataclasses.replace(resolved, config=dataclasses.replace(resolved.config, arena=arena))
        return resolved.make_envs(1, randomize={})

    def _take(self, body: Body, agent: Agent, envs: EnvBatch) -> None:
        self.body, self.agent, self.envs = body, agent, envs
        self.neurons = tuple(neuron.name for neuron in agent.neurons)
        self.interventions = tuple(each for each in self.interventions if each.neuron in self.neurons)
        self._greatest = np.full(len(self.neurons), 1e-9)
        self._ground_of = None
        self._rollout = Rollout(envs, self._act)
        envs.seed([0])
        self.restart()


def _css(layer: Layer) -> Iterator[dict[str, str]]:
    def colour(level: float) -> str:
        red, green, blue, opacity = layer.tint(np.array(level)).tolist()
        return f"rgb({red:.0f} {green:.0f} {blue:.0f} / {opacity:.3f})"

    if layer.apart:
        for level, text in layer.ticks:
            yield {"background": colour(level), "text": text}
    else:
        shades = ", ".join(map(colour, np.linspace(0.0, 1.0, 9).tolist()))
        low, high = layer.ticks[0][1], layer.ticks[-1][1]
        yield {"background": f"linear-gradient(to right, {shades})", "text": f"{low} to {high}", "wide": "yes"}
