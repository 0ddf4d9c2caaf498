"""The voice of a run where stderr is no terminal: a plain line now and then, by a clock that is made up here."""

from __future__ import annotations

import pytest

from structkit_cli.run.report import LINE_EVERY, Report, clock_words


class Clock:
    """A clock that stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def report(clock: Clock, *, total: int = 1, quiet: bool = False) -> Report:
    return Report("analogy", total=total, as_json=False, quiet=quiet, paths=False, clock=clock)


def said(capsys) -> list[str]:
    return [line.removeprefix("structkit: ") for line in capsys.readouterr().err.splitlines()]


def test_a_long_task_says_now_and_then_how_far_it_is_and_how_long_it_will_take(clock, capsys):
    with report(clock) as voice:
        for share in range(101):  # a percent a second
            voice.progress(share / 100, f"frame {share}")
            clock.now += 1
    assert said(capsys) == [
        f"{share} % (frame {share}), about {clock_words(100 - share)} left" for share in range(15, 101, 15)
    ]


def test_a_line_of_an_output_stands_for_one_of_progress(clock, capsys):
    record = {"status": "written", "output": "o.png", "warnings": [], "ms": 9000}
    with report(clock, total=3) as voice:
        for task in range(3):
            for share in (0.25, 0.5, 0.75):
                voice.progress(share)
                clock.now += LINE_EVERY / 4
            voice.record({**record, "output": f"{task}.png"})
            voice.finished()
    assert said(capsys) == [f"[{task + 1}/3] {task}.png 9.0 s" for task in range(3)]
    clock.now += LINE_EVERY
    with report(clock, total=3) as voice:
        voice.progress(0.5)
        voice.finished()
        clock.now += LINE_EVERY
        voice.progress(0.0, "level 1")
        clock.now += LINE_EVERY
        voice.progress(0.5)
    assert said(capsys) == ["[2/3] 0 % (level 1), about 1:00 left", "[2/3] 50 %, about 0:45 left"]


def test_without_a_rate_no_time_is_promised_and_no_share_is_beyond_the_whole(clock, capsys):
    with report(clock) as voice:
        voice.progress(0.0, "draft 1")
        clock.now += LINE_EVERY
        voice.progress(0.0, "draft 1")
        clock.now += LINE_EVERY
        voice.progress(1.5)
    assert said(capsys) == ["0 % (draft 1)", "100 %, about 0:00 left"]


def test_quiet_is_quiet(clock, capsys):
    with report(clock, quiet=True) as voice:
        for share in (0.1, 0.9):
            voice.progress(share)
            clock.now += 10 * LINE_EVERY
    assert said(capsys) == []
