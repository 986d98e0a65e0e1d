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
from PIL import Image

from ..drawing.camera import shot
from ..drawing.palette import bend_tint, paler
from ..drawing.poses import Poses
from ..drawing.spine import axis_points, segments
from ..errors import MissingDependency

_CHILD = Path(__file__).with_name("scene3d.py")
# As MuJoCo names them (gl_context.py). Those of Windows and macOS come with the system.
_BACKENDS = {"win32": ("wgl",), "darwin": ("cgl", "glfw")}
_BACKENDS_ELSEWHERE = ("egl", "osmesa")
_PROBE = (
    "import mujoco; m = mujoco.MjModel.from_xml_string('<mujoco/>');"
    "r = mujoco.Renderer(m, 16, 16); r.update_scene(mujoco.MjData(m)); r.render()"
)
_THINNEST = 0.008  # radius of a body, in parts of the picture's width: a body of 60 links can be seen
_SEEN, _MOST_STANDING = 0.9, 2000  # half of what is drawn on, in distances of the camera; and how much at most
_LETTERS = 12.0  # pixels
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
    {painted}
  </asset>
  <worldbody>
    <light directional="true" pos="0 0 1" dir="-.3 .35 -1" diffuse=".45 .45 .43" specular=".15 .15 .15"/>
    <geom type="plane" size="0 0 1" pos="0 0 {below}" material="tiles"/>
    {ground}
  </worldbody>
</mujoco>
"""
# Where there is scenery, it is painted on tiles, as a picture that lies on the endless floor.
_PAINTED = """<texture name="ground" type="2d" builtin="flat" width="{size}" height="{size}"/>
    <material name="ground" texture="ground" specular="0" shininess="0"/>"""
_GROUND = '<geom type="plane" size="{half} {half} 1" pos="{x} {y} 0" material="ground"/>'
_TILES = np.array([(204, 219, 232), (224, 237, 247)], float)
_PIXELS, _ROOM = 512, 8.0  # of the picture, and its size beyond the body's path, in body lengths
_PAINTINGS = 64  # at most, of scenery that changes


@functools.cache
def probe_renderer() -> str | None:
    """Return the first of this system's OpenGL backends that draws; None if none does."""
    return next(filter(draws, _BACKENDS.get(sys.platform, _BACKENDS_ELSEWHERE)), None)


@functools.cache
def draws(backend: str) -> bool:
    """Return whether an OpenGL backend, a value of MUJOCO_GL, draws here; it is tried in a child process."""
    found = subprocess.run(
        [sys.executable, "-c", _PROBE],
        env={**os.environ, "MUJOCO_GL": backend},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return found.returncode == 0


def remedy() -> str:
    """Return what to do on this system where no backend draws."""
    if sys.platform in _BACKENDS:
        return "install the driver of its graphics card, or leave out --view 3d"
    return "on Debian: apt-get install libegl1 libgl1-mesa-dri, or libosmesa6"


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
        MissingDependency: no OpenGL backend works here; says what brings one.
    """
    backend = probe_renderer()
    if backend is None:
        raise MissingDependency(f"--view 3d needs OpenGL without a screen, and none works here; {remedy()}")
    chosen = np.arange(len(poses.link_pos)) if instants is None else np.asarray(instants)
    with tempfile.TemporaryDirectory() as folder:
        Path(f"{folder}/scene.xml").write_text(_scene(poses, size), encoding="utf-8")
        motion: dict[str, Any] = _motion(poses, chosen, size, camera, zoom) | _ground(poses, chosen)
        key = poses.scenery.key(_LETTERS, size[0])
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
                    raise MissingDependency(f"MuJoCo's renderer stopped (exit {child.wait()}); {remedy()}")
                picture = np.frombuffer(frame, np.uint8).reshape(size[1], size[0], 3)
                yield picture if key is None else _with_key(picture, key)
        finally:
            child.kill()
            child.wait()


def _scene(poses: Poses, size: tuple[int, int]) -> str:
    length = float(poses.link_length.sum())
    meshes = []
    for index, outline in enumerate(poses.obstacles.outlines if poses.obstacles else ()):
        corners = " ".join(f"{x:.6g} {y:.6g} {z}" for z in (0, 1) for x, y in outline)
        meshes.append(f'<mesh name="outline_{index}" vertex="{corners}"/>')
    painted = ground = ""
    if poses.scenery.layers:
        (x, y), extent = _whole(poses)
        painted, ground = _PAINTED.format(size=_PIXELS), _GROUND.format(half=extent / 2, x=x, y=y)
    return _SCENE.format(
        field=_FIELD, width=2 * size[0], height=2 * size[1], extent=length, tiles=1 / length,
        painted=painted + "".join(meshes), ground=ground, below=-1e-3 if ground else 0,
    )  # fmt: skip


def _whole(poses: Poses) -> tuple[np.ndarray, float]:
    """Return middle and size, m, of the square of ground that is painted."""
    low, high = poses.link_pos.min((0, 1)), poses.link_pos.max((0, 1))
    return (low + high) / 2, float((high - low).max() + _ROOM * poses.link_length.sum())


def _ground(poses: Poses, instants: np.ndarray) -> dict[str, np.ndarray]:
    """Return pictures of the ground, and which of them each frame has; none where there is no scenery."""
    scenery = poses.scenery
    sources = np.array([scenery.sources_at(int(instant)) for instant in instants])
    of = np.arange(len(instants)) * min(len(instants), _PAINTINGS) // len(instants)
    if not scenery.layers:
        return {"ground": np.zeros((0, 0, 0, 3), np.uint8), "ground_of": of, "sources": sources}
    middle, extent = _whole(poses)
    across = np.floor((np.arange(_PIXELS) + 0.5) / _PIXELS * extent / poses.link_length.sum()).astype(int)
    tiles = _TILES[(across[:, None] + across) % 2]
    painted: list[np.ndarray] = []
    for each in np.unique(of):
        tint = scenery.picture(middle, (extent, extent), (_PIXELS, _PIXELS), int(instants[np.argmax(of == each)]))
        picture = (tiles + tint[..., 3:] / 255 * (tint[..., :3] - tiles)).round().astype(np.uint8)
        if painted and np.array_equal(painted[-1], picture):
            of[of == each] = len(painted) - 1
        else:
            of[of == each] = len(painted)
            painted.append(picture)
    return {"ground": np.array(painted), "ground_of": of, "sources": sources}


def _with_key(picture: np.ndarray, key: Image.Image) -> np.ndarray:
    image = Image.fromarray(picture)
    image.paste(key, (image.width - key.width - 10, image.height - key.height - 10), key)
    return np.asarray(image)


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
        "target_radius": np.array(poses.scenery.target_radius),
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
