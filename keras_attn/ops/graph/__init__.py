"""What lies on the nodes of a graph, carried along its edges.

Two classes, `DenseEdges` and `EdgeRows`, hold the edges in the forms in which they are
given, and offer the same operations; `connect` makes one of the arguments of a layer.

Axes: b batch, n nodes, e edges, r rows of a neighbour table, k edges of a row, f width
of a node, g width of an edge, h heads.
"""
