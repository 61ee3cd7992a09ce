import keras

from keras_attn.models._grid import Grid, check_image_shape
from keras_attn.models._reader import Reader, everywhere


@keras.saving.register_keras_serializable("keras_attn")
class ImageCaptioner(Reader):
    """Says what an image shows, looking at a place of it for each word.

    Convolutions make a grid of the image, which an LSTM with soft attention reads
    through a gate. `coverage` is the doubly stochastic term that wants every place to
    be looked at.

    A functional model on `{"image", "target"}`: float32 `(batch, *image_shape)` in [0,
    1], int32 `(batch, time)` what the decoder reads, as in `Seq2Seq`. The output is a
    row of logits for each step of the target. The attention scores are `(batch, time,
    rows, columns)`, a place for each square of `2 ** len(widths)` pixels.

    Args:
        vocabulary_size: Int, number of token ids, such as words.
        image_shape: Tuple of height, width and channels.
        widths: Ints, channels of the convolutions, each of which halves the image.
        units: Int, width of the decoder.
        embedding_dim: Int, width of the embedding and of the readout.
        dropout: Float in [0, 1), on embedding and readout.
        coverage, scheduled_sampling, start_token_id, end_token_id, max_length: See
            `Seq2Seq`.
        dtype: Dtype or dtype policy of all layers.
        **kwargs: Forwarded to `keras.Model` (`name`, `trainable`).

    Example:
        >>> model = keras_attn.ImageCaptioner(2000)
        >>> model.decode(image, beam_width=5)["tokens"]

    Reference:
        Xu et al., 2015, "Show, Attend and Tell", https://arxiv.org/abs/1502.03044.
    """

    arguments = ("image_shape", "widths", *Reader.writing)
    reads = {"image": "float32"}  # noqa: RUF012 - never changed

    def __init__(
        self, vocabulary_size, image_shape=(64, 64, 3), widths=(32, 64, 128), **kwargs
    ):
        image_shape = check_image_shape(image_shape)

        def make_read(policy):
            grid = Grid(widths, [(2, 2)] * len(widths), policy)

            def read(image):
                memory = grid(image)
                return memory, everywhere(memory)

            return read

        sources = {"image": keras.Input(image_shape, name="image")}
        super().__init__(sources, make_read, True, vocabulary_size, **kwargs)
        self.image_shape, self.widths = list(image_shape), list(widths)
