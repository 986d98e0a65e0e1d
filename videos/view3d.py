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
from ..envs.bodies.body import reference_model
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
    body: Body, qpos: Float[np.ndarray, "T nq"], size: tuple[int, int] = (640, 480)
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Draw a body's motion, rad and m as `qpos_of` returns it, with MuJoCo's renderer.

    Raises:
        MissingDependency: no OpenGL backend works here; names the packages that bring one.
    """
    backend = probe_renderer()
    if backend is None:
        raise MissingDependency(f"--view 3d needs OpenGL without a screen, and none works here; {INSTALL}")
    with tempfile.TemporaryDirectory() as folder:
        model, parts = body.compile(visual=True), body.parts
        mujoco.mj_saveModel(model, f"{folder}/model.mjb")
        # A chain that bends is shorter than its links together.
        distance = 3.2 * body.link_sizes[0].mean() * body.n_links**0.8
        elevation = -10 if parts.is_upright else -50
        np.savez(f"{folder}/motion.npz", qpos=qpos, camera=(distance, elevation), root=model.body(parts.root_body).id)
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


def qpos_of(body: Body, recording: Recording, episode: int = 0) -> Float[np.ndarray, "T nq"]:
    """Return MuJoCo's positions, rad and m, in which a body is posed as it was recorded.

    The joints are as they were; the root is turned until the head's frame has its recorded angle, and moved until the
    centre of mass is where it was.
    """
    model, parts = reference_model(body), body.parts
    data, plane = mujoco.MjData(model), list(parts.plane)
    joints = [int(model.joint(name).qposadr[0]) for name in parts.joints]
    turn, *slides = (int(model.joint(name).qposadr[0]) for name in (parts.turn, *parts.slides))
    head, root = model.site(parts.frames[0]).id, model.body(parts.root_body).id
    angles = np.asarray(recording.joint_pos[episode], float) * np.array(parts.joint_signs or (1,) * len(joints))
    headings, centres = (np.asarray(each[episode], float) for each in (recording.link_angle, recording.com_pos))
    poses = np.tile(model.qpos0, (len(angles), 1))
    poses[:, joints] = angles
    for pose, heading, centre in zip(poses, headings[:, 0], centres, strict=True):
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        # A site's -y axis points towards the head.
        first, second = -data.site_xmat[head].reshape(3, 3)[plane, 1]
        pose[turn] += parts.turn_sign * (heading - np.arctan2(second, first))
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        pose[slides] += np.array(parts.slide_signs) * (centre - data.subtree_com[root, plane])
    return poses


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
    motion = np.load(folder / "motion.npz")
    camera.azimuth, (camera.distance, camera.elevation) = 90, motion["camera"]
    for qpos in motion["qpos"]:
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        camera.lookat[:] = data.subtree_com[motion["root"]]
        renderer.update_scene(data, camera)
        sys.stdout.buffer.write(np.ascontiguousarray(renderer.render()).tobytes())


if __name__ == "__main__":
    _draw(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
