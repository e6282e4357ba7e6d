"""Random crops and flips, as `examples/augmentation.py` makes them."""

import torch
from torch import nn


def crop_and_flip(images, padding=4):
    """Shift every image by its own few pixels, and mirror one in two.

    Args:
        images: Tensor `(n, channels, height, width)`.
        padding: Int, largest shift in pixels; what comes in is 0.

    Returns:
        Tensor shaped like `images`.
    """
    number, _, height, width = images.shape
    rows = _offsets(number, padding) + torch.arange(height)
    columns = _offsets(number, padding) + torch.arange(width)
    is_mirrored = torch.rand(number, 1) < 0.5
    columns = torch.where(is_mirrored, columns.flip(1), columns)

    padded = nn.functional.pad(images, [padding] * 4)
    each = torch.arange(number)[:, None, None]
    # Channels come last where indices stand on both sides of them.
    shifted = padded[each, :, rows[:, :, None], columns[:, None, :]]
    return shifted.permute(0, 3, 1, 2).contiguous()


def _offsets(number, padding):
    return torch.randint(2 * padding + 1, (number, 1))
