"""The signatures of a model that reads anything and writes tokens."""

import tensorflow as tf

from keras_attn.data.tokenizers import SPECIAL_IDS, UNKNOWN_ID
from keras_attn.models._requests import (
    checked_ids,
    checked_lengths,
    checked_rows,
    checked_steps,
)


def signatures(model, vocabulary=None, options=None, reading=None):
    """Returns `{name: (function, {input: tf.TensorSpec})}`, see `Reader`.

    `reading` holds the vocabularies of what is read as text, by its name.
    """
    if vocabulary is not None:
        _check_vocabulary(model, vocabulary)
    ids, text = Request(model, {}), Request(model, reading or {})
    options = dict(options or {})
    best = best_alone(options)
    n_best = {}
    if best != options:
        n_best = {"n_best": (Endpoint(text, options, vocabulary), text.specs)}
    targets = {
        "target": tf.TensorSpec((None, None), tf.int32, name="target"),
        "target_lengths": tf.TensorSpec((None,), tf.int32, name="target_lengths"),
    }
    return {
        "serving_default": (Endpoint(text, best, vocabulary), text.specs),
        "tokens": (Endpoint(ids, best), ids.specs),
        "score": (ids.score, {**ids.specs, **targets}),
        **n_best,
    }


class Request(tf.Module):
    """What a request holds, as what the model reads.

    Token ids come with lengths; where there is a vocabulary of theirs, text comes.
    """

    def __init__(self, model, vocabularies):
        super().__init__()
        self.model = model
        self.texts = {
            name: Words(name, vocabulary, model.token_ids[name])
            for name, vocabulary in vocabularies.items()
        }
        self.specs = {}
        for name, dtype in model.reads.items():
            shape = model.input[name].shape
            if name in self.texts:
                shape, dtype = (None,), tf.string
            elif name in model.token_ids:
                lengths = f"{name}_lengths"
                self.specs[lengths] = tf.TensorSpec((None,), tf.int32, name=lengths)
            self.specs[name] = tf.TensorSpec(shape, dtype, name=name)

    def __call__(self, inputs):
        inputs = checked_rows(inputs)
        return {name: self._read(name, inputs) for name in self.model.reads}

    def _read(self, name, inputs):
        if name in self.texts:
            return self.texts[name](inputs[name])
        if name in self.model.token_ids:
            allowed = self.model.token_ids[name]
            return checked_ids(f"{name}_lengths", inputs, name, allowed)
        if name == "lengths":
            return checked_lengths(name, inputs, "audio")
        return inputs[name]

    def score(self, inputs):
        inputs = checked_rows(inputs)
        allowed = self.model.token_ids["target"]
        target = checked_ids("target_lengths", inputs, "target", allowed)
        return self.model.score(self(inputs), target)


class Words(tf.Module):
    """Text `(b,)` as token ids `(b, time)`, what is unknown as such."""

    def __init__(self, name, vocabulary, allowed):
        super().__init__()
        size = vocabulary.vocabulary_size()
        if size > allowed.vocabulary_size:
            raise ValueError(
                f"`{name}_vocabulary` must have at most {allowed.vocabulary_size} ids, "
                f"as many as the model reads. Received: {size} ids"
            )
        self.text, self.allowed = name, allowed
        self.separator = vocabulary.separator
        special = len(SPECIAL_IDS)  # which no text holds, whatever is written in it
        keys = tf.constant(vocabulary.pieces[special:], tf.string)
        values = tf.range(special, size, dtype=tf.int64)
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(keys, values),
            default_value=UNKNOWN_ID,
        )

    def __call__(self, text):
        if self.separator:
            words = tf.strings.split(text, self.separator)
            words = tf.ragged.boolean_mask(words, words != "")
        else:
            words = tf.strings.unicode_split(text, "UTF-8")
        ids = words.with_values(tf.cast(self.table.lookup(words.values), tf.int32))
        return checked_steps(self.text, ids.to_tensor(), self.allowed)


class Endpoint(tf.Module):
    """Writes an answer to a request; as text, where there is a vocabulary."""

    def __init__(self, request, options, vocabulary=None):
        super().__init__()
        self.request, self.options = request, options
        self.vocabulary = vocabulary

    def __call__(self, inputs):
        model = self.request.model
        answer = trim(model.decode(self.request(inputs), **self.options))
        if self.vocabulary is None:
            return answer
        return _as_text(answer, self.vocabulary, model.end_token_id)


def best_alone(options):
    """The options of a search for one hypothesis."""
    return {name: value for name, value in options.items() if name != "n_best"}


def _check_vocabulary(model, vocabulary):
    size = vocabulary.vocabulary_size()
    if size < model.vocabulary_size:
        raise ValueError(
            f"`vocabulary` must have at least {model.vocabulary_size} ids, as many as "
            f"the model writes. Received: vocabulary with vocabulary_size={size}"
        )


def _as_text(answer, vocabulary, end_token_id):
    """Ids replaced by the text and its pieces."""
    tokens = answer.pop("tokens")
    answer.pop("lengths")
    pieces = tf.gather(tf.constant(vocabulary.pieces), tokens)
    pieces = tf.where(tokens == 0, "", pieces)
    words = tf.logical_and(tokens != 0, tokens != end_token_id)
    parts = tf.where(words, pieces, "")
    if vocabulary.separator:  # after each word but the last one
        follows = tf.concat([words[..., 1:], tf.zeros_like(words[..., :1])], axis=-1)
        parts = tf.where(follows, parts + vocabulary.separator, parts)
    text = tf.strings.reduce_join(parts, axis=-1)
    return {"text": text, "target_tokens": pieces, **answer}


def trim(answer):
    """Drops the steps that no row has written."""
    steps = tf.reduce_max(tf.concat([tf.reshape(answer["lengths"], [-1]), [0]], axis=0))
    written = (*(slice(None) for _ in answer["lengths"].shape), slice(steps))
    return {
        name: value[written] if name in ("tokens", "attention_scores") else value
        for name, value in answer.items()
    }
