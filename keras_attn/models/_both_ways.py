from keras import ops


class BothWays:
    """Reads a sequence from its beginning and from its end.

    `keras.layers.Bidirectional` makes its two layers from configs. While a file is
    loaded, Keras takes what is configured at an address for what was there before,
    even if that is gone: at random a direction became a layer of another place. So the
    two are made here, by `make`.

    Args:
        make: A class of Keras recurrences, such as `keras.layers.LSTM`.
        units: Int, width of each direction.
        dtype: Dtype policy of both.
        name: Their names are `forward_{name}` and `backward_{name}`.
    """

    def __init__(self, make, units, dtype, name):
        self.forward, self.backward = (
            make(
                units,
                return_sequences=True,
                return_state=True,
                go_backwards=backwards,
                zero_output_for_mask=True,
                use_cudnn=False,  # cuDNN would switch XLA off for the whole model
                dtype=dtype,
                name=f"{way}_{name}",
            )
            for way, backwards in (("forward", False), ("backward", True))
        )

    def __call__(self, x, mask=None, initial_states=(None, None)):
        """Outputs side by side, `(batch, time, 2 * units)`, and the last states.

        Each state is `(batch, 2 * units)`, that of `forward` before that of `backward`.
        `initial_states` is a list of states for each.
        """
        (ahead, *last), (back, *first) = (
            layer(x, initial_state=states, mask=mask)
            for layer, states in zip(
                (self.forward, self.backward), initial_states, strict=True
            )
        )
        states = [
            ops.concatenate(pair, axis=-1) for pair in zip(last, first, strict=True)
        ]
        return ops.concatenate([ahead, ops.flip(back, axis=1)], axis=-1), states
