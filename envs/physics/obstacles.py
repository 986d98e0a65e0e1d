"""What stands in a compiled world beside the body, an arena's posts as a user's own, as drawings need it."""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float

from ...drawing import obstacles as drawing
from ..arenas.contacts import POST
from ..arenas.posts import Stands
from ..bodies.body import Body

_TYPES = mujoco.mjtGeom
_CORNERS = 40  # of what is round
_FAR = 100.0  # m; a wall without an end is drawn as long
_RING = np.stack([np.cos(angles := np.arange(_CORNERS) * 2 * np.pi / _CORNERS), np.sin(angles)], -1)


class Obstacles:
    """The geoms of a world that are not the body's, are visible, and stand at the body's height.

    Args:
        body: the body.
        model: the compiled world.
        stands: what stands in the arena; of its lattice, the posts of one cell are taken, whose copies are the rest.

    Attributes:
        outlines: corners of each, m, in the plane and turned as it is at the start.
        colours: of each, as #rrggbb.
        tile: how far copies of the last `n_tiled` are apart, m.
        which: the number of each among what stands in the arena (see `Stands`), -1 of those that a user's body has.
    """

    def __init__(self, body: Body, model: mujoco.MjModel, stands: Stands | None = None) -> None:
        self._plane = list(body.parts.plane)
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        normal = np.cross(*np.eye(3)[self._plane])
        own = model.body_rootid[model.geom_bodyid] == model.body(body.parts.root_body).id
        low, high = np.array([_span(model, data, geom, normal) for geom in np.flatnonzero(own).tolist()]).T
        self.n_tiled = 0 if stands is None else stands.n_cell
        self.tile: tuple[float, float] = (
            (0.0, 0.0) if stands is None else (float(stands.cell[0]), float(stands.cell[1]))
        )
        kept = 0 if stands is None else stands.n_own + stands.n_cell
        copies = set() if stands is None else {POST.format(index) for index in range(kept, len(stands.places))}
        found = [
            (geom, outline)
            for geom in np.flatnonzero(~own).tolist()
            if _is_visible(model, geom)
            and model.geom(geom).name not in copies
            and _crosses(_span(model, data, geom, normal), low.min(), high.max())
            and (outline := _outline(model, data, geom, self._plane)) is not None
        ]
        self._geoms = np.array([geom for geom, _ in found], int)
        numbers = {} if stands is None else {POST.format(index): index for index in range(kept)}
        self.which = tuple(numbers.get(model.geom(geom).name, -1) for geom, _ in found)
        self.outlines = tuple(outline for _, outline in found)
        self.colours = tuple(_colour(model, geom) for geom, _ in found)
        self._first = data.geom_xmat.reshape(-1, 3, 3)[self._geoms]
        self._fixed = self.poses(data.geom_xpos[None], data.geom_xmat[None])

    def __len__(self) -> int:
        return len(self.outlines)

    def drawn(self, pose: Float[np.ndarray, "T K 3"], touch: Float[np.ndarray, "T links"]) -> drawing.Obstacles | None:
        """Return what drawings need, at instants with poses, m and rad, and touches, N; None where nothing stands."""
        if not len(self):
            return None
        return drawing.Obstacles(self.outlines, self.colours, pose, self.tile, self.n_tiled, touch)

    def poses(
        self, places: Float[np.ndarray, "envs geoms 3"], axes: Float[np.ndarray, "envs geoms ..."]
    ) -> Float[np.ndarray, "envs K 3"]:
        """Return where each is in the plane, m, and how far it has turned, rad, from all geoms' places and matrices."""
        one, two = self._plane
        turned = axes.reshape(len(axes), -1, 3, 3)[:, self._geoms] @ self._first.transpose(0, 2, 1)
        angle = np.arctan2(turned[..., two, one], turned[..., one, one])
        return np.concatenate([places[:, self._geoms][..., self._plane], angle[..., None]], -1)

    def at_rest(self, n_envs: int) -> Float[np.ndarray, "envs K 3"]:
        """Return the poses of what does not move: place, m, and angle, rad."""
        return np.repeat(self._fixed, n_envs, 0)


def _is_visible(model: mujoco.MjModel, geom: int) -> bool:
    return bool(_rgba(model, geom)[3] > 0)


def _rgba(model: mujoco.MjModel, geom: int) -> np.ndarray:
    material = model.geom_matid[geom]
    is_own = material < 0 or not np.array_equal(model.geom_rgba[geom], np.array([0.5, 0.5, 0.5, 1.0], np.float32))
    return model.geom_rgba[geom] if is_own else model.mat_rgba[material]


def _colour(model: mujoco.MjModel, geom: int) -> str:
    red, green, blue = (round(255 * float(value)) for value in np.clip(_rgba(model, geom)[:3], 0, 1))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _span(model: mujoco.MjModel, data: mujoco.MjData, geom: int, normal: np.ndarray) -> tuple[float, float]:
    """Return from where to where a geom reaches along the plane's normal, m."""
    axes = data.geom_xmat[geom].reshape(3, 3)
    if model.geom_type[geom] == _TYPES.mjGEOM_PLANE:
        # One that lies in the plane of motion is a floor, whatever its height.
        return (-np.inf, np.inf) if abs(axes[:, 2] @ normal) < 0.5 else (np.inf, np.inf)
    box = model.geom_aabb[geom].reshape(6)
    middle = normal @ (data.geom_xpos[geom] + axes @ box[:3])
    half = np.abs(normal @ axes) @ box[3:]
    return float(middle - half), float(middle + half)


def _crosses(span: tuple[float, float], low: float, high: float) -> bool:
    return span[0] <= high and span[1] >= low


def _outline(
    model: mujoco.MjModel, data: mujoco.MjData, geom: int, plane: list[int]
) -> Float[np.ndarray, "corners 2"] | None:
    """Return the convex outline of a geom seen along the plane's normal, around its place; None where it has none."""
    kind, size = int(model.geom_type[geom]), model.geom_size[geom]
    axes = data.geom_xmat[geom].reshape(3, 3)[plane]
    if kind == _TYPES.mjGEOM_SPHERE:
        return size[0] * _RING
    if kind == _TYPES.mjGEOM_CAPSULE:
        points = (axes[:, 2] * [[size[1]], [-size[1]]])[:, None] + size[0] * _RING
    elif kind == _TYPES.mjGEOM_ELLIPSOID:
        # Its silhouette is that of the unit ball, mapped.
        root = axes * size
        points = _RING @ np.linalg.cholesky(root @ root.T).T
    elif kind == _TYPES.mjGEOM_CYLINDER:
        up = np.array([0, 0, size[1]])
        disc = np.concatenate([size[0] * _RING, np.zeros((_CORNERS, 1))], 1)
        points = np.stack([disc + up, disc - up]) @ axes.T
    elif kind == _TYPES.mjGEOM_MESH:
        first, count = model.mesh_vertadr[model.geom_dataid[geom]], model.mesh_vertnum[model.geom_dataid[geom]]
        points = model.mesh_vert[first : first + count] @ axes.T
    elif kind == _TYPES.mjGEOM_PLANE:
        out = axes[:, 2]
        along = np.array([-out[1], out[0]]) * (size[0] or _FAR)
        points = np.stack([along, -along, -along - out, along - out])
    else:
        box = model.geom_aabb[geom].reshape(6)
        signs = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T
        points = (box[:3] + signs * box[3:]) @ axes.T
    points = np.asarray(points, float).reshape(-1, 2)
    from scipy.spatial import ConvexHull, QhullError

    try:
        return points[ConvexHull(points).vertices]
    except QhullError:  # it is seen from its thin side
        return None
