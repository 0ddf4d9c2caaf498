"""The page of a clip sped up: whole in itself and small, its videos in step, in a browser where there is one."""

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

import av
import numpy as np
import pytest

from structkit.media.moving_pictures import write_video
from structkit.media.report import (
    LEAST_RATE,
    LEAST_SIDE,
    PIXELS,
    SIDE,
    PreviewSize,
    curve_words,
    report_of,
    report_page,
)
from structkit.media.speed_curve import SpeedCurve
from structkit.media.video import VideoReader

from ..paced_clips import paced_clip
from .driven_browser import driven

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
browser = pytest.mark.skipif(BROWSER is None, reason="no chromium is here: install it to see the page play")


def curve(speeds: tuple[float, ...] = (4.0, 1.0, 2.0), seconds: float = 2.0, **facts: object) -> SpeedCurve:
    count = round(25 * seconds)
    every = np.repeat(speeds, -(-count // len(speeds)))[:count]
    return SpeedCurve(np.arange(count + 1) / 25, every, facts=facts)


def facts(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="facts">(.*?)</script>', page, re.DOTALL)[1])


def inside(page: str) -> list[av.container.InputContainer]:
    found = re.findall(r'<script type="text/plain" id="(?:even|own)-video">(.*?)</script>', page, re.DOTALL)
    return [av.open(io.BytesIO(base64.b64decode(text))) for text in found]


def film(seconds: float, colour: int) -> bytes:
    """A grey film of ten frames a second, brighter by 8 a frame."""
    frames = [np.full((48, 64, 3), min(250, colour + 8 * i), np.uint8) for i in range(round(10 * seconds))]
    write_video(frames, Fraction(10), data := io.BytesIO(), quality=90, format="mp4")
    return data.getvalue()


def test_both_videos_are_in_the_page_and_last_as_long_as_the_curve_says(tmp_path):
    made = curve()
    with VideoReader(paced_clip(tmp_path / "clip.mp4")) as reader:
        page = report_of(reader, made, name="clip.mp4")
    for container in inside(page):
        times = [float(frame.time) for frame in container.decode(video=0)]
        assert times[0] == 0 and times == sorted(set(times))
        assert times[-1] < made.duration + 0.05
        ends = container.streams.video[0].duration * container.streams.video[0].time_base
        assert abs(float(ends) - made.duration) <= 1 / 25
        assert container.streams.audio
    told = facts(page)
    assert told["duration"] == pytest.approx(made.duration) and told["sound"] is True
    assert told["times"][0] == 0 and told["times"][-1] == pytest.approx(2)


def test_each_video_shows_the_moment_that_its_map_says(tmp_path):
    bright = [np.full((48, 64, 3), 4 * i, np.uint8) for i in range(50)]
    write_video(bright, Fraction(25), tmp_path / "clip.mp4", quality=95, format="mp4")
    made = curve((4.0, 1.0))
    with VideoReader(tmp_path / "clip.mp4") as reader:
        even, own = inside(report_of(reader, made, name="clip.mp4"))
    for container, time_of in ((even, lambda t: t * made.rate), (own, lambda t: np.interp(t, made.shown, made.times))):
        for frame in container.decode(video=0):
            moment = frame.to_ndarray(format="gray").mean() / 4 / 25
            assert abs(moment - time_of(float(frame.time))) < 0.25, frame.time


def test_a_clip_without_sound_has_none_in_the_page(tmp_path):
    with VideoReader(paced_clip(tmp_path / "clip.mp4", tone=None)) as reader:
        page = report_of(reader, curve(), name="clip.mp4")
    assert facts(page)["sound"] is False and not any(container.streams.audio for container in inside(page))


@pytest.mark.parametrize("seconds", [0.04, 5, 60, 300, 1800, 20_000])
@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (64, 48), (4000, 200)])
def test_the_pictures_of_a_page_are_bounded_whatever_the_clip(seconds, size):
    found = PreviewSize.of(seconds, *size)
    assert found.side <= min(SIDE, *size) and found.rate <= 25
    longer = max(size) / min(size)
    pixels = found.side**2 * longer * float(found.rate) * seconds
    assert pixels <= PIXELS or (found.rate == LEAST_RATE and found.side <= LEAST_SIDE)


def test_the_page_asks_for_nothing_and_its_texts_are_text():
    name = "a </script><img src=http://x/> & b"
    page = report_page(curve(method="motion"), (b"even", b"own"), name=name, notes=["<b>"])
    assert facts(page)["name"] == name and "<title>a &lt;/script&gt;" in page
    without = page.replace(json.dumps(name).replace("<", "\\u003c"), "").replace(html.escape(name), "")
    without = without.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z]|@import|<link|<iframe| src=", without)
    assert "default-src 'none'" in page and "{{" not in page


def test_a_name_is_text_even_if_it_looks_like_a_place_in_the_page():
    page = report_page(curve(), (b"even", b"own"), name="{{even}} \udcff\x01.mp4")
    assert facts(page)["name"] == "{{even}} .mp4" and page.count(base64.b64encode(b"even").decode()) == 1
    page.encode()


def test_a_curve_is_told_in_a_line():
    told = curve_words(curve((4.0, 1.0), method="motion", natural_rate=1.5))
    assert told == "0:02.0 in 0:01.2, 1.60 times as fast, from 1.00 to 4.00; natural up to 1.50; by motion"


