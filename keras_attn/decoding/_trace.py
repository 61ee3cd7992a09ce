"""What was written and emitted, found again by walking from the end to the start."""

from keras import ops, tree

from keras_attn.decoding._pool import take_along, take_beams
from keras_attn.decoding._steps import keep_rows, make_history, write_history
from keras_attn.decoding._writing import rows_in_front
from keras_attn.ops.scan import scan


class Trace:
    """What each beam wrote and emitted at each step, and which beam it came from.

    Beams change their places at every step, their histories do not: instead of moving
    all that was ever written, each step notes where its beams come from.

    Args:
        shape: Tuple of the numbers of rows and beams.
        emitted: Nest of tensors `(rows * beams, ...)`.
        max_length: Int, number of steps.
    """

    def __init__(self, shape, emitted, max_length):
        self.shape, self.max_length = shape, max_length
        places = ops.zeros(shape, "int32")
        self.empty = make_history((places, places, emitted), max_length)

    def write(self, history, tokens, origins, emitted, count):
        """Notes the step `count`: tokens and origins are `(rows, beams)`."""
        return write_history(history, (tokens, origins, emitted), count)

    def read(self, history, hypotheses):
        """Tokens `(b, n, max_length)` and what was emitted, `(b, n, max_length, ...)`.

        Args:
            history: What `write` returned last.
            hypotheses: A `Pool` of `(b, n)`.
        """
        rows, beams = self.shape
        lengths, number = hypotheses.lengths, hypotheses.lengths.shape[1]

        def back(after, xs):
            step, tokens, origins, emitted = xs
            before_last, written = step + 1 < lengths, step < lengths
            token = ops.where(before_last, take_along(tokens, after), hypotheses.last)
            before = ops.where(before_last, take_along(origins, after), after)
            now = ops.reshape(written, (-1,))
            emitted = tree.map_structure(
                lambda x: keep_rows(now, x), take_beams(emitted, before, beams)
            )
            return before, (ops.where(written, token, 0), emitted)

        steps = ops.arange(self.max_length, dtype="int32")
        xs = (steps, *history)
        _, (tokens, emitted) = scan(back, hypotheses.beams, xs, reverse=True)

        def by_hypothesis(x):
            return ops.reshape(x, (rows, number, *ops.shape(x)[1:]))

        emitted = tree.map_structure(lambda x: by_hypothesis(rows_in_front(x)), emitted)
        return ops.transpose(tokens, (1, 2, 0)), emitted
