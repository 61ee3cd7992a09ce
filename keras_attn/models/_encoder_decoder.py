"""What models that translate one sequence into another have in common."""

from keras import ops

from keras_attn.models._configured import ConfiguredModel


class EncoderDecoder(ConfiguredModel):
    """Scoring and signatures around a functional model that translates.

    A subclass is a functional model on `{"source", "target"}` and has `decode`.
    """

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

    def serving_signatures(self, source_tokenizer=None, target_tokenizer=None):
        """What a server offers of this model, for `keras_attn.serving.export`.

        `tokens` takes ids and `lengths`, `score` scores given targets. With the two
        tokenizers `serving_default` takes and answers text, without them it is
        `tokens`.

        Args:
            source_tokenizer, target_tokenizer: Tokenizers with the ids of the
                training, such as `keras_attn.data.train_tokenizer` makes.

        Returns:
            Dict `{name: (function, {input: tf.TensorSpec})}`.
        """
        from keras_attn.models._encoder_decoder_signatures import signatures

        return signatures(self, source_tokenizer, target_tokenizer)


def check_token_ids(vocabulary_size, **token_ids):
    """Raises unless the ids lie between the padding and the vocabulary's end."""
    for name, token in token_ids.items():
        if not 0 < token < vocabulary_size:
            raise ValueError(
                f"`{name}` must lie between 0, the padding, and the number of token "
                f"ids, {vocabulary_size}. Received: {name}={token}"
            )
