"""Videos that speed is learned from: which serve and why not, the cache, the split, the moments and how they look."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from structkit.data.moments import ClipView, Moment, Moments, runs, shown_square, shown_whole
from structkit.data.proxies import ProxyCache, near_duplicates
from structkit.data.videos import VideoSet, list_videos, read_videos, split_videos
from structkit.errors import InputError, OutputError
from structkit.media.locks import TEMP_PREFIX

from ..speed_videos import drifting, proxy, write_video

LEAST = 30


def read(folder, cache, **how):
    return read_videos(list_videos(str(folder)), cache, least=LEAST, most_bytes=how.pop("most_bytes", 1e9), **how)


@pytest.fixture
def cache(tmp_path):
    return ProxyCache(tmp_path / "cache", 32)


def test_what_cannot_be_learned_from_is_left_out_and_a_table_says_why(tmp_path, cache):
    folder = tmp_path / "videos"
    good = write_video(folder / "good.mp4", drifting(40, 1))
    (folder / "copy.mp4").write_bytes(good.read_bytes())
    write_video(folder / "short.mp4", drifting(12, 1))
    write_video(folder / "slow.mp4", drifting(40, 1), 12.5)
    write_video(folder / "still.mp4", drifting(1, 0).repeat(40, 0))
    write_video(folder / "twice.mkv", drifting(30, 2).repeat(2, 0), codec="ffv1")
    (folder / "torn.mp4").write_bytes(good.read_bytes()[:700])
    (folder / "words.txt").write_text("no video")
    found = read(folder, cache)
    assert [one.name for one in found.proxies] == ["copy.mp4"]  # the first of two copies, in natural order
    table = {line.split()[0].rpartition("/")[2]: line.split(maxsplit=1)[1].strip() for line in found.table()}
    assert table["good.mp4"] == "the same file as copy.mp4"
    assert table["short.mp4"] == "too short: 0.48 s without a cut, and 1.2 s are needed"
    assert table["slow.mp4"] == "12.5 frames a second, and 23 are needed: below, frames are repeated"
    assert table["still.mp4"] == "still: nothing moves in it"
    assert table["twice.mkv"] == "50% of its frames are repeated, at 25 a second"
    assert "MP4" in table["torn.mp4"] and len(table) == 6


def test_where_none_serves_the_error_says_why(tmp_path, cache):
    write_video(tmp_path / "v/short.mp4", drifting(12, 1))
    with pytest.raises(InputError, match=r"v: none of 1 video can be learned from; the first: .*short.mp4: too short"):
        read(tmp_path / "v", cache)
    (tmp_path / "v/short.mp4").unlink()
    with pytest.raises(InputError, match="v: no videos; name a folder"):
        read(tmp_path / "v", cache)
    with pytest.raises(InputError, match=r"nowhere\.mp4: no such file or folder"):
        list_videos([str(tmp_path / "nowhere.mp4")])


def test_videos_are_decoded_once_and_again_where_the_cache_is_damaged(tmp_path, cache):
    write_video(tmp_path / "v/a.mp4", drifting(40, 1, height=64, width=96))
    [first] = read(tmp_path / "v", cache).proxies
    assert first.frames.shape == (40, 32, 48, 3) and cache.hits == 0
    frames = np.array(first.frames)
    [again] = read(tmp_path / "v", cache).proxies
    assert cache.hits == 1 and np.array_equal(frames, again.frames)
    assert np.array_equal(first.motion, again.motion)
    [raw] = cache.folder.glob("*.rgb")
    raw.write_bytes(raw.read_bytes()[:-1])
    [mended] = read(tmp_path / "v", cache).proxies
    assert cache.hits == 1 and np.array_equal(frames, mended.frames)
    [facts] = cache.folder.glob("*.json")
    facts.write_text("{")
    read(tmp_path / "v", cache)
    assert cache.hits == 1 and json.loads(facts.read_text())["shape"] == [40, 32, 48, 3]
    read(tmp_path / "v", ProxyCache(cache.folder, 24))  # other settings, other files
    assert len(list(cache.folder.iterdir())) == 4


def test_a_proxy_of_which_too_little_is_known_is_made_again(tmp_path, cache):
    write_video(tmp_path / "v/a.mp4", drifting(40, 1))
    [first] = read(tmp_path / "v", cache).proxies
    [facts] = cache.folder.glob("*.json")
    whole = json.loads(facts.read_text())
    for damaged in (
        {name: value for name, value in whole.items() if name != "seconds"},
        whole | {"motion": whole["motion"][:-1]},
        whole | {"thumbnail": [[1.0]]},
        whole | {"notes": None},
        whole | {"shape": []},
        [1],
    ):
        facts.write_text(json.dumps(damaged))
        [again] = read(tmp_path / "v", cache).proxies
        assert cache.hits == 0 and np.array_equal(again.motion, first.motion)


def test_a_cache_that_cannot_be_made_is_no_fault_of_the_videos(tmp_path, cache):
    write_video(tmp_path / "v/a.mp4", drifting(40, 1))
    cache.folder.write_text("no folder")
    with pytest.raises(OutputError, match="cache: no folder of decoded videos can be made here"):
        read(tmp_path / "v", cache)


def test_what_a_killed_process_left_in_the_cache_is_removed(tmp_path, cache):
    write_video(tmp_path / "v/a.mp4", drifting(40, 1))
    cache.folder.mkdir()
    left = cache.folder / f"{TEMP_PREFIX}{'0' * 16}.rgb"
    left.write_bytes(b"some frames")
    read(tmp_path / "v", cache)
    assert not left.exists() and len(list(cache.folder.glob("*.rgb"))) == 1


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="tells open files by /proc")
def test_proxies_keep_no_file_open(tmp_path, cache):
    write_video(tmp_path / "v/a.mp4", drifting(40, 1))
    read(tmp_path / "v", cache)
    before = len(list(Path("/proc/self/fd").iterdir()))
    kept = [read(tmp_path / "v", cache) for _ in range(3)]
    assert len(list(Path("/proc/self/fd").iterdir())) <= before and kept[2].proxies[0].frames.shape[0] == 40


def test_videos_that_begin_in_black_are_not_alike_for_that(tmp_path, cache):
    for number in range(2):
        shown = drifting(40, 1, seed=number)
        shown[:6] = (shown[:6] * np.array([0, 0, 0, 0.05, 0.1, 0.15])[:, None, None, None]).astype(np.uint8)
        write_video(tmp_path / f"v/{number}.mp4", shown)
    found = read(tmp_path / "v", cache)
    assert len(list(near_duplicates(found.proxies))) == 2


def test_the_cache_stays_within_its_bound_and_one_video_more_leaves_it_as_it_is(tmp_path, cache):
    write_video(tmp_path / "v/a.mp4", drifting(40, 1))
    read(tmp_path / "v", cache, most_bytes=10e6)
    write_video(tmp_path / "v/b.mp4", drifting(40, 1, seed=1))
    read(tmp_path / "v", cache, most_bytes=10e6)
    assert cache.hits == 1 and len(list(cache.folder.iterdir())) == 4
    (tmp_path / "v/a.mp4").unlink()
    again = ProxyCache(cache.folder, 32)
    [left] = read(tmp_path / "v", again, most_bytes=10e6).proxies
    assert again.hits == 1 and len(list(cache.folder.iterdir())) == 4
    again.prune(left.frames.nbytes)
    assert sorted(path.suffix for path in cache.folder.iterdir()) == [".json", ".rgb"]
    assert read(tmp_path / "v", again).proxies[0].frames.shape == left.frames.shape and again.hits == 2


def test_what_short_videos_leave_is_there_for_long_ones(tmp_path, cache):
    for number in range(3):
        write_video(tmp_path / f"v/{number}.mp4", drifting(40, 1, seed=number, height=32, width=32))
    write_video(tmp_path / "v/long.mp4", drifting(500, 1, seed=9, height=32, width=32))
    found = read(tmp_path / "v", cache, most_bytes=700 * 32 * 32 * 3)
    assert sorted(len(proxy) for proxy in found.proxies) == [40, 40, 40, 500]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_of_a_long_video_evenly_spread_runs_are_kept(tmp_path, cache, suffix):
    write_video(tmp_path / f"v/a{suffix}", drifting(1300, 1, height=32, width=32))
    [kept] = read(tmp_path / "v", cache, most_bytes=650 * 32 * 32 * 3).proxies
    assert len(kept) <= 650 and kept.seconds == 52
    assert [end - begin for begin, end in runs(kept)] == [400, 250]
    whole = read(tmp_path / "v", ProxyCache(tmp_path / "other", 32)).proxies[0]
    assert np.array_equal(kept.frames[:400], whole.frames[:400])


def test_repeated_frames_are_left_out_and_a_standstill_is_a_break(tmp_path, cache):
    frames = drifting(60, 3)
    stopped = np.concatenate([frames[:40], frames[39:40].repeat(6, 0), frames[40:]])
    write_video(tmp_path / "v/a.mkv", stopped, codec="ffv1")
    [kept] = read(tmp_path / "v", cache).proxies
    assert len(kept) == 60 and [(b, e) for b, e in runs(kept)] == [(0, 40), (40, 60)]


def test_the_hash_of_a_file_decides_on_its_part_and_copies_are_in_one(tmp_path, cache):
    for number in range(8):
        write_video(tmp_path / f"v/{number}.mp4", drifting(40, 1, seed=number))
    write_video(tmp_path / "v/6-again.mp4", drifting(40, 1, seed=6), crf="30")
    found = read(tmp_path / "v", cache)
    groups = [sorted(found.proxies[n].name for n in group) for group in near_duplicates(list(found.proxies))]
    assert ["6-again.mp4", "6.mp4"] in groups and len(groups) == 8
    kept, held = split_videos(found, 0.2)
    assert len(kept) + len(held) == 9 and len(held) >= 3
    for part in (kept, held):
        names = {one.name for one in part}
        assert ("6.mp4" in names) == ("6-again.mp4" in names)
    (tmp_path / "v/0.mp4").rename(tmp_path / "v/zero.mp4")
    again = split_videos(read(tmp_path / "v", cache), 0.2)
    assert [one.sha256 for one in again[1]] == [one.sha256 for one in held]


def test_videos_that_are_nearly_all_alike_are_not_all_held_out():
    alike = [replace(proxy(drifting(40, 1), f"{n}.mp4"), thumbnail=np.zeros((16, 16))) for n in range(7)]
    others = [replace(proxy(drifting(40, 1), f"z{n}.mp4"), thumbnail=np.full((16, 16), 90.0 * (n + 1))) for n in (0, 1)]
    kept, held = split_videos(VideoSet((*alike, *others), ()), 0.5)
    assert {one.name for one in held} == {"z0.mp4", "z1.mp4"} and len(kept) == 7


def test_of_fewer_than_five_videos_none_is_held_out(tmp_path, cache):
    for number in range(4):
        write_video(tmp_path / f"v/{number}.mp4", drifting(40, 1, seed=number))
    kept, held = split_videos(read(tmp_path / "v", cache), 0.2)
    assert (len(kept), held) == (4, [])


def test_moments_lie_between_breaks_and_move():
    still = np.concatenate([drifting(40, 0), drifting(60, 2)])
    moments = Moments([proxy(still, breaks=(40, 70)), proxy(drifting(50, 1), "b.mp4")], 24, 18)
    drawn = moments.draw(400, torch.Generator().manual_seed(0))
    for moment in drawn:
        begin, end = next((b, e) for b, e in runs(moments.proxies[moment.proxy]) if b <= moment.start < e)
        assert begin <= moment.start and moment.start + moment.frames <= end and 18 <= moment.frames <= 24
    share = sum(moment.proxy == 0 and moment.start < 40 for moment in drawn) / len(drawn)
    assert share < 0.15
    fixed = moments.spread(15, 100)
    assert fixed == moments.spread(15, 100) and all(m.proxy or m.start >= 40 for m in fixed)
    assert {m.proxy for m in fixed[:2]} == {0, 1}


def test_a_cut_is_no_motion():
    two_stills = np.concatenate([drifting(40, 0), drifting(40, 0, seed=1)])
    moments = Moments([proxy(two_stills, breaks=(40,))], 24, 18)
    assert len(moments) and moments.motion.max() == 0 and moments.spread(15, 100) == []


def test_a_square_is_seen_at_its_place_mirrored_and_small():
    frames = torch.zeros(2, 3, 20, 40, dtype=torch.uint8)
    frames[:, :, :, 30:] = 255
    seen = shown_square(frames, ClipView(place=(0.5, 1.0)), 10)
    assert seen.shape == (3, 2, 10, 10) and seen[..., 0].eq(-1).all() and seen[..., -1].eq(1).all()
    assert torch.equal(shown_square(frames, ClipView(place=(0.5, 1.0), flip=True), 10), seen.flip(3))
    assert shown_square(frames, ClipView(0.5, (0.0, 0.0)), 10).eq(-1).all()
    assert shown_whole(frames, 10).shape == (3, 2, 10, 20)
    assert Moments([proxy(drifting(40, 1))], 24, 18).frames(Moment(0, 3, 20), torch.arange(4)).shape == (4, 3, 40, 56)


def test_a_blurred_frame_is_the_mean_of_it_and_the_next_of_its_moment():
    moments = Moments([proxy(drifting(40, 3))], 24, 18)
    plain = moments.frames(Moment(0, 5, 20), torch.arange(20)).float()
    blurred = moments.frames(Moment(0, 5, 20), torch.arange(20), blurred=True).float()
    torch.testing.assert_close(blurred[:-1], (plain[:-1] + plain[1:]) / 2, atol=0.5, rtol=0)
    torch.testing.assert_close(blurred[-1], plain[-1])


def test_colours_are_drawn_for_each_frame_and_factors_of_one_change_nothing():
    frames = torch.randint(256, (2, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plain = shown_square(frames, ClipView(), 12)
    torch.testing.assert_close(shown_square(frames, ClipView(colours=torch.ones(2, 3)), 12), plain, atol=0.01, rtol=0)
    dark = shown_square(frames, ClipView(colours=torch.tensor([[0.5, 1, 1], [1, 1, 0.0]])), 12)
    torch.testing.assert_close((dark[:, 0] + 1) / 2, (plain[:, 0] + 1) / 4, atol=0.01, rtol=0)
    torch.testing.assert_close(dark[0, 1], dark[2, 1], atol=0.01, rtol=0)  # grey
