"""Convert factors on a body's parameters into the fields of MuJoCo models, many draws at once."""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np
from jaxtyping import Float

from ...errors import InvalidBody, UnknownName
from ..arenas.media import drag_of, drag_ratio
from ..bodies.body import Body
from .physics import PARAMETERS

_TYPES = mujoco.mjtGeom
# The sizes of a geom that a longer link stretches: a capsule's and a cylinder's length; the longest side of others.
_LONG = {int(_TYPES.mjGEOM_CAPSULE): 1, int(_TYPES.mjGEOM_CYLINDER): 1}
_LONGEST = (int(_TYPES.mjGEOM_BOX), int(_TYPES.mjGEOM_ELLIPSOID))
_KNOWN = (*_LONG, *_LONGEST, int(_TYPES.mjGEOM_SPHERE))

Draws = Mapping[str, Float[np.ndarray, " draws"]]
Fields = dict[str, np.ndarray]


class Parameters:
    """Parameters of a body that can be set for each environment, and the MuJoCo model that results.

    The result equals compiling the body with these values, to rounding: masses, inertias and positions are computed
    here, and `mj_setConst` derives the rest.

    Args:
        body: the body.
        model: the compiled body.
    """

    def __init__(self, body: Body, model: mujoco.MjModel) -> None:
        self.body, self.model = body, model
        root = model.body(body.parts.root_body).id
        self._links = np.flatnonzero(model.body_rootid == root)
        self._geoms = np.flatnonzero(np.isin(model.geom_bodyid, self._links))
        self._motors = [model.actuator(name).id for name in body.parts.motors]
        self._drag = drag_of(body, model)
        self._stretch: _Stretch | None = None

    def fields(self, draws: Draws) -> tuple[Fields, bool]:
        """Return values for fields of MjModel, a row for each draw, and whether constants must be derived again.

        Raises:
            UnknownName: there is no such parameter.
            InvalidBody: the links cannot be stretched.
        """
        for name in draws:
            if name not in PARAMETERS:
                raise UnknownName("parameter", name, PARAMETERS)
        n_draws = len(next(iter(draws.values())))
        mass = draws.get("link_mass", np.ones(n_draws))
        found: Fields = {}
        if "link_length" in draws:
            if self._stretch is None:
                self._stretch = _Stretch(self.body, self.model, self._links, self._geoms)
            found |= self._stretch.fields(draws["link_length"], mass)
        elif "link_mass" in draws:
            factor = np.ones((n_draws, self.model.nbody))
            factor[:, self._links] = mass[:, None]
            found["body_mass"] = self.model.body_mass * factor
            found["body_inertia"] = self.model.body_inertia * factor[..., None]
        if "gear" in draws:
            factor = np.ones((n_draws, self.model.nu, 1))
            factor[:, self._motors] = draws["gear"][:, None, None]
            found["actuator_gear"] = self.model.actuator_gear * factor
        if draws.keys() & {"link_length", "drag", "drag_ratio"} and (self._drag or "drag" in draws):
            found["actuator_biasprm"] = self._drags(draws, n_draws)
        if "density" in draws:
            found["opt.density"] = self.model.opt.density * draws["density"]
        if "viscosity" in draws:
            found["opt.viscosity"] = np.array(draws["viscosity"], float)
        return found, bool({"link_mass", "link_length", "gear"} & draws.keys())

    def _drags(self, draws: Draws, n_draws: int) -> np.ndarray:
        """Return the coefficients of drag, which grow with the links' length, and in rotation with its cube."""
        ratio = drag_ratio(self.body, self.model)
        found = np.repeat(self.model.actuator_biasprm[None], n_draws, 0)
        along, across, turn = np.array(self._drag).T
        length, thickness = draws.get("link_length", np.ones(n_draws)), draws.get("drag", np.ones(n_draws))
        found[:, across, 2] *= (length * thickness)[:, None]
        found[:, turn, 2] *= (length**3 * thickness)[:, None]
        found[:, along, 2] = found[:, across, 2] / draws.get("drag_ratio", np.full(n_draws, ratio))[:, None]
        return found


