"""MuJoCo's own renderer, in a child process, where the system has one.

`MUJOCO_GL` must be right before `mujoco` is imported, so the calling process never touches it: a child
draws and writes raw frames to its standard output.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float, UInt8

from ..errors import MissingDependency
from ..training.rollouts.recording import Recording

_BACKENDS = ("egl", "osmesa")
_PROBE = (
    "import mujoco; m = mujoco.MjModel.from_xml_string('<mujoco/>');"
    "r = mujoco.Renderer(m, 16, 16); r.update_scene(mujoco.MjData(m)); r.render()"
)
INSTALL = "on Debian: apt-get install libegl1 libgl1-mesa-dri, or libosmesa6"


@functools.cache
def probe_renderer() -> str | None:
    """Return the OpenGL backend that draws here, found in a child process; None if none does."""
    for backend in _BACKENDS:
        found = subprocess.run(
            [sys.executable, "-c", _PROBE],
            env={**os.environ, "MUJOCO_GL": backend},
            capture_output=True,
            timeout=120,
            check=False,
        )
        if found.returncode == 0:
            return backend
    return None


def frames_3d(
    model: mujoco.MjModel, qpos: Float[np.ndarray, "T nq"], size: tuple[int, int] = (640, 480)
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Draw a motion with MuJoCo's renderer.

    Raises:
        MissingDependency: no OpenGL backend works here; names the packages that bring one.
    """
    backend = probe_renderer()
    if backend is None:
        raise MissingDependency(f"--view 3d needs OpenGL without a screen, and none works here; {INSTALL}")
    with tempfile.TemporaryDirectory() as folder:
        mujoco.mj_saveModel(model, f"{folder}/model.mjb")
        np.save(f"{folder}/qpos.npy", qpos)
        child = subprocess.Popen(
            [sys.executable, "-m", __name__, folder, str(size[0]), str(size[1])],
            env={**os.environ, "MUJOCO_GL": backend},
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        try:
            for _ in range(len(qpos)):
                frame = child.stdout.read(size[0] * size[1] * 3)
                if len(frame) < size[0] * size[1] * 3:
                    raise MissingDependency(f"MuJoCo's renderer stopped (exit {child.wait()}); {INSTALL}")
                yield np.frombuffer(frame, np.uint8).reshape(size[1], size[0], 3)
        finally:
            child.kill()
            child.wait()


def qpos_of(recording: Recording, episode: int = 0) -> Float[np.ndarray, "T nq"]:
    """Return MuJoCo's positions of a recorded swimmer from its head's pose and its joints.

    The root's slides move the head's front joint, half a link ahead of the head's centre, and start at
    zero with that joint half a link along -y; the head faces its -y axis.
    """
    heading = np.asarray(recording.link_angle[episode, :, 0], float) + np.pi / 2
    half = recording.meta["link_length"][0] / 2
    forward = np.stack([np.sin(heading), -np.cos(heading)], 1)
    front = np.asarray(recording.link_pos[episode, :, 0], float) + half * forward
    slides = front - np.array([0.0, -half])
    return np.concatenate([slides, heading[:, None], recording.joint_pos[episode]], axis=1)


def _draw(folder: Path, width: int, height: int) -> None:
    """Draw what the parent left in `folder`; runs in the child."""
    model = mujoco.MjModel.from_binary_path(str(folder / "model.mjb"))
    model.vis.global_.offwidth, model.vis.global_.offheight = width, height
    # Software OpenGL: multisampling, shadows, reflections and the sky cost ten times the drawing.
    model.vis.quality.offsamples = 0
    data = mujoco.MjData(model)
    renderer = mujoco.Renderer(model, height, width)
    for flag in (
        mujoco.mjtRndFlag.mjRND_SHADOW,
        mujoco.mjtRndFlag.mjRND_REFLECTION,
        mujoco.mjtRndFlag.mjRND_SKYBOX,
    ):
        renderer.scene.flags[flag] = 0
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    camera.elevation, camera.azimuth = -50, 90
    camera.distance = max(1.4 * model.stat.extent, 0.5) if model.ngeom == 0 else 0.32 * (model.nbody - 1) ** 0.8
    for qpos in np.load(folder / "qpos.npy"):
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        camera.lookat[:] = data.subtree_com[1]
        renderer.update_scene(data, camera)
        sys.stdout.buffer.write(np.ascontiguousarray(renderer.render()).tobytes())


if __name__ == "__main__":
    _draw(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
