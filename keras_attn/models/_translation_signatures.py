"""The signatures under which a translator is served: text, token ids, scores."""

import hashlib

import tensorflow as tf

from keras_attn.models._requests import checked_ids, checked_steps
from keras_attn.models._writing_signatures import best_alone, trim


def signatures(model, source_tokenizer=None, target_tokenizer=None, options=None):
    """Returns `{name: (function, {input: tf.TensorSpec})}`, see `Translator`."""
    tokenizers = (source_tokenizer, target_tokenizer)
    if (source_tokenizer is None) != (target_tokenizer is None):
        raise ValueError(
            "`source_tokenizer` and `target_tokenizer` go together: give both or "
            f"none. Received: {tokenizers}"
        )
    if source_tokenizer is not None:
        _check_vocabularies(model, *tokenizers)

    def by_ids(options):
        return _tokens(model, options), _specs(tokens=2, lengths=1)

    def by_text(options):
        if source_tokenizer is None:
            return by_ids(options)
        endpoint = TextEndpoint(model, *tokenizers, options)
        return endpoint, {"text": tf.TensorSpec((None,), tf.string, name="text")}

    options = dict(options or {})
    best = best_alone(options)
    n_best = {"n_best": by_text(options)} if best != options else {}
    score = (
        _score(model),
        _specs(source=2, source_lengths=1, target=2, target_lengths=1),
    )
    return {
        "serving_default": by_text(best),
        "tokens": by_ids(best),
        "score": score,
        **n_best,
    }


def _check_vocabularies(model, source_tokenizer, target_tokenizer):
    """An id without an embedding or without a piece would fail a request."""
    read, written = model.source_vocabulary_size, model.target_vocabulary_size
    sizes = [each.vocabulary_size() for each in (source_tokenizer, target_tokenizer)]
    if sizes[0] > read:
        raise ValueError(
            f"`source_tokenizer` must have at most {read} ids, as many as the model "
            f"reads. Received: source_tokenizer with vocabulary_size={sizes[0]}"
        )
    if sizes[1] < written:
        raise ValueError(
            f"`target_tokenizer` must have at least {written} ids, as many as the "
            f"model writes. Received: target_tokenizer with vocabulary_size={sizes[1]}"
        )


def _specs(**ranks):
    return {
        name: tf.TensorSpec((None,) * rank, tf.int32, name=name)
        for name, rank in ranks.items()
    }


def _tokens(model, options):
    def tokens(inputs):
        allowed = model.token_ids["source"]
        source = checked_ids("lengths", inputs, "tokens", allowed)
        return trim(model.decode(source, **options))

    return tokens


def _score(model):
    def score(inputs):
        given = {
            name: checked_ids(f"{name}_lengths", inputs, name, allowed)
            for name, allowed in model.token_ids.items()
        }
        return model.score(**given)

    return score


class TextEndpoint(tf.Module):
    """Text in, text out, with the alignment between the tokens of both.

    The tokenizers run inside the graph, on TensorFlow Text's ops, with the ids of the
    training.
    """

    def __init__(self, model, source_tokenizer, target_tokenizer, options):
        super().__init__()
        self.model, self.options = model, options
        self.source = _in_graph(source_tokenizer)
        self.target = _in_graph(target_tokenizer)

    def __call__(self, inputs):
        ids = self.source.tokenize(inputs["text"])
        end = tf.fill((tf.shape(inputs["text"])[0], 1), self.model.end_token_id)
        source = tf.concat([ids, end], axis=1).to_tensor()
        source = checked_steps("text", source, self.model.token_ids["source"])
        answer = trim(self.model.decode(source, **self.options))
        tokens = answer.pop("tokens")
        lengths = answer.pop("lengths")
        return {
            "text": self.write(tokens),
            "source_tokens": _pieces(self.source, source, source != 0),
            "target_tokens": _pieces(
                self.target, tokens, tf.sequence_mask(lengths, tf.shape(tokens)[-1])
            ),
            **answer,
        }

    def write(self, tokens):
        """Text `(...)` of token ids `(..., time)`."""
        shape = tf.shape(tokens)
        rows = tf.reshape(tokens, (-1, shape[-1]))
        words = tf.logical_and(rows != 0, rows != self.model.end_token_id)
        text = self.target.detokenize(tf.ragged.boolean_mask(rows, words))
        return tf.reshape(text, shape[:-1])


def _in_graph(tokenizer):
    import tensorflow_text

    # A reloaded tokenizer is found by its name alone: one name, one vocabulary.
    name = f"sentencepiece_{hashlib.sha256(tokenizer.proto).hexdigest()[:16]}"
    return tensorflow_text.SentencepieceTokenizer(tokenizer.proto, name=name)


def _pieces(tokenizer, ids, mask):
    return tf.where(mask, tokenizer.id_to_string(ids), "")