def opened(page: str, folder: Path, *flags: str, at: str = "") -> str:
    """What the browser makes of a page, as its own text or, with --screenshot, as a file."""
    (folder / "page.html").write_text(page)
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=6000", *flags]
    ran = subprocess.run(
        [*command, f"{(folder / 'page.html').as_uri()}{at}"], capture_output=True, text=True, timeout=120, check=True
    )
    return ran.stdout


def two_films(even: float = 1.2, own: float = 1.2) -> str:
    """A page of 1.2 s with videos of these lengths, s."""
    return report_page(curve((5.0, 1.0)), (film(even, 0), film(own, 120)), name="clip.mp4", rate=Fraction(10))


@browser
@pytest.mark.slow
def test_a_moment_is_the_same_in_both_videos_and_on_the_curve(tmp_path):
    seen = opened(two_films(), tmp_path, "--dump-dom", at="#0.5")
    assert 'data-state="ready"' in seen and "0:00.5 of 0:01.2" in seen
    told = re.findall(r"<output>([^<]*)</output></figcaption>", seen)
    assert told == ["1.67×, 0:00.8 of the clip", "1.00×, 0:01.3 of the clip"]
    assert 'aria-valuenow="0.50"' in seen


@browser
@pytest.mark.slow
def test_what_the_page_shows_is_the_frames_of_its_time(tmp_path):
    (tmp_path / "page.html").write_text(two_films())
    grey = """videos.map((video) => {
      const canvas = document.createElement("canvas").getContext("2d");
      canvas.drawImage(video, 0, 0, 1, 1);
      return canvas.getImageData(0, 0, 1, 1).data[0];
    })"""
    with driven(str(BROWSER), tmp_path / "profile") as page:
        page.open((tmp_path / "page.html").as_uri() + "#0.55")
        page.until("document.body?.dataset.state === 'ready'")
        page.until("videos.every((video) => !video.seeking && video.readyState > 1)")
        assert page.evaluate(grey) == pytest.approx([40, 160], abs=8)


@browser
@pytest.mark.slow
def test_a_video_that_has_ended_keeps_its_picture_and_the_other_goes_on(tmp_path):
    seen = opened(two_films(even=0.6), tmp_path, "--dump-dom", at="#1.1")
    videos = re.findall(r"<video[^>]*>", seen)
    assert ['class="over"' in video for video in videos] == [True, False]
    assert 'data-state="ready"' in seen and "0:01.1 of 0:01.2" in seen


@browser
@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "time"),
    [
        ("press('ArrowRight')", "0:01.2"),
        ("press('ArrowLeft')", "0:00.0"),
        ("press('.')", "0:00.6"),
        ("press('End')", "0:01.2"),
        ("press('Home')", "0:00.0"),
        ("press('ArrowRight', {altKey: true})", "0:00.5"),
        ("press('x')", "0:00.5"),
        ("click(0.5)", "0:00.6"),
    ],
)
def test_keys_and_clicks_move_through_the_clip(tmp_path, act, time):
    script = f"""<script>
const press = (key, more) => document.body.dispatchEvent(new KeyboardEvent("keydown", {{key, bubbles: true, ...more}}));
const click = (share) => {{
  const curve = document.querySelector("svg"), box = curve.getBoundingClientRect();
  curve.setPointerCapture = () => {{}};
  const clientX = box.left + 30 + share * (box.width - 30);
  curve.dispatchEvent(new PointerEvent("pointerdown", {{clientX, clientY: box.top + 9, bubbles: true}}));
}};
new MutationObserver((_, watch) => {{ watch.disconnect(); {act}; }}).observe(document.body, {{attributes: true}});
</script></body>"""
    seen = opened(two_films().replace("</body>", script), tmp_path, "--dump-dom", at="#0.5")
    assert f"{time} of 0:01.2" in seen


@browser
@pytest.mark.slow
def test_both_videos_play_in_step_to_the_end_and_then_from_the_beginning_though_one_ends_early(tmp_path):
    (tmp_path / "page.html").write_text(two_films(even=0.6))
    with driven(str(BROWSER), tmp_path / "profile") as page:
        page.open((tmp_path / "page.html").as_uri())
        page.until("document.body?.dataset.state === 'ready'")
        page.evaluate("document.querySelector('button').click()")
        page.until("even.ended || at > 0.7")
        assert page.evaluate("playing || at > 1.1")
        page.until("!playing")
        assert page.evaluate("[at > 1.1, even.ended, own.currentTime > 1, button.textContent]") == [
            True,
            True,
            True,
            "Play",
        ]
        page.evaluate("button.click()")
        page.until("at < 0.6 || even.ended")
        assert page.evaluate("playing")
        page.evaluate("move(0.3); play(false)")
        page.until("!even.seeking && !own.seeking")
        assert page.evaluate("videos.map((video) => Math.abs(video.currentTime - 0.3) < 0.09)") == [True, True]


@browser
@pytest.mark.slow
def test_a_page_whose_videos_are_broken_says_so(tmp_path):
    page = report_page(curve(), (b"no video", b"none"), name="clip.mp4")
    seen = opened(page, tmp_path, "--dump-dom")
    assert 'data-state="failed"' in seen and "a video of this page cannot be shown" in seen
