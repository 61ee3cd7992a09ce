"""What models that translate one text into another have in common."""

from keras_attn.models._encoder_decoder import EncoderDecoder
from keras_attn.models._token_ids import TokenIds


class Translator(EncoderDecoder):
    """Text as what is read: a functional model on `{"source", "target"}`."""

    @property
    def token_ids(self):
        return {
            "source": TokenIds(self.source_vocabulary_size),
            "target": TokenIds(self.target_vocabulary_size),
        }

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
        from keras_attn.models._translation_signatures import signatures

        return signatures(self, source_tokenizer, target_tokenizer, options)
