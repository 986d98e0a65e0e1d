"""Of each link and post, whether they may touch in the next control step: a plain function, compiled by numba."""

from __future__ import annotations

import math
from typing import Any

# Type and dimensions of each argument; the last four are written. It returns an int64.
ARGUMENTS = (
    ("boolean", 1), ("int32", 2), ("float64", 2), ("float64", 2), ("float64", 3), ("float64", 3), ("float64", 2),
    ("float64", 3), ("float64", 3), ("int32", 1), ("int32", 2), ("int32", 2), ("int32", 1), ("int32", 1),
)  # fmt: skip
WRITTEN = 4


def near_pairs(
    asked: Any, links: Any, places: Any, steps: Any, poses: Any, frames: Any, velocities: Any, lattices: Any,
    turns: Any, geoms: Any, one: Any, two: Any, counts: Any, flags: Any,
) -> int:  # fmt: skip
    """Choose pairs for environments: their geoms in `one` and `two`, how many are near in `counts`, beyond slots too.

    Return 1 where something is near in other environments than before, 2 more where others have more than slots.

    Args:
        asked: whether each environment's pairs are chosen anew, [envs].
        links: numbers of each link's body and site, of where its velocity begins in `velocities`, and of its geom,
            [links, 4].
        places: x, y, cosine and sine of the heading, half the length, radius of all that stands, m, [stands, 6].
        steps: of each environment, how far a link gets in the next control step from rest, m, that for each m/s of its
            speed now, s, and half the length and half the width of its links, m, [envs, 2 + 2 links].
        poses: of bodies, m, [envs, bodies, 3].
        frames: of sites, [envs, sites, 9], whose y axis points along the link.
        velocities: m/s, m/s and rad/s of links along and across them, with others, [envs, some].
        lattices: of mocap bodies, m, [envs, some, 3].
        turns: quaternions of these, [envs, some, 4].
        geoms: the two of a slot to spare, the mocap body of the lattice or -1, how many stand before its posts, the
            flags of MuJoCo where nothing is near and where something is, then the geom of each that stands.
        one, two, counts, flags: what is written, [envs, slots], [envs, slots], [envs], [envs].

    Pairs are in MuJoCo's own order: those of the world by link, then those of the lattice by link.
    """
    n_links, n_stands, n_slots, lattice, n_own = len(links), len(places), one.shape[1], geoms[2], geoms[3]
    is_another, has_others = 0, 0
    for env in range(len(asked)):
        if not asked[env]:
            continue
        fastest = 0.0
        for link in range(n_links):
            at = links[link, 2]
            speed = math.hypot(velocities[env, at], velocities[env, at + 1])
            fastest = max(fastest, speed + abs(velocities[env, at + 5]) * steps[env, 2 + link])
        margin, found = steps[env, 0] + steps[env, 1] * fastest, 0
        for part in range(2):
            cos, sin, x0, y0, first, last = 1.0, 0.0, 0.0, 0.0, 0, n_own
            if part == 1:
                if lattice < 0:
                    break
                w, z = turns[env, lattice, 0], turns[env, lattice, 3]
                cos, sin = w * w - z * z, 2 * w * z
                x0, y0, first, last = lattices[env, lattice, 0], lattices[env, lattice, 1], n_own, n_stands
            for link in range(n_links):
                body, site = links[link, 0], links[link, 1]
                # Where the link is in the frame of what stands, and which way it points.
                x, y = poses[env, body, 0] - x0, poses[env, body, 1] - y0
                x, y = cos * x + sin * y, cos * y - sin * x
                along, across = frames[env, site, 1], frames[env, site, 4]
                along, across = cos * along + sin * across, cos * across - sin * along
                half, thick = steps[env, 2 + link], steps[env, 2 + n_links + link]
                for stand in range(first, last):
                    away_x, away_y, length = places[stand, 0] - x, places[stand, 1] - y, places[stand, 4]
                    if length > 0:
                        # The nearest point of a wall to the middle of the link.
                        on = away_x * places[stand, 2] + away_y * places[stand, 3]
                        on = min(max(on, -length), length)
                        away_x, away_y = away_x - on * places[stand, 2], away_y - on * places[stand, 3]
                    reach = thick + places[stand, 5] + margin
                    # Written so that what is not a number is near.
                    if away_x * away_x + away_y * away_y > (half + reach) * (half + reach):
                        continue
                    if length == 0:
                        place = min(max(away_x * along + away_y * across, -half), half)
                        away_x, away_y = away_x - place * along, away_y - place * across
                        if away_x * away_x + away_y * away_y > reach * reach:
                            continue
                    if found < n_slots:
                        one[env, found], two[env, found] = links[link, 3], geoms[6 + stand]
                    found += 1
        if (counts[env] > 0) != (found > 0):
            is_another = 1
        if (counts[env] > n_slots) != (found > n_slots):
            has_others = 2
        counts[env], flags[env] = found, geoms[4] if found == 0 else geoms[5]
        for slot in range(0 if found > n_slots else found, n_slots):
            one[env, slot], two[env, slot] = geoms[0], geoms[1]
    return is_another + has_others
