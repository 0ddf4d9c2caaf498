"""Proxies of videos: small frames at 25 a second, decoded once, and read from the disk whenever they are needed.

The frames of a video stand in a file of raw bytes, which is mapped into memory, and what is known of them in a text
beside it, which is written last: where it is missing, the video is decoded again.  Both are named by the hash of the
video and by how it was decoded.
Repeated frames are left out: screen recordings and conversions of the frame rate have them, and a sped-up version has
not, so that they would tell the speeds apart.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from structkit.errors import InputError, OutputError
from structkit.media.files import atomic_path, remove_leftovers, sha256_file, write_atomically
from structkit.media.sampled import SampledVideo

VERSION = 2  # of the proxies on the disk
THUMBNAIL = 16  # px: the side of the grey picture that tells first frames apart
PLAIN = 12.0  # grey levels: the standard deviation of a picture that shows nothing yet, such as one that fades in
STOPPED = 3  # repeated frames in a row, behind which a new run begins: leaving them out would be a jump
RUN = 400  # frames of the runs that are kept of a video with more than may be kept
GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, eq=False)
class Proxy:
    """A video, as small frames at 25 a second.

    name: of the video.  sha256: of its file.
    frames: (T, h, w, 3) uint8, on the disk; repeated ones are left out.
    motion: (T,) mean absolute difference of the grey levels to the frame before, 0 to 255, of pictures of 16 px.
    breaks: (T,) true for the first frame of a run: behind a cut, a standstill, or frames that are not kept.
    rate: frames per second that its file states; 0 where it states none.
    repeated: the share of the frames that were repeated.
    seconds: of the video.
    thumbnail: (16, 16) grey levels of the first frame that shows something.
    notes: those of its reader.
    """

    name: str
    sha256: str
    frames: np.ndarray
    motion: np.ndarray
    breaks: np.ndarray
    rate: float
    repeated: float
    seconds: float
    thumbnail: np.ndarray
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)


class ProxyCache:
    """A folder of proxies.

    hits: the proxies that were there.
    """

    def __init__(self, folder: Path, side: int, *, max_pixels: int | None = None, tolerant: bool = False) -> None:
        """side: the short side of the frames, px; smaller videos keep their size."""
        self.folder, self.side = folder, side
        self.reading = {"max_pixels": max_pixels, "tolerant": tolerant}
        self.hits = 0
        self.used: set[str] = set()  # names of proxies, without suffix

    def proxy(self, path: Path, *, most_bytes: float, digest: str | None = None) -> Proxy:
        """The proxy of a video, from the folder if it is there.

        most_bytes: of its frames; of a longer video evenly spaced runs are kept.
        digest: SHA-256 of the file, where it is known.
        Raises InputError for a video that cannot be read, OutputError where the folder cannot be written.
        """
        digest = digest or sha256_file(path)
        how = json.dumps([VERSION, self.side, self.reading["tolerant"]]).encode()
        stem = f"{digest[:24]}-{hashlib.sha256(how).hexdigest()[:8]}"
        raw, facts = (self.folder / f"{stem}.{suffix}" for suffix in ("rgb", "json"))
        self.used.add(stem)
        if proxy := _known(path.name, digest, raw, facts, most_bytes):
            self.hits += 1
            return proxy
        self._make_folder()
        known = self._decoded(path, raw, most_bytes)
        write_atomically(facts, json.dumps(known).encode())
        return _proxy(path.name, digest, raw, known)

    def prune(self, most_bytes: float) -> None:
        """Remove proxies that were not used, the oldest first, while all together are larger than may be."""
        kept = [(path.stat().st_mtime, path, path.stat().st_size) for path in self.folder.glob("*.rgb")]
        total = sum(size for _, _, size in kept)
        for _, path, size in sorted(kept):
            if total > most_bytes and path.stem not in self.used:
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink(missing_ok=True)
                total -= size

    def _make_folder(self) -> None:
        """Make the folder, and remove what a process that was killed left in it unfinished."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fact = f"no folder of decoded videos can be made here ({error.strerror})"
            raise OutputError(f"{self.folder}: {fact}; name another output") from error
        remove_leftovers(self.folder)

    def _decoded(self, path: Path, raw: Path, most_bytes: float) -> dict:
        """Decode a video into the file of its frames; returns what is known of them."""
        video = SampledVideo(path, side=self.side, **self.reading)
        kept, motion, breaks, repeats = 0, [], [], 0
        first, before, shape, run, last = None, None, None, 0, None
        with atomic_path(raw) as hidden, hidden.open("wb") as file:
            for number, frame in enumerate(video):
                if shape is None:
                    shape = frame.pixels.shape
                    most = max(1, int(most_bytes // frame.pixels.nbytes))
                    every = _period(_expected(video), most)
                if frame.repeated:
                    repeats, run = repeats + 1, run + 1
                    continue
                stopped, run = run >= STOPPED, 0
                if (every and number % every >= RUN) or kept >= most:
                    continue
                small = _grey(frame.pixels)
                if first is None or float(first.std()) < min(PLAIN, float(small.std())):
                    first = small
                gap = last is not None and every is not None and number // every != last // every
                breaks.append(last is None or frame.cut or stopped or gap)
                motion.append(0.0 if before is None else float(np.abs(small - before).mean()))
                file.write(np.ascontiguousarray(frame.pixels))
                kept, before, last = kept + 1, small, number
        if not kept:
            raise InputError(f"{path}: no frames in it")
        count = number + 1
        return {
            "shape": [kept, *shape],
            "most": None if every is None and kept < most else most,
            "motion": [round(value, 4) for value in motion],
            "breaks": [int(value) for value in breaks],
            "rate": float(video.reader.rate or 0),
            "repeated": repeats / count,
            "seconds": count / float(video.rate),
            "thumbnail": [[round(float(level), 2) for level in row] for row in first],
            "notes": list(video.notes),
        }


def _expected(video: SampledVideo) -> int | None:
    """The number of frames that a container states, in one way or another."""
    seconds = video.reader.duration
    return video.count or (None if seconds is None else round(seconds * video.rate))


def _period(count: int | None, most: int) -> int | None:
    """The frames from one kept run to the next, so that no more than `most` of `count` are kept; None: all are."""
    if count is None or count <= most:
        return None
    return max(RUN, -(-RUN * count // most))


def _known(name: str, digest: str, raw: Path, facts: Path, most_bytes: float) -> Proxy | None:
    """The proxy on the disk; None where it is not there in full, is damaged, or has other frames than may be kept."""
    with suppress(OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        known = json.loads(facts.read_bytes())
        count, *shape = known["shape"]
        most = max(1, int(most_bytes // int(np.prod(shape, dtype=np.int64))))
        fits = count < most if known["most"] is None else known["most"] == most
        if fits and raw.stat().st_size == np.prod(known["shape"], dtype=np.int64) > 0:
            return _proxy(name, digest, raw, known)
    return None


def _proxy(name: str, digest: str, raw: Path, known: dict) -> Proxy:
    """A proxy of what is on the disk and known of it.

    Raises ValueError, KeyError or TypeError where this is damaged.
    """
    shape = tuple(known["shape"])
    motion, breaks = np.array(known["motion"], np.float32), np.array(known["breaks"], bool)
    thumbnail = np.array(known["thumbnail"], np.float32)
    if motion.shape != shape[:1] or breaks.shape != shape[:1] or thumbnail.shape != (THUMBNAIL, THUMBNAIL):
        raise ValueError(f"{raw}: not of {shape[0]} frames")
    # Unlike numpy's, torch's mapping keeps no file open, and there may be more videos than files that may be.
    frames = torch.from_file(str(raw), shared=False, size=math.prod(shape), dtype=torch.uint8).numpy().reshape(shape)
    values = (float(known[key]) for key in ("rate", "repeated", "seconds"))
    return Proxy(name, digest, frames, motion, breaks, *values, thumbnail, tuple(known["notes"]))


def _grey(pixels: np.ndarray) -> np.ndarray:
    """Mean grey levels of 16 x 16 parts of a picture."""
    height, width = pixels.shape[:2]
    rows, columns = (np.linspace(0, side, THUMBNAIL + 1).astype(int)[:-1] for side in (height, width))
    rows, columns = np.minimum(rows, height - 1), np.minimum(columns, width - 1)
    sums = np.add.reduceat(np.add.reduceat(pixels.astype(np.float32) @ GREY, rows, 0), columns, 1)
    counts = np.diff([*rows, height])[:, None] * np.diff([*columns, width])[None]
    return sums / np.maximum(counts, 1)


def near_duplicates(proxies: Sequence[Proxy], *, most: float = 3.0) -> Iterator[list[int]]:
    """Groups of the proxies, by number, whose first frames are nearly alike, as those of two copies of a video.

    most: mean absolute difference of grey levels.
    """
    thumbnails = np.stack([proxy.thumbnail for proxy in proxies]).reshape(len(proxies), -1) if proxies else np.empty(0)
    left = np.arange(len(proxies))
    while len(left):
        group, left = [int(left[0])], left[1:]
        for one in group:  # which grows
            is_near = np.abs(thumbnails[left] - thumbnails[one]).mean(1) <= most
            group += left[is_near].tolist()
            left = left[~is_near]
        yield group
