"""Written dates: equal to Babel's, with spans, splits and all their readings."""

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest

babel_dates = pytest.importorskip("babel.dates")

from keras_attn.data import dates  # noqa: E402

DAYS = [date(1950, 1, 1), date(2049, 12, 31), date(2000, 2, 29), date(2009, 9, 9)]
DAYS += [date(1997, month, month + 11) for month in range(1, 13)]
DAYS += [date(2024, 5, day) for day in range(1, 8)]


def test_writes_as_babel_does_in_every_language_and_style():
    differing = [
        (language, style, day)
        for language in (*dates.all_languages(), "pt_BR", "zh_Hant", "en_GB")
        for style in dates.STYLES
        for day in DAYS
        if dates.write(day, language, style)
        != babel_dates.format_date(day, style, locale=language)
    ]
    assert not differing


def test_languages():
    everything = set(dates.all_languages())
    assert 20 <= len(dates.LANGUAGES) <= 28
    assert len(everything) > 200
    assert set(dates.LANGUAGES) | set(dates.UNSEEN_LANGUAGES) <= everything
    assert not set(dates.LANGUAGES) & set(dates.UNSEEN_LANGUAGES)
    assert "ba" not in everything  # months are called M01 to M12
    assert len({"nb", "no"} & everything) == 1  # twins


def test_unseen_languages_add_few_characters():
    seen = set("".join(dates.sample(20_000).text))
    unseen = Counter("".join(dates.sample(5_000, dates.UNSEEN_LANGUAGES).text))
    known = sum(count for character, count in unseen.items() if character in seen)
    assert known / unseen.total() > 0.95


def test_a_sample_is_what_it_says():
    drawn = dates.sample(500, seed=3)
    for text, iso, locale, style, spans in zip(*drawn, strict=True):
        day = date.fromisoformat(iso)
        assert text == babel_dates.format_date(day, style, locale=locale)
        spanned = dict(
            zip(dates.FIELDS, (text[start:end] for start, end in spans), strict=True)
        )
        assert int(spanned["day"]) == day.day
        assert iso[:4].endswith(spanned["year"]) and len(spanned["year"]) in (2, 4)
        assert spanned["month"]
        if spanned["month"].isdecimal():
            assert int(spanned["month"]) == day.month
        if style == "full":
            names = [dates.write(day + timedelta(i), locale, style) for i in (0, 7)]
            assert all(spanned["weekday"] in name for name in names)
    assert drawn.spans.dtype == np.int32


def test_a_weekday_not_written_has_an_empty_span():
    drawn = dates.sample(50, ["de"], seed=0)
    written = np.array(drawn.style) == "full"
    lengths = drawn.spans[:, 3, 1] - drawn.spans[:, 3, 0]
    np.testing.assert_array_equal(lengths > 0, written)


def test_samples_depend_on_the_seed_alone():
    first, again, other = (dates.sample(100, seed=seed) for seed in (1, 1, 2))
    assert first.text == again.text and first.iso == again.iso
    assert first.text != other.text


def test_samples_cover_languages_styles_and_years():
    drawn = dates.sample(20_000, seed=0)
    languages, styles = Counter(drawn.locale), Counter(drawn.style)
    years = Counter(iso[:4] for iso in drawn.iso)
    assert set(languages) == set(dates.LANGUAGES)
    assert min(languages.values()) > 0.8 * 20_000 / len(dates.LANGUAGES)
    assert min(styles.values()) > 4_700
    assert (len(years), min(years), max(years)) == (100, "1950", "2049")


def test_splits_hold_every_date_once_and_keep_their_sizes():
    days = [date(1950, 1, 1) + timedelta(i) for i in range(36_525)]
    counts = Counter(map(dates.split_of, days))
    assert counts.total() == 36_525 and set(counts) == set(dates.SPLITS)
    assert 0.79 < counts["train"] / 36_525 < 0.81
    assert 0.09 < counts["test"] / 36_525 < 0.11


