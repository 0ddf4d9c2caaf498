"""`structkit transfer INPUT... --model M --from DONOR`: pictures with the content of others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import chain, product
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any

import typer

from structkit.configs import NO_DONOR, ContentConfig
from structkit.errors import InputError, OptionError
from structkit_cli.options import Inputs, OutputOptions
from structkit_cli.run.ahead import PaintQueue
from structkit_cli.run.inputs import InputFile, InputList, gather, told_apart
from structkit_cli.run.models import ModelCache, ModelRef, Models, models, roles, run
from structkit_cli.run.plan import Destination, Task, numbered

if TYPE_CHECKING:
    from structkit.media.pictures import Picture
    from structkit.training.model import Model
    from structkit.verbs.content import Content


def _donors(flag: str, help: str) -> Any:
    option = typer.Option(flag, help=help, metavar="DONOR", rich_help_panel="What to make", show_envvar=False)
    return Annotated[list[str] | None, option]  # as it was said: a Path would make ./@x the list @x


DONORS = 200  # whose contents are kept: a painter's is a quarter of a megabyte

From = _donors("--from", "gives the content: a picture, a folder, a 'pattern*.png', @list.txt or - (must be given)")
FromB = _donors("--from-b", "with a model of two folders: gives what is special to the second one, likewise")


def transfer(
    inputs: Inputs,
    *,
    model: Models = None,
    from_: From = None,
    from_b: FromB = None,
    content: ContentConfig,
    running: OutputOptions,
) -> None:
    """Put the content of DONOR on INPUT, such as glasses or a beard: what a model has learned to tell apart (see
    structkit train transfer).

    In: a picture of any size; several, a folder, a pattern or a list are a batch.  Out: INPUT-DONOR.png in the current
    folder, or what --output names; in a batch the tree is mirrored there.  The path is printed on stdout.  Of several
    donors each is used with each picture, as INPUT-DONOR; one that is in a folder below has that in its name, and those
    of one name have what they are in.

    The donor's own pixels are brought to where they belong, or with --by codes painted anew, at the model's size, and
    pasted at the picture's own.  Outside them the picture stays as it is, bit for bit; size, alpha and metadata are
    kept.

    --steps N draws N results, from nothing to the whole content; with --from given twice, from the first donor's
    content to the second's. With --model given several times, and --from as often in the same order, one content is put
    on after another.

    A model of structkit train difference A/ B/ makes the whole picture anew: --from gives what is special to A,
    --from-b what is special to B, and what is left out is taken off.

    Example: structkit transfer avatar.png --model glasses --from donor.png -o with-glasses.png
    """
    if not (from_ or from_b):
        raise OptionError(NO_DONOR)
    named = models(model, "transfer")
    given = [from_ or [], from_b or []]
    sides = [[gather([donor], leave_out=(running.output,)) for donor in donors] for donors in given]
    found, donors = gather(inputs, leave_out=(running.output,)), [one for side in sides for one in side]
    _as_first_found(donors)
    single = len(named) > 1 or content.steps is not None  # each donor has its part in each result
    _check(named, *given, content)
    for name, one in zip(chain(*given), donors, strict=True):
        if single and one.many:
            raise OptionError(
                f"--from {name} may be many pictures: with --steps, or with several models, name one file"
            )
    if single:
        sets = [tuple(tuple(one.inputs[0] for one in side) for side in sides)]
    else:
        sets = list(product(*([(given,) for given in _each_once(side)] if side else [()] for side in sides)))
    each = not single and (len(donors) > len([side for side in sides if side]) or any(one.many for one in donors))
    many = found.many or each
    place = Destination(running.output, many=many, format=running.format)
    place.set_apart((found, *donors), running.exists)
    words = told_apart(_each_once(donors))
    tasks: list[Task] = []
    for picture, (a, b) in product(found.inputs, sets):
        name = "-".join((picture.relative.stem, *(words[donor] for donor in (*a, *b))))
        name = picture.stem.with_name(name) if each or not many else picture.stem
        outputs = tuple(place.output(name, word=word, seed=0) for word in numbered(content.steps or 1))
        used = {
            "picture": picture,
            **roles("from", a),
            **roles("from_b", b),
            **roles("model", [one.input for one in named]),
        }
        tasks.append(TransferTask(used, outputs, tuple(((donor,), ()) for donor in a) if len(named) > 1 else ((a, b),)))
    gathered = InputList(many=many, foreign=sum(one.foreign for one in (found, *donors)))
    run(
        "transfer",
        tasks,
        PaintQueue(_Painter(named, content, running), running),
        running,
        gathered,
        options=asdict(content),
    )


@dataclass(frozen=True)
class TransferTask(Task):
    """A picture and what is put on it.  donors: for each model those of its first side, and those of its second."""

    donors: tuple[tuple[tuple[InputFile, ...], tuple[InputFile, ...]], ...]


def _each_once(found: Iterable[InputList]) -> list[InputFile]:
    return list(dict.fromkeys(given for one in found for given in one.inputs))


def _as_first_found(donors: Iterable[InputList]) -> None:
    """A file that is found again, by another name or in another tree, is the donor that it was the first time."""
    first: dict[Path | None, InputFile] = {}
    for one in donors:
        one.inputs[:] = [first.setdefault(given.path and given.path.resolve(), given) for given in one.inputs]


def _check(named: Sequence[ModelRef], a: Sequence[str], b: Sequence[str], content: ContentConfig) -> None:
    """Refuse what the models have no use for."""
    if len(named) == 1:
        content.check_donors(len(a), len(b), two_sided=named[0].two_sided)
        return content.check_by(two_sided=named[0].two_sided, painter=named[0].painter)
    for one in named:
        if one.two_sided:
            raise OptionError(
                f"--model is given {len(named)} times, and {one.input.name} is a domain difference: it is used alone"
            )
    if content.steps is not None:
        raise OptionError("--steps is for one model: name one, or leave --steps out")
    content.check_donors(len(a), len(b), two_sided=False)
    if len(a) != len(named):
        raise OptionError(
            f"--model is given {len(named)} times, and --from {len(a)}: give each model its donor, in the same order"
        )
    for one in named:
        content.check_by(two_sided=False, painter=one.painter)


class _Painter:
    """Puts contents on pictures.  Those of the donors that were used last are kept, and so is why one could not be
    read.
    """

    def __init__(self, named: Sequence[ModelRef], config: ContentConfig, running: OutputOptions) -> None:
        self.networks, self.config, self.running = ModelCache(named, "transfer"), config, running
        self._lock, self._taken = Lock(), lru_cache(DONORS)(self._take)

    def __call__(self, tasks: Sequence[TransferTask], pictures: Sequence[Picture], device: str) -> list[list[Picture]]:
        from structkit.verbs import content as contents

        made = [pictures]
        for i, model in enumerate(self.networks.on(device)):  # steps are of one model
            sides = [[self._contents(model, donors, b=b) for b, donors in enumerate(task.donors[i])] for task in tasks]
            amounts = [contents.amounts(self.config, *pair) for pair in sides]
            made = [
                contents.put(made[0], model, *(list(chain(*side)) for side in zip(*step, strict=True)))
                for step in zip(*amounts, strict=True)
            ]
        return [list(results) for results in zip(*made, strict=True)]

    def _contents(self, model: Model, donors: Sequence[InputFile], *, b: bool) -> list[Content]:
        with self._lock:  # so that none is taken twice
            found = [self._taken(model, donor, b) for donor in donors]
        for one in found:
            if isinstance(one, InputError):
                raise one.with_traceback(None)
        return found

    def _take(self, model: Model, donor: InputFile, b: bool) -> Content | InputError:
        from structkit.verbs import content as contents

        try:
            return contents.taken(
                model, donor.picture(self.running.max_pixels), b=b, whole=contents.cuts(model, self.config)
            )
        except InputError as error:
            return error
