import keras

from keras_attn.models._grid import Grid, check_image_shape, with_places
from keras_attn.models._hard_reader import HardReader
from keras_attn.models._reader import everywhere


@keras.saving.register_keras_serializable("keras_attn")
class ImageCaptioner(HardReader):
    """Says what an image shows, looking at a place of it for each word.

    Convolutions make a grid of the image, which an LSTM reads by attention through a
    gate. `coverage` is the doubly stochastic term that wants every place to be looked
    at.

    Soft attention reads the weighted sum of the places. Hard attention reads one of
    them, in training one that is drawn, else the best. The choice is trained by
    REINFORCE, which `fit` adds to any loss of logits: the place that was drawn for a
    word is rewarded with the word's log-likelihood, and held against the moving average
    of all. (The reward of Xu et al. is the log-likelihood of the whole caption, of
    which this is the part that belongs to the word; it is the less noisy.) As in the
    paper, half of the images of a batch are read softly all the same.

    A functional model on `{"image", "target"}`: float32 `(batch, *image_shape)` in [0,
    1], int32 `(batch, time)` what the decoder reads, as in `Seq2Seq`. The output is a
    row of logits for each step of the target. The attention scores are `(batch, time,
    rows, columns)`, a place for each square of `2 ** len(widths)` pixels.

    Args:
        vocabulary_size: Int, number of token ids, such as words.
        image_shape: Tuple of height, width and channels.
        widths: Ints, channels of the convolutions, each of which halves the image.
        attention: `"soft"` or `"hard"`.
        entropy_weight: Float, what the entropy of hard attention is worth, which keeps
            it from ceasing to try other places.
        soft_rate: Float in [0, 1], share of the images that hard attention reads
            softly in training. 0 is REINFORCE alone.
        units: Int, width of the decoder.
        embedding_dim: Int, width of the embedding and of the readout.
        dropout: Float in [0, 1), on embedding and readout.
        coverage, scheduled_sampling, start_token_id, end_token_id, max_length: See
            `Seq2Seq`.
        seed: Int, seed of the places that hard attention draws.
        dtype: Dtype or dtype policy of all layers.
        **kwargs: Forwarded to `keras.Model` (`name`, `trainable`).

    Example:
        >>> model = keras_attn.ImageCaptioner(2000)
        >>> model.decode(image, beam_width=5)["tokens"]

    Reference:
        Xu et al., 2015, "Show, Attend and Tell", https://arxiv.org/abs/1502.03044,
        section 4.1 for hard attention.
    """

    arguments = (
        "image_shape",
        "widths",
        "attention",
        "entropy_weight",
        "soft_rate",
        "seed",
        *HardReader.writing,
    )
    reads = {"image": "float32"}  # noqa: RUF012 - never changed

    def __init__(
        self,
        vocabulary_size,
        image_shape=(64, 64, 3),
        widths=(32, 64, 128),
        attention="soft",
        entropy_weight=0.01,
        soft_rate=0.5,
        seed=None,
        **kwargs,
    ):
        image_shape = check_image_shape(image_shape)

        def make_read(policy):
            grid = Grid(widths, policy)

            def read(image, training=None):
                memory = with_places(grid(image, training))
                return memory, everywhere(memory)

            return read

        sources = {"image": keras.Input(image_shape, name="image")}
        super().__init__(
            sources,
            make_read,
            True,
            vocabulary_size,
            attention=attention,
            entropy_weight=entropy_weight,
            soft_rate=soft_rate,
            seed=seed,
            **kwargs,
        )
        self.image_shape, self.widths = list(image_shape), list(widths)
