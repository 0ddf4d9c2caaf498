"""Trainings on a folder of videos: SpeedNet, which tells whether a video plays at its natural speed."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from structkit.configs import SpeedNetConfig
from structkit.data.listing import counted
from structkit.data.proxies import ProxyCache
from structkit.data.videos import Videos, VideoSet, list_videos, read_videos, split_videos
from structkit.engines.speednet.model import SpeedNet
from structkit.engines.speednet.training import SpeedNetTraining
from structkit.errors import CheckpointError, OptionError
from structkit.header import read_card
from structkit.media.files import one_line, sha256_file, write_atomically
from structkit.models import kind_of, resolve_model
from structkit.nets.s3dg import S3DG, load_trunk
from structkit.recipes import plans
from structkit.recipes.run import Recipe, TrainingJob, TrainingOptions, train, training_function
from structkit.training.draw import own_randomness
from structkit.training.planned import in_minutes
from structkit.training.stages import Training

LEFT_OUT = "left-out.txt"  # in the cache: all of the table
TABLE = 12  # lines of the table of rejected videos that are said; the others are counted


class VideoMaterial:
    """The videos of a user: decoded once into a cache beside the output, and about one in five held out."""

    def __init__(self, videos: Videos, *, max_pixels: int | None = None, tolerant: bool = False) -> None:
        """max_pixels: of the largest frame that is read; None: the usual limit.  tolerant: as for `VideoReader`."""
        self.given, self.reading = videos, {"max_pixels": max_pixels, "tolerant": tolerant}
        self.digests: dict[str, str] = {}

    def fitted(self, config: SpeedNetConfig) -> SpeedNetConfig:
        """The configuration as it is: it suits any videos.

        Raises OptionError for options that would change nothing.
        """
        unused = {
            "--no-time-augmentation": () if config.time_augmentation else ("sampler",),
            "--no-space-augmentation": () if config.space_augmentation else ("smallest", "largest"),
        }
        for flag, names in unused.items():
            for name in (name for name in names if getattr(config, name) is not None):
                raise OptionError(f"--{name} changes nothing with {flag}: leave one of them out")
        self.first = None if config.init is None else resolve_model(config.init)  # the weights to begin with
        return config

    def find(self, output: Path) -> list[Path]:
        """The files of the videos, and that of the first weights."""
        self.videos, self.cache = list_videos(self.given), output.with_suffix(".cache")
        return [*self.videos.files, *([self.first] if self.first else [])]

    def read(self, config: SpeedNetConfig, job: TrainingJob) -> None:
        """Decode the videos, or take them from the cache; tell which do not serve, and why."""
        self.init = job.processes.agreed(lambda: weights(config))
        cache = ProxyCache(self.cache, config.proxy_side, **self.reading)
        how = {"least": config.least_pool, "most_bytes": config.cache_gb * 1e9, "tell": job.say}

        def read() -> Any:
            return read_videos(self.videos, cache, **how)

        found = job.processes.done_by_first(read)
        if not job.processes.first:
            found = read()
        if job.processes.first:
            write_atomically(self.cache / LEFT_OUT, "".join(f"{line}\n" for line in found.table()).encode())
        self.kept, self.held = split_videos(found, config.held)
        parts = _parts(self.held, config.held)
        job.say(*_told(found, parts, self.videos.foreign, cache.hits, self.cache))
        self.digests = {"videos": found.sha256}
        if self.first:
            self.digests["init"] = sha256_file(self.first)

    def training(self, kind: type[Training], job: TrainingJob, config: SpeedNetConfig) -> Training:
        """The training on these videos."""
        how = {"init": self.init, "device": job.device, "dtype": job.dtype, "tell": job.say}
        return kind(self.kept, self.held, config, **how)  # type: ignore[call-arg]

    def notes(self, config: SpeedNetConfig) -> Iterable[str]:
        """No notes but those that were said while the videos were read."""
        return ()


def weights(config: SpeedNetConfig) -> Any:
    """A function that puts the weights of `config.init` into a new network; it does nothing where there are none.

    Raises CheckpointError for a file that has no weights for this network.
    """
    if config.init is None:
        return _nothing
    path = resolve_model(config.init)
    state = _tensors(path)
    if any(name.startswith("network.trunk.") for name in state):
        card = read_card(path)
        if (kind := kind_of(path, card)) and card["kind"] != SpeedNet.kind:
            fact = f"a model of {kind.words}, and SpeedNet begins from one of its own"
            raise CheckpointError(f"{path}: {fact}; name a model of structkit train speednet")
        init = functools.partial(_take_over, state={k: v for k, v in state.items() if k != "scale"}, path=path)
    else:
        init = functools.partial(_take_published, state=state, path=path)
    with own_randomness("cpu"):  # whether they fit is found before hours are spent on videos
        init(SpeedNet(replace(config, init=None)))
    return init


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as weights ({one_line(error)}); name a .safetensors") from error


def _nothing(net: SpeedNet) -> None:
    pass


def _take_over(net: SpeedNet, *, state: dict[str, Tensor], path: Path) -> None:
    try:
        missing, unknown = net.load_state_dict(state, strict=False)
        if set(missing) - {"scale"} or unknown:
            raise RuntimeError("other layers")
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: weights of another network; use the --network, --width, --gates and --sees that `structkit info` "
            "says of it"
        ) from error


def _take_published(net: SpeedNet, *, state: dict[str, Tensor], path: Path) -> None:
    if not isinstance(net.network, S3DG):
        raise CheckpointError(f"{path}: no checkpoint of SpeedNet; weights of torchvision's S3D need --network s3dg")
    if net.config.sees != "colour":
        raise CheckpointError(f"{path}: weights of torchvision's S3D see colour; use --sees colour")
    load_trunk(net.network, state, str(path))


def _parts(held: list, share: float) -> str:
    """The words for the part of the videos that is held out.  share: which was asked for."""
    if held:
        return f"{len(held):,} of them are held out, for the scores"
    return "too few different ones to hold any out for scores" if share else "none is held out, so there are no scores"


def _told(found: VideoSet, parts: str, foreign: int, hits: int, cache: Path) -> Iterable[str]:
    """What is to be said of the videos: how many serve, the table of the others, how many are held out."""
    if found.rejected:
        yield f"{counted(len(found.rejected), 'video')} left out:"
        yield from (f"  {line}" for line in found.table()[:TABLE])
        if (more := len(found.rejected) - TABLE) > 0:
            yield f"  and {more:,} more, all in {cache / LEFT_OUT}"
    cached = f", {counted(hits, 'file')} from the cache" if hits else ""
    others = f"; {counted(foreign, 'other file')} passed over" if foreign else ""
    yield f"{counted(len(found.proxies), 'video')}, {in_minutes(found.seconds)} minutes{cached}; {parts}{others}"


SPEEDNET = Recipe(
    config=SpeedNetConfig,
    training=SpeedNetTraining,
    material=VideoMaterial,
    choices=plans.speednet_choices,
    work=plans.speednet_work,
    words=plans.speednet_words,
    way_out="use a smaller --batch, --largest or --frames, or another --device",
    planning={"least": plans.speednet_least},
)


@training_function
def train_speednet(videos: Videos, options: TrainingOptions, settings: dict[str, Any]) -> SpeedNet:
    """Learn from videos how fast things move by nature: for `speedup(method="speednet")`, `similar` and `train_action`.

    videos: a folder, a "pattern*.mp4", "@list.txt", or a sequence of these and of files.  They need no labels, and
    should play at their natural speed, at 23 frames a second or more.
    options: fields of `configs.SpeedNetConfig`.
    The videos are decoded once, into a folder beside the output (OUT.cache), which may be removed.  About one video in
    five is held out: the card's scores come from these.
    Method: SpeedNet (Benaim et al., CVPR 2020), see `structkit.engines.speednet.model`.
    Raises InputError, OptionError, DeviceError, OutputError, CheckpointError; StructkitError for losses that are not
    finite.
    """
    return train(SPEEDNET, (videos,), options, settings)  # type: ignore[return-value]
