"""How trainings are cut to end in time."""

import pytest
import torch

from structkit.configs import DifferenceConfig, GenvideoConfig, TransferConfig
from structkit.engines.genvideo.training import GenvideoTraining
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


def test_a_clips_model_is_made_smaller_by_its_levels_and_its_work_grows_with_them():
    config = GenvideoConfig(size=48, coarsest=12).filled()
    assert [choice.size for choice in plans.genvideo_choices(config)] == [48, 39, 31, 25]
    training = GenvideoTraining(torch.zeros(1, 3, 13, 27, 48), config)
    work = plans.genvideo_work(training)
    assert work == sorted(work) and work[3] / work[2] > 4  # from the first level that has a critic on


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, [48, 41, 34]),  # 29 px would have three levels
        ({"vae_levels": 64}, [48, 41, 34, 29]),
        ({"vae_levels": 1}, [48, 41, 34, 29]),
        ({"variant": "singan3d"}, [48, 41, 34, 29]),
    ],
)
def test_a_clips_model_that_learns_from_a_critic_does_so_at_any_size_that_fits_the_time(options, sizes):
    assert [choice.size for choice in plans.genvideo_choices(GenvideoConfig(**options).filled())] == sizes


@pytest.mark.parametrize("grown", [{"width": 64}, {"layers": 13}, {"batch": 2}])
def test_the_memory_of_a_clips_model_grows_with_what_it_holds(grown):
    def held(dtype: torch.dtype, **options) -> float:
        training = GenvideoTraining(torch.zeros(1, 3, 13, 27, 48), GenvideoConfig(**options), dtype=dtype)
        return plans.genvideo_bytes(training)

    assert held(torch.float32, **grown) == 2 * held(torch.float32) == 4 * held(torch.bfloat16)
