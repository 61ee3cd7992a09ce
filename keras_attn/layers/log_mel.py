import keras
from keras import ops

from keras_attn.layers._checks import check_lengths, check_rank
from keras_attn.ops.log_mel import log_mel


@keras.saving.register_keras_serializable("keras_attn")
class LogMel(keras.layers.Layer):
    """Sound as log-energies in bands of frequency.

    Every utterance has mean 0 and deviation 1 in each band. The Fourier transform is
    a matrix product, so it compiles and runs on every backend, silence included.

    Args:
        num_bands: Int, number of bands, evenly spaced on the mel scale.
        rate: Int, samples a second.
        hop: Int, samples between the beginnings of two windows.
        hops_per_window: Int, how many of these a window is long.
        **kwargs: Forwarded to `keras.layers.Layer`.

    Call arguments:
        audio: Float tensor `(batch, samples)`.
        lengths: Int tensor `(batch,)`, numbers of samples; what lies after them does
            not matter. In a compiled function, where nothing can be refused, one
            below 0 counts as 0 and one beyond the samples as their number.
        return_mask: Bool. Also return the mask of the steps.

    Returns:
        Tensor `(batch, steps, num_bands)` with a step for each begun `hop`, zeros after
        the end; with `return_mask=True` also the bool mask, `(batch, steps)`.

    Raises:
        ValueError: If an argument has the wrong rank or value, as far as it is known.

    Example:
        >>> features = keras_attn.LogMel()(audio, lengths)
    """

    def __init__(self, num_bands=40, rate=8000, hop=80, hops_per_window=3, **kwargs):
        super().__init__(autocast=False, **kwargs)
        sizes = {
            "num_bands": num_bands,
            "rate": rate,
            "hop": hop,
            "hops_per_window": hops_per_window,
        }
        for name, size in sizes.items():
            if not isinstance(size, int) or size < 1:
                raise ValueError(
                    f"`{name}` must be an int of at least 1. Received: {name}={size!r}"
                )
        self.num_bands, self.rate = num_bands, rate
        self.hop, self.hops_per_window = hop, hops_per_window

    def call(self, audio, lengths, return_mask=False):
        check_rank("audio", audio.shape, (2,), "(batch, samples)")
        check_rank("lengths", lengths.shape, (1,), "(batch,)")
        check_lengths(lengths, audio.shape[1], "the number of samples")
        # In full precision: half of it does not hold the energies.
        features, mask = log_mel(
            ops.cast(audio, "float32"),
            ops.cast(lengths, "int32"),
            self.num_bands,
            self.rate,
            self.hop,
            self.hops_per_window,
        )
        features = ops.cast(features, self.compute_dtype)
        return (features, mask) if return_mask else features

    def get_config(self):
        return {
            **super().get_config(),
            "num_bands": self.num_bands,
            "rate": self.rate,
            "hop": self.hop,
            "hops_per_window": self.hops_per_window,
        }
