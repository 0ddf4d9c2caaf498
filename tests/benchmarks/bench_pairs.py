"""Analogies of a folder of pairs, in both directions, measured by a scorer: is the quality what it was?

    python tests/benchmarks/bench_pairs.py PAIRS RESULTS --scorer SCORER.py
        [--settings defaults match=colour] [--max-side 256]
    python tests/benchmarks/bench_pairs.py PAIRS RESULTS --scorer SCORER.py
        --models PAIRS/ --settings gan gan,inject=6,refine=patches
    python tests/benchmarks/bench_pairs.py PAIRS RESULTS --scorer SCORER.py --only '*-ab'
        --strengths 0,.25,.5,.75,1 [--part 1/2]

PAIRS holds pictures named X_a.* and X_b.*, or a `pairs.csv` with the columns a and b.  SCORER is called as `SCORER
SOURCE TARGET OUT...` and prints for each OUT one line of JSON with alignment, copy, orientation (higher: laid out like
SOURCE), coherence and completeness (lower: made of TARGET).  The results and `scores.csv` go to RESULTS, outside of the
source tree.  A row is written as soon as it is known, and not made again, so that a run which was stopped goes on where
it was; after a change of the engine take a new folder.
Runs that have a --part of the pairs each may share RESULTS; one more run without --part sorts the table, and has the
means of all.
A SCORER that can be imported, with `main(source, target, outs)`, is asked in the worker: what it finds of a source and
a target (its functions in KNOWN) serves all results of a pair.  Another is run as a program.
A setting that begins with `gan` draws from a trained pair, X-Y.safetensors in --models, which was trained on X and Y
and serves Y-X too.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import fnmatch
import functools
import importlib.util
import io
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from statistics import fmean
from types import ModuleType

import structkit
from structkit.errors import StructkitError
from structkit.media.files import natural, write_atomically
from structkit.media.pictures import Picture

TREE = Path(__file__).resolve().parents[2]
NUMBERS = ("alignment", "orientation", "coherence", "completeness", "copy", "cpu_s")
COLUMNS = ("pair", "setting", *NUMBERS)
# Functions of a scorer whose answers are kept for a pair: they must depend on their arguments alone.
KNOWN = ("load", "features", "orientation", "patches", "kmeans", "nearest")
Row = dict[str, str]


def pairs_in(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """(name, source, target) of every pair, there and back."""
    if (listed := folder / "pairs.csv").exists():
        with listed.open(newline="") as file:
            for row in csv.DictReader(file):
                a, b = folder / row["a"], folder / row["b"]
                yield f"{a.stem}-{b.stem}", a, b
                yield f"{b.stem}-{a.stem}", b, a
        return
    for a in sorted(folder.glob("*_a.*"), key=natural):
        name = a.stem.removesuffix("_a")
        for b in folder.glob(f"{name}_b.*"):
            yield f"{name}-ab", a, b
            yield f"{name}-ba", b, a


def options_of(setting: str) -> dict[str, object]:
    """`defaults,max_side=96` -> {"max_side": 96}."""
    named = (part.partition("=") for part in setting.split(",") if part not in ("defaults", "gan"))
    return {name: _value(text) for name, _, text in named}


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def prepare() -> None:
    """Of a worker: one thread, so that CPU seconds do not count waiting; what is loaded once is not the first
    pair's.
    """
    import torch

    import structkit.verbs.patchwork  # noqa: F401

    torch.set_num_threads(1)


def make(pair: tuple[str, Path, Path], setting: str, models: Path | None) -> Picture:
    name, source, target = pair
    if setting.split(",")[0] != "gan":
        [picture] = structkit.analogy(source, target, device="cpu", **options_of(setting))
        return picture
    there, back = (models / f"{name}.safetensors" for name in (name, "-".join(reversed(name.split("-")))))
    swapped = not there.exists()
    roles = (target, source) if swapped else (source, target)
    model = structkit.load(back if swapped else there, device="cpu")
    [picture] = structkit.analogy(*roles, model=model, swapped=swapped, device="cpu", **options_of(setting))
    return picture


class Answers:
    """The answers that a function has given, by its arguments; tensors and arrays are told apart by identity."""

    def __init__(self, function: Callable) -> None:
        self.function = function
        self.given: dict[tuple, tuple[tuple, object]] = {}

    def __call__(self, *arguments: object) -> object:
        key = tuple(a if isinstance(a, (str, int, float, Path)) else id(a) for a in arguments)
        if key not in self.given:
            self.given[key] = arguments, self.function(*arguments)  # arguments live on, so that none takes their id
        return self.given[key][1]


@functools.cache
def imported(scorer: Path) -> ModuleType | None:
    """The scorer as a module whose answers are kept.  None: it has to be run as a program."""
    spec = importlib.util.spec_from_file_location(scorer.stem, scorer)
    if spec is None or "__main__" not in scorer.read_text():
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in KNOWN:
        if callable(function := getattr(module, name, None)):
            setattr(module, name, Answers(function))
    return module if callable(getattr(module, "main", None)) else None


def forget(scorer: ModuleType | None) -> None:
    """Answers of one pair are of no use to the next."""
    for name in KNOWN:
        if isinstance(answers := getattr(scorer, name, None), Answers):
            answers.given.clear()


def score(scorer: Path, source: Path, target: Path, result: Path) -> dict[str, float]:
    """The scorer's line on a result."""
    if module := imported(scorer):
        try:
            with contextlib.redirect_stdout(io.StringIO()) as said:
                module.main(str(source), str(target), [str(result)])
        except (Exception, SystemExit) as error:
            raise ChildProcessError(f"{scorer.name} ended with {error!r}") from error
        return json.loads(said.getvalue())
    scored = subprocess.run([sys.executable, scorer, source, target, result], capture_output=True, text=True)
    if scored.returncode:
        raise ChildProcessError(
            f"{scorer.name} ended with {scored.returncode}: {(scored.stderr.splitlines() or ['(silent)'])[-1]}"
        )
    return json.loads(scored.stdout)


