"""How trainings are cut to end in time."""

from structkit.configs import DifferenceConfig, TransferConfig
from structkit.recipes import plans


def test_to_end_in_time_there_are_fewer_rounds_first_and_smaller_pictures_last():
    asked = TransferConfig().filled()
    choices = [(c.seen, c.size, c.rounds) for c in plans.transfer_choices(asked)]
    assert choices[0] == (128, 64, 20) and choices[-1] == (64, 32, 1)
    assert choices == sorted(choices, reverse=True) and {rounds for seen, _, rounds in choices if seen == 128} == {
        *range(6, 21)
    }
    assert [c.size for c in plans.halved(DifferenceConfig().filled())] == [64, 32]
    assert {c.rounds for c in plans.transfer_choices(TransferConfig(rounds=2).filled())} == {2, 1}
    assert all(c.filled() == c for c in plans.transfer_choices(asked))


def test_without_a_painter_there_are_no_rounds_to_give_up():
    choices = plans.transfer_choices(TransferConfig(painter=0, rounds=0).filled())
    assert [(c.size, c.rounds) for c in choices] == [(64, 0), (32, 0)]
