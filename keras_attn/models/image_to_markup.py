import keras
from keras import layers, ops

from keras_attn.layers._checks import check_counts
from keras_attn.models._both_ways import BothWays
from keras_attn.models._grid import Grid, check_image_shape
from keras_attn.models._reader import Reader


@keras.saving.register_keras_serializable("keras_attn")
class ImageToMarkup(Reader):
    """Writes the markup of which an image was made, such as a formula's LaTeX.

    Convolutions make a grid of the image; a bidirectional LSTM runs along each of its
    rows and begins with an embedding of the row; a decoder with attention writes what
    it reads there. Columns of zeros at the right of an image are padding, which is not
    read: a short formula is not lost on a wide canvas.

    A functional model on `{"image", "target"}`, as `ImageCaptioner`.

    Args:
        vocabulary_size: Int, number of token ids.
        image_shape: Tuple of height, width and channels.
        widths: Ints, channels of the convolutions. The first three halve the image,
            later ones its height only.
        row_units: Int, width of the row encoder in each direction.
        units: Int, width of the decoder.
        embedding_dim: Int, width of the embedding and of the readout.
        dropout: Float in [0, 1), on embedding and readout.
        coverage, scheduled_sampling, start_token_id, end_token_id, max_length: See
            `Seq2Seq`.
        dtype: Dtype or dtype policy of all layers.
        **kwargs: Forwarded to `keras.Model` (`name`, `trainable`).

    Example:
        >>> model = keras_attn.ImageToMarkup(vocabulary.vocabulary_size())
        >>> model.decode(image, beam_width=5)["tokens"]

    Reference:
        Deng et al., 2017, https://arxiv.org/abs/1609.04938.
    """

    arguments = ("image_shape", "widths", "row_units", *Reader.writing)
    reads = {"image": "float32"}  # noqa: RUF012 - never changed

    def __init__(
        self,
        vocabulary_size,
        image_shape=(48, 256, 1),
        widths=(32, 64, 96, 128),
        row_units=96,
        **kwargs,
    ):
        image_shape = check_image_shape(image_shape)
        check_counts(row_units=row_units)
        sources = {"image": keras.Input(image_shape, name="image")}

        def make_read(policy):
            return _RowReader(widths, row_units, policy)

        super().__init__(sources, make_read, False, vocabulary_size, **kwargs)
        self.image_shape, self.widths = list(image_shape), list(widths)
        self.row_units = row_units


class _RowReader:
    """From an image to a grid whose rows are read in both directions."""

    def __init__(self, widths, units, policy):
        self.grid = Grid(widths, policy, 3)
        self.units, self.policy = units, policy
        self.rows = BothWays(layers.LSTM, units, policy, "rows")
        self.starts = None

    def __call__(self, image):
        grid = self.grid(image)
        _, height, width, dim = grid.shape
        if self.starts is None:  # two states for each direction
            self.starts = layers.Embedding(
                height, 4 * self.units, dtype=self.policy, name="row_starts"
            )
        number = ops.cumsum(ops.ones_like(grid[:, :, 0, 0], dtype="int32"), axis=1) - 1
        states = ops.reshape(self.starts(number), (-1, 4 * self.units))
        x = ops.reshape(grid, (-1, width, dim))
        starts = ops.split(states, 4, axis=-1)
        inked = up_to_the_last_ink(image, width, self.grid.smallest[1])
        mask = ops.repeat(inked[:, None], height, axis=1)
        x, _ = self.rows(x, ops.reshape(mask, (-1, width)), (starts[:2], starts[2:]))
        return ops.reshape(x, (-1, height, width, 2 * self.units)), mask


def up_to_the_last_ink(image, columns, side):
    """Which columns of a grid, each `side` pixels wide, are not padding.

    Returns:
        Bool tensor `(batch, columns)`, `True` up to the last one with a pixel that is
        not zero.
    """
    ink = ops.any(ops.not_equal(image, 0), axis=(1, 3))[:, : columns * side]
    ink = ops.any(ops.reshape(ink, (-1, columns, side)), axis=-1)
    later = ops.cumsum(ops.flip(ops.cast(ink, "int32"), axis=1), axis=1)
    return ops.flip(later, axis=1) > 0
