"""What models that read something and write tokens have in common."""

from collections.abc import Mapping
from typing import Any

from keras import ops

from keras_attn.decoding import search
from keras_attn.layers._checks import check_counts, check_rank
from keras_attn.models._begun import Begun
from keras_attn.models._configured import ConfiguredModel
from keras_attn.models._scheduled_sampling import ScheduledSampling, check_rate
from keras_attn.models._token_ids import TokenIds, at_least_one_step


class EncoderDecoder(ConfiguredModel):
    """Decoding, scoring and signatures around a functional model that writes tokens.

    A subclass is a functional model on a dict of what it `reads`, by name and dtype,
    and of the `target`. It has `begin`, and among its `arguments`
    `scheduled_sampling`.
    """

    reads: Mapping[str, str] = {"source": "int32"}
    # Without a value: torch would find that in place of the layer.
    sampling: Any

    @property
    def token_ids(self):
        """The `TokenIds` of each text that is read, by its name."""
        return {"target": TokenIds(self.vocabulary_size)}

    @property
    def scheduled_sampling(self):
        """The share of tokens that a training step replaces, or its schedule."""
        return self.sampling.rate if self.sampling else 0.0

    @scheduled_sampling.setter
    def scheduled_sampling(self, rate):
        check_rate(rate)
        self.sampling = None
        if rate != 0:
            self.sampling = ScheduledSampling(rate, name="scheduled_sampling")

    def call(self, inputs, training=None, mask=None):
        if training:
            inputs = self.sampled(inputs, mask)
        return super().call(inputs, training=training, mask=mask)

    def sampled(self, inputs, mask=None):
        """The inputs with some of the target replaced, where that is asked for."""
        if not self.sampling:
            return inputs
        # One pass over what is given writes all tokens at once.
        logits = super().call(inputs, training=False, mask=mask)
        target = self.sampling(inputs["target"], ops.stop_gradient(logits))
        return {**inputs, "target": target}

    def begin(self, *source: Any, **options: Any) -> Begun:
        """Reads the source and returns what a search of `max_length=` steps needs."""
        raise NotImplementedError

    def tensors(self, source):
        """What the model reads, as a dict of tensors: it may come without its name.

        Of what may have any number of steps no step at all is one of padding.
        """
        if not isinstance(source, Mapping):
            source = dict.fromkeys(self.reads, source)
        if set(source) != set(self.reads):
            raise ValueError(
                f"`source` must hold {sorted(self.reads)}. Received: {sorted(source)}"
            )
        tensors = {
            name: _as_read(name, source[name], dtype)
            for name, dtype in self.reads.items()
        }
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        rows = next(iter(shapes.values()))[:1]
        for name, shape in shapes.items():
            expected = (*rows, *self.input[name].shape[1:])
            if not _agrees(shape, expected):
                raise ValueError(
                    f"`{name}` must have the shape {expected}. "
                    f"Received: {name}.shape={shape}"
                )
            if name in self.token_ids:
                self.token_ids[name].check(name, tensors[name])
            tensors[name] = at_least_one_step(tensors[name])
        return tensors

    def decode(self, source, max_length=None, **options):
        """Writes a target for each source, in one loop.

        Runs eagerly, inside a `tf.function` or `jax.jit`, and in an exported graph.
        `keras_attn.Decoder` brings it under `predict`.

        Args:
            source: What the model reads: a tensor, such as int32 `(batch,
                source_time)`, or a dict where it reads several.
            max_length: Int, steps at the most. Defaults to the model's `max_length`.
            **options: With `beam_width` those of `keras_attn.decoding.beam_search`,
                such as `n_best`, `length_penalty` and `coverage_penalty`. With `seed`
                those of `keras_attn.decoding.sample`. Without any the best token is
                written at each step.

        Returns:
            Dict of `tokens` int32 `(batch, max_length)`, the end token included where
            it was written and zeros after it; `lengths` int32 `(batch,)` that count
            them; `score` float32 `(batch,)`, their log-probability; and, of a model
            that attends, the `attention_scores`, `(batch, max_length, *memory)`. A beam
            search adds the `ranking_score`, float32 `(batch,)`; with `n_best` there
            are so many of all of these, `(batch, n_best, ...)`, best first.

        Raises:
            ValueError: If an argument is out of range. (Token ids that are not known
                yet, in a graph, are not checked.)
        """
        steps = self.max_length if max_length is None else max_length
        check_counts(max_length=steps)
        begun = self.begin(*self.tensors(source).values(), max_length=steps)
        return search(
            begun.step,
            begun.states,
            begun.emitted,
            self.start_token_id,
            self.end_token_id,
            steps,
            constants=begun.constants,
            **{"coverage_mask": begun.memory_mask, **options},
        )

    def score(self, source, target):
        """Log-probability of given targets.

        Args:
            source: What the model reads, as in `decode`.
            target: int32 tensor `(batch, target_time)`, without start token, with
                the end token where it is meant to end.

        Returns:
            Dict of `token_scores` float32 `(batch, target_time)`, zeros at padding,
            and their sum `score` float32 `(batch,)`.
        """
        given = ops.convert_to_tensor(target, "int32")
        check_rank("target", given.shape, (2,), "(batch, target_time)")
        self.token_ids["target"].check("target", given)
        target = at_least_one_step(given)
        start = ops.full_like(target[:, :1], self.start_token_id)
        shifted = ops.concatenate([start, target[:, :-1]], axis=1)
        # The row is read up to its last token, so the last padding is never a step.
        shifted = ops.where(ops.not_equal(target, 0), shifted, 0)
        logits = self({**self.tensors(source), "target": shifted}, training=False)
        scores = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
        scores = ops.take_along_axis(scores, target[..., None], axis=-1)[..., 0]
        scores = ops.where(ops.not_equal(target, 0), scores, 0.0)
        scores = scores[:, : ops.shape(given)[1]]
        return {"token_scores": scores, "score": ops.sum(scores, axis=-1)}


def _as_read(name, value, dtype):
    value = ops.convert_to_tensor(value)
    if dtype == "float32" and ops.dtype(value) == "uint8":
        raise ValueError(
            f"`{name}` must be floats in [0, 1]: divide bytes by 255. "
            f"Received: {name}.dtype=uint8"
        )
    return ops.cast(value, dtype)


def _agrees(shape, expected):
    return len(shape) == len(expected) and all(
        size is None or wanted in (None, size)
        for size, wanted in zip(shape, expected, strict=True)
    )
