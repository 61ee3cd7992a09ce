"""Token ids of text that needs no learned pieces: characters, or words."""

from collections import Counter
from collections.abc import Iterable, Sequence

from keras_attn.data.tokenizers import END_ID, PADDING_ID, SPECIAL_IDS, UNKNOWN_ID

SPECIAL_PIECES = ("<pad>", "<unk>", "<s>", "</s>")


class Vocabulary:
    """Pieces of text by their ids.

    Ids are 0 for padding, 1 for what is unknown, 2 for the start and 3 for the end of
    a text, as in `train_tokenizer`, in whose place `encode` takes it too.

    Args:
        pieces: Strings, those of the ids from 4 on.
        separator: String between two pieces of a text; without one every character is
            a piece.

    Raises:
        ValueError: If a piece is repeated or could not be found again in a text.

    Example:

    ```python
    vocabulary = Vocabulary.of(["two three", "two"], separator=" ")
    encode(vocabulary, ["three two"], max_length=4)  # [[5, 4, 3]]
    ```
    """

    def __init__(self, pieces: Sequence[str], separator: str = ""):
        for piece in pieces:
            whole = separator not in piece if separator else len(piece) == 1
            if not piece or not whole:
                raise ValueError(
                    f"`pieces` must be parts of a text between separators "
                    f"{separator!r}. Received: {piece!r}"
                )
        self.separator = separator
        self.pieces = [*SPECIAL_PIECES, *pieces]
        # A text that has `</s>` or its like in it does not end there.
        self._ids = {piece: len(SPECIAL_IDS) + i for i, piece in enumerate(pieces)}
        if len(set(self.pieces)) < len(self.pieces):
            raise ValueError("`pieces` must all differ, from `</s>` and its like too.")

    @classmethod
    def of(
        cls, texts: Iterable[str], separator: str = "", min_count: int = 1
    ) -> "Vocabulary":
        """The pieces that occur at least `min_count` times, the most frequent first."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(_split(text, separator))
        ordered = sorted(counts, key=lambda piece: (-counts[piece], piece))
        return cls([p for p in ordered if counts[p] >= min_count], separator)

    def vocabulary_size(self) -> int:
        return len(self.pieces)

    def id_to_token(self, token: int) -> str:
        return self.pieces[token]

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text."""
        return [
            [self._ids.get(piece, UNKNOWN_ID) for piece in _split(text, self.separator)]
            for text in texts
        ]

    def detokenize(self, rows: Iterable[Iterable[int]]) -> list[str]:
        """The text of each row of ids, up to its end."""
        return [self._write(row) for row in rows]

    def _write(self, row: Iterable[int]) -> str:
        pieces = []
        for token in row:
            if token == END_ID:
                break
            if token != PADDING_ID:
                pieces.append(self.pieces[token])
        return self.separator.join(pieces)

    def get_config(self) -> dict:
        return {"pieces": self.pieces[len(SPECIAL_IDS) :], "separator": self.separator}


def _split(text: str, separator: str) -> Sequence[str]:
    return [p for p in text.split(separator) if p] if separator else text
