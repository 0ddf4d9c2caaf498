"""The material of trainings, and how it is read: two folders of pictures; a picture, or a video, and a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from structkit.configs import DifferenceConfig, PairConfig, TransferConfig
from structkit.data.batches import smaller
from structkit.data.folders import Folder, read_folder, shared, split
from structkit.data.frames import spread_frames
from structkit.data.levels import level_shapes
from structkit.data.listing import FileList, Pictures, check_apart, list_files
from structkit.errors import OptionError
from structkit.media.containers import is_video
from structkit.media.files import sha256_file
from structkit.media.pictures import MAX_PIXELS, Picture
from structkit.media.tensors import filled
from structkit.media.video import VideoReader
from structkit.training.outputs import TrainingFiles
from structkit.training.stages import Training
from structkit.verbs.canvas import Size, enlarged, notes_of, opened

if TYPE_CHECKING:
    from structkit.recipes.run import TrainingJob


class TwoFolders:
    """The pictures of two domains: learnt from, and about one in twenty held out for the scores.

    Processes share each batch, and batch norms see only what is theirs: two processes with a batch of 32 are not one
    with 32, bit for bit.
    """

    roles: tuple[str, str] = ("a", "b")

    def __init__(
        self, one: Pictures, other: Pictures, *, max_pixels: int | None = None, tolerant: bool = False
    ) -> None:
        """max_pixels: of the largest picture that is read; None: the usual limit.  tolerant: as for `read_picture`."""
        self.given, self.reading = (one, other), {"max_pixels": max_pixels or MAX_PIXELS, "tolerant": tolerant}
        self.digests: dict[str, str] = {}

    def fitted(self, config: Any) -> Any:
        """The configuration as it is: it suits any pictures."""
        return config

    def find(self, output: Path) -> list[Path]:
        """The files of both folders.  Raises InputError for two that are one; OptionError for an output in them."""
        self.domains = [list_files(pictures) for pictures in self.given]
        check_apart(*self.domains)
        check_outside(output, self.domains)
        return [file for domain in self.domains for file in domain.files]

    def read(self, config: TransferConfig | DifferenceConfig, job: TrainingJob) -> None:
        """Read all pictures, as the squares that the model sees."""
        how = {"tell": job.say, **self.reading}
        folders = [read_folder(domain, config.seen, config.fit, **how) for domain in self.domains]
        job.say(*(note for folder in folders for note in folder.notes), *shared(*folders))
        (one_seen, one_held), (other_seen, other_held) = (split(folder) for folder in folders)
        job.say(_counts(folders, (one_held, other_held)))
        self.digests = {role: folder.sha256 for role, folder in zip(self.roles, folders, strict=True)}
        parts = [part.pictures for part in (one_seen, other_seen, one_held, other_held)]
        self.at = lru_cache(maxsize=2)(lambda side: [smaller(part.to(job.device), side) for part in parts])

    def training(self, kind: type[Training], job: TrainingJob, config: Any) -> Training:
        """The training on pictures of the size that this configuration sees."""
        one, other, *held = self.at(config.seen)
        return kind(one, other, config, device=job.device, dtype=job.dtype, held=held)  # type: ignore[call-arg]

    def notes(self, config: Any) -> Iterable[str]:
        """No notes but those that were said while the pictures were read."""
        return ()


class ContentFolders(TwoFolders):
    """The pictures with a content and those without it."""

    roles = "with", "without"

    def training(self, kind: type[Training], job: TrainingJob, config: Any) -> Training:
        """The training, which says what it finds on the way."""
        one, other, *held = self.at(config.seen)
        how = {"device": job.device, "dtype": job.dtype, "held": held, "tell": job.say}
        return kind(one, other, config, **how)  # type: ignore[call-arg]


@dataclass(frozen=True)
class PairInput:
    """A picture of a pair, or the video of its source.

    sha256: of its file's bytes; of a picture in memory, of its pixels.
    path: of its file, which no training may write over.
    """

    picture: Picture | VideoReader
    sha256: str
    path: Path | None = None

    @classmethod
    def of(
        cls,
        given: PairInput | Picture | str | Path,
        *,
        video: bool = False,
        max_pixels: int | None = None,
        tolerant: bool = False,
    ) -> PairInput:
        """The input that was given; a path is opened.  Raises InputError.

        video: whether the input may be one.  max_pixels: of the largest picture, or frame, that is read.
        tolerant: as for `read_picture`.
        """
        if isinstance(given, PairInput):
            return given
        if isinstance(given, Picture):
            return cls(given, given.sha256)
        reading = {"tolerant": tolerant} | ({} if max_pixels is None else {"max_pixels": max_pixels})
        shown = VideoReader(given, **reading) if video and is_video(given) else opened(given, **reading)
        return cls(shown, sha256_file(given), Path(given))


class SourceAndTarget:
    """The two pictures of a pair, or a video and a picture."""

    def __init__(
        self,
        source: PairInput | Picture | str | Path,
        target: PairInput | Picture | str | Path,
        *,
        max_pixels: int | None = None,
        tolerant: bool = False,
    ) -> None:
        """max_pixels: of the largest picture, or frame of a video, that is read; None: the usual limit.

        tolerant: as for `read_picture`.
        """
        self.source = PairInput.of(source, video=True, max_pixels=max_pixels, tolerant=tolerant)
        self.target = PairInput.of(target, max_pixels=max_pixels, tolerant=tolerant)
        self.digests = {"source": self.source.sha256, "target": self.target.sha256}

    def fitted(self, config: PairConfig) -> PairConfig:
        """The configuration with the mode of a video, where the source is one."""
        return fitted_to(config, self.source.picture)

    def find(self, output: Path) -> list[Path]:
        """The files of both, of which pictures in memory have none."""
        return [given.path for given in (self.source, self.target) if given.path]

    def read(self, config: PairConfig, job: TrainingJob) -> None:
        """Read the frames of a video; what is transparent becomes its mean colour."""
        self.frames, self.look = _frames(self.source.picture, config), filled(self.target.picture)

    def training(self, kind: type[Training], job: TrainingJob, config: PairConfig) -> Training:
        """The training on these pictures, which are as large as the configuration's finest level."""
        return kind(self.frames, self.look, config, device=job.device, dtype=job.dtype)  # type: ignore[call-arg]

    def notes(self, config: PairConfig) -> Iterator[str]:
        """Notes on the pictures, and on what the training sees of them."""
        source, target = self.source.picture, self.target.picture
        yield from notes_of(source, target)
        height, width = level_shapes(config.size, config.coarsest, source.width / source.height)[-1]
        for picture in (source, target):
            if isinstance(picture, Picture) and picture.alpha is not None and picture.alpha.min() < 2**picture.bits - 1:
                yield f"{picture.name}: what is transparent is trained on as its mean colour"
            yield from enlarged(picture, Size(width, height))


