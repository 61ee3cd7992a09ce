"""The signatures of a model that reads anything and writes tokens."""

import tensorflow as tf

from keras_attn.models._request_lengths import checked_lengths, without_padding


def signatures(model, vocabulary=None, options=None):
    """Returns `{name: (function, {input: tf.TensorSpec})}`, see `Reader`."""
    if vocabulary is not None:
        _check_vocabulary(model, vocabulary)
    specs = {
        name: tf.TensorSpec(model.input[name].shape, dtype, name=name)
        for name, dtype in model.reads.items()
    }

    def source(inputs):
        given = {name: inputs[name] for name in model.reads}
        if "lengths" in given:
            given["lengths"] = checked_lengths("lengths", inputs, "audio")
        return given

    def tokens(options):
        return lambda inputs: trim(model.decode(source(inputs), **options))

    def text(options):
        if vocabulary is None:
            return tokens(options)
        write = tokens(options)
        return lambda inputs: _as_text(write(inputs), vocabulary, model.end_token_id)

    def score(inputs):
        target = without_padding("target_lengths", inputs, "target")
        return model.score(source(inputs), target)

    targets = {
        "target": tf.TensorSpec((None, None), tf.int32, name="target"),
        "target_lengths": tf.TensorSpec((None,), tf.int32, name="target_lengths"),
    }
    options = dict(options or {})
    best = best_alone(options)
    n_best = {"n_best": (text(options), specs)} if best != options else {}
    return {
        "serving_default": (text(best), specs),
        "tokens": (tokens(best), specs),
        "score": (score, {**specs, **targets}),
        **n_best,
    }


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
