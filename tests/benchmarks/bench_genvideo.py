"""New clips from one clip: reconstruction, diversity and motion of HP-VAE-GAN with few and many VAE levels, and of its
baselines.

    python tests/benchmarks/bench_genvideo.py CLIP.mp4 [CLIP.mp4 ...] [--only M=3 singan3d] [--sheets FOLDER]
        [--set steps=800 size=64]

Columns: `vae` and `error` are root mean square errors of the clip, given back, in [-1, 1], at the end of the coarsest
and of the finest level; `diversity` the standard deviation of grey over 8 samples, a mean over voxels, in units of the
clip's own (SinGAN's, over clips); `motion` the mean absolute difference between the samples' frames, in units of the
clip's; `train_cpu_min` and `sample_cpu_s` CPU time of the whole training and of one sample.
Preset fast; the batch is 1 for the baselines, too.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from measure import record
from torch import Tensor

from structkit.configs import GenvideoConfig
from structkit.data.frames import spread_frames
from structkit.device import keep_memory
from structkit.engines.genvideo.model import PatchVaeGan
from structkit.engines.genvideo.training import GenvideoTraining
from structkit.kernels.pyramid import resize
from structkit.media.pictures import write_picture
from structkit.media.tensors import from_tensor
from structkit.media.video import VideoReader
from structkit.training.draw import Draw
from structkit.training.precision import precision

SAMPLES = 8
SETTINGS = {
    "M=1": {"vae_levels": 1},
    "M=3": {"vae_levels": 3},
    "M=max": {"vae_levels": 64},
    "singan3d": {"variant": "singan3d", "batch": 1},
    "consingan3d": {"variant": "consingan3d", "batch": 1},
}
GREY = torch.tensor([0.299, 0.587, 0.114])


def read(path: Path) -> Tensor:
    """The first 13 frames of a clip, (1, 3, 13, h, w), at most 256 px wide."""
    video = VideoReader(path)
    width = min(video.width, 256)
    frames = spread_frames(video, (round(width * video.height / video.width), width), 250)
    return frames[:13].transpose(0, 1)[None]


def trained(clip: Tensor, config: GenvideoConfig, dtype: torch.dtype) -> tuple[PatchVaeGan, list[float]]:
    """The model, and the error at the end of each level."""
    training, errors = GenvideoTraining(clip, config, dtype=dtype), []
    for number, stage in enumerate(training.stages):
        training.begin(number, Draw(0, number, 0))
        for step in range(1, stage.steps + 1):
            training.step(Draw(0, number, step))
        errors.append(training.scores()["reconstruction"])
    return training.model().eval(), errors


def grey(clips: Tensor) -> Tensor:
    """(B, T, H, W) of (B, 3, T, H, W)."""
    return torch.einsum("bcthw,c->bthw", clips, GREY)


def measured(samples: Tensor, real: Tensor) -> dict[str, str]:
    moved, still = (clips.diff(dim=2).abs().mean() for clips in (samples, real))
    diversity = grey(samples).std(0, correction=0).mean() / grey(real).std(correction=0)
    return {"diversity": f"{diversity:.3f}", "motion": f"{moved / still:.2f}"}


def sheet(real: Tensor, samples: Tensor, path: Path) -> None:
    """A contact sheet: the clip in the first row, samples below; every third frame, four times as large."""
    rows = [torch.cat(list(clip[:, :, ::3].unbind(2)), 3) for clip in (real, *samples[:6].unsqueeze(1))]
    whole = torch.cat(rows, 2)
    height, width = whole.shape[-2:]
    write_picture(from_tensor(resize(whole, (3 * height, 3 * width)).clamp(-1, 1), name=path.name), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--set", nargs="+", default=[], metavar="OPTION=NUMBER")
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--dry", action="store_true", help="print, and write no rows")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    keep_memory()
    given = {name: float(value) for name, _, value in (text.partition("=") for text in chosen.set)}
    given = {name: value if name == "taper" else int(value) for name, value in given.items()}
    dtype = precision(chosen.dtype, "cpu")
    for path in chosen.clips:
        clip = read(path)
        for name in chosen.only:
            config = replace(GenvideoConfig(), **given, **SETTINGS[name])
            began = time.process_time()
            model, errors = trained(clip, config, dtype)
            trained_at = time.process_time()
            samples = model.samples(SAMPLES, torch.Generator().manual_seed(1))
            sampled_at = time.process_time()
            row = {"case": path.stem, "path": name, "dtype": str(dtype).removeprefix("torch.")}
            row |= {"vae": f"{errors[0]:.3f}", "error": f"{errors[-1]:.3f}"} | measured(samples, model.real)
            row |= {"train_cpu_min": f"{(trained_at - began) / 60:.1f}"}
            row |= {"sample_cpu_s": f"{(sampled_at - trained_at) / SAMPLES:.2f}"}
            row |= {"options": " ".join(chosen.set) or "preset fast"}
            print(row, [round(error, 3) for error in errors], flush=True)
            if not chosen.dry:
                record(__file__.replace("bench_genvideo", "bench_genvideo_results"), [row])
            if chosen.sheets:
                sheet(model.real, samples, chosen.sheets / f"{path.stem}-{name}.png")


if __name__ == "__main__":
    main()
