"""Room for a post that is moved while a body swims."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..envs import EnvBatch, Post
from ..envs.arenas.posts import gaps
from ..errors import InvalidArena


def check_room(envs: EnvBatch, posts: Sequence[Post], index: int) -> None:
    """Refuse a post in the body as it is now, or, where one of both can be pushed, in another post.

    Args:
        envs: of one environment.
        posts: of its arena, the moved one where it is to be.
        index: of that one.

    Raises:
        InvalidArena: there is no room.
    """
    post, names, read = posts[index], [f"link {link}" for link in range(envs.body.n_links)], envs.physics.read
    lengths, widths = envs.body.link_sizes
    angle, centre = read("link_angle")[0], read("link_pos")[0]
    half = lengths[:, None] / 2 * np.stack([np.cos(angle), np.sin(angle)], -1)
    pieces, radius = np.stack([centre - half, centre + half], 1), widths / 2
    at, which = envs.physics.obstacle_poses()[0], envs.physics.obstacles.which
    for other, each in enumerate(posts):
        if other != index and (post.mass or each.mass):
            middle = at[which.index(other), :2]
            pieces, radius = np.append(pieces, [[middle, middle]], 0), np.append(radius, each.radius)
            names.append(f"post {which.index(other)}")
    away = gaps(np.broadcast_to([post.x, post.y], (1, 2, 2)), np.full(1, post.radius), pieces, radius)[0]
    nearest = int(away.argmin())
    if away[nearest] < 0:
        raise InvalidArena(
            f"a post at ({post.x:.3g}, {post.y:.3g}) m would be {-away[nearest]:.2g} m in {names[nearest]}; "
            "put it where it touches nothing"
        )
