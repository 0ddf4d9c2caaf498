"""Reading videos: times, turns, shapes and colours; limits; damage."""

import io
import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from structkit.errors import InputError
from structkit.media import yuv
from structkit.media.containers import VIDEO_SUFFIXES, WRITTEN, is_video, sniff
from structkit.media.pictures import encode_picture, read_picture
from structkit.media.video import VideoReader

ONE = 1 << 16
TURNS = {  # the matrix that a container holds, and what it does to the stored picture
    "none": ((ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30), lambda a: a),
    "right": ((0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30), lambda a: np.rot90(a, -1)),
    "half": ((-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30), lambda a: np.rot90(a, 2)),
    "left": ((0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30), lambda a: np.rot90(a)),
    "mirror": ((-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30), lambda a: a[:, ::-1]),
    "transposed": ((0, ONE, 0, ONE, 0, 0, 0, 0, 1 << 30), lambda a: a.swapaxes(0, 1)),
}


def seconds(path, **how) -> list[Fraction]:
    return [frame.time for frame in VideoReader(path, **how)]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts"])
def test_every_frame_comes_at_its_time(film, suffix):
    path = film(suffix)
    with VideoReader(path) as video:
        frames = list(video)
        assert [f.time for f in frames] == [Fraction(i, 25) for i in range(12)]
        assert (video.width, video.height) == (48, 32) and {f.pixels.shape for f in frames} == {(32, 48, 3)}
        assert video.name == str(path) and video.notes == ()
        assert video.frames in (12, None) and float(video.duration) == pytest.approx(0.48, abs=0.05)
    assert [int(f.pixels[:, :, 2].mean()) for f in frames] == pytest.approx(
        [40 + 10 * i for i in range(12)], abs=20 if suffix == ".avi" else 3
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_times_that_vary_are_kept(film, suffix):
    times = [0, 7, 100, 101, 300, 777]
    assert seconds(film(suffix, times=times)) == [Fraction(t, 1000) for t in times]


def test_a_late_first_frame_is_late(film):
    assert seconds(film(times=range(500, 900, 40), sound={"aac": Fraction(0)}))[0] == Fraction(1, 2)


def test_a_clock_that_starts_anywhere_starts_at_zero(film):
    path = film(".ts", times=range(10_000, 10_400, 40))
    assert seconds(path)[:2] == [0, Fraction(1, 25)]
    assert VideoReader(path).origin >= 10


def test_it_may_be_read_again_and_twice_at_once(film):
    for source in (film(), film().read_bytes(), io.BytesIO(film().read_bytes())):
        with VideoReader(source) as video:
            for one, other in zip(video, video, strict=True):
                assert one.time == other.time and (one.pixels == other.pixels).all()
            assert len(list(video)) == 12


def test_a_stream_is_copied_and_the_copy_goes_away(film):
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with VideoReader(Pipe(film().read_bytes()), name="-") as video:
        copy = Path(video._source)
        assert copy.exists() and video.name == "-" and len(list(video)) == 12
    assert not copy.exists()


@pytest.mark.parametrize("turn", TURNS)
def test_turned_and_mirrored_videos_come_upright(film, turn):
    matrix, expected = TURNS[turn]
    stored, upright = next(iter(VideoReader(film()))), VideoReader(film(turn=matrix))
    frame = next(iter(upright))
    assert frame.pixels.shape == (upright.height, upright.width, 3) and frame.pixels.flags.c_contiguous
    assert (frame.pixels == expected(stored.pixels)).all()


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(2), (96, 32)), (Fraction(1, 2), (48, 64)), (Fraction(4, 3), (64, 32))]
)
def test_pixels_become_square_by_the_side_that_grows(film, aspect, size):
    video = VideoReader(film(aspect=aspect))
    assert (video.width, video.height) == size == next(iter(video)).pixels.shape[1::-1]


