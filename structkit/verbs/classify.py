"""Names for what is shown: the classes that a model has learned, each with its probability.

What a model looks at is one of its abilities: of clips, each window is seen, and the probabilities of a video are the
mean over its windows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from structkit.data.windows import seen_windows, video_windows
from structkit.device import enough_memory, resolve
from structkit.errors import CheckpointError, OptionError
from structkit.media.sampled import SampledVideo
from structkit.media.video import VideoReader
from structkit.models import abilities_of_model, usable

if TYPE_CHECKING:
    from structkit.training.model import Model
    from structkit.verbs.running import Progress

TOP = 3  # labels that are told of each input, where nothing says how many


@dataclass(frozen=True)
class Labels:
    """The labels of an input.

    name: of the input.
    labels: each with its probability, the likeliest first; those of all classes have the sum 1.
    notes: on the input, one line each.
    """

    name: str
    labels: tuple[tuple[str, float], ...]
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> str:
        """The likeliest label."""
        return self.labels[0][0]

    def probability(self, label: str) -> float:
        """The probability of a label.  Raises KeyError for one that is not told."""
        return dict(self.labels)[label]


class LabelMaker:
    """A model that names what is shown, ready to look at one input after another."""

    def __init__(
        self,
        model: Model | str | Path,
        *,
        top: int | None = None,
        device: str = "auto",
        max_pixels: int | None = None,
        tolerant: bool = False,
    ) -> None:
        """The arguments are those of `classify`.  Raises CheckpointError, OptionError, DeviceError."""
        self.device = resolve(device)
        self.model: Any = usable(model, self.device, "classify")
        check_top(top)
        self.top, self.reading = top, {"max_pixels": max_pixels, "tolerant": tolerant}
        self._look = looking(self.model)

    def __call__(self, given: VideoReader | str | Path) -> Labels:
        """The labels of an input.  Raises InputError, DeviceError."""
        name, probabilities, notes = self._look(self.model, given, self.device, self.reading)
        order = sorted(probabilities.items(), key=lambda entry: -entry[1])  # equal ones in the order of the classes
        return Labels(name, tuple(order[: self.top]), notes)


def classify(
    given: VideoReader | str | Path | Sequence[VideoReader | str | Path],
    model: Model | str | Path,
    *,
    top: int | None = None,
    device: str = "auto",
    max_pixels: int | None = None,
    tolerant: bool = False,
    progress: Progress | None = None,
) -> Labels | list[Labels]:
    """The labels of a video, or of each of several.

    given: a path, or a `structkit.media.video.VideoReader`; or a list of these.
    model: of `train_action`, or its checkpoint.
    top: labels that are told, the likeliest; None: all.
    device: such as cpu or cuda; auto: the best that there is.
    max_pixels: of the largest frame that is read; None: the usual limit.  tolerant: as for `VideoReader`.
    progress: called after each input, with the part of all of them that is done.
    Method: SpeedNet (Benaim et al., CVPR 2020), see `structkit.engines.speednet.action`.
    Raises InputError, OptionError, CheckpointError, DeviceError.
    """
    maker = LabelMaker(model, top=top, device=device, max_pixels=max_pixels, tolerant=tolerant)
    many = isinstance(given, list | tuple)
    inputs: Sequence[Any] = given if many else [given]  # type: ignore[assignment]
    found = []
    for done, one in enumerate(inputs, 1):
        found.append(maker(one))
        if progress:
            progress(done / len(inputs), found[-1].name)
    return found if many else found[0]


def labels_of_video(
    model: Any, given: VideoReader | str | Path, device: str, reading: Mapping[str, Any]
) -> tuple[str, dict[str, float], tuple[str, ...]]:
    """The name of a video, the probability of each class, and the notes on it.  Raises InputError, DeviceError."""
    sampled = SampledVideo(given, side=model.config.side, **reading)
    windows = video_windows(sampled, model.config.frames)
    with enough_memory(device, "use --device cpu, or a model of a smaller side"):
        found = [one.double() for _, one in seen_windows(windows, model.probabilities, device)]
    mean = sum(found) / len(found)
    return sampled.reader.name, dict(zip(model.classes, mean.tolist(), strict=True)), sampled.notes


def looking(model: Model) -> Callable[..., tuple[str, dict[str, float], tuple[str, ...]]]:
    """The function by which a model looks at an input, by its abilities.

    Raises CheckpointError for a model that looks at what this version cannot give it.
    """
    abilities = abilities_of_model(model)
    if abilities.labels and abilities.clips:
        return labels_of_video
    raise CheckpointError(f"a model of kind {model.kind!r}: it names nothing that is shown in videos")


def check_top(top: int | None) -> None:
    """Refuse a number of labels that cannot be.  Raises OptionError."""
    if top is not None and top < 1:
        raise OptionError(f"--top is {top}: it must be at least 1")