class _Stretch:
    """Lengthen links: positions and long sides grow, at the mass that a geom states or at its density.

    Raises:
        InvalidBody: inertias do not follow from the geoms, so the mass of a longer link is unknown.
    """

    def __init__(self, body: Body, model: mujoco.MjModel, links: np.ndarray, geoms: np.ndarray) -> None:
        self.model, self.links, self.geoms = model, links, geoms
        odd = [int(geom) for geom in geoms if model.geom_type[geom] not in _KNOWN and model.geom_contype[geom]]
        masses, has_density = _stated_masses(body, model, geoms)
        self.masses, self.has_density = masses, has_density
        heavy = [int(g) for g, mass in zip(geoms, masses, strict=True) if mass > 0 and model.geom_type[g] not in _KNOWN]
        if heavy or odd:
            raise InvalidBody(f"{body.name}: a link is a mesh, whose length cannot be set; set link_mass instead")
        total, centre, inertia = self._inertias(np.ones(1), np.ones(1))
        same = np.allclose(total[0], model.body_mass[links], rtol=1e-6) and np.allclose(
            centre[0], model.body_ipos[links], rtol=1e-6, atol=1e-9
        )
        own = np.einsum("lij,lj,lkj->lik", _matrices(model.body_iquat[links]), model.body_inertia[links],
                        _matrices(model.body_iquat[links]))  # fmt: skip
        if not same or not np.allclose(inertia[0], own, rtol=1e-5, atol=1e-9 * own.max()):
            raise InvalidBody(
                f"{body.name}: its links' inertias are not those of their geoms (an <inertial>, or a setting of the "
                "compiler), so their length cannot be set; set link_mass instead"
            )

    def fields(self, length: Float[np.ndarray, " draws"], mass: Float[np.ndarray, " draws"]) -> Fields:
        """Return the fields of links `length` times as long and of `mass` times the mass."""
        model, links = self.model, self.links
        n_draws = len(length)
        found: Fields = {}
        inner = np.array([link for link in links if model.body_parentid[link] in links])
        found["body_pos"] = _scaled(model.body_pos, inner, length)
        found["jnt_pos"] = _scaled(model.jnt_pos, np.flatnonzero(np.isin(model.jnt_bodyid, links)), length)
        found["site_pos"] = _scaled(model.site_pos, np.flatnonzero(np.isin(model.site_bodyid, links)), length)
        found["geom_pos"] = _scaled(model.geom_pos, self.geoms, length)
        sizes = np.repeat(model.geom_size[None], n_draws, 0)
        sizes[:, self.geoms] = self._sizes(length)
        found["geom_size"] = sizes
        found["geom_rbound"] = np.repeat(model.geom_rbound[None], n_draws, 0)
        found["geom_aabb"] = np.repeat(model.geom_aabb.reshape(1, model.ngeom, 6), n_draws, 0)
        for geom in self.geoms:
            reach, half = _bounds(model.geom_type[geom], sizes[:, geom])
            found["geom_rbound"][:, geom], found["geom_aabb"][:, geom, 3:] = reach, half
        found["geom_aabb"] = found["geom_aabb"].reshape(n_draws, *model.geom_aabb.shape)
        total, centre, inertia = self._inertias(length, mass)
        frames = _matrices(model.body_iquat[links])
        # In the frame of the link's principal axes, which do not change when stretched along one of them.
        turned = np.einsum("lji,nljk,lkm->nlim", frames, inertia, frames)
        diagonal = np.einsum("nlii->nli", turned)
        askew = np.abs(turned - np.einsum("nli,ij->nlij", diagonal, np.eye(3))).max((2, 3)) > 1e-9 * diagonal.max(2)
        quats = np.repeat(model.body_iquat[None], n_draws, 0)
        for draw, link in np.argwhere(askew):
            values, axes = np.linalg.eigh(turned[draw, link])
            axes[:, 0] *= np.sign(np.linalg.det(axes))
            diagonal[draw, link] = values
            mujoco.mju_mat2Quat(quats[draw, links[link]], (frames[link] @ axes).ravel())
        found["body_iquat"] = quats
        for field, values in (("body_mass", total), ("body_ipos", centre), ("body_inertia", diagonal)):
            found[field] = np.repeat(getattr(model, field)[None], n_draws, 0)
            found[field][:, links] = values
        return found

    def _sizes(self, length: Float[np.ndarray, " draws"]) -> Float[np.ndarray, "draws geoms 3"]:
        sizes = np.repeat(self.model.geom_size[None, self.geoms], len(length), 0)
        for index, geom in enumerate(self.geoms):
            kind = int(self.model.geom_type[geom])
            side = _LONG.get(kind, int(np.argmax(self.model.geom_size[geom])) if kind in _LONGEST else None)
            if side is not None:
                sizes[:, index, side] *= length
        return sizes

    def _inertias(
        self, length: Float[np.ndarray, " draws"], mass: Float[np.ndarray, " draws"]
    ) -> tuple[
        Float[np.ndarray, "draws links"], Float[np.ndarray, "draws links 3"], Float[np.ndarray, "draws links 3 3"]
    ]:
        """Return mass, centre and inertia about the centre of each link, in the link's own frame."""
        model, n_draws = self.model, len(length)
        sizes, places = self._sizes(length), model.geom_pos[self.geoms] * length[:, None, None]
        total = np.zeros((n_draws, len(self.links)))
        moment = np.zeros((n_draws, len(self.links), 3))
        about_origin = np.zeros((n_draws, len(self.links), 3, 3))
        frames = _matrices(model.geom_quat[self.geoms])
        for index, geom in enumerate(self.geoms):
            if self.masses[index] == 0:
                continue
            kind, link = int(model.geom_type[geom]), int(np.searchsorted(self.links, model.geom_bodyid[geom]))
            unit, volume = _unit_inertia(kind, sizes[:, index])
            weight = mass * self.masses[index]
            if self.has_density[index]:
                weight = weight * volume / _unit_inertia(kind, model.geom_size[None, geom])[1]
            place = places[:, index]
            total[:, link] += weight
            moment[:, link] += weight[:, None] * place
            own = np.einsum("ij,nj,kj->nik", frames[index], unit, frames[index])
            about_origin[:, link] += weight[:, None, None] * (own + _steiner(place))
        centre = moment / total[..., None]
        return total, centre, about_origin - total[..., None, None] * _steiner(centre)