def test_a_turned_video_with_wide_pixels_is_widened_first(film):
    video = VideoReader(film(aspect=Fraction(2), turn=TURNS["right"][0]))
    assert (video.width, video.height) == (32, 96) == next(iter(video)).pixels.shape[1::-1]


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt470bg", "smpte240m", "bt2020nc"])
@pytest.mark.parametrize("levels", ["tv", "pc"])
def test_colours_follow_the_tags(tmp_path, matrix, levels):
    """Red through FFmpeg's own conversion, tagged as what it is."""
    red = np.zeros((32, 32, 3), np.uint8) + np.array([200, 30, 60], np.uint8)
    name = {"smpte170m": "bt601", "bt470bg": "bt601", "bt2020nc": "bt2020"}.get(matrix, matrix)
    graph, frame = av.filter.Graph(), av.VideoFrame.from_ndarray(red, format="rgb24")
    steps = [
        graph.add_buffer(width=32, height=32, format=frame.format, time_base=Fraction(1, 25)),
        graph.add("scale", f"in_range=pc:out_range={levels}:out_color_matrix={name}:flags=accurate_rnd"),
        graph.add("format", "yuv444p"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*steps).configure()
    graph.push(frame)
    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        stream = output.add_stream("ffv1", rate=25, options={"colorspace": matrix, "color_range": levels})
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv444p"
        output.mux(stream.encode(graph.pull()))
        output.mux(stream.encode(None))
    assert np.abs(next(iter(VideoReader(tmp_path / "a.mkv"))).pixels.astype(int) - red).max() <= 2


@pytest.mark.parametrize(
    "layout", ["yuv420p", "yuvj422p", "yuv444p", "nv12", "yuyv422", "gray", "ya8", "yuva420p", "yuv422p10le", "monow"]
)
@pytest.mark.parametrize("size", [(48, 32), (47, 33), (96, 32)])
def test_rgb_over_planes_is_what_one_step_gives(monkeypatch, layout, size):
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format=layout)
    by_planes = yuv.to_rgb(yuv.Scaler(), frame, *size)
    monkeypatch.setattr(yuv, "PLANES_FIRST", ("rgb24",))
    assert (yuv.to_rgb(yuv.Scaler(), frame, *size) == by_planes).all()


def test_blocks_that_share_one_colour_are_of_one_or_are_smoothed(film):
    path = film(".mkv")
    smooth, blocks = (np.stack([f.pixels for f in VideoReader(path, blocks=b)]).astype(float) for b in (False, True))
    assert smooth.shape == blocks.shape and 0 < np.abs(smooth - blocks).mean() < 4
    with av.open(str(path)) as container:
        as_stored = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert np.abs(blocks - as_stored).max() <= 1


@pytest.mark.parametrize("width", [16, 18, 24, 30, 46])
def test_blocks_are_read_to_the_last_column(width):
    pixels = np.random.default_rng(0).integers(0, 256, (16, width, 3), np.uint8)
    frame = yuv.Subsampler(width, 16)(pixels)
    frame.colorspace, frame.color_range = 1, 1
    as_stored = frame.to_ndarray(format="rgb24").astype(int)
    assert np.abs(yuv.to_rgb(yuv.Scaler(yuv.BLOCK_FLAGS), frame, width, 16) - as_stored).max() <= 1


def test_wide_colours_without_a_curve_and_odd_turns_get_a_note(film):
    options = {"colorspace": "bt2020nc", "color_primaries": "bt2020"}
    assert VideoReader(film(".mkv", options=options)).notes == (
        "BT.2020 without a transfer function taken as it is: colours may look flat",
    )
    named = options | {"color_trc": "bt2020-10"}
    assert VideoReader(film(".mkv", options=named)).notes == ()
    side, cosine, sine = round(ONE * 0.5**0.5), round(ONE * 0.94), round(ONE * 0.34)
    video = VideoReader(film(turn=(cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 30)))
    assert video.notes == ("turned by 20 degrees: only quarter turns are done, the nearest is taken",)
    assert (video.width, video.height) == (48, 32)
    assert VideoReader(film(turn=(side, side, 0, -side, side, 0, 0, 0, 1 << 30))).notes[0].startswith("turned by 45 ")


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(1, 84), (48, 32)), (Fraction(40), (48, 32)), (Fraction(8), (384, 32))]
)
def test_a_shape_of_pixels_that_nobody_films_in_is_ignored_with_a_note(film, aspect, size):
    data = bytearray(film(aspect=Fraction(2)).read_bytes())
    struct.pack_into(">II", data, data.index(b"pasp") + 4, *aspect.as_integer_ratio())
    video = VideoReader(bytes(data))
    assert (video.width, video.height) == size == next(iter(video)).pixels.shape[1::-1]
    note = f"the shape of its pixels, {aspect.numerator}:{aspect.denominator}, ignored: taken as square"
    assert video.notes == ((note,) if size == (48, 32) else ())


def test_an_unfinished_recording_is_said_to_be_one(film):
    data = film(".mp4").read_bytes()
    moov = data.index(b"moov") - 4
    assert moov > data.index(b"mdat")
    refused(data[:moov], r"its recording was not finished: the index \(moov\) is missing; finish it in the camera or")
    at = data.index(b"mdat") - 4
    refused(data[:at] + bytes(4) + data[at + 4 : moov], "its recording was not finished")


