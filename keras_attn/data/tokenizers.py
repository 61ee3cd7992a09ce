"""SentencePiece tokenizers that act alike in training and inside a SavedModel."""

import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from keras_attn.data._extras import import_extra

SPECIAL_IDS = PADDING_ID, UNKNOWN_ID, START_ID, END_ID = range(4)

# Nothing is normalised, so that what is decoded can equal a reference that is cased
# and not tokenised (NFKC would rewrite an ellipsis or a no-break space), and every
# character of the training text has a piece.
COMMON = {
    "pad_id": PADDING_ID,
    "unk_id": UNKNOWN_ID,
    "bos_id": START_ID,
    "eos_id": END_ID,
    "normalization_rule_name": "identity",
    "character_coverage": 1.0,
    "num_threads": 1,  # with more, sums of floats depend on their order
    "max_sentence_length": 1 << 30,  # longer sentences would be skipped
    "minloglevel": 2,  # errors only
}
# Subwords drop stray spaces, which carry no meaning and would cost rare pieces;
# characters keep all of them, so that the text and its ids are of one length.
BY_TYPE: dict[str, dict[str, Any]] = {
    "bpe": {},
    "unigram": {},
    "char": {
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "hard_vocab_limit": False,
    },
}


def train_tokenizer(
    sentences: Iterable[str],
    vocabulary_size: int | None = None,
    model_type: str = "bpe",
) -> Any:
    """Trains a SentencePiece tokenizer on `sentences`.

    Ids are 0 for padding, 1 for what is unknown, 2 for the start and 3 for the end
    of a sentence; the last two are never added by the tokenizer itself. Text is not
    normalised. `"char"` makes a token of every character and is lossless; `"bpe"`
    and `"unigram"` lose nothing but spaces at the ends and repeated ones. Equal
    sentences give equal tokenizers.

    Args:
        sentences: Strings to learn the vocabulary from.
        vocabulary_size: Integer, the size of the vocabulary with its four special
            tokens. For `"char"` it is an upper limit, which the rarest characters
            fall victim to, and may be left out.
        model_type: String, one of `"bpe"`, `"unigram"` and `"char"`.

    Returns:
        A `keras_hub.tokenizers.SentencePieceTokenizer` of dtype `int32`.

    Raises:
        ValueError: If an argument is out of range or the sentences hold too little
            text for the vocabulary.
    """
    if model_type not in BY_TYPE:
        raise ValueError(
            f"`model_type` must be one of {list(BY_TYPE)}. "
            f"Received: model_type={model_type!r}"
        )
    sentences = [sentence for sentence in sentences if sentence]
    if not any(sentence.strip(" ") for sentence in sentences):
        raise ValueError("`sentences` must hold some text. Received: none")
    if vocabulary_size is None and model_type == "char":
        vocabulary_size = len(SPECIAL_IDS) + len(set().union(*sentences))
    if vocabulary_size is None or vocabulary_size <= len(SPECIAL_IDS):
        raise ValueError(
            "`vocabulary_size` must be more than 4, as four ids are special. "
            f"Received: vocabulary_size={vocabulary_size}"
        )
    proto = _train(sentences, vocabulary_size, model_type)
    keras_hub = import_extra("keras_hub", "nlp")
    return keras_hub.tokenizers.SentencePieceTokenizer(proto=proto, dtype="int32")


def _train(sentences: list[str], vocabulary_size: int, model_type: str) -> bytes:
    sentencepiece = import_extra("sentencepiece", "nlp")
    proto = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=proto,
            model_type=model_type,
            vocab_size=vocabulary_size,
            **COMMON,
            **BY_TYPE[model_type],
        )
    except RuntimeError as error:
        raise ValueError(
            f"SentencePiece cannot make a vocabulary of "
            f"`vocabulary_size={vocabulary_size}` from {len(sentences)} sentences: "
            f"{error}"
        ) from error
    return proto.getvalue()


def encode(
    tokenizer: Any,
    sentences: Sequence[str],
    max_length: int,
    start: bool = False,
    end: bool = True,
    truncate: bool = False,
) -> np.ndarray:
    """Encodes sentences as one array of ids, padded with 0.

    Args:
        tokenizer: A tokenizer of `train_tokenizer`.
        sentences: Strings.
        max_length: Integer, the largest number of ids of a sentence, the start and
            the end counted.
        start: Boolean, whether a sentence begins with the start id.
        end: Boolean, whether a sentence ends with the end id.
        truncate: Boolean, whether a sentence that is too long is cut (its end id is
            kept) instead of refused.

    Returns:
        An `int32` array of shape `(sentences, length)`, where `length` is that of
        the longest sentence.

    Raises:
        ValueError: If a sentence is too long and `truncate` is false.
    """
    if isinstance(sentences, str):
        raise ValueError(
            f"`sentences` must be a sequence of strings. Received: {sentences!r}"
        )
    room = max_length - start - end
    if room < 1:
        raise ValueError(
            "`max_length` must leave room for a token beside the start and the end. "
            f"Received: max_length={max_length}"
        )
    pieces = tokenizer.tokenize(list(sentences)) if len(sentences) else []
    lengths = [len(ids) for ids in pieces]
    if not truncate and max(lengths, default=0) > room:
        index = next(i for i, length in enumerate(lengths) if length > room)
        raise ValueError(
            f"Sentence {index} has {lengths[index]} tokens, of which {room} fit into "
            f"`max_length={max_length}`; pass `truncate=True` to cut it. "
            f"Received: {sentences[index]!r}"
        )
    width = min(max(lengths, default=0), room) + start + end
    encoded = np.full((len(pieces), width), PADDING_ID, "int32")
    for row, ids in zip(encoded, pieces, strict=True):
        ids = [START_ID] * start + list(ids[:room]) + [END_ID] * end
        row[: len(ids)] = ids
    return encoded
