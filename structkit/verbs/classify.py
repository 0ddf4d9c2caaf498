"""Names for what is shown: the classes that a model has learned, each with its probability.

What a model looks at is one of its abilities.  Of clips, each window is seen, and the probabilities of a video are the
mean over its windows; of pictures, the square in the middle is seen, some pictures at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from structkit.data.batches import signed
from structkit.data.decoding import SEEN_THROUGH, middle_square, opaque_pixels
from structkit.data.windows import seen_windows, video_windows
from structkit.device import enough_memory, resolve
from structkit.errors import CheckpointError, InputError, OptionError, StructkitError
from structkit.media.containers import is_video
from structkit.media.pictures import MAX_PIXELS, Picture, read_picture
from structkit.media.sampled import SampledVideo
from structkit.media.video import VideoReader
from structkit.models import abilities_of_model, usable

if TYPE_CHECKING:
    from structkit.training.model import Model
    from structkit.verbs.running import Progress

TOP = 3  # labels that are told of each input, where nothing says how many
TOGETHER = 32  # pictures that are looked at at once

Shown = Picture | VideoReader | str | Path  # what a model is asked about
Named = tuple[str, dict[str, float], tuple[str, ...]]  # the name of an input, the probabilities, and notes


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
    """A model that names what is shown, ready to look at inputs.

    together: the number of inputs that are best given to `each` at once.
    """

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
        self.together = 1 if abilities_of_model(self.model).clips else TOGETHER

    def __call__(self, given: Shown) -> Labels:
        """The labels of an input.  Raises InputError, DeviceError."""
        [found] = self.each([given])
        if isinstance(found, InputError):
            raise found
        return found

    def each(self, given: Sequence[Shown | Callable[[], Shown]]) -> list[Labels | InputError]:
        """The labels of each input, or the error that says what is wrong with it.

        given: inputs, or functions that open them, which are called one after another.
        Raises DeviceError.
        """
        found = self._look(self.model, given, self.device, self.reading)
        return [one if isinstance(one, InputError) else self._labels(*one) for one in found]

    def _labels(self, name: str, probabilities: Mapping[str, float], notes: tuple[str, ...]) -> Labels:
        order = sorted(probabilities.items(), key=lambda entry: -entry[1])  # equal ones in the order of the classes
        return Labels(name, tuple(order[: self.top]), notes)


def classify(
    given: Shown | Sequence[Shown],
    model: Model | str | Path,
    *,
    top: int | None = None,
    device: str = "auto",
    max_pixels: int | None = None,
    tolerant: bool = False,
    progress: Progress | None = None,
) -> Labels | list[Labels]:
    """The labels of a picture or a video, or of each of several.

    given: a path, a `structkit.media.pictures.Picture`, or a `structkit.media.video.VideoReader`; or a list of these.
    model: of `train_classifier`, for pictures, or of `train_action`, for videos; or its checkpoint.
    top: labels that are told, the likeliest; None: all.
    device: such as cpu or cuda; auto: the best that there is.
    max_pixels: of the largest picture or frame that is read; None: the usual limit.
    tolerant: what is damaged is taken as far as it goes.
    progress: called after each input, with the part of all of them that is done.
    Of a picture the square in its middle is seen, at the side of those that the model has learned from, with the mean
    colour where it is transparent.
    Method: permuted AdaIN (Nuriel et al., CVPR 2021), see `structkit.engines.padain.classifier`; of videos, SpeedNet
    (Benaim et al., CVPR 2020), see `structkit.engines.speednet.action`.
    Raises InputError, OptionError, CheckpointError, DeviceError.
    """
    maker = LabelMaker(model, top=top, device=device, max_pixels=max_pixels, tolerant=tolerant)
    many = isinstance(given, list | tuple)
    inputs: Sequence[Any] = given if many else [given]  # type: ignore[assignment]
    found: list[Labels] = []
    for first in range(0, len(inputs), maker.together):
        for one in maker.each(inputs[first : first + maker.together]):
            if isinstance(one, InputError):
                raise one
            found.append(one)
            if progress:
                progress(len(found) / len(inputs), found[-1].name)
    return found if many else found[0]


def labels_of_videos(
    model: Any, given: Sequence[Any], device: str, reading: Mapping[str, Any]
) -> list[Named | InputError]:
    """The name of each video, the probability of each class, and the notes on it.  Raises DeviceError."""
    return [_tried(_labels_of_video, model, one, device, reading) for one in given]


def labels_of_pictures(
    model: Any, given: Sequence[Any], device: str, reading: Mapping[str, Any]
) -> list[Named | InputError]:
    """The name of each picture, the probability of each class, and the notes on it.  Raises DeviceError."""
    seen = [_tried(_seen_picture, one, model.config.side, reading) for one in given]
    squares = [one[1] for one in seen if not isinstance(one, InputError)]
    found = iter(probabilities_of(model, torch.stack(squares), device).tolist() if squares else [])
    return [
        one if isinstance(one, InputError) else (one[0], dict(zip(model.classes, next(found), strict=True)), one[2])
        for one in seen
    ]


def probabilities_of(model: Any, squares: Tensor, device: str) -> Tensor:
    """The probability of each class, (B, K) float64, of squares (B, 3, side, side) uint8.

    Raises DeviceError, and StructkitError for values that are not finite.
    """
    with enough_memory(device, "use --device cpu, or a model of a smaller side"), torch.inference_mode():
        found = model.probabilities(signed(squares.to(device))).double().cpu()
    if not found.isfinite().all():
        raise StructkitError("the model gives values that are not finite numbers: train it again")
    return found


def looking(model: Model) -> Callable[..., list[Named | InputError]]:
    """The function by which a model looks at inputs, by its abilities.

    Raises CheckpointError for a model that names nothing.
    """
    abilities = abilities_of_model(model)
    if not abilities.labels:
        seen = "videos" if abilities.clips else "pictures"
        raise CheckpointError(f"a model of kind {model.kind!r}: it names nothing that is shown in {seen}")
    return labels_of_videos if abilities.clips else labels_of_pictures


def check_top(top: int | None) -> None:
    """Refuse a number of labels that cannot be.  Raises OptionError."""
    if top is not None and top < 1:
        raise OptionError(f"--top is {top}: it must be at least 1")


def no_picture(name: str) -> InputError:
    """The error for a video that a model of pictures is asked about."""
    fact = "a video, and this model names what a picture shows"
    return InputError(f"{name}: {fact}; give pictures, or use a model of structkit train action")


def _labels_of_video(model: Any, given: Any, device: str, reading: Mapping[str, Any]) -> Named:
    sampled = SampledVideo(_opened(given), side=model.config.side, **reading)
    windows = video_windows(sampled, model.config.frames)
    with enough_memory(device, "use --device cpu, or a model of a smaller side"):
        found = [one.double() for _, one in seen_windows(windows, model.probabilities, device)]
    mean = sum(found) / len(found)
    return sampled.reader.name, dict(zip(model.classes, mean.tolist(), strict=True)), sampled.notes


def _seen_picture(given: Any, side: int, reading: Mapping[str, Any]) -> tuple[str, Tensor, tuple[str, ...]]:
    """The name of a picture, the square that is seen of it, (3, side, side) uint8, and the notes on it."""
    given = _opened(given)
    if isinstance(given, VideoReader):
        raise no_picture(given.name)
    if not isinstance(given, Picture):
        if is_video(given):
            raise no_picture(str(given))
        given = read_picture(given, **{**reading, "max_pixels": reading["max_pixels"] or MAX_PIXELS})
    pixels = opaque_pixels(given)
    hidden = given.alpha is not None and given.alpha.min() < 2**given.bits - 1
    return given.name, middle_square(pixels, side), (*([SEEN_THROUGH] if hidden else []), *given.notes)


def _opened(given: Any) -> Any:
    return given() if callable(given) else given


def _tried(look: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function, or the error of an input that it cannot read."""
    try:
        return look(*arguments)
    except InputError as error:
        return error
