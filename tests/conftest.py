"""Where CUDA is absent, Triton kernels run through Triton's interpreter; and a film with sound, for all.

The interpreter must be chosen before triton is first imported, which torchvision does too: here, so that no order of collection is too
late.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(scope="module")
def one_thread():
    """Small networks are fastest on one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def sounding(tmp_path) -> Callable[[Sequence[np.ndarray]], Path]:
    """sounding(pictures): an MP4 of these (H, W, 3) uint8, ten a second, with a tone in AAC."""
    import av

    def make(pictures: Sequence[np.ndarray]) -> Path:
        path = tmp_path / "sounding.mp4"
        with av.open(str(path), "w") as container:
            picture, sound = container.add_stream("libx264", rate=10), container.add_stream("aac", rate=8000)
            picture.height, picture.width = pictures[0].shape[:2]
            picture.pix_fmt = "yuv420p"
            for pixels in pictures:
                container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(picture.encode(None))
            for start in range(0, 2048, 1024):
                wave = av.AudioFrame.from_ndarray(np.sin(np.arange(1024, dtype=np.float32) / 9)[None], format="fltp", layout="mono")
                wave.sample_rate, wave.pts = 8000, start
                container.mux(sound.encode(wave))
            container.mux(sound.encode(None))
        return path

    return make


@pytest.fixture
def sound_of() -> Callable[[Path], list[bytes]]:
    """sound_of(path): the packets of a video's sound."""
    import av

    def read(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    return read
