"""A video's pictures are read in full whatever other streams stand before and beside them."""

from fractions import Fraction

import pytest

from structkit.media.video import VideoReader


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts"])
@pytest.mark.parametrize("count", [3, 30])
def test_no_frame_is_lost_where_the_sound_stands_first(film, suffix, count):
    """The decoder holds a few frames until the file's end."""
    beside, alone = (
        film(suffix, times=range(0, 40 * count, 40), sound={"aac": Fraction(0)}, sound_first=first, options={"bf": "3"})
        for first in (False, True)
    )
    times = [[frame.time for frame in VideoReader(path)] for path in (beside, alone)]
    assert len(times[0]) == count and times[0] == times[1]


@pytest.mark.parametrize(("known", "unknown"), [(b"A_FLAC", b"A_XXXX"), (b"S_TEXT/UTF8", b"S_HDMV/PGS\0")])
def test_a_stream_without_a_decoder_does_no_harm(film, known, unknown):
    data = film(".mkv", sound={"flac": Fraction(0)}, words=True).read_bytes()
    assert known in data
    assert len(list(VideoReader(data.replace(known, unknown)))) == 12
