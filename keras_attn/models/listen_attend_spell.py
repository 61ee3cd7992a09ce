import keras
from keras import layers, ops

from keras_attn.layers._checks import check_counts
from keras_attn.layers._dropout import Dropout
from keras_attn.layers._pair_steps import PairSteps
from keras_attn.layers.log_mel import LogMel
from keras_attn.models._both_ways import BothWays
from keras_attn.models._reader import Reader


@keras.saving.register_keras_serializable("keras_attn")
class ListenAttendSpell(Reader):
    """Writes what is said: a pyramid of recurrent layers listens, a decoder spells.

    Sound becomes log-mel features inside the model. Each level of the pyramid is a
    bidirectional LSTM over pairs of steps of the one below, so `num_pyramids` levels
    leave one step of memory for `2 ** num_pyramids` hundredths of a second.

    A functional model on `{"audio", "lengths", "target"}`: float32 `(batch, samples)`
    in [-1, 1], int32 `(batch,)` numbers of samples, int32 `(batch, time)` what the
    decoder reads, as in `Seq2Seq`. The output is a row of logits for each step of the
    target, `(batch, time, vocabulary_size)`.

    Args:
        vocabulary_size: Int, number of token ids, such as characters.
        listener_units: Int, width of the listener in each direction.
        num_pyramids: Int, levels of the pyramid above its first layer.
        num_bands: Int, bands of frequency.
        rate: Int, samples a second.
        units: Int, width of the decoder.
        embedding_dim: Int, width of the embedding and of the readout.
        dropout: Float in [0, 1), between the levels, on embedding and readout.
        coverage, scheduled_sampling, start_token_id, end_token_id, max_length: See
            `Seq2Seq`.
        dtype: Dtype or dtype policy of all layers.
        **kwargs: Forwarded to `keras.Model` (`name`, `trainable`).

    Example:
        >>> model = keras_attn.ListenAttendSpell(vocabulary.vocabulary_size())
        >>> answer = model.decode({"audio": audio, "lengths": lengths}, beam_width=5)
        >>> vocabulary.detokenize(answer["tokens"])

    Reference:
        Chan et al., 2016, https://arxiv.org/abs/1508.01211.
    """

    arguments = ("listener_units", "num_pyramids", "num_bands", "rate", *Reader.writing)
    reads = {"audio": "float32", "lengths": "int32"}  # noqa: RUF012 - never changed

    def __init__(
        self,
        vocabulary_size,
        listener_units=64,
        num_pyramids=2,
        num_bands=40,
        rate=8000,
        dropout=0.0,
        **kwargs,
    ):
        check_counts(listener_units=listener_units, rate=rate)
        check_counts(num_pyramids=num_pyramids)
        sources = {
            "audio": keras.Input((None,), name="audio"),
            "lengths": keras.Input((), dtype="int32", name="lengths"),
        }

        def make_listener(policy):
            return _Listener(
                listener_units, num_pyramids, num_bands, rate, dropout, policy
            )

        super().__init__(
            sources, make_listener, False, vocabulary_size, dropout=dropout, **kwargs
        )
        self.listener_units, self.num_pyramids = listener_units, num_pyramids
        self.num_bands, self.rate = num_bands, rate


class _Listener:
    """From sound to the memory and its mask."""

    def __init__(self, units, num_pyramids, num_bands, rate, dropout, policy):
        self.features = LogMel(
            num_bands, rate, max(1, rate // 100), dtype=policy, name="features"
        )
        self.levels = []
        for index in range(num_pyramids + 1):
            level = BothWays(layers.LSTM, units, policy, f"level_{index}")
            drop = Dropout(dropout, dtype=policy, name=f"level_{index}_dropout")
            self.levels.append((level, drop))
        self.pairs = [
            PairSteps(dtype=policy, name=f"pairs_{index}")
            for index in range(num_pyramids)
        ]

    def __call__(self, audio, lengths):
        x, mask = self.features(audio, lengths, return_mask=True)
        for index, (level, dropout) in enumerate(self.levels):
            if index:
                x, mask = self.pairs[index - 1](x, mask)
            x, _ = level(x, mask=mask)
            x = dropout(x)
        return ops.where(mask[..., None], x, 0.0), mask
