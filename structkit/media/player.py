"""A page that plays clips in step: one self-contained HTML file, that asks nothing of any other.

Frames are pictures within the page, and one clock says which of each clip is shown.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from structkit.errors import OptionError
from structkit.media.moving_pictures import Clip, fitted_clip, reduced_size

SIDE = 640  # px, of a clip in the page, at most
ACROSS, DOWN = 8, 8  # frames of one picture, at most
QUALITY = 85  # of these, as WebP
TEMPLATE = Path(__file__).with_name("player.html")


def player_page(clips: Sequence[tuple[str, Clip]], *, title: str = "structkit genvideo") -> str:
    """The page of some clips, each with its label.

    Frames are shown at the clips' own rates, all by one clock; a clip that is over keeps its last frame.
    The page opens on its first frame and plays; with #1.5 behind its address it stands still at 1.5 s.
    Raises OptionError where there is no clip.
    """
    if not clips:
        raise OptionError("player page: no clips; pass at least one (label, clip)")
    facts = json.dumps([_facts(label, clip) for label, clip in clips]).replace("<", "\\u003c")
    page = TEMPLATE.read_text("utf-8").replace("{{title}}", html.escape(title))
    return page.replace("{{clips}}", facts)


def _facts(label: str, clip: Clip) -> dict[str, Any]:
    """The facts of a clip for the page: its label, size, rate, and frames in pictures of ACROSS by DOWN."""
    small = fitted_clip(clip, lambda shown: reduced_size(shown, SIDE))
    together = ACROSS * DOWN
    parts = [small.frames[at : at + together] for at in range(0, small.count, together)]
    return {
        "label": label,
        "width": small.width,
        "height": small.height,
        "rate": float(small.rate),
        "frames": small.count,
        "across": ACROSS,
        "together": together,
        "sheets": [_data_url(_sheet(part)) for part in parts],
    }


def _sheet(frames: np.ndarray) -> np.ndarray:
    """The frames, (T, H, W, 3), in rows of ACROSS; what is left of the last row is black."""
    count, height, width, _ = frames.shape
    across, down = min(count, ACROSS), -(-count // ACROSS)
    room = np.zeros((across * down, height, width, 3), np.uint8)
    room[:count] = frames
    return room.reshape(down, across, height, width, 3).swapaxes(1, 2).reshape(down * height, across * width, 3)


def _data_url(pixels: np.ndarray) -> str:
    Image.fromarray(pixels).save(data := BytesIO(), "WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()
