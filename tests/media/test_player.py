"""The page that plays clips: whole in itself, and in step, in a browser where there is one."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from structkit.errors import OptionError
from structkit.media.moving_pictures import Clip
from structkit.media.player import ACROSS, DOWN, SIDE, player_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
browser = pytest.mark.skipif(BROWSER is None, reason="no chromium is here: install it to see the page play")


def flat(count: int, colour: tuple[int, int, int], rate: int = 10, height: int = 16, width: int = 24) -> Clip:
    """A clip of one colour that grows by 10 levels of green a frame."""
    frames = np.tile(np.array(colour, np.uint8), (count, height, width, 1))
    frames[..., 1] = (10 * np.arange(count) % 250).astype(np.uint8)[:, None, None]
    return Clip(frames, Fraction(rate))


def facts(page: str) -> list[dict]:
    found = re.search(r'<script type="application/json" id="clips">(.*?)</script>', page, re.DOTALL)
    return json.loads(found[1])


def test_every_frame_is_in_the_page_in_its_place():
    [clip] = facts(player_page([("clip", made := flat(ACROSS * DOWN + 5, (200, 0, 40)))]))
    assert (clip["frames"], clip["rate"], clip["width"], clip["height"]) == (made.count, 10, 24, 16)
    sheets = [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB") for url in clip["sheets"]]
    for number, frame in enumerate(made.frames):
        place = number % clip["together"]
        left, top = place % clip["across"] * 24, place // clip["across"] * 16
        shown = np.asarray(sheets[number // clip["together"]])[top + 4 : top + 12, left + 6 : left + 18, 1]
        assert abs(shown.mean() - frame[0, 0, 1]) < 5, number


def test_the_page_asks_for_nothing_and_its_labels_are_text():
    label = "a </script><img src=http://x/> & b"
    page = player_page([(label, flat(3, (9, 0, 9)))], title="<b> & birds")
    assert facts(page)[0]["label"] == label and "<title>&lt;b&gt; &amp; birds</title>" in page
    without = page.replace(json.dumps(label).replace("<", "\\u003c"), "")
    assert not re.search(r"https?:|//[a-z]|@import|<link|<iframe| src=", without)
    assert "default-src 'none'" in page


def test_a_large_clip_is_made_smaller_for_the_page():
    [clip] = facts(player_page([("clip", flat(2, (9, 0, 9), height=90, width=2 * SIDE))]))
    assert (clip["width"], clip["height"]) == (SIDE, 45)
    assert len(player_page([("clip", flat(13, (9, 0, 9), height=144, width=256))])) < 60_000


def test_nothing_cannot_be_played():
    with pytest.raises(OptionError, match="no clips; pass at least one"):
        player_page([])


def opened(page: str, folder: Path, *flags: str, at: str = "") -> str:
    """What the browser makes of a page, as its own text or, with --screenshot, as a file."""
    (folder / "page.html").write_text(page)
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=4000", *flags]
    ran = subprocess.run(
        [*command, f"{(folder / 'page.html').as_uri()}{at}"], capture_output=True, text=True, timeout=120, check=True
    )
    return ran.stdout


@browser
@pytest.mark.slow
def test_the_page_plays_all_clips_by_one_clock(tmp_path):
    clips = [("clip", flat(5, (200, 0, 40))), ("longer", flat(9, (20, 0, 240))), ("faster", flat(16, (0, 0, 0), 20))]
    seen = opened(player_page(clips), tmp_path, "--dump-dom", at="#0.62")
    assert 'data-state="ready"' in seen
    canvases = re.findall(r"<canvas[^>]*>", seen)
    assert [re.search(r'data-frame="(\d+)"', canvas)[1] for canvas in canvases] == ["4", "6", "12"]
    assert ['class="over"' in canvas for canvas in canvases] == [True, False, False]
    assert "13 of 18, 0.62 s" in html.unescape(seen)


@browser
@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "where", "taken"),
    [
        ('key: "ArrowRight"', "body", True),
        ('key: "ArrowRight", altKey: true', "body", False),
        ('key: "ArrowLeft", ctrlKey: true', "body", False),
        ('key: " "', "body", True),
        ('key: " "', "button", False),  # which the browser turns into a click
    ],
)
def test_keys_of_the_browser_and_of_the_button_are_left_to_them(tmp_path, key, where, taken):
    page = player_page([("clip", flat(9, (200, 0, 40)))])
    press = f"new KeyboardEvent('keydown', {{{key}, bubbles: true, cancelable: true}})"
    act = f"document.body.dataset.taken = !document.querySelector('{where}').dispatchEvent({press})"
    seen = opened(page.replace("</body>", f"<script>{act}</script></body>"), tmp_path, "--dump-dom", at="#0.2")
    assert f'data-taken="{str(taken).lower()}"' in seen


@browser
@pytest.mark.slow
def test_a_page_whose_pictures_are_broken_says_so(tmp_path):
    page = player_page([("clip", flat(3, (200, 0, 40)))])
    seen = opened(re.sub(r"base64,[^\"]*", "base64,AAAA", page), tmp_path, "--dump-dom")
    assert 'data-state="failed"' in seen and "a picture of this page cannot be shown" in seen


@browser
@pytest.mark.slow
def test_what_the_page_shows_is_the_frame_of_its_time(tmp_path):
    page = player_page([("clip", flat(9, (240, 0, 10), height=120, width=160))])
    opened(page, tmp_path, f"--screenshot={tmp_path / 'shot.png'}", "--window-size=400,300", at="#0.4")
    shot = np.asarray(Image.open(tmp_path / "shot.png").convert("RGB")).reshape(-1, 3).astype(int)
    near = np.abs(shot - (240, 40, 10)).max(1) < 12
    assert near.sum() > 0.9 * 160 * 120
