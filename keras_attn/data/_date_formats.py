"""CLDR's date patterns as tables: a date is written by joining table entries."""

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import NamedTuple

from keras_attn.data._extras import import_extra

STYLES = ("short", "medium", "long", "full")
FIELDS = ("day", "month", "year", "weekday")
LITERAL = len(FIELDS)  # the fifth, constant value of every date

# A pattern's letters for each field; all other letters, the era's, are constant in
# the years of our era.
LETTERS = {"d": 0, "M": 1, "L": 1, "y": 2, "E": 3, "c": 3}

Values = tuple[int, int, int, int, int]


class Piece(NamedTuple):
    """A part of a pattern: the text of every value of one field, or a literal."""

    field: int
    texts: tuple[str, ...]


@dataclass(frozen=True)
class DateFormat:
    """The way a language writes dates in one style.

    Attributes:
        pieces: The parts of the pattern, in the order of writing.
    """

    pieces: tuple[Piece, ...]

    def write(self, values: Values) -> str:
        """Writes the date of these values."""
        return "".join([texts[values[field]] for field, texts in self.pieces])

    def write_with_spans(self, values: Values) -> tuple[str, list[list[int]]]:
        """Writes a date, and gives the character span of every field.

        Spans are in the order of `FIELDS`; that of a field not written is `[0, 0]`.
        """
        parts = []
        spans = [[0, 0] for _ in range(LITERAL + 1)]
        end = 0
        for field, texts in self.pieces:
            part = texts[values[field]]
            start, end = end, end + len(part)
            spans[field] = [start, end]
            parts.append(part)
        return "".join(parts), spans[:LITERAL]


def values_of(day: date) -> Values:
    """Returns the indices of a date into the tables of a format."""
    return day.day, day.month, day.year, day.weekday(), 0


@cache
def date_format(locale: str, style: str) -> DateFormat:
    """Reads the pattern of one locale and style into tables."""
    if style not in STYLES:
        raise ValueError(f"`style` must be one of {STYLES}. Received: style={style!r}")
    dates = import_extra("babel.dates", "examples")
    parsed = parse_locale(locale)
    pattern = dates.get_date_format(style, locale=parsed).pattern
    return DateFormat(
        tuple(
            Piece(LITERAL, (token,))
            if kind == "chars"
            else _piece(parsed, token[0], token[1])
            for kind, token in dates.tokenize_pattern(pattern)
        )
    )


def parse_locale(locale: str):
    """Returns Babel's locale of this name."""
    core = import_extra("babel.core", "examples")
    try:
        return core.Locale.parse(locale)
    except (ValueError, core.UnknownLocaleError) as error:
        raise ValueError(
            "A language must be a locale that Babel knows, such as 'de' or 'pt_BR'. "
            f"Received: {locale!r}"
        ) from error


def _piece(locale, letter: str, count: int) -> Piece:
    field = LETTERS.get(letter, LITERAL)
    kind = (*FIELDS, "constant")[field]
    if kind == "year":
        return Piece(field, _years(count))
    dates = import_extra("babel.dates", "examples")

    def text(day: date) -> str:
        return dates.DateTimeFormat(day, locale)[letter * count]

    # January 2001 begins on a Monday, which is weekday 0.
    january = [date(2001, 1, day) for day in range(1, 32)]
    if kind == "day":
        return Piece(field, ("", *map(text, january)))
    if kind == "month":
        months = [date(2001, month, 1) for month in range(1, 13)]
        return Piece(field, ("", *map(text, months)))
    if kind == "weekday":
        return Piece(field, tuple(map(text, january[:7])))
    return Piece(field, (text(january[0]),))


@cache
def _years(count: int) -> tuple[str, ...]:
    """Returns the texts of all years that Python has dates for."""
    written = (f"{year:0{count}d}" for year in range(10_000))
    return tuple(text[-2:] if count == 2 else text for text in written)
