"""What is drawn depends on where, never on what was drawn before."""

import itertools

import torch

from structkit.training.draw import Draw, own_randomness


def numbers(draw, name=""):
    return torch.rand(4, generator=draw.generator(name)).tolist()


def test_the_history_does_not_count():
    draw = Draw(1, 2, 3)
    first = numbers(draw, "noise")
    torch.rand(7)
    numbers(draw, "other")
    assert numbers(draw, "noise") == first == numbers(Draw(1, 2, 3), "noise")
    assert numbers(Draw(1, 2, 9).at(3), "noise") == first


def test_every_place_and_every_name_draws_its_own():
    places = itertools.product((0, 1, 11, -1, 2**70), (0, 1, 11), (0, 1, 11), ("", "a", "1", "/1", "networks"))
    drawn = [tuple(numbers(Draw(seed, stage, step), name)) for seed, stage, step, name in places]
    assert len(set(drawn)) == len(drawn)


def test_networks_are_seeded_and_the_callers_generator_is_left():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    made = []
    for _ in range(2):
        with own_randomness("cpu"):
            Draw(1, 0, 0).seed_networks()
            made.append(torch.nn.Linear(3, 3).weight)
            torch.rand(5)
    assert made[0].equal(made[1])
    assert torch.get_rng_state().equal(before)
