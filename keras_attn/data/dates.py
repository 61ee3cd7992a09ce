"""Dates as people write them, in the languages of the Unicode CLDR.

Babel carries the date patterns and the names of months and weekdays of some 300
languages, as the Unicode Common Locale Data Repository publishes them (Unicode
License v3). The text is kept as it is there, with its no-break spaces and
directional marks; digits are the ASCII ones, as Babel writes them.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from functools import cache
from typing import NamedTuple

import numpy as np

from keras_attn.data._date_formats import (
    FIELDS,
    STYLES,
    DateFormat,
    date_format,
    parse_locale,
    values_of,
)
from keras_attn.data._date_readings import best_accuracy, possible_dates
from keras_attn.data._extras import import_extra

__all__ = [
    "FIELDS",
    "LANGUAGES",
    "SPLITS",
    "STYLES",
    "UNSEEN_LANGUAGES",
    "DateSample",
    "all_languages",
    "best_reader_accuracy",
    "is_ambiguous",
    "readings",
    "sample",
    "split_of",
    "write",
]

# Two dozen languages in a dozen scripts: Latin, Cyrillic, Greek, Armenian, Georgian,
# Hebrew, Arabic, Devanagari, Thai, Han, Kana and Hangul.
LANGUAGES = (
    *("en", "de", "fr", "es", "it", "pt", "nl", "pl", "fi", "tr", "vi"),
    *("ru", "bg", "el", "hy", "ka", "he", "ar", "fa", "hi", "th", "zh", "ja", "ko"),
)

# Kept for asking what was never trained on; their scripts are among the above.
UNSEEN_LANGUAGES = ("ca", "cs", "sv", "uk", "mr", "ur")

SPLITS = ("train", "val", "test")


class DateSample(NamedTuple):
    """Written dates.

    Attributes:
        text: Strings, the dates as written.
        iso: Strings, the dates as `YYYY-MM-DD`.
        locale: Strings, the language of each.
        style: Strings, the style of each, one of `STYLES`.
        spans: `int32` array of shape `(samples, fields, 2)`: where in the text each
            of `FIELDS` begins and ends. A field not written has the span `(0, 0)`.
    """

    text: list[str]
    iso: list[str]
    locale: list[str]
    style: list[str]
    spans: np.ndarray


def write(day: date, locale: str, style: str) -> str:
    """Writes a date as `babel.dates.format_date` does, many times faster."""
    return date_format(locale, style).write(values_of(day))


def sample(
    n: int,
    languages: Sequence[str] = LANGUAGES,
    seed: int = 0,
    split: str | None = None,
    start_year: int = 1950,
    end_year: int = 2049,
) -> DateSample:
    """Draws dates written by people of these languages.

    Language, style and date are drawn uniformly and independently, with
    replacement. In the hundred years of the default, a year of two digits has one
    meaning.

    Args:
        n: Integer, how many to draw.
        languages: Strings, Babel's locales.
        seed: Integer, the seed of the draw.
        split: String, one of `SPLITS`, to draw dates of that split only; any date
            if None.
        start_year: Integer, the first year.
        end_year: Integer, the last year.

    Returns:
        A `DateSample`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    ```python
    train = dates.sample(200_000, seed=1, split="train")
    train.text[0], train.iso[0]
    ```
    """
    if n < 0:
        raise ValueError(f"`n` must not be negative. Received: n={n}")
    if not languages or isinstance(languages, str):
        raise ValueError(
            "`languages` must be a sequence of locale names. "
            f"Received: languages={languages!r}"
        )
    days = _days(start_year, end_year, split)
    ways = [(language, style) for language in languages for style in STYLES]
    formats = [date_format(*way) for way in ways]
    rng = np.random.default_rng(seed)
    chosen_ways = rng.integers(len(ways), size=n).tolist()
    chosen_days = [days[i] for i in rng.integers(len(days), size=n).tolist()]
    written = [
        formats[way].write_with_spans(values_of(day))
        for way, day in zip(chosen_ways, chosen_days, strict=True)
    ]
    return DateSample(
        text=[text for text, _ in written],
        iso=[day.isoformat() for day in chosen_days],
        locale=[ways[way][0] for way in chosen_ways],
        style=[ways[way][1] for way in chosen_ways],
        spans=np.array([spans for _, spans in written], "int32").reshape(
            n, len(FIELDS), 2
        ),
    )


def split_of(day: date) -> str:
    """Returns the split of a date: `"train"` (80 %), `"val"` or `"test"` (10 % each).

    It depends on a hash of the date alone, so no date is in two splits, whatever the
    languages and seeds.
    """
    digest = hashlib.blake2b(day.isoformat().encode(), digest_size=8).digest()
    tenth = int.from_bytes(digest, "big") % 10
    return "test" if tenth == 0 else "val" if tenth == 1 else "train"


def readings(
    text: str,
    languages: Sequence[str] = LANGUAGES,
    start_year: int = 1950,
    end_year: int = 2049,
) -> set[date]:
    """Returns all dates that one of the languages writes so in some style.

    Args:
        text: String, the written date.
        languages: Strings, the locales that the writer may have used.
        start_year: Integer, the first year.
        end_year: Integer, the last year.

    Returns:
        The dates; none if nobody writes so.

    Example:

    ```python
    readings("3/5/97", ["en", "es"])  # 5 March and 3 May 1997
    ```
    """
    return set(possible_dates(text, languages, _years(start_year, end_year)))


def is_ambiguous(
    text: str,
    languages: Sequence[str] = LANGUAGES,
    start_year: int = 1950,
    end_year: int = 2049,
) -> bool:
    """Returns whether a written date has more than one of the `readings`."""
    return len(readings(text, languages, start_year, end_year)) > 1


def best_reader_accuracy(
    texts: Iterable[str],
    languages: Sequence[str] = LANGUAGES,
    start_year: int = 1950,
    end_year: int = 2049,
) -> float:
    """Returns the accuracy that the best possible reader expects on these texts.

    Whoever is not told the language can do no better than to name the likeliest
    date. If texts are drawn as by `sample`, that date is right with the share of the
    pairs of language and style that write it so, among all pairs and dates that give
    the text. The mean of these shares is returned. The reader does not know of
    splits.

    Args:
        texts: Strings, written dates.
        languages: Strings, the locales that they were drawn from.
        start_year: Integer, the first year.
        end_year: Integer, the last year.

    Returns:
        A float in (0, 1].

    Raises:
        ValueError: If a text is not a date of these languages and years.
    """
    return best_accuracy(texts, languages, _years(start_year, end_year))


@cache
def all_languages() -> tuple[str, ...]:
    """Returns all languages of Babel that write the Gregorian calendar in full.

    Left out are those for which CLDR has no names of their own for months or
    weekdays, or not one for each, and those that write all dates as another does.
    Of such twins, the one of `LANGUAGES` or the alphabetically first stays.
    """
    localedata = import_extra("babel.localedata", "examples")
    named = [
        name
        for name in sorted(localedata.locale_identifiers())
        if "_" not in name and _has_names(name)
    ]
    first: dict[tuple[DateFormat, ...], str] = {}
    for name in (*LANGUAGES, *UNSEEN_LANGUAGES, *named):
        first.setdefault(tuple(date_format(name, style) for style in STYLES), name)
    return tuple(sorted(first.values()))


def _has_names(language: str) -> bool:
    dates = import_extra("babel.dates", "examples")
    placeholders = import_extra("babel.localedata", "examples").load("root")
    locale = parse_locale(language)
    months = set(dates.get_month_names("wide", locale=locale).values())
    weekdays = set(dates.get_day_names("wide", locale=locale).values())
    return (
        (len(months), len(weekdays)) == (12, 7)
        and months.isdisjoint(placeholders["months"]["format"]["wide"].values())
        and weekdays.isdisjoint(placeholders["days"]["format"]["wide"].values())
    )


def _years(start_year: int, end_year: int) -> range:
    if not 1000 <= start_year <= end_year <= 9999:
        raise ValueError(
            "`start_year` and `end_year` must be years of four digits, in order. "
            f"Received: start_year={start_year}, end_year={end_year}"
        )
    return range(start_year, end_year + 1)


@cache
def _days(start_year: int, end_year: int, split: str | None) -> tuple[date, ...]:
    years = _years(start_year, end_year)
    if split not in (None, *SPLITS):
        raise ValueError(
            f"`split` must be None or one of {SPLITS}. Received: split={split!r}"
        )
    first = date(years.start, 1, 1)
    count = (date(years.stop - 1, 12, 31) - first).days + 1
    days = (first + timedelta(days=i) for i in range(count))
    return tuple(day for day in days if split is None or split_of(day) == split)
