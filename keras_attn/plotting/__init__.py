"""Pictures: an `ax` goes in, an `ax` comes out. Matplotlib is imported on use."""

from keras_attn.plotting.attention import attention_heads as attention_heads
from keras_attn.plotting.attention import attention_map as attention_map

__all__ = ["attention_heads", "attention_map"]
