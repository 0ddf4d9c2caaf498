"""The patch grid, and the two ways of reading it."""

import pytest
import torch
import torch.nn.functional as F

from structkit.errors import OptionError
from structkit.kernels.patches import PatchTable, extract, patch_grid

CASES = [((9, 12), 7), ((7, 7), 7), ((5, 8), 1), ((6, 9), (2, 5)), ((4, 6, 7), (3, 5, 4)), ((8,), 3)]
cases = pytest.mark.parametrize(("space", "patch"), CASES)


def picture(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_rows_are_pytorchs_unfolded_columns():
    image = picture(3, 10, 13)
    assert torch.equal(extract(image, 7), F.unfold(image[None], 7)[0].T)


@cases
def test_row_i_is_the_window_at_position_i(space, patch):
    image = picture(2, *space)
    grid, sides = patch_grid(space, patch), PatchTable(image, patch).sides
    rows = extract(image, patch)
    for i, row in enumerate(rows):
        corner = [int(c) for c in torch.unravel_index(torch.tensor(i), grid)]
        window = image[(slice(None), *(slice(c, c + s) for c, s in zip(corner, sides, strict=True)))]
        assert torch.equal(row, window.reshape(-1))


@cases
def test_reading_in_place_gives_the_same_rows(space, patch):
    image = picture(3, *space)
    index = torch.randperm(extract(image, patch).shape[0], generator=torch.Generator().manual_seed(1))
    assert torch.equal(PatchTable(image, patch).rows(index), extract(image, patch)[index])


def test_errors_name_the_fact_and_the_way_out():
    with pytest.raises(
        OptionError, match="an image of 6 x 9 px is smaller than one patch of 7 x 7 px: use a larger image"
    ):
        extract(picture(3, 6, 9), 7)
    with pytest.raises(OptionError, match="patch is 0: it must be a positive side, or 2 of them"):
        extract(picture(3, 6, 9), 0)
    with pytest.raises(OptionError, match="or 2 of them"):
        patch_grid((6, 9), (3, 3, 3))
