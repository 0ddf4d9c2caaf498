"""What the tests and the programs that they start have in common: one thread, Ctrl-C, Triton's interpreter; the order
of the tests; a film with sound; and analogies from a few of their drafts, which take less time.

Set here, before torch and triton are first imported, which torchvision does too: no order of collection is too late.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# On small pictures more threads wait for each other, and on a busy machine for other programs.  The laws hold for any
# number: OMP_NUM_THREADS=2 pytest.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as the command line does

import hypothesis
import numpy as np
import pytest
import torch

hypothesis.settings.register_profile("busy", deadline=None)  # a busy machine may hold up any example
hypothesis.settings.load_profile("busy")

# The tests are none of a launcher's workers, whatever started them.
for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"):
    os.environ.pop(name, None)
for name in [name for name in os.environ if name.startswith("SLURM_")]:
    del os.environ[name]

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # what a shell puts into the background ignores Ctrl-C, and its children too


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """The same random numbers for networks without a seed, whichever tests came before in the process."""
    torch.manual_seed(0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With -n: files with slow tests come first, then those with the most tests.

    A long file at the end would keep one process busy while the others wait.
    """
    if not hasattr(config, "workerinput"):
        return
    counts = Counter(item.path for item in items)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, 0 if item.path in slow else -counts[item.path]))


@pytest.fixture(scope="module")
def one_thread():
    """Whatever OMP_NUM_THREADS says: where trainings are compared with those of other processes, or many small ones are
    made.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def few_drafts() -> Iterator[None]:
    """Every fourth of the drafts of an analogy, all of which are made alike: for laws that hold for any of them.

    The whole file has them, and so what its tests share too.
    """
    from structkit.engines.patch import analogy
    from structkit.engines.patch.draft_ways import drafts_of

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analogy, "drafts_of", lambda config, shape: drafts_of(config, shape)[::4])
        yield


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
                wave = av.AudioFrame.from_ndarray(
                    np.sin(np.arange(1024, dtype=np.float32) / 9)[None], format="fltp", layout="mono"
                )
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
