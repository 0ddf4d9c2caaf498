"""The plan of transfers: which donors give what to which pictures, and the painter that puts it on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import chain, product
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from structkit.configs import NO_DONOR, ContentConfig
from structkit.errors import InputError, OptionError
from structkit_cli.options import OutputOptions
from structkit_cli.run.ahead import PaintQueue
from structkit_cli.run.inputs import InputFile, InputList, gather, told_apart
from structkit_cli.run.models import ModelCache, ModelRef, check_once, model_refs, roles
from structkit_cli.run.plan import Destination, Plan, Task, numbered

if TYPE_CHECKING:
    from structkit.media.pictures import Picture
    from structkit.training.model import Model
    from structkit.verbs.content import Content

DONORS = 200  # donors whose contents are kept: a painter's is a quarter of a megabyte


@dataclass(frozen=True)
class TransferTask(Task):
    """A picture and what is put on it.

    donors: for each model those of its first side, and those of its second.
    """

    donors: tuple[tuple[tuple[InputFile, ...], tuple[InputFile, ...]], ...]


class TransferPainter:
    """The painter of contents on pictures; the contents of the donors that were used last are kept.

    The error of a donor that could not be read is kept in the place of its content.
    """

    def __init__(self, refs: Sequence[ModelRef], config: ContentConfig, running: OutputOptions) -> None:
        self.models, self.config, self.running = ModelCache(refs, "transfer"), config, running
        self._lock, self._taken = Lock(), lru_cache(DONORS)(self._take)

    def again(self) -> dict[str, Any]:
        """The arguments of another one like it, in another process."""
        return {"refs": self.models.refs, "config": self.config, "running": self.running}

    def __call__(self, tasks: Sequence[TransferTask], pictures: Sequence[Picture], device: str) -> list[list[Picture]]:
        from structkit.verbs.content import transferred

        results = [[]]
        for i, model in enumerate(self.models.on(device)):
            contents = [
                tuple(self._contents(model, side, b=b) for b, side in enumerate(task.donors[i])) for task in tasks
            ]
            results = transferred(pictures, model, contents, self.config)
            pictures = [steps[0] for steps in results]  # steps are of one model
        return results

    def _contents(self, model: Model, donors: Sequence[InputFile], *, b: bool) -> list[Content]:
        with self._lock:  # so that none is taken twice
            found = [self._taken(model, donor, b) for donor in donors]
        for one in found:
            if isinstance(one, InputError):
                raise one.with_traceback(None)
        return found

    def _take(self, model: Model, donor: InputFile, b: bool) -> Content | InputError:
        from structkit.verbs.content import taken

        try:
            return taken(model, donor.picture(**self.running.reading), self.config, b=b)
        except InputError as error:
            return error


def plan_transfers(
    inputs: Sequence[str],
    a: Sequence[str],
    b: Sequence[str],
    models: Sequence[str] | None,
    content: ContentConfig,
    running: OutputOptions,
) -> Plan:
    """The plan of each picture with each donor.

    a, b: the donors of the model's first and of its second side, as they were given.
    """
    if not (a or b):
        raise OptionError(NO_DONOR)
    refs = model_refs(models, "transfer")
    sides = [[gather([donor], leave_out=(running.output,)) for donor in donors] for donors in (a, b)]
    found, donors = gather(inputs, leave_out=(running.output,)), [one for side in sides for one in side]
    _as_first_found(donors)
    single = len(refs) > 1 or content.steps is not None  # each donor has its part in each result
    _check(refs, a, b, content)
    for name, one in zip(chain(a, b), donors, strict=True):
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
    kept = running.keep_suffix
    place = Destination(running.output, many=many, format=running.format, keep_suffix=kept, inputs=found.inputs)
    place.set_apart((found, *donors), running.exists)
    words = told_apart(_each_once(donors), keep_suffix=kept)
    tasks: list[Task] = []
    for picture, (ones, others) in product(found.inputs, sets):
        own = place.name_of(picture)
        name = "-".join((own.name, *(words[donor] for donor in (*ones, *others))))
        name = own.with_name(name) if each or not many else own
        outputs = tuple(place.output(name, word=word, seed=0) for word in numbered(content.steps or 1))
        used = {"picture": picture, **roles("from", ones), **roles("from_b", others)}
        used |= roles("model", [one.input for one in refs])
        given = tuple(((donor,), ()) for donor in ones) if len(refs) > 1 else ((ones, others),)
        tasks.append(TransferTask(used, outputs, given))
    check_once(tasks)
    queue = PaintQueue(TransferPainter(refs, content, running), running)
    foreign = sum(one.foreign for one in (found, *donors))
    unread = [path for one in (found, *donors) for path in one.unread]
    return Plan("transfer", tasks, queue, options=asdict(content), many=many, foreign=foreign, unread=unread)


def _each_once(found: Iterable[InputList]) -> list[InputFile]:
    return list(dict.fromkeys(given for one in found for given in one.inputs))


def _as_first_found(donors: Iterable[InputList]) -> None:
    """Make a file that is found again, by another name or in another tree, the donor that it was the first time."""
    first: dict[Path | None, InputFile] = {}
    for one in donors:
        one.inputs[:] = [first.setdefault(given.path and given.path.resolve(), given) for given in one.inputs]


def _check(refs: Sequence[ModelRef], a: Sequence[str], b: Sequence[str], content: ContentConfig) -> None:
    """Refuse options that the models have no use for."""
    if len(refs) == 1:
        return content.check(len(a), len(b), two_sided=refs[0].abilities.two_sided, cut=refs[0].abilities.cut)
    for one in refs:
        if one.abilities.two_sided:
            way_out = f"{one.input.name} is a domain difference: it is used alone"
            raise OptionError(f"--model is given {len(refs)} times, and {way_out}")
    if content.steps is not None:
        raise OptionError("--steps is for one model: name one, or leave --steps out")
    content.check(len(a), len(b), two_sided=False, cut=True)
    if len(a) != len(refs):
        way_out = "give each model its donor, in the same order"
        raise OptionError(f"--model is given {len(refs)} times, and --from {len(a)}: {way_out}")
    for one in refs:
        content.check(len(a), len(b), two_sided=False, cut=one.abilities.cut)
