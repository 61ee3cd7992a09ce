import keras

from keras_attn.layers._block import Block
from keras_attn.layers._checks import check_axes, check_mask, check_rank, check_width
from keras_attn.layers.multi_head_attention import MultiHeadAttention
from keras_attn.ops.memory import zero_masked


@keras.saving.register_keras_serializable("keras_attn")
class TransformerDecoderBlock(Block):
    """One block of a Transformer decoder that reads a memory.

    Causal self-attention, then attention to the memory, then the feed-forward, each
    with its residual and norm.

    Args:
        All of `TransformerBlock`.

    Call arguments:
        inputs: Tensor `(batch, time, dim)`.
        memory: Tensor `(batch, slots, memory_dim)`.
        inputs_mask: Optional bool tensor `(batch, time)`.
        memory_mask: Optional bool tensor `(batch, slots)`. Both default to the Keras
            masks of the tensors.
        attention_mask, bias: Of the self-attention, see `MultiHeadSelfAttention`.
        projected_memory: Optional result of `project_memory`, made once a sequence.
        cache, cache_positions: Of the self-attention, see `MultiHeadSelfAttention`.
        return_attention_scores: Bool. Also return the weights.
        use_causal_mask: Bool. Whether the self-attention is causal.
        training: Bool. Whether dropout is active.

    Returns:
        Tensor `(batch, time, dim)`, zeros at masked steps; with
        `return_attention_scores=True` then the weights of the self-attention and
        those on the memory; with a cache then the new one.

    Reference:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, section 3.1.
    """

    def build(self, inputs_shape, memory_shape):
        self._build_block(inputs_shape)
        self._memory_dim = memory_shape[-1]
        self.cross_attention = self._attention(
            MultiHeadAttention, "cross_attention", self._dim
        )
        self.cross_attention.build(inputs_shape, memory_shape)
        self.cross_attention_norm = self._norm("cross_attention_norm", inputs_shape)

    def project_memory(self, memory, mask=None):
        """Keys and values of a memory, see `MultiHeadAttention.project_memory`."""
        return self.cross_attention.project_memory(memory, mask=mask)

    def call(
        self,
        inputs,
        memory,
        inputs_mask=None,
        memory_mask=None,
        attention_mask=None,
        bias=None,
        projected_memory=None,
        cache=None,
        cache_positions=None,
        return_attention_scores=False,
        use_causal_mask=True,
        training=None,
    ):
        check_rank("inputs", inputs.shape, (3,), "(batch, time, dim)")
        check_rank("memory", memory.shape, (3,), "(batch, slots, dim)")
        check_width("inputs", inputs.shape, self._dim)
        check_width("memory", memory.shape, self._memory_dim)
        check_axes("inputs", inputs.shape, "memory", memory.shape, 1, "batch")
        check_mask("inputs_mask", inputs_mask, inputs.shape[:-1])
        check_mask("memory_mask", memory_mask, memory.shape[:-1])

        def attend(x):
            return self.self_attention(
                x,
                mask=inputs_mask,
                attention_mask=attention_mask,
                bias=bias,
                cache=cache,
                cache_positions=cache_positions,
                return_attention_scores=return_attention_scores,
                use_causal_mask=use_causal_mask,
                training=training,
            )

        def read(x):
            return self.cross_attention(
                x,
                memory,
                query_mask=inputs_mask,
                value_mask=memory_mask,
                projected=projected_memory,
                return_attention_scores=return_attention_scores,
                training=training,
            )

        x = zero_masked(inputs, inputs_mask)
        x, rest = self._residual(x, self.self_attention_norm, attend, training)
        x, scores = self._residual(x, self.cross_attention_norm, read, training)
        x, _ = self._residual(
            x,
            self.feed_forward_norm,
            lambda x: self.feed_forward(x, training=training),
            training,
        )
        x = zero_masked(x, inputs_mask)
        own = 1 if return_attention_scores else 0
        rest = [*rest[:own], *scores, *rest[own:]]
        return (x, *rest) if rest else x
