"""Draw a motion with MuJoCo's renderer, to standard output: what `view3d` starts in a process of its own.

It is run as a file and imports nothing of this package.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mujoco
import numpy as np

_EYE = (36 / 255, 41 / 255, 47 / 255, 1.0)
_SHADOW = (0.62, 0.68, 0.73, 1.0)
_SOURCE = (0.1, 0.42, 0.2, 1.0)
_TARGET = (1.0, 0.72, 0.42, 1.0)


def draw(folder: Path, width: int, height: int) -> None:
    """Draw the scene and the motion that lie in `folder`, and write each frame, RGB from 0 to 255."""
    model = mujoco.MjModel.from_xml_path(str(folder / "scene.xml"))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with np.load(folder / "motion.npz") as stored:
        motion = dict(stored)
    radius = motion["radius"]
    # Twice as large, then reduced: in software that is four times as fast as OpenGL's own anti-aliasing.
    renderer = mujoco.Renderer(model, 2 * height, 2 * width)
    # In software they cost ten times the drawing.
    for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_SKYBOX):
        renderer.scene.flags[flag] = 0
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    camera.azimuth, camera.elevation, camera.distance = motion["camera"]
    # The body swims above the floor. Its shadow is a second body, of which the floor hides all but a strip.
    above = 1.6 * float(radius.max())
    aside = above * np.array([-0.3, 0.35])
    painted = -1
    for frame, pieces in enumerate(motion["ends"]):
        if len(motion["ground"]) and painted != (painted := int(motion["ground_of"][frame])):
            _paint(model, renderer, motion["ground"][painted])
        camera.lookat[:] = (*motion["centre"][frame], above)
        renderer.update_scene(data, camera)
        for index, x, y, angle in motion["standing"][frame]:
            if index >= 0:
                _stand(renderer.scene, model, int(index), (x, y), angle, 2 * above, motion["standing_colour"])
        for (head, tail), thick in zip(pieces + aside, radius, strict=True):
            geom = _add(renderer.scene, mujoco.mjtGeom.mjGEOM_CAPSULE, _SHADOW)
            sunk = -0.9 * thick
            mujoco.mjv_connector(geom, geom.type, 1.2 * thick, np.array([*head, sunk]), np.array([*tail, sunk]))
        for (head, tail), thick, colour in zip(pieces, radius, motion["colour"][frame], strict=True):
            geom = _add(renderer.scene, mujoco.mjtGeom.mjGEOM_CAPSULE, (*colour, 1.0))
            mujoco.mjv_connector(geom, geom.type, thick, np.array([*head, above]), np.array([*tail, above]))
        for eye in motion["eyes"][frame]:
            geom = _add(renderer.scene, mujoco.mjtGeom.mjGEOM_SPHERE, _EYE, 0.35 * radius[0])
            geom.pos[:] = (*eye, above + 0.7 * radius[0])
        if motion["target"].size:
            geom = _add(renderer.scene, mujoco.mjtGeom.mjGEOM_SPHERE, _TARGET, float(motion["target_radius"]))
            geom.pos[:] = (*motion["target"][frame], 0.0)
        for source in motion["sources"][frame]:
            geom = _add(renderer.scene, mujoco.mjtGeom.mjGEOM_SPHERE, _SOURCE, radius[0])
            geom.pos[:] = (*source, above)
        fine = renderer.render().reshape(height, 2, width, 2, 3)
        sys.stdout.buffer.write(fine.mean((1, 3)).astype(np.uint8).tobytes())


def _paint(model: mujoco.MjModel, renderer: mujoco.Renderer, picture: np.ndarray) -> None:
    """Put a picture on the ground, whose first row is that of largest y."""
    texture = model.texture("ground")
    first = int(texture.adr[0])
    model.tex_data[first : first + picture.size] = picture.ravel()
    mujoco.mjr_uploadTexture(model, renderer._mjr_context, texture.id)


def _add(scene: mujoco.MjvScene, kind: int, colour: tuple[float, ...], size: float = 0.0) -> mujoco.MjvGeom:
    geom = scene.geoms[scene.ngeom]
    mujoco.mjv_initGeom(geom, kind, np.full(3, size), np.zeros(3), np.eye(3).ravel(), np.array(colour, np.float32))
    scene.ngeom += 1
    return geom


def _stand(
    scene: mujoco.MjvScene, model: mujoco.MjModel, index: int, place: tuple[float, float], angle: float, high: float,
    colours: np.ndarray,
) -> None:  # fmt: skip
    """Add a prism on an outline; its mesh is 1 m high, and MuJoCo keeps it in a frame of its own."""
    mesh = model.mesh(f"outline_{index}").id
    geom = _add(scene, mujoco.mjtGeom.mjGEOM_MESH, (*colours[index], 1.0))
    geom.dataid, own = 2 * mesh, np.empty(9)
    mujoco.mju_quat2Mat(own, model.mesh_quat[mesh])
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    geom.mat[:] = turn @ own.reshape(3, 3)
    # As deep under the floor as makes its top as high as asked.
    geom.pos[:] = turn @ model.mesh_pos[mesh] + (*place, high - 1)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