def make_and_score(
    pair: tuple[str, Path, Path], settings: list[str], results: Path, scorer: Path, models: Path | None
) -> list[Row]:
    """One row for each setting, each appended to the table as soon as it is known."""
    name, source, target = pair
    rows = []
    forget(imported(scorer))
    for setting in settings:
        started = time.process_time()
        picture = make(pair, setting, models)
        seconds = time.process_time() - started
        made = results / setting / f"{name}.png"
        made.parent.mkdir(parents=True, exist_ok=True)
        structkit.write_picture(picture, made)
        measures = score(scorer, source, target, made)
        row = {"pair": name, "setting": setting, "cpu_s": f"{seconds:.2f}"}
        rows.append(row | {number: str(measures[number]) for number in NUMBERS if number != "cpu_s"})
        append(results / "scores.csv", rows[-1])
    return rows


def read(table: Path) -> list[Row]:
    return list(csv.DictReader(table.open(newline=""))) if table.exists() else []


def lines(rows: list[Row], *, header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def append(table: Path, row: Row) -> None:
    """In one write at the end, so that several processes may do so."""
    with table.open("a", newline="") as file:
        file.write(lines([row], header=False))


def write(table: Path, rows: list[Row]) -> None:
    ordered = sorted(rows, key=lambda row: (natural(row["pair"]), row["setting"]))
    write_atomically(table, lines(ordered, header=True).encode())


def summary(rows: list[Row], settings: list[str]) -> None:
    """Means of each setting, over the pairs that every setting has."""
    of = {setting: {row["pair"]: row for row in rows if row["setting"] == setting} for setting in settings}
    common = set.intersection(*map(set, of.values()))
    wide = max(map(len, settings))
    print(f"{'mean of ' + str(len(common)):{wide}}  " + "  ".join(f"{number:>12}" for number in NUMBERS))
    for setting in settings if common else ():
        means = [fmean(float(of[setting][pair][number]) for pair in common) for number in NUMBERS]
        print(f"{setting:{wide}}  " + "  ".join(f"{mean:12.3f}" for mean in means))


def part_of(text: str) -> tuple[int, int]:
    """`1/2` -> (1, 2)."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r} is no part such as 1/2 or 2/2")
    return int(part), int(parts)


def strengths_of(text: str) -> list[str]:
    """`0,.25` -> ["strength=0", "strength=0.25"]."""
    return [f"strength={float(number):g}" for number in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="PAIRS", help="folder of pairs")
    parser.add_argument(
        "results",
        type=Path,
        metavar="RESULTS",
        help="folder for the results and scores.csv, outside of the source tree",
    )
    parser.add_argument("--scorer", type=Path, required=True, help="script that measures results")
    parser.add_argument(
        "--settings", nargs="+", help="such as match=colour,strength=0.7 (default: defaults match=colour)"
    )
    parser.add_argument(
        "--strengths", type=strengths_of, metavar="S,S...", help="a setting for each, beside --settings if given"
    )
    parser.add_argument("--models", type=Path, help="folder of trained pairs, for settings that begin with gan")
    parser.add_argument("--max-side", type=int, help="of the results, px; part of each setting")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="names of pairs, such as 'p2s*-ab'")
    parser.add_argument("--part", type=part_of, metavar="I/N", help="every Nth pair from the Ith on, such as 1/2")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    chosen = parser.parse_args()
    if TREE in (chosen.results.resolve(), *chosen.results.resolve().parents):
        parser.error(f"{chosen.results} is inside the source tree: name a folder outside")
    named = (chosen.settings or []) + (chosen.strengths or []) or ["defaults", "match=colour"]
    settings = [
        setting + (f",max_side={chosen.max_side}" if chosen.max_side and not setting.startswith("gan") else "")
        for setting in dict.fromkeys(named)
    ]
    pairs = {pair[0]: pair for pair in pairs_in(chosen.folder) if fnmatch.fnmatch(pair[0], chosen.only)}
    if chosen.models is None and any(setting.startswith("gan") for setting in settings):
        parser.error("a setting that begins with gan needs --models")
    if not pairs:
        parser.error(
            f"{chosen.folder} has no pair X_a.*, X_b.* and no pairs.csv with one, of a name like {chosen.only}"
        )
    if chosen.part:
        pairs = dict(list(pairs.items())[chosen.part[0] - 1 :: chosen.part[1]])
    table = chosen.results / "scores.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    rows, failed = read(table), 0
    if not table.exists():
        write(table, [])
    done = {(row["pair"], row["setting"]) for row in rows}
    os.environ["OMP_NUM_THREADS"] = "1"  # of the workers and of the scorers that they start
    with ProcessPoolExecutor(chosen.workers, multiprocessing.get_context("spawn"), prepare) as pool:
        waiting = {}
        for name, pair in pairs.items():
            if missing := [setting for setting in settings if (name, setting) not in done]:
                waiting[pool.submit(make_and_score, pair, missing, chosen.results, chosen.scorer, chosen.models)] = name
        for number, future in enumerate(as_completed(waiting), 1):
            try:
                made = future.result()
            except (StructkitError, ChildProcessError) as error:
                failed += 1
                print(f"[{number}/{len(waiting)}] {waiting[future]} failed: {error}", file=sys.stderr)
                continue
            for row in made:
                print(
                    f"[{number}/{len(waiting)}]",
                    row["pair"],
                    row["setting"],
                    *(f"{n} {row[n]}" for n in NUMBERS),
                    flush=True,
                )
    rows = read(table)
    if not chosen.part:
        write(table, rows)
    summary([row for row in rows if row["pair"] in pairs], settings)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