def fitted_to(config: PairConfig, source: Picture | VideoReader) -> PairConfig:
    """The configuration for a source; a video has a mode and an option of its own.

    Raises OptionError for those of the other kind of source.
    """
    if isinstance(source, VideoReader):
        if config.mode not in (None, "video"):
            raise OptionError(f"--mode {config.mode} is for pictures, and {source.name} is a video: leave it out")
        return replace(config, mode="video")
    for flag, is_set in {"--mode video": config.mode == "video", "--frames": config.frames is not None}.items():
        if is_set:
            raise OptionError(f"{flag} is for videos, and {source.name} is a picture: leave it out")
    return config


def _frames(source: Picture | VideoReader, config: PairConfig) -> Tensor:
    """The frames that are trained on, (T, 3, h, w); of a picture there is one."""
    if isinstance(source, Picture):
        return filled(source)
    shape = level_shapes(config.size, config.coarsest, source.width / source.height)[-1]
    return spread_frames(source, shape, config.frames)


def check_outside(output: Path, domains: Sequence[FileList]) -> None:
    """Refuse an output that would teach the training its own previews."""
    for folder in (folder for domain in domains for folder in domain.folders):
        if output.resolve().is_relative_to(folder.resolve()):
            fact = f"in {folder}, a folder that is learnt from, and so would be the preview: name a place outside it"
            raise OptionError(f"--output is {output}: {fact}")
    preview = TrainingFiles(output).preview
    for pattern in filter(None, (domain.pattern_of(preview) for domain in domains)):
        raise OptionError(f"--output is {output}: its preview would be one of {pattern}: name a place elsewhere")


def _counts(folders: Sequence[Folder], held: Sequence[Folder]) -> str:
    """The numbers of pictures, in one line."""
    counts = [f"{folder.label}: {len(folder):,} pictures" for folder in folders]
    out = sum(len(folder) for folder in held)
    are = "is" if out == 1 else "are"
    held_out = f"{out:,} of them {are} held out, for the scores" if out else "too few to hold any out for scores"
    return f"{', '.join(counts)}; {held_out}"