def test_the_split_of_a_date_never_changes():
    assert dates.split_of(date(1997, 5, 3)) == "test"
    assert dates.split_of(date(2000, 1, 29)) == "val"
    assert dates.split_of(date(2000, 1, 1)) == "train"


@pytest.mark.parametrize("split", dates.SPLITS)
def test_samples_of_a_split_are_of_that_split(split):
    drawn = dates.sample(2_000, seed=5, split=split)
    assert {dates.split_of(date.fromisoformat(iso)) for iso in drawn.iso} == {split}


def test_readings_equal_brute_force():
    languages = (
        *("en", "es", "hi", "iu", "fr", "sn", "mg"),
        *("zh", "ne", "tok", "ksf", "dz", "kaj"),
    )
    days = [date(1997, 1, 1) + timedelta(i) for i in range(2 * 365)]
    meant: dict[str, Counter] = {}
    for language in languages:
        for style in dates.STYLES:
            for day in days:
                text = dates.write(day, language, style)
                meant.setdefault(text, Counter())[day] += 1
    for text, expected in meant.items():
        assert dates.readings(text, languages, 1997, 1998) == set(expected)
        assert dates.is_ambiguous(text, languages, 1997, 1998) == (len(expected) > 1)
    ambiguous = [text for text, expected in meant.items() if len(expected) > 1]
    shares = [max(meant[text].values()) / meant[text].total() for text in ambiguous]
    assert dates.best_reader_accuracy(ambiguous, languages, 1997, 1998) == (
        pytest.approx(np.mean(shares))
    )
    assert len(ambiguous) > 100 and len(set(shares)) > 1


def test_the_date_meant_is_among_the_readings_in_every_language():
    languages = dates.all_languages()
    for language in languages:
        drawn = dates.sample(40, [language], seed=1)
        for text, iso in zip(drawn.text, drawn.iso, strict=True):
            assert date.fromisoformat(iso) in dates.readings(text, languages)


def test_readings_by_example():
    assert dates.readings("3/5/97", ["en", "es"]) == {
        date(1997, 3, 5),
        date(1997, 5, 3),
    }
    assert dates.readings("3/5/97", ["en"]) == {date(1997, 3, 5)}
    assert dates.readings("13/5/97", ["en", "es"]) == {date(1997, 5, 13)}
    assert dates.readings("Saturday, May 3, 1997", ["en"]) == {date(1997, 5, 3)}
    assert not dates.readings("Sunday, May 3, 1997", ["en"])  # it was a Saturday
    assert not dates.readings("2/29/97", ["en"])
    assert not dates.readings("May 3, 1949", ["en"])
    assert not dates.readings("", ["en"])
    # A range of more than a century gives a year of two digits two meanings.
    assert dates.readings("3/5/97", ["en"], 1890, 2000) == {
        date(1897, 3, 5),
        date(1997, 3, 5),
    }


def test_the_best_reader_names_the_likeliest_date():
    # Spanish and Italian write the day first, English the month.
    assert dates.best_reader_accuracy(["3/5/97"], ["en", "es"]) == 0.5
    assert dates.best_reader_accuracy(["3/5/97"], ["en", "es", "hi"]) == (
        pytest.approx(2 / 3)
    )
    assert dates.best_reader_accuracy(["13/5/97"], ["en", "es"]) == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dates.sample(-1), "`n`.*Received: n=-1"),
        (lambda: dates.sample(1, []), "`languages`"),
        (lambda: dates.sample(1, "en"), "`languages`"),
        (lambda: dates.sample(1, ["xx"]), "locale.*Received: 'xx'"),
        (lambda: dates.sample(1, split="dev"), "`split`.*Received: split='dev'"),
        (lambda: dates.sample(1, start_year=2050), "`start_year`.*2050"),
        (lambda: dates.readings("1", ["en"], 99, 100), "`start_year`.*99"),
        (lambda: dates.write(DAYS[0], "en", "tiny"), "`style`.*Received: style='tiny'"),
        (lambda: dates.best_reader_accuracy(["soon"], ["en"]), "'soon'"),
        (lambda: dates.best_reader_accuracy([], ["en"]), "`texts`"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
