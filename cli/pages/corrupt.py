"""`structkit corrupt INPUT... --kind K --severity S`: the same pictures with noise, blur, weather or digital damage."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from structkit.configs import Config
from structkit.configs.corrupt import CATEGORIES, CORRUPTIONS, EXTRA, kinds_of, severities_of
from structkit.errors import OptionError
from structkit_cli.completion import complete_choice
from structkit_cli.options import Inputs, RunOptions, named
from structkit_cli.run import batch
from structkit_cli.run.checks import check_alpha
from structkit_cli.run.inputs import gather
from structkit_cli.run.plan import Destination, Maker, Output, Plan, Progress, Task, share
from structkit_cli.run.results import PictureResult

NAMES = ("all", "extra", *CATEGORIES, *CORRUPTIONS, *EXTRA)


@dataclass(frozen=True)
class CorruptOptions(Config):
    """Options of the corruptions: which, and how severe."""

    kind: str | None = named(
        None,
        "what to do: all 15, extra (3 more), noise, blur, weather or digital, or kinds by name, with commas between "
        "them (must be given)",
        "KIND",
        complete=complete_choice(NAMES),
    )
    severity: str = named("3", "how much of it: 1 to 5, a list such as 1,3, or a range such as 1-5", "SEVERITY")


class CorruptionMaker(Maker):
    """The maker of corrupted pictures; what is done to each stands in the options of its output."""

    def __init__(self, running: RunOptions) -> None:
        self.running = running

    def make(
        self, task: Task, missing: Sequence[Output], device: str, progress: Progress
    ) -> Iterator[tuple[Output, PictureResult]]:
        from structkit.data.corruptions import origin_of, parameters
        from structkit.verbs.corrupt import corrupt

        picture = task.inputs["picture"].picture(**self.running.reading)
        check_alpha(picture, missing)
        for i, output in enumerate(missing):
            kind = output.chosen["kind"]
            share(progress, i, len(missing))(0.0, f"{kind} {output.chosen['severity']}")
            made = corrupt(picture, **output.chosen, seed=output.seed)
            side = min(picture.width, picture.height)
            constants = {"parameters": parameters(**output.chosen, side=side), "origin": origin_of(kind, side)}
            yield output, PictureResult(made, {"corruption": {**output.chosen, **constants}})


def plan_corruptions(inputs: Sequence[str], wanted: CorruptOptions, running: RunOptions) -> Plan:
    """The plan of all corruptions of all inputs.

    In a batch of several corruptions each has a folder KIND/SEVERITY, as in ImageNet-C, in which the tree is mirrored.
    """
    if wanted.kind is None:
        raise OptionError(f"--kind is missing: choose from {', '.join(NAMES)}")
    asked = [(kind, severity) for kind in kinds_of(wanted.kind) for severity in severities_of(wanted.severity)]
    found = gather(inputs, leave_out=(running.output,))
    kept = running.keep_suffix
    place = Destination(running.output, many=found.many, format=running.format, keep_suffix=kept, inputs=found.inputs)
    place.set_apart((found,), running.exists)
    chosen = [{"kind": kind, "severity": severity} for kind, severity in asked]
    tasks = []
    for given in found.inputs:
        own, outputs = place.spelled(given), []
        for (kind, severity), ours in zip(asked, chosen, strict=True):
            name = os.path.join(kind, str(severity), own) if found.many and len(asked) > 1 else own
            word = "" if found.many or (place.stem and len(asked) == 1) else f"-{kind}-{severity}"
            outputs.append(place.output(name, word=word, seed=running.seed, chosen=ours))
        tasks.append(Task({"picture": given}, tuple(outputs)))
    many, foreign, unread = found.many, found.foreign, found.unread
    return Plan("corrupt", tasks, CorruptionMaker(running), options={}, many=many, foreign=foreign, unread=unread)


def corrupt(inputs: Inputs, *, wanted: CorruptOptions, running: RunOptions) -> None:
    """Corrupt INPUT as the benchmarks ImageNet-C and CIFAR-10-C do, to see what a model makes of it.

    In: a picture of any size; several, a folder, a pattern or a list are a batch.  Out: INPUT-KIND-SEVERITY.png in the
    current folder, or what --output names.  In a batch the tree is mirrored there: for several corruptions in a folder
    KIND/SEVERITY each, which structkit score corruptions reads.  The paths are printed on stdout.

    Kinds: gaussian_noise shot_noise impulse_noise (noise), defocus_blur glass_blur motion_blur zoom_blur (blur), snow
    frost fog brightness (weather), contrast elastic_transform pixelate jpeg_compression (digital); speckle_noise
    gaussian_blur saturate (extra).

    Of pictures whose short side is 32 or 224 px the constants are the published ones of CIFAR-10-C and ImageNet-C;
    between them they lie between.  A larger picture looks as that of 224 px would, enlarged: lengths grow with its
    short side, also those of the grains of noise; only the blocks of JPEG do not.  --json tells the constants.  Frost
    is drawn, not photographed as in the benchmarks.

    What is drawn depends on --seed and on the picture itself: a copy of it, in any folder, is corrupted alike.  Alpha
    stays, and results have 8 bits a channel.  All is computed on the CPU.

    Example: structkit corrupt beach.png --kind fog,snow --severity 1-3 -o corrupted/
    """
    if running.device not in ("auto", "cpu"):
        raise OptionError(f"--device is {running.device}: corruptions are computed on the CPU, leave it out")
    batch.run(plan_corruptions(inputs, wanted, running), replace(running, device="cpu"))
