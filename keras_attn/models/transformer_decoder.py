import keras
from keras import ops

from keras_attn.decoding import search
from keras_attn.layers._checks import (
    check_counts,
    check_lengths,
    check_rank,
    check_shape,
    known_values,
)
from keras_attn.models._stack import logits_layer
from keras_attn.models._tower import Tower


@keras.saving.register_keras_serializable("keras_attn")
class TransformerDecoder(Tower):
    """A decoder-only Transformer: what comes after each token.

    A functional model on int32 token ids `(batch, time)` with 0 as padding; the
    output is a row of logits for each of them, `(batch, time, vocabulary_size)`, and
    carries their mask. A token sees itself and what came before it.

    Args:
        vocabulary_size: Int, number of token ids.
        num_layers, model_dim, num_heads, intermediate_dim, dropout, positions,
            activation, gated, normalize_first, normalization: See `Transformer`.
        max_length: Int, number of learned positions.
        dtype: Dtype or dtype policy of all layers.
        **kwargs: Forwarded to `keras.Model` (`name`, `trainable`).

    Example:
        >>> model = keras_attn.TransformerDecoder(8000)
        >>> model.decode(prompt, lengths, end_token_id=3, max_length=20)["tokens"]

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762. Radford et al., 2018,
        "Improving Language Understanding by Generative Pre-Training".
    """

    is_causal = True

    def make_head(self, vocabulary_size, policy):
        return logits_layer(vocabulary_size, policy)

    def decode(self, prompt, lengths, end_token_id, max_length, **options):
        """Continues each prompt, in one loop.

        The prompts are read at once and each new token once: keys and values of
        earlier ones are cached.

        Args:
            prompt: int32 tensor `(batch, prompt_time)`, at least one token a row.
            lengths: int32 tensor `(batch,)`, how many tokens of each row there are;
                what lies after them is not read.
            end_token_id: Int, the token that ends a row.
            max_length: Int, number of tokens to write at the most.
            **options: Of the search, see `Transformer.decode`.

        Returns:
            Dict of `tokens` int32 `(batch, max_length)`, those after the prompt, the
            end token included where it was written and zeros after it; `lengths`
            int32 `(batch,)` that count them; `score` float32 `(batch,)`, their
            log-probability. A beam search adds the `ranking_score`, and with `n_best`
            an axis of the hypotheses after the batch.

        Raises:
            ValueError: If a length is below 1, beyond the prompt, or leaves too few of
                the learned positions, where the lengths are known when this is called;
                or if `max_length` is no int of at least 1.
        """
        prompt = ops.convert_to_tensor(prompt, "int32")
        lengths = ops.convert_to_tensor(lengths, "int32")
        self._check(prompt, lengths, max_length)
        batch, steps = ops.shape(prompt)
        mask = ops.arange(steps, dtype="int32")[None] < lengths[:, None]
        prompt = ops.where(mask, prompt, 0)
        caches = self.stack.make_caches(batch, steps + max_length)
        start = ops.zeros((batch,), "int32")
        _, caches, _ = self.stack.step(prompt, caches, start, mask=mask)

        def step(last, states):
            caches, position = states
            stream, caches, _ = self.stack.step(last[:, None], caches, position)
            return self.head(stream)[:, 0], [caches, position + 1], {}

        last = ops.take_along_axis(prompt, lengths[:, None] - 1, axis=1)[:, 0]
        states = [caches, lengths - 1]
        return search(step, states, {}, last, end_token_id, max_length, **options)

    def _check(self, prompt, lengths, max_length):
        check_counts(max_length=max_length)
        check_rank("prompt", prompt.shape, (2,), "(batch, time)")
        check_shape("lengths", lengths.shape, prompt.shape[:1])
        steps = "the number of steps of the prompt"
        check_lengths(lengths, prompt.shape[1], steps, least=1)
        known = known_values(lengths)
        if known is not None and known.size:
            self.stack.check_steps(int(known.max()) + max_length - 1)
