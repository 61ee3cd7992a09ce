"""Pure functions on tensors: all the arithmetic of the library, without weights.

Axes are named alike everywhere: b batch, t query (target) steps, s memory (source)
steps, d width of a value, u width of a projection, n width of a state, g joint width
of a cell's gates.
"""
