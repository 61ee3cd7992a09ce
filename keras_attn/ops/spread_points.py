import numpy as np


def spread_points(count):
    """So many points around the middle, float64 `(count, 2)`, in [-0.7, 0.7].

    They lie on a spiral (Vogel, 1979), so that neighbours are about equally far from
    each other, and none is near an edge.
    """
    step = np.arange(count)
    radius, angle = 0.7 * np.sqrt((step + 0.5) / count), step * np.pi * (3 - 5**0.5)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
