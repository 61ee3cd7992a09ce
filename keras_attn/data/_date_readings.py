"""What a written date can mean, to a reader who is not told the language."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache, cached_property

from keras_attn.data._date_formats import (
    FIELDS,
    LITERAL,
    STYLES,
    DateFormat,
    date_format,
    values_of,
)


class Candidate:
    """A format, with one month if it names months, that may have written a text.

    Args:
        format: The format.
        month: Integer, the month, or None if the format writes it in digits.
        weight: Integer, how many pairs of language and style have this format.
    """

    def __init__(self, format: DateFormat, month: int | None, weight: int):
        self.format = format
        self.month = month
        self.weight = weight

    @cached_property
    def pattern(self) -> re.Pattern:
        parts = []
        for field, texts in self.format.pieces:
            if field == LITERAL:
                parts.append(re.escape(texts[0]))
            elif FIELDS[field] == "month" and self.month:
                parts.append(re.escape(texts[self.month]))
            elif FIELDS[field] == "weekday":
                parts.append(".+")  # whether it is the right one, writing will show
            elif FIELDS[field] == "year":
                parts.append(f"(?P<year>[0-9]{{{len(texts[2000])}}})")
            else:
                parts.append(f"(?P<{FIELDS[field]}>[0-9]{{1,2}})")
        return re.compile("".join(parts))

    def read(self, text: str, years: range) -> list[date]:
        """Returns the dates that this format writes as `text`."""
        match = self.pattern.fullmatch(text)
        if not match:
            return []
        day, year = int(match["day"]), int(match["year"])
        month = self.month or int(match["month"])
        if len(match["year"]) == 2:
            fitting = [one for one in years if one % 100 == year]
        else:
            fitting = [year] if year in years else []
        dates = [_date_or_none(year, month, day) for year in fitting]
        return [day for day in dates if day and self._writes(day, text)]

    def _writes(self, day: date, text: str) -> bool:
        return self.format.write(values_of(day)) == text


def possible_dates(text: str, languages: Sequence[str], years: range) -> Counter[date]:
    """Returns the dates that can be meant, each with its number of ways to be meant.

    A way is a pair of language and style. If these pairs are equally likely, as are
    the dates, then the numbers are in the ratio of the dates' probabilities.
    """
    dates: Counter[date] = Counter()
    for candidate in _candidates(tuple(languages)).get(_shape(text), ()):
        for day in candidate.read(text, years):
            dates[day] += candidate.weight
    return dates


def best_accuracy(
    texts: Iterable[str], languages: Sequence[str], years: range
) -> float:
    """Returns the mean probability of the likeliest date of each text."""
    shares = []
    for text in texts:
        dates = possible_dates(text, languages, years)
        if not dates:
            raise ValueError(
                f"No language of `languages` writes a date as {text!r} in the years "
                f"{years.start} to {years.stop - 1}."
            )
        shares.append(max(dates.values()) / dates.total())
    if not shares:
        raise ValueError("`texts` must hold at least one text. Received: none")
    return sum(shares) / len(shares)


def _shape(text: str) -> str:
    """Returns the text with every number of it replaced by `0`."""
    return re.sub("[0-9]+", "0", text)


@cache
def _candidates(languages: tuple[str, ...]) -> dict[str, list[Candidate]]:
    """Returns the candidates of all formats by the shape of what they write.

    A shape depends on the names of month and weekday alone, so there are few, and a
    text is compared with the formats of its own shape only.
    """
    formats = Counter(
        date_format(language, style) for language in languages for style in STYLES
    )
    index = defaultdict(list)
    for format, weight in formats.items():
        texts = dict(format.pieces)[FIELDS.index("month")]
        # `isdecimal` alone would take other scripts' digits, which name months too.
        named = not all(text.isascii() and text.isdecimal() for text in texts[1:])
        for month in range(1, 13) if named else (None,):
            shapes = {
                _shape(format.write((1, month or 1, 2000, weekday, 0)))
                for weekday in range(7)
            }
            candidate = Candidate(format, month, weight)
            for shape in shapes:
                index[shape].append(candidate)
    return dict(index)


def _date_or_none(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
