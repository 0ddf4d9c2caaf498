"""Videos that speed is learned from: which of a user's files serve, which do not and why, and which are held out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from structkit.data.listing import PathList, counted, is_list, is_pattern
from structkit.data.proxies import Proxy, ProxyCache, near_duplicates
from structkit.errors import InputError
from structkit.media.containers import VIDEO_SUFFIXES
from structkit.media.files import natural, one_line, sha256_file

LEAST_RATE = 23.0  # frames per second; below, frames are repeated at 25
MOST_REPEATED = 0.25  # share of the frames at 25 a second
STILL = 0.25  # grey levels; the mean difference of frames of which nothing but noise changes
LEAST_HELD, LEAST_FILES = 3, 5  # files that are held out; files of which any are

# A folder, a "pattern*.mp4", "@list.txt", a file, or a sequence of these.
Videos: TypeAlias = "str | Path | Sequence[str | Path]"


@dataclass(frozen=True)
class VideoList:
    """The video files that are meant, in natural order, each once.

    label: their name in messages.  foreign: the number of other files.
    """

    label: str
    files: tuple[Path, ...]
    foreign: int


@dataclass(frozen=True)
class RejectedVideo:
    """A video that is not learned from, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class VideoSet:
    """The videos that serve, and those that do not.

    proxies: in the order of their hashes.
    sha256: of all hashes.
    """

    proxies: tuple[Proxy, ...]
    rejected: tuple[RejectedVideo, ...]

    @property
    def sha256(self) -> str:
        return hashlib.sha256("\n".join(sorted(proxy.sha256 for proxy in self.proxies)).encode()).hexdigest()

    @property
    def seconds(self) -> float:
        """Seconds of all videos together."""
        return sum(proxy.seconds for proxy in self.proxies)

    def table(self) -> list[str]:
        """A line for each rejected video: its name and why."""
        width = max((len(one.name) for one in self.rejected), default=0)
        return [f"{one.name:<{width}}  {one.reason}" for one in self.rejected]


def list_videos(videos: Videos) -> VideoList:
    """The video files that are meant.  None is opened.  Raises InputError where there is none."""
    paths = PathList(VIDEO_SUFFIXES)
    items = [videos] if isinstance(videos, str | os.PathLike) else list(videos)
    for item in items:
        if isinstance(item, str):
            paths.add(item)
        else:
            paths.add_path(Path(item))
    label = str(items[0]) if len(items) == 1 else "the videos"
    found = sorted({path for path, _ in paths.files}, key=natural)
    missing = [str(path) for path in found if not path.exists()] + paths.unmatched
    if missing:
        fact = "a pattern that matches nothing" if is_pattern(missing[0]) else "no such file or folder"
        raise InputError(f"{missing[0]}: {fact}; name a folder of videos, or some of them")
    if not found:
        others = f" among {counted(paths.foreign, 'file')}" if paths.foreign else ""
        what = "the list" if len(items) == 1 and isinstance(items[0], str) and is_list(items[0]) else "videos"
        raise InputError(f"{label}: no videos{others}; name a folder that holds some ({what}: {_suffixes()})")
    return VideoList(label, tuple(found), paths.foreign)


def read_videos(
    videos: VideoList,
    cache: ProxyCache,
    *,
    least: int,
    most_bytes: float,
    tell: Callable[[str], None] = lambda line: None,
) -> VideoSet:
    """The videos that serve, as proxies, decoded where the cache does not have them.

    least: frames without a break that a video must have.
    most_bytes: of all proxies together; of long videos evenly spaced runs are kept.
    tell: called with the progress.
    Raises InputError where none serves, with the reasons; OutputError where the cache cannot be written.
    """
    proxies: dict[str, Proxy] = {}
    rejected: list[RejectedVideo] = []
    left = most_bytes
    # From small files to large ones, so that what short videos leave of their part is there for the long ones.
    for number, path in enumerate(sorted(videos.files, key=_bytes)):
        try:
            digest = sha256_file(path)
            if digest in proxies:
                rejected.append(RejectedVideo(str(path), f"the same file as {proxies[digest].name}"))
                continue
            proxy = cache.proxy(path, most_bytes=left / (len(videos.files) - number), digest=digest)
        except (InputError, OSError) as error:
            rejected.append(RejectedVideo(str(path), one_line(_without_name(error, path), 200)))
            continue
        if reason := unfit(proxy, least):
            rejected.append(RejectedVideo(str(path), reason))
            continue
        proxies[digest] = proxy
        left -= proxy.frames.nbytes
        if number % 50 == 49:
            tell(f"{videos.label}: {number + 1:,} of {counted(len(videos.files), 'video')} read")
    cache.prune(most_bytes)
    found = VideoSet(
        tuple(proxies[digest] for digest in sorted(proxies)), tuple(sorted(rejected, key=lambda one: natural(one.name)))
    )
    if not proxies:
        of = counted(len(videos.files), "video")
        first = f"the first: {rejected[0].name}: {rejected[0].reason}"
        raise InputError(f"{videos.label}: none of {of} can be learned from; {first}")
    return found


def unfit(proxy: Proxy, least: int) -> str | None:
    """The reason why a video cannot be learned from; None if it can."""
    if not len(proxy) or float(proxy.motion.max()) < STILL:
        return "still: nothing moves in it"
    if 0 < proxy.rate < LEAST_RATE - 0.05:
        return f"{proxy.rate:.3g} frames a second, and {LEAST_RATE:g} are needed: below, frames are repeated"
    if proxy.repeated > MOST_REPEATED:
        return f"{proxy.repeated:.0%} of its frames are repeated, at 25 a second"
    longest = longest_run(proxy.breaks)
    if longest < least:
        return f"too short: {longest / 25:.2g} s without a cut, and {least / 25:.2g} s are needed"
    return None


def longest_run(breaks: np.ndarray) -> int:
    """The frames of the longest run without a break."""
    at = np.flatnonzero(np.concatenate([[True], breaks[1:], [True]]))
    return int(np.diff(at).max())


def split_videos(videos: VideoSet, share: float) -> tuple[list[Proxy], list[Proxy]]:
    """Two parts of the videos: those to learn from, and those that are held out.

    share: the part that is held out, about: at least 3 videos; of fewer than 5 none.
    The hash of a file decides on its part.  Videos whose first frames are nearly alike are in the same part.
    """
    proxies = list(videos.proxies)
    groups = list(near_duplicates(proxies))
    if len(proxies) < LEAST_FILES or len(groups) < 2 or not share:
        return proxies, []
    wanted = max(LEAST_HELD, round(share * len(proxies)))
    held: set[int] = set()
    for group in sorted(groups, key=lambda group: min(proxies[one].sha256 for one in group)):
        if len(held) >= wanted:
            break
        if len(held) + len(group) <= max(wanted, len(proxies) // 2):
            held.update(group)
    kept = [proxy for number, proxy in enumerate(proxies) if number not in held]
    return kept, [proxies[number] for number in sorted(held)]


def _bytes(path: Path) -> int:
    """The size of a file; 0 of one that cannot be asked."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _without_name(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path.name}: ")


def _suffixes() -> str:
    return ", ".join(VIDEO_SUFFIXES[:4]) + ", ..."
