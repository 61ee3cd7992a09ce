import keras
from keras import layers, ops

from keras_attn.layers._checks import check_counts
from keras_attn.layers.bahdanau_attention import BahdanauAttention
from keras_attn.models._grid import Grid, check_image_shape, with_places
from keras_attn.models._reader import Reader, everywhere
from keras_attn.models._token_ids import TokenIds
from keras_attn.models._writer import dense


@keras.saving.register_keras_serializable("keras_attn")
class AskAttendAnswer(Reader):
    """Answers a question about an image.

    Each place of the image first meets the question: a layer reads both. The memory is
    the question's words and these places side by side. One shared attention layer reads
    it `num_hops` times, each time asking with what it has read so far, and a decoder
    with attention over the same memory writes the answer.

    A functional model on `{"image", "question", "target"}`: float32 `(batch,
    *image_shape)` in [0, 1], int32 `(batch, question_time)` ids with 0 as padding,
    int32 `(batch, time)` what the decoder reads, as in `Seq2Seq`. The attention scores
    are `(batch, time, question_time + rows * columns)`.

    Args:
        vocabulary_size: Int, number of token ids of the answers.
        question_vocabulary_size: Int, number of token ids of the questions.
        image_shape: Tuple of height, width and channels.
        widths: Ints, channels of the convolutions, each of which halves the image.
        memory_units: Int, width of the memory.
        num_hops: Int, how often the memory is read before the first word.
        units: Int, width of the decoder.
        embedding_dim: Int, width of the embedding and of the readout.
        dropout: Float in [0, 1), on embedding and readout.
        coverage, scheduled_sampling, start_token_id, end_token_id, max_length: See
            `Seq2Seq`.
        dtype: Dtype or dtype policy of all layers.
        **kwargs: Forwarded to `keras.Model` (`name`, `trainable`).

    Example:
        >>> model = keras_attn.AskAttendAnswer(30, 50)
        >>> model.decode({"image": image, "question": question})["tokens"]

    Reference:
        Xu and Saenko, 2016, https://arxiv.org/abs/1511.05234.
    """

    arguments = (
        "question_vocabulary_size",
        "image_shape",
        "widths",
        "memory_units",
        "num_hops",
        *Reader.writing,
    )
    reads = {"image": "float32", "question": "int32"}  # noqa: RUF012 - never changed

    def __init__(
        self,
        vocabulary_size,
        question_vocabulary_size,
        image_shape=(64, 64, 3),
        widths=(32, 64, 128),
        memory_units=128,
        num_hops=2,
        **kwargs,
    ):
        image_shape = check_image_shape(image_shape)
        check_counts(memory_units=memory_units, num_hops=num_hops)
        sources = {
            "image": keras.Input(image_shape, name="image"),
            "question": keras.Input((None,), dtype="int32", name="question"),
        }

        def make_read(policy):
            return _Asker(
                question_vocabulary_size, widths, memory_units, num_hops, policy
            )

        super().__init__(sources, make_read, False, vocabulary_size, **kwargs)
        self.question_vocabulary_size = question_vocabulary_size
        self.image_shape, self.widths = list(image_shape), list(widths)
        self.memory_units, self.num_hops = memory_units, num_hops

    @property
    def token_ids(self):
        return {
            **super().token_ids,
            "question": TokenIds(self.question_vocabulary_size),
        }

    def serving_signatures(self, vocabulary=None, question_vocabulary=None, **options):
        """What a server offers of this model, for `keras_attn.serving.export`.

        `tokens` answers with ids, `serving_default` with text where there is a
        vocabulary, `score` scores given targets, and with the option `n_best` the
        signature of that name answers with so many hypotheses of each row.

        `tokens` and `score` take the question's ids and their `question_lengths`, and
        so do the others without a `question_vocabulary`. With it they take text, whose
        words it does not have are unknown.

        Args:
            vocabulary: Optional `keras_attn.data.Vocabulary` of the answers.
            question_vocabulary: Optional `keras_attn.data.Vocabulary` of the questions.
            **options: How the server searches, see `decode`.

        Returns:
            Dict `{name: (function, {input: tf.TensorSpec})}`.
        """
        from keras_attn.models._writing_signatures import signatures

        reading = (
            {} if question_vocabulary is None else {"question": question_vocabulary}
        )
        return signatures(self, vocabulary, options, reading)


class _Asker:
    """From image and question to the memory of both, and what was read of it."""

    def __init__(self, vocabulary_size, widths, units, num_hops, policy):
        self.grid = Grid(widths, policy)
        self.meet = dense(policy, "meet", units, "relu")
        self.place = dense(policy, "place", units, "tanh")
        self.embedding = layers.Embedding(
            vocabulary_size, units, dtype=policy, name="question_embedding"
        )
        self.question = layers.GRU(
            units,
            return_sequences=True,
            return_state=True,
            use_cudnn=False,
            dtype=policy,
            name="question_words",
        )
        self.attention = BahdanauAttention(units, dtype=policy, name="hops_attention")
        self.hop = dense(policy, "hop", units, "tanh")
        self.num_hops = num_hops

    def __call__(self, image, question):
        words_mask = ops.not_equal(question, 0)
        words, asked = self.question(self.embedding(question), mask=words_mask)
        grid = with_places(self.grid(image))
        about = ops.zeros_like(grid[..., :1]) + asked[:, None, None]
        grid = self.place(self.meet(ops.concatenate([grid, about], axis=-1)))
        height, width, dim = grid.shape[1:]
        places = ops.reshape(grid, (-1, height * width, dim))
        words = ops.where(words_mask[..., None], words, 0.0)
        memory = ops.concatenate([words, places], axis=1)
        mask = ops.concatenate([words_mask, everywhere(places)], axis=1)
        for _ in range(self.num_hops):
            read = self.attention(asked, memory, value_mask=mask)
            asked = self.hop(ops.concatenate([asked, read], axis=-1))
        return memory, mask, asked
