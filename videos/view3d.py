"""A lit view in three dimensions by MuJoCo's own renderer, in a child process, where the system has OpenGL.

`MUJOCO_GL` must be right before `mujoco` is imported, so the calling process never touches it: a child
draws and writes raw frames to its standard output.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ..drawing.camera import shot
from ..drawing.palette import bend_tint, paler
from ..drawing.poses import Poses
from ..drawing.spine import axis_points, segments
from ..errors import MissingDependency

_CHILD = Path(__file__).with_name("scene3d.py")
_BACKENDS = ("egl", "osmesa")
_PROBE = (
    "import mujoco; m = mujoco.MjModel.from_xml_string('<mujoco/>');"
    "r = mujoco.Renderer(m, 16, 16); r.update_scene(mujoco.MjData(m)); r.render()"
)
INSTALL = "on Debian: apt-get install libegl1 libgl1-mesa-dri, or libosmesa6"
_THINNEST = 0.008  # radius of a body, in parts of the picture's width: a body of 60 links can be seen
_SEEN, _MOST_STANDING = 0.9, 2000  # half of what is drawn on, in distances of the camera; and how much at most
_ELEVATION, _FIELD = 55.0, 45.0  # degrees: how far the camera looks down, and how far up and down it sees
# Tiles are as long as half the body; light comes from above the left shoulder and from the camera.
_SCENE = """
<mujoco>
  <visual>
    <headlight ambient=".3 .3 .3" diffuse=".25 .25 .25" specular="0 0 0"/>
    <quality offsamples="0"/>
    <global fovy="{field}" offwidth="{width}" offheight="{height}"/>
    <map znear=".01" zfar="100"/>
  </visual>
  <statistic extent="{extent}"/>
  <asset>
    <texture name="tiles" type="2d" builtin="checker" rgb1=".80 .86 .91" rgb2=".88 .93 .97" width="256" height="256"/>
    <material name="tiles" texture="tiles" texrepeat="{tiles} {tiles}" texuniform="true" specular="0" shininess="0"/>
    {meshes}
  </asset>
  <worldbody>
    <light directional="true" pos="0 0 1" dir="-.3 .35 -1" diffuse=".45 .45 .43" specular=".15 .15 .15"/>
    <geom type="plane" size="0 0 1" material="tiles"/>
  </worldbody>
</mujoco>
"""


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
    poses: Poses,
    size: tuple[int, int] = (640, 480),
    instants: Sequence[int] | None = None,
    camera: str = "follow",
    zoom: float = 1.0,
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Draw a motion with MuJoCo's renderer, RGB from 0 to 255.

    Args:
        poses: what to draw.
        size: width and height, pixels.
        instants: of the motion, each a frame; all by default.
        camera: "follow" goes with the centre of mass, "fixed" sees the whole path.
        zoom: how many times closer.

    Raises:
        MissingDependency: no OpenGL backend works here; names the packages that bring one.
    """
    backend = probe_renderer()
    if backend is None:
        raise MissingDependency(f"--view 3d needs OpenGL without a screen, and none works here; {INSTALL}")
    chosen = np.arange(len(poses.link_pos)) if instants is None else np.asarray(instants)
    with tempfile.TemporaryDirectory() as folder:
        Path(f"{folder}/scene.xml").write_text(_scene(poses, size), encoding="utf-8")
        motion: dict[str, Any] = _motion(poses, chosen, size, camera, zoom)
        np.savez(f"{folder}/motion.npz", **motion)
        child = subprocess.Popen(
            # A file by itself, which imports nothing of this package: it starts in a second.
            [sys.executable, "-P", str(_CHILD), folder, str(size[0]), str(size[1])],
            env={**os.environ, "MUJOCO_GL": backend},
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        try:
            for _ in chosen:
                frame = child.stdout.read(size[0] * size[1] * 3)
                if len(frame) < size[0] * size[1] * 3:
                    raise MissingDependency(f"MuJoCo's renderer stopped (exit {child.wait()}); {INSTALL}")
                yield np.frombuffer(frame, np.uint8).reshape(size[1], size[0], 3)
        finally:
            child.kill()
            child.wait()


def _scene(poses: Poses, size: tuple[int, int]) -> str:
    length = float(poses.link_length.sum())
    meshes = []
    for index, outline in enumerate(poses.obstacles.outlines if poses.obstacles else ()):
        corners = " ".join(f"{x:.6g} {y:.6g} {z}" for z in (0, 1) for x, y in outline)
        meshes.append(f'<mesh name="outline_{index}" vertex="{corners}"/>')
    return _SCENE.format(
        field=_FIELD, width=2 * size[0], height=2 * size[1], extent=length, tiles=1 / length, meshes="".join(meshes)
    )


def _motion(
    poses: Poses, instants: np.ndarray, size: tuple[int, int], camera: str, zoom: float
) -> dict[str, np.ndarray]:
    """Return what the child draws: pieces of the body with radius and colour, eyes, target, and the camera's place."""
    centres, (across, high) = shot(poses, camera, zoom)
    seen = 2 * np.tan(np.radians(_FIELD) / 2)  # the height of the picture, in distances from the camera
    distance = max(across / (seen * size[0] / size[1]), high * np.sin(np.radians(_ELEVATION)) / seen)
    ends, radius, bend = segments(poses)
    thinnest = _THINNEST * distance * seen * size[0] / size[1]
    radius = np.maximum(radius, thinnest)
    sideways = np.stack([-np.sin(poses.link_angle[:, 0]), np.cos(poses.link_angle[:, 0])], -1)
    front, wide = axis_points(poses, 0.35)[:, 0], 0.6 * radius[0]
    target = np.zeros((len(ends), 0)) if poses.target_pos is None else poses.target_pos
    return {
        "ends": ends[instants],
        "radius": radius,
        "colour": bend_tint(bend[instants]) / 255,
        "eyes": np.stack([front + wide * sideways, front - wide * sideways], 1)[instants],
        "target": target[instants],
        "centre": centres[instants],
        "camera": np.array([90.0, -_ELEVATION, distance]),
        **_standing(poses, instants, centres, _SEEN * distance),
    }


def _standing(poses: Poses, instants: np.ndarray, centres: np.ndarray, reach: float) -> dict[str, np.ndarray]:
    """Return number, place and angle of what stands in sight in each frame, with rows of -1 for none, and colours."""
    if poses.obstacles is None:
        return {"standing": np.zeros((len(instants), 0, 4)), "standing_colour": np.zeros((0, 3))}
    rows = [poses.obstacles.seen(at, centres[at] - reach, centres[at] + reach)[:_MOST_STANDING] for at in instants]
    standing = np.full((len(rows), max(map(len, rows)), 4), -1.0)
    for frame, row in zip(standing, rows, strict=True):
        frame[: len(row)] = row
    colours = [[value / 255 for value in paler(colour, 0.45)] for colour in poses.obstacles.colours]
    return {"standing": standing, "standing_colour": np.array(colours)}