def test_uncompressed_frames_behind_lines_of_text_are_read():
    head, frame = (
        b"YUV4MPEG2 W48 H32 F25:1 Ip A1:1 C420jpeg\n",
        bytes([126]) * (48 * 32) + bytes([128]) * (48 * 32 // 2),
    )
    data = head + 4 * (b"FRAME\n" + frame)
    frames = list(VideoReader(data))
    assert [f.time for f in frames] == [Fraction(n, 25) for n in range(4)]
    assert (frames[3].pixels == 128).all() and is_video("a.Y4M") and is_video(data)
    cut = VideoReader(data[:-99])
    assert len(list(cut)) == 3
    assert cut.notes == ("damaged: the file ends in the middle of a piece: frames may be missing",)


def test_notes_say_what_was_done(film):
    assert VideoReader(film(layout="yuv420p10le")).notes == ("10 bits a channel reduced to 8",)
    hdr = film(
        ".mkv",
        layout="yuv420p10le",
        options={"color_trc": "smpte2084", "colorspace": "bt2020nc", "color_primaries": "bt2020"},
    )
    assert VideoReader(hdr).notes[0] == "high dynamic range (PQ) taken as it is: colours look flat"
    assert VideoReader(film(".mkv", codec="ffv1", layout="yuva420p")).notes == ("transparency is left out",)
    assert VideoReader(film(options={"flags": "+ilme+ildct"})).notes == (
        "interlaced: each frame shows the earlier of its two fields, deinterlaced (bwdif)",
    )


def test_a_recording_that_begins_in_the_middle_says_so(film):
    data = film(".ts", times=range(0, 2400, 40), options={"g": "10", "bf": "0"}).read_bytes()
    video = VideoReader(data[188 * (len(data) // 188 // 3) :])
    assert len(list(video)) < 45
    assert any(
        note.startswith("the first 0.") and note.endswith("begins in the middle of a recording") for note in video.notes
    )


def refused(source, match: str, **how) -> None:
    with pytest.raises(InputError, match=match) as caught:
        list(VideoReader(source, name="a.mp4", **how))
    assert str(caught.value).startswith("a.mp4: ") and "\n" not in str(caught.value)


def test_what_is_no_video_is_refused(film, picture, tmp_path):
    refused(tmp_path / "none.mp4", "no such file; check the path")
    refused(b"", r"an empty file \(0 bytes\); videos read: MP4/MOV, MKV/WebM, AVI")
    refused(
        b"nothing of the kind " * 99, "not a video of a known container; videos read: .*; convert it to one of them"
    )
    refused(
        encode_picture(picture(), ".png"), "a PNG picture, not a video; hand it in as a picture, or convert it to .mp4"
    )
    refused(encode_picture(picture(), ".gif"), "a GIF picture, not a video")
    refused(b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n", "not a video of a known container")
    refused(b"ffconcat version 1.0\nfile /etc/passwd\n", "not a video of a known container")


def test_a_file_of_sound_is_refused(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        track = output.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        output.mux([*track.encode(frame), *track.encode(None)])
    refused(tmp_path / "a.mp4", "no moving pictures in it; is it a sound file?")


def two_streams(path, *, first_is_cover: bool) -> VideoReader:
    with av.open(str(path), "w") as output:
        streams = [output.add_stream(codec, rate=25) for codec in ("png" if first_is_cover else "mpeg4", "mpeg4")]
        if first_is_cover:
            streams[0].disposition = av.stream.Disposition.attached_pic.value
        for side, stream in zip((16, 32), streams, strict=True):
            stream.width = stream.height = side
            stream.pix_fmt = "rgb24" if stream.codec_context.name == "png" else "yuv420p"
        for side, stream in zip((16, 32), streams, strict=True):
            frame = av.VideoFrame.from_ndarray(np.zeros((side, side, 3), np.uint8), format="rgb24")
            output.mux([*stream.encode(frame.reformat(format=stream.pix_fmt)), *stream.encode(None)])
    return VideoReader(path)


def test_of_two_streams_of_pictures_the_first_is_read(tmp_path):
    video = two_streams(tmp_path / "a.mkv", first_is_cover=False)
    assert (video.width, video.notes) == (16, ("more than one stream of pictures: the first is read",))


@pytest.mark.skipif(not hasattr(av.stream, "Disposition"), reason="this PyAV cannot tell a cover")
def test_a_cover_is_no_video(tmp_path):
    video = two_streams(tmp_path / "a.mov", first_is_cover=True)
    assert (video.width, video.notes, len(list(video))) == (32, (), 1)


def test_a_codec_off_the_list_is_refused(film):
    refused(film(".avi", codec="asv1"), r"its codec \(asv1\) is not read; convert it to H.264, for example")


def test_a_frame_that_is_too_large(film):
    refused(
        film(),
        r"48 x 32 pixels = 0.001536 megapixels a frame, over the limit of 0.0015; shrink it or raise --max-pixels",
        max_pixels=1500,
    )
    refused(film(aspect=Fraction(2)), "96 x 32 pixels", max_pixels=1600)  # with square pixels


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_truncated_files_say_how_much_is_there(film, suffix, share):
    data = film(suffix).read_bytes()
    cut = data[: int(share * len(data))]
    refused(
        cut, rf"truncated .*, {len(cut)} of at least \d+ bytes are there; copy or export it again from the original"
    )


def test_every_beginning_is_an_input_error(film):
    data = film(".mkv").read_bytes()
    for size in [*range(1, 60, 7), *range(60, len(data) - 1, len(data) // 10)]:
        refused(data[:size], "truncated|damaged|not a video|without frames")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_damage_says_how_far_the_video_could_be_read(film, suffix):
    path = film(suffix, size=(96, 128), options={"crf": "4", "bf": "0", "threads": "1"}, times=range(0, 1200, 40))
    data = bytearray(path.read_bytes())
    middle = bytes(av_packet(path, 15))
    at = data.index(middle) + 4
    data[at : at + len(middle) - 4] = b"\x65" * (len(middle) - 4)
    refused(bytes(data), r"damaged .* after 1\d frames \(0\.\d\d s\) \(.*\); copy or export it again from the original")


def av_packet(path, number: int) -> av.Packet:
    with av.open(str(path)) as container:
        return list(container.demux(video=0))[number]


@pytest.mark.parametrize("width", range(1, 9))
def test_a_matroska_file_of_unknown_length_is_read(film, width):
    """As a live stream is written: a size of one to eight bytes whose bits are all ones."""
    data = film(".mkv").read_bytes()
    at = data.index(b"\x18S\x80g") + 4
    unknown = ((1 << 7 * width + 1) - 1).to_bytes(width)
    assert len(seconds(data[:at] + unknown + data[at + 8 :])) == 12


def test_a_lost_part_of_a_matroska_file_is_damage(film):
    """FFmpeg steps over what it cannot read and tells nobody."""
    data = bytearray(film(".mkv", times=range(0, 12_000, 400)).read_bytes())
    second = data.index(b"\x1fC\xb6u", data.index(b"\x1fC\xb6u") + 4)  # a Cluster
    cues = data.index(b"\x1cS\xbbk", second)
    data[second:cues] = bytes(cues - second)
    refused(
        bytes(data),
        r"damaged MKV/WebM after \d+ frames \(\d.\d\d s\) \(nothing of it is readable from there to 1\d.\d\d s\)",
    )


def test_times_out_of_order(film, monkeypatch):
    video = VideoReader(film())
    real = video._decoded

    def back(by: int):
        def decoded(container):
            for number, frame in enumerate(real(container)):
                if number >= 6:
                    frame.pts -= by * 16  # of 1/16000 s: ms
                yield frame

        return decoded

    monkeypatch.setattr(video, "_decoded", back(80))
    frames = list(video)
    assert len(frames) == 12 and all(a.time < b.time for a, b in pairwise(frames))
    assert frames[6].time == frames[5].time + video.time_base and frames[11].time == Fraction(9, 25)
    assert video.notes == ("frames whose times are not in order: they follow the one before by one tick",)
    monkeypatch.setattr(video, "_decoded", back(900))
    with pytest.raises(
        InputError, match=r"the times go back from 0.20 s to -0.66 s after 6 frames; it is more than one recording"
    ):
        list(video)


def test_videos_are_told_by_suffix_and_by_content(film):
    assert is_video("a/b.MP4") and is_video(Path("x.webm")) and is_video("a.avi")
    assert not is_video("a.gif") and not is_video("a.png") and not is_video("mp4") and not is_video(None)
    assert set(WRITTEN) < set(VIDEO_SUFFIXES) and ".avi" in VIDEO_SUFFIXES and ".ogg" not in VIDEO_SUFFIXES
    for suffix in (".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts"):
        data = film(suffix).read_bytes()
        assert is_video(data) and suffix in sniff(data).suffixes
    assert sniff(b"\x89PNG\r\n\x1a\n") is None and sniff(b"") is None


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"avif", b"avis"])
def test_pictures_that_look_like_an_mp4_are_no_videos(brand):
    head = b"\0\0\0\x18ftyp" + brand + bytes(4) + brand + b"mp41" + bytes(100)
    assert sniff(head) is None and not is_video(head)
    for read in (VideoReader, read_picture) if not brand.startswith(b"av") else ():
        with pytest.raises(InputError, match=r"^IMG_1.HEIC: HEIC picture: convert it to .jpg$"):
            read(head, name="IMG_1.HEIC")
