"""A thousand damaged pictures: a result, a typed error, or a result with a note; never fewer rows without a word."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

MUTANTS = Path(__file__).with_name("mutants.py")
CHECKED = ("PNG", "JPEG", "WEBP", "AVIF")  # formats in which checksums or codes tell of lost data


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Counter]]:
    """Format -> mutation -> outcome -> how many, from a process of its own with a limit on memory."""
    ran = subprocess.run([sys.executable, MUTANTS], capture_output=True, text=True, timeout=500)
    assert ran.returncode == 0, ran.stderr[
        -2000:
    ]  # no other exception, no more than 10 CPU seconds each, no more memory
    return {
        format: {kind: Counter(counts) for kind, counts in kinds.items()}
        for format, kinds in json.loads(ran.stdout.splitlines()[-1]).items()
    }


@pytest.mark.slow
def test_a_thousand_mutants_end_in_words_or_in_all_their_rows(found):
    total = sum((counts for kinds in found.values() for counts in kinds.values()), Counter())
    assert total.total() == 1000 and total["smaller"] == 0


@pytest.mark.slow
def test_what_is_cut_off_or_out_is_an_error_or_a_note(found):
    """Not a BMP, nor a TIFF without compression: what is cut out of the middle there moves what follows."""
    for format in (*CHECKED, "GIF"):
        for kind in ("cut", "truncate"):
            assert found[format][kind]["silent"] == 0, (format, kind)


@pytest.mark.slow
def test_runs_of_zeros_are_told_wherever_codes_are_checked(found):
    """A few in a hundred hit upon codes that another picture could have."""
    zeros = sum((found[format]["zeros"] for format in CHECKED), Counter())
    assert zeros["silent"] <= 0.05 * zeros.total()
    assert all(found[format]["flip"]["silent"] == 0 for format in ("PNG", "AVIF"))
