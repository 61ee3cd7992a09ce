"""Four padded graphs: a whole one, two with padding, one without a node."""

import numpy as np

SIZES = (5, 3, 1, 0)
SLOTS, WIDTH = 5, 4


class PaddedGraphs:
    """The same graphs padded, and side by side with an id a node."""

    def __init__(self, rng):
        self.nodes = rng.normal(size=(len(SIZES), SLOTS, WIDTH)).astype("float32")
        self.mask = np.arange(SLOTS) < np.array(SIZES)[:, None]
        weights = rng.uniform(size=(len(SIZES), SLOTS, SLOTS)) + 0.1
        both = self.mask[:, :, None] & self.mask[:, None, :]
        adjacency = np.where(both & ~np.eye(SLOTS, dtype=bool), weights, 0.0)
        self.adjacency = (adjacency + adjacency.swapaxes(1, 2)).astype("float32")

    def edge_lists(self):
        """The adjacency as edges and their weights, NaN where there is none.

        Among the padding is an edge to a masked node.
        """
        most = (self.adjacency != 0).sum(axis=(1, 2)).max() + 3
        edges = np.zeros((len(SIZES), most, 2), "int32")
        edges[..., 1] = -1
        weights = np.full((len(SIZES), most), np.nan, "float32")
        for row, matrix in enumerate(self.adjacency):
            receivers, senders = np.nonzero(matrix)
            edges[row, : len(senders)] = np.stack([senders, receivers], axis=1)
            weights[row, : len(senders)] = matrix[receivers, senders]
        edges[1, -1] = [0, SIZES[1]]
        return edges, weights

    def side_by_side(self):
        """Nodes and ids in a random order, two padding nodes of NaN among them."""
        ids = np.broadcast_to(np.arange(len(SIZES))[:, None], self.mask.shape)
        return self.shuffled(self.nodes, np.nan), self.shuffled(ids, -1).astype("int32")

    def shuffled(self, values, filler):
        """What the padded form holds, in the order of the nodes side by side."""
        padding = np.full((2, *values.shape[2:]), filler, "float32")
        values = np.concatenate([values[self.mask], padding]).astype("float32")
        return values[np.random.default_rng(3).permutation(len(values))]

    def filled(self, filler):
        """The nodes and the adjacency with something else in the padding."""
        both = self.mask[:, :, None] & self.mask[:, None, :]
        return (
            np.where(self.mask[..., None], self.nodes, np.float32(filler)),
            np.where(both, self.adjacency, np.float32(filler)),
        )
