"""The inputs of the commands of `record.py`: small pictures, clips, labelled folders and scenes, all computed."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

EXAMPLES = Path(__file__).parents[1] / "examples"
MAP = [
    {"id": i, "name": name, "colour": colour}
    for i, (name, colour) in enumerate({"sky": "#4682b4", "road": "#804080", "car": "#00008e"}.items())
]


def picture(seed: int, side: int = 48, channels: int = 3) -> np.ndarray:
    """(side, side, channels) uint8: a smooth picture with some texture."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(8 * (random.random() * x + random.random() * y) + i) for i in range(channels)]
    return (127 + 80 * np.stack(waves, -1) + 20 * random.random((side, side, channels))).astype(np.uint8)


def face(seed: int, *, glasses: bool) -> Image.Image:
    """A round head of 64 px, with or without two dark rings."""
    random = np.random.default_rng(seed)
    image = Image.fromarray(picture(seed, 64))
    draw = ImageDraw.Draw(image)
    x, y = (int(n) for n in random.integers(-3, 4, 2))
    draw.ellipse((12 + x, 8 + y, 52 + x, 58 + y), fill=tuple(int(n) for n in random.integers(150, 220, 3)))
    for eye in (24, 40):
        draw.ellipse((eye - 2 + x, 28 + y, eye + 2 + x, 32 + y), fill=(30, 30, 40))
        if glasses:
            draw.ellipse((eye - 7 + x, 23 + y, eye + 7 + x, 37 + y), outline=(20, 20, 20), width=2)
    return image


def clip(path: Path) -> None:
    """A square on its way, six frames at uneven times, with two seconds of sound and a chapter's worth of metadata."""
    import av

    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.time_base = (
            64,
            48,
            "yuv420p",
            Fraction(1, 1000),
        )
        sound = container.add_stream("flac", rate=16000, layout="mono")
        for step in range(6):
            pixels = np.broadcast_to(np.arange(60, 188, 2, dtype=np.uint8)[None, :, None], (48, 64, 3)).copy()
            pixels[12:30, 4 + 5 * step : 24 + 5 * step] = (200, 60, 40)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = 40 * step + (step > 3) * 20, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        wave = (8000 * np.sin(np.arange(8000) / 20)).astype(np.int16)[None]
        samples = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        samples.sample_rate, samples.pts = 16000, 0
        container.mux(sound.encode(samples))
        container.mux(sound.encode(None))


def way(path: Path, seed: int, across: int, down: int) -> None:
    """A square that goes its way for 16 frames, as a video."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
        ground = np.asarray(Image.fromarray(picture(seed, 48)).crop((0, 0, 48, 40))) // 2
        for step in range(16):
            pixels = ground.copy()
            y, x = 2 + down * step, 2 + across * step
            pixels[y : y + 8, x : x + 8] = (240, 220, 60)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def drift(path: Path, seed: int) -> None:
    """A picture that drifts by a pixel a frame, 30 frames at 25 a second."""
    import av

    wide = picture(seed, 80)
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 48, 48, "yuv420p"
        for step in range(30):
            pixels = np.ascontiguousarray(wide[:48, step : step + 48])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A sky, a road and a car in it: (24, 32, 3) and its classes, (24, 32), both uint8."""
    random, classes = np.random.default_rng(seed), np.zeros((24, 32), np.uint8)
    horizon, left = random.integers(8, 15), random.integers(2, 20)
    classes[horizon:] = 1
    classes[horizon + 2 : horizon + 7, left : left + 10] = 2
    colours = np.array([(120, 170, 220), (90, 90, 95), (180, 50, 40)])
    return np.clip(colours[classes] + random.normal(0, 9, (24, 32, 3)), 0, 255).astype(np.uint8), classes


def prepare(folder: Path) -> None:
    """The inputs of the commands, in the folder."""
    for example in EXAMPLES.iterdir():
        if example.suffix in (".jpg", ".png"):
            (folder / example.name).write_bytes(example.read_bytes())
    for name in (
        "some",
        "some/below",
        "others",
        "others/below",
        "glasses",
        "plain",
        "masks",
        "truth",
        "empty",
        "moving",
    ):
        (folder / name).mkdir()
    for i, name in enumerate(("one", "two", "below/three")):
        Image.fromarray(picture(i)).save(folder / "some" / f"{name}.png")
        Image.fromarray(picture(10 + i)).save(folder / "others" / f"{name}.jpg")
    (folder / "some" / "notes.txt").write_text("no picture\n")
    (folder / "some" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    (folder / "others" / "broken.png").write_bytes((folder / "others" / "one.jpg").read_bytes())
    (folder / "damaged.png").write_bytes((folder / "some" / "one.png").read_bytes()[:200])
    clear = np.concatenate([picture(5, 56), np.full((56, 56, 1), 255, np.uint8)], -1)
    clear[:20, :, 3] = 0
    Image.fromarray(clear, "RGBA").save(folder / "clear.png")
    Image.fromarray(picture(6, 56, 1)[..., 0].astype(np.uint16) * 257).save(folder / "deep.png")
    Image.fromarray(picture(7, 40)).resize((20, 20)).resize((80, 80)).save(folder / "rough.png")
    face(99, glasses=False).resize((128, 128)).save(folder / "face.png")
    for i in range(12):
        face(i, glasses=True).save(folder / "glasses" / f"{i}.png")
        face(50 + i, glasses=False).save(folder / "plain" / f"{i}.png")
        Image.fromarray(picture(i, 24, 1)[..., 0]).save(folder / "masks" / f"{i}.png")
        Image.fromarray(((picture(i, 24, 1)[..., 0] > 120) * 255).astype(np.uint8)).save(folder / "truth" / f"{i}.png")
    for path in ("kinds/bright", "kinds/dark", "scenes/images", "scenes/labels", "scenes/night"):
        (folder / path).mkdir(parents=True)
    for i in range(8):
        Image.fromarray(picture(i, 20) // 2 + 127).save(folder / "kinds" / "bright" / f"{i}.png")
        Image.fromarray(picture(20 + i, 20) // 2).save(folder / "kinds" / "dark" / f"{i}.png")
        pixels, classes = scene(i)
        for name, array in {"images": pixels, "labels": classes, "night": pixels // 3}.items():
            Image.fromarray(array).save(folder / "scenes" / name / f"{i}.png")
    (folder / "scenes" / "map.json").write_text(json.dumps(MAP))
    clip(folder / "clip.mkv")
    for i in range(4):
        way(folder / "ways" / "across" / f"{i}.mp4", i, 2, 0)
        way(folder / "ways" / "down" / f"{i}.mp4", 20 + i, 0, 1)
    for i in range(5):
        drift(folder / "moving" / f"{i}.mp4", 20 + i)