def _stated_masses(
    body: Body, model: mujoco.MjModel, geoms: np.ndarray
) -> tuple[Float[np.ndarray, " geoms"], list[bool]]:
    """Return each geom's mass, kg, and whether it is computed from a density."""
    spec = mujoco.MjSpec()
    body.add_to(spec)
    states = {geom.id: not np.isnan(geom.mass) for geom in spec.geoms} if spec.compile() else {}
    masses, has_density = [], []
    by_id = {geom.id: geom for geom in spec.geoms}
    for geom in geoms:
        if int(model.geom_type[geom]) not in _KNOWN:
            masses.append(1.0 if by_id[int(geom)].mass != 0 else 0.0)
            has_density.append(False)
            continue
        volume = _unit_inertia(int(model.geom_type[geom]), model.geom_size[None, geom])[1][0]
        stated = states[int(geom)]
        masses.append(float(by_id[int(geom)].mass if stated else by_id[int(geom)].density * volume))
        has_density.append(not stated)
    return np.array(masses), has_density


def _scaled(
    values: Float[np.ndarray, "rows 3"], rows: np.ndarray, factor: Float[np.ndarray, " draws"]
) -> Float[np.ndarray, "draws rows 3"]:
    found = np.repeat(values[None], len(factor), 0)
    if len(rows):
        found[:, rows] *= factor[:, None, None]
    return found


def _unit_inertia(
    kind: int, size: Float[np.ndarray, "draws 3"]
) -> tuple[Float[np.ndarray, "draws 3"], Float[np.ndarray, " draws"]]:
    """Return the moments of a geom of mass 1 about its own axes, m^2, and its volume, m^3."""
    a, b, c = size.T
    if kind == int(_TYPES.mjGEOM_SPHERE):
        return np.repeat(0.4 * a[:, None] ** 2, 3, 1), 4 / 3 * np.pi * a**3
    if kind == int(_TYPES.mjGEOM_BOX):
        return np.stack([b * b + c * c, a * a + c * c, a * a + b * b], 1) / 3, 8 * a * b * c
    if kind == int(_TYPES.mjGEOM_ELLIPSOID):
        return np.stack([b * b + c * c, a * a + c * c, a * a + b * b], 1) / 5, 4 / 3 * np.pi * a * b * c
    height = 2 * b
    if kind == int(_TYPES.mjGEOM_CYLINDER):
        across = (3 * a * a + height * height) / 12
        return np.stack([across, across, a * a / 2], 1), np.pi * a * a * height
    # A capsule: a cylinder and two half spheres, which share its mass by volume.
    cylinder, sphere = np.pi * a * a * height, 4 / 3 * np.pi * a**3
    share = cylinder / (cylinder + sphere)
    across = share * (3 * a * a + height * height) / 12
    across += (1 - share) * (0.4 * a * a + height * (3 * a + 2 * height) / 8)
    along = share * a * a / 2 + (1 - share) * 0.4 * a * a
    return np.stack([across, across, along], 1), cylinder + sphere


def _bounds(kind: int, size: Float[np.ndarray, "draws 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the radius of a sphere around a geom, and half the sides of a box around it."""
    a, b, _ = size.T
    if kind == int(_TYPES.mjGEOM_SPHERE):
        return a, np.repeat(a[:, None], 3, 1)
    if kind == int(_TYPES.mjGEOM_CAPSULE):
        return a + b, np.stack([a, a, a + b], 1)
    if kind == int(_TYPES.mjGEOM_CYLINDER):
        return np.hypot(a, b), np.stack([a, a, b], 1)
    if kind == int(_TYPES.mjGEOM_BOX):
        return np.linalg.norm(size, axis=1), size
    return size.max(1), size


def _matrices(quats: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 3 3"]:
    found = np.empty((len(quats), 9))
    for row, quat in zip(found, quats, strict=True):
        mujoco.mju_quat2Mat(row, quat)
    return found.reshape(-1, 3, 3)


def _steiner(place: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3 3"]:
    """Return the inertia of a unit mass at a position."""
    square = (place * place).sum(-1)[..., None, None]
    return square * np.eye(3) - place[..., :, None] * place[..., None, :]
