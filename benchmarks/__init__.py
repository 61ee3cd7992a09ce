"""Us and the peers, timed side by side in one run.

A page (`decoder.py`, `additive_attention.py`) lists entries and cases:
`python -m benchmarks.decoder --rounds 11`. `harness.py` times them, `_statistics.py`
sums up, `_report.py` prints and keeps, and the
other files build what is timed.
"""
