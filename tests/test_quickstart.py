import re

import numpy as np
import pytest

from keras_attn import quickstart
from keras_attn.data import dates


def test_month_mass_counts_the_month_while_its_digits_are_written():
    scores = np.zeros((2, 11, 8), "float32")
    scores[0, 5:7, 3] = 0.75  # within the span of the month
    scores[0, 5:7, 2] = 0.25  # before it
    scores[0, 0, 4] = 1.0  # within, but while the year is written
    scores[1, 5, 0] = 0.5
    spans = np.zeros((2, len(dates.FIELDS), 2), "int32")
    spans[:, dates.FIELDS.index("month")] = [[3, 6], [0, 1]]
    assert quickstart.month_mass(scores, spans) == pytest.approx((1.5 + 0.5) / 4)


def test_more_languages_never_include_those_kept_away():
    many = quickstart.choose_languages(120)
    assert many[: len(dates.LANGUAGES)] == dates.LANGUAGES
    assert len(set(many)) == 120
    assert not set(many) & set(dates.UNSEEN_LANGUAGES)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--languages", "0"], r"between 1 and \d+. Received: 0"),
        (["--samples", "5"], "at least 128: 5"),
    ],
)
def test_bad_flags_are_refused_before_anything_starts(flags, message, capsys):
    with pytest.raises(SystemExit):
        quickstart.main(flags)
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.slow
def test_the_main_job_in_short(tmp_path, capsys):
    flags = ["--languages", "2", "--samples", "12800", "--epochs", "2"]
    assert quickstart.main([*flags, "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    exact = float(re.search(r"one reading +([\d.]+)%", printed)[1])
    assert exact > 90
    assert re.search(r"Saturday, May 3, 1997 +-> 1997-05-03 +[\d.]+ ms", printed)
    assert (tmp_path / "saved_models/dates/1/saved_model.pb").exists()
    assert (tmp_path / "alignment.png").read_bytes().startswith(b"\x89PNG")
