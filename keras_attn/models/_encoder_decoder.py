"""What models that translate one sequence into another have in common."""

from typing import Any, NamedTuple

from keras import ops

from keras_attn.decoding import search
from keras_attn.models._configured import ConfiguredModel
from keras_attn.models._stack import check_counts


class Begun(NamedTuple):
    """What a search starts from, see `keras_attn.decoding.greedy_search`.

    memory_mask: Bool `(b, *memory)`, what there is to be read.
    """

    step: Any
    states: Any
    emitted: Any
    constants: Any
    memory_mask: Any


class EncoderDecoder(ConfiguredModel):
    """Decoding, scoring and signatures around a functional model that translates.

    A subclass is a functional model on `{"source", "target"}` and has `begin`.
    """

    def begin(self, source, max_length):
        """Reads the source and returns what a search of `max_length` steps needs."""
        raise NotImplementedError

    def decode(self, source, max_length=None, **options):
        """Writes a target for each source, in one loop.

        Runs eagerly, inside a `tf.function` or `jax.jit`, and in an exported graph.
        `keras_attn.Decoder` brings it under `predict`.

        Args:
            source: int32 tensor `(batch, source_time)`, 0 is padding.
            max_length: Int, steps at the most. Defaults to the model's `max_length`.
            **options: With `beam_width` those of `keras_attn.decoding.beam_search`,
                such as `n_best`, `length_penalty` and `coverage_penalty`. With `seed`
                those of `keras_attn.decoding.sample`. Without any the best token is
                written at each step.

        Returns:
            Dict of `tokens` int32 `(batch, max_length)`, the end token included where
            it was written and zeros after it; `lengths` int32 `(batch,)` that count
            them; `score` float32 `(batch,)`, their log-probability; and, of a model
            that attends, the `attention_scores`, `(batch, max_length, source_time)`. A
            beam search adds the `ranking_score`, float32 `(batch,)`; with `n_best`
            there are so many of all of these, `(batch, n_best, ...)`, best first.

        Raises:
            ValueError: If an argument is out of range.
        """
        steps = self.max_length if max_length is None else max_length
        check_counts(max_length=steps)
        begun = self.begin(ops.convert_to_tensor(source, "int32"), steps)
        return search(
            begun.step,
            begun.states,
            begun.emitted,
            self.start_token_id,
            self.end_token_id,
            steps,
            constants=begun.constants,
            coverage_mask=begun.memory_mask,
            **options,
        )

    def score(self, source, target):
        """Log-probability of given targets.

        Args:
            source: int32 tensor `(batch, source_time)`, 0 is padding.
            target: int32 tensor `(batch, target_time)`, without start token, with
                the end token where it is meant to end.

        Returns:
            Dict of `token_scores` float32 `(batch, target_time)`, zeros at padding,
            and their sum `score` float32 `(batch,)`.
        """
        source = ops.convert_to_tensor(source, "int32")
        target = ops.convert_to_tensor(target, "int32")
        start = ops.full_like(target[:, :1], self.start_token_id)
        shifted = ops.concatenate([start, target[:, :-1]], axis=1)
        # The row is read up to its last token, so the last padding is never a step.
        shifted = ops.where(ops.not_equal(target, 0), shifted, 0)
        logits = self({"source": source, "target": shifted}, training=False)
        scores = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
        scores = ops.take_along_axis(scores, target[..., None], axis=-1)[..., 0]
        scores = ops.where(ops.not_equal(target, 0), scores, 0.0)
        return {"token_scores": scores, "score": ops.sum(scores, axis=-1)}

    def serving_signatures(
        self, source_tokenizer=None, target_tokenizer=None, **options
    ):
        """What a server offers of this model, for `keras_attn.serving.export`.

        `tokens` takes ids and `lengths`, `score` scores given targets. With the two
        tokenizers `serving_default` takes and answers text, without them it is
        `tokens`. With the option `n_best` there is a signature of that name, which
        takes what `serving_default` takes and answers with so many hypotheses of each
        row, best first; the other two answer with the best one.

        Args:
            source_tokenizer, target_tokenizer: Tokenizers with the ids of the
                training, such as `keras_attn.data.train_tokenizer` makes.
            **options: How the server searches, see `decode`.

        Returns:
            Dict `{name: (function, {input: tf.TensorSpec})}`.
        """
        from keras_attn.models._encoder_decoder_signatures import signatures

        return signatures(self, source_tokenizer, target_tokenizer, options)


def check_token_ids(vocabulary_size, **token_ids):
    """Raises unless the ids lie between the padding and the vocabulary's end."""
    for name, token in token_ids.items():
        if not 0 < token < vocabulary_size:
            raise ValueError(
                f"`{name}` must lie between 0, the padding, and the number of token "
                f"ids, {vocabulary_size}. Received: {name}={token}"
            )
