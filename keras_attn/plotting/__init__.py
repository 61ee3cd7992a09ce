"""Pictures: an `ax` goes in, an `ax` comes out. Matplotlib is imported on use."""

from keras_attn.plotting.attention import attention_heads as attention_heads
from keras_attn.plotting.attention import attention_map as attention_map
from keras_attn.plotting.glimpse import glimpse_animation as glimpse_animation
from keras_attn.plotting.glimpse import glimpse_grid as glimpse_grid
from keras_attn.plotting.glimpse import glimpse_path as glimpse_path
from keras_attn.plotting.glimpse import glimpse_views as glimpse_views
from keras_attn.plotting.molecule import molecule_map as molecule_map
from keras_attn.plotting.node_embedding import node_embedding as node_embedding

__all__ = [
    "attention_heads",
    "attention_map",
    "glimpse_animation",
    "glimpse_grid",
    "glimpse_path",
    "glimpse_views",
    "molecule_map",
    "node_embedding",
]
