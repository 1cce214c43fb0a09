"""Which change of light along time `variational` measures: at one place, or along the motion.

Static light changes little at its pixel; moving light changes little along its path. With a velocity (vx, vy)
in pixels per step at every pixel, the change along the path is I_t + vx I_x + vy I_y. All three are taken in
the middle of a cell of 2x2x2 values (Preissmann's box scheme): the mean of four differences. So nothing is
shifted by half a pixel, and a moving sine keeps its height whatever its velocity.

The change at a pixel is linear in its cell. Four numbers at every pixel give it, `links` (H, 4, W):

    k0 (U - L) + sum over the cell (k1 + sx wx + sy wy) U - (k1 - sx wx - sy wy) L

with the light L of this step and U of the next one. The signs sx and sy are -1 at the pixel's own column and
row, +1 at the next ones. Light at rest has k0 = r and no other number.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hqgen.compiled import compiled

Floats = NDArray[np.float32]

NEAR = 3.0
"""Standard deviation, pixels, of the neighbourhood that shares a velocity."""
SOON = 10.0
"""Standard deviation, steps, of the time around the centre that shares one."""
FAINT = 5e-6
"""Squared slope of light, below which there is no texture to follow."""
STILL = 0.05
"""Pixels per step: up to here light counts as resting; from twice as much it is followed alone."""
FASTEST = 0.8
"""Pixels per step; faster is a mistake."""
TRUST = 0.2
"""Pixels per step: faster light gets a weight along time that falls with its velocity."""


def at_rest(height: int, width: int, time: float) -> Floats:
    """Links of a scene that does not move.

    Args:
        height: H.
        width: W.
        time: r, weight of changes in time.
    """
    links = np.zeros((height, 4, width), np.float32)
    links[:, 0] = time
    return links


def along_motion(light: Floats, centre: float, time: float) -> Floats:
    """Links along the motion that a first solution shows.

    Args:
        light: (H, T, W), spikes per step.
        centre: the time in steps when the motion should be right.
        time: r.
    """
    vx, vy = velocity(light, centre)
    speed = np.hypot(vx, vy)
    followed = np.clip(speed / STILL - 1, 0, 1)
    followed[-1] = followed[:, -1] = 0  # their cells are cut
    weight = time * np.minimum(1, TRUST / np.maximum(speed, TRUST))
    moving = weight * followed / 4
    links = np.stack([weight * (1 - followed), moving, moving * vx, moving * vy], axis=1)
    return np.ascontiguousarray(links, np.float32)


def velocity(light: Floats, centre: float) -> tuple[Floats, Floats]:
    """Velocity of the light around a time, (H, W) to the right and (H, W) down, pixels per step.

    The one that explains the changes in a neighbourhood of space and time best (Lucas and Kanade 1981).
    Frames follow each other so fast that no pyramid is needed. Where there is no texture it is about 0.
    """
    height, steps, width = light.shape
    importance = np.exp(-0.5 * ((np.arange(steps) - centre) / SOON) ** 2)
    products = np.zeros((5, height, width), np.float32)
    _products(light, (importance / importance.sum()).astype(np.float32), products)
    xx, xy, yy, xt, yt = (gaussian_filter(each, NEAR, mode="nearest", truncate=3) for each in products)
    xx, yy = xx + np.float32(FAINT), yy + np.float32(FAINT)
    scale = 1 / (xx * yy - xy * xy)
    vx, vy = (xy * yt - yy * xt) * scale, (xy * xt - xx * yt) * scale
    cut = np.minimum(1, FASTEST / np.maximum(np.hypot(vx, vy), FASTEST))
    return vx * cut, vy * cut


@compiled
def _products(light: Floats, importance: Floats, products: Floats) -> None:
    """Sums over time of Ix Ix, Ix Iy, Iy Iy, Ix It, Iy It in every cell; products (5, H, W)."""
    height, steps, width = light.shape
    quarter = np.float32(0.25)
    for y in range(height - 1):
        for t in range(steps - 1):
            a, b, c, d = light[y, t], light[y + 1, t], light[y, t + 1], light[y + 1, t + 1]
            weight = importance[t]
            for x in range(width - 1):
                early, late = a[x] + b[x] + a[x + 1] + b[x + 1], c[x] + d[x] + c[x + 1] + d[x + 1]
                left, right = a[x] + b[x] + c[x] + d[x], a[x + 1] + b[x + 1] + c[x + 1] + d[x + 1]
                top, bottom = a[x] + a[x + 1] + c[x] + c[x + 1], b[x] + b[x + 1] + d[x] + d[x + 1]
                it, ix, iy = (late - early) * quarter, (right - left) * quarter, (bottom - top) * quarter
                products[0, y, x] += weight * ix * ix
                products[1, y, x] += weight * ix * iy
                products[2, y, x] += weight * iy * iy
                products[3, y, x] += weight * ix * it
                products[4, y, x] += weight * iy * it


def bounds(links: Floats) -> tuple[float, float]:
    """Bounds of what the links do to light: of the changes in time, and of the rest in space.

    The squared norm of a sum of two operators is at most (1 + a) that of the first and (1 + 1 / a) that of
    the second, for every a. Each of them is at most its largest row sum times its largest column sum, of
    absolute values (Schur).

    Returns:
        f and g, so that |links I|^2 <= f |Dt I|^2 + g |I|^2.
    """
    k0, k1, w = links[:, 0], links[:, 1], np.abs(links[:, 2]) + np.abs(links[:, 3])
    in_time = (k0 + 4 * k1).max() * (k0 + _cells(k1)).max()
    in_space = 8 * w.max() * 2 * _cells(w).max()
    share = min(1.0, np.sqrt(in_space) / 4)
    return float((1 + share) * in_time), float((1 + 1 / share) * in_space) if share > 0 else 0.0


def _cells(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Sum over the four cells that a pixel belongs to."""
    padded = np.pad(values, ((1, 0), (1, 0)))
    total: NDArray[np.floating] = padded[1:, 1:] + padded[:-1, 1:] + padded[1:, :-1] + padded[:-1, :-1]
    return total
