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

from ..envs import Body
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


def qpos_of(recording: Recording, body: Body, episode: int = 0) -> Float[np.ndarray, "T nq"]:
    """Return MuJoCo's positions of a recorded body, lengths in m, angles in rad.

    Its joints are as they were recorded. Its root is turned and moved so that the first link lies as recorded, wherever
    the body's model has that link when its root is at zero.
    """
    model, parts = body.compile(), body.parts
    data = mujoco.MjData(model)
    joints, slides, (turn,) = (
        [int(model.joint(name).qposadr[0]) for name in names] for names in (parts.joints, parts.slides, (parts.turn,))
    )
    link, site = model.body(parts.links[0]).id, model.site(parts.frames[0]).id
    signs, plane = np.array(parts.joint_signs or (1,) * len(joints)), list(parts.plane)
    found = np.tile(model.qpos0, (recording.n_steps, 1))
    for row, joint_pos, angle, place in zip(
        found, recording.joint_pos[episode], recording.link_angle[episode, :, 0], recording.link_pos[episode, :, 0],
        strict=True,
    ):  # fmt: skip
        row[joints], row[slides], row[turn] = joint_pos * signs, 0.0, 0.0
        data.qpos[:] = row
        mujoco.mj_kinematics(model, data)
        # A site's -y axis points ahead.
        ahead = -data.site_xmat[site].reshape(3, 3)[plane, 1]
        data.qpos[turn] = row[turn] = parts.turn_sign * (angle - np.arctan2(ahead[1], ahead[0]))
        mujoco.mj_kinematics(model, data)
        row[slides] = (place - data.xipos[link, plane]) * np.array(parts.slide_signs)
    return found


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
