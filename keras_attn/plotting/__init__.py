"""Pictures: an `ax` goes in, an `ax` comes out. Matplotlib is imported on use."""

from keras_attn.plotting.attention import attention_heads as attention_heads
from keras_attn.plotting.attention import attention_map as attention_map
from keras_attn.plotting.molecule import molecule_map as molecule_map
from keras_attn.plotting.node_embedding import node_embedding as node_embedding

__all__ = ["attention_heads", "attention_map", "molecule_map", "node_embedding"]
