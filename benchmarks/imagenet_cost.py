"""`python -m benchmarks.imagenet_cost`: how fast pictures are read and steps are made, and what ImageNet costs by that.

Measured: pictures per second of a worker process (decoded, cut and resized to 224x224, out of files and out of shards),
and images per second of a training step at 224x224 on this machine's device. Worked out: hours of a run on so many such
devices, and how many workers each needs so that it does not wait. Nothing else slows such a run down in this reckoning:
not the exchange of gradients, not the disk.
"""

import argparse
import io
import json
import math
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.machine import machine
from decant.data import DataSettings, PictureSet, PictureSettings, epoch_batches, load_pictures, plain_batches, views_of
from decant.data.pictures.store import Files
from decant.engine.checkpoint import write_text
from decant.engine.distiller import Distiller
from decant.engine.environment import describe_environment
from decant.engine.parallel import Parallel
from decant.methods import DKDSettings
from decant.models import build_network, fold_batchnorm

TRAINING_PICTURES = 1_281_167
"""Of ILSVRC 2012 (Russakovsky et al., arXiv:1409.0575)."""
PAIRS = (("torchvision/resnet34", "torchvision/resnet18"), ("torchvision/resnet50", "MobileNetV1"))
_BATCH = 32


def hours(images_per_second: float, *, devices: int, epochs: int = 100) -> float:
    """Duration of a run whose devices each make so many images per second and wait for nothing.

    >>> round(hours(1000.0, devices=8), 2)
    4.45
    """
    return TRAINING_PICTURES * epochs / (images_per_second * devices) / 3600


def workers_needed(images_per_second: float, per_worker: float) -> int:
    """Workers that read as fast as a device trains.

    >>> workers_needed(1000.0, 120.0)
    9
    """
    return math.ceil(images_per_second / per_worker)


def made_pictures(folder: Path, count: int) -> Path:
    """JPEG files of 500 x 375 pixels, about 0.1 MB each, in two classes."""
    for number in range(count):
        drawn = np.random.default_rng(number)
        coarse = Image.fromarray(drawn.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC)).astype(np.int16)
        noisy = smooth + drawn.normal(0, 16, smooth.shape).astype(np.int16)
        path = folder / f"class{number % 2}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return folder


def packed(pictures: PictureSet, out: Path) -> Path:
    """The same pictures in one shard."""
    with tarfile.open(out, "w") as tar:
        for index in range(pictures.size):
            path = pictures.path(index)
            content = path.read_bytes()
            member = tarfile.TarInfo(f"{pictures.classes[int(pictures.target[index])]}/{path.name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out


def input_rate(pictures: PictureSet, *, training: bool, seconds: float) -> float:
    """Pictures per second out of this set's workers, once they run; read again and again until the time is up."""
    views = views_of(DataSettings(name="pictures", pictures=pictures.settings), pictures, seed=0)
    ahead = 1 + 2 * pictures.workers  # batches that are ready, or nearly, when the first one comes
    if pictures.size <= ahead * _BATCH:
        raise ValueError(f"{pictures.size} pictures are too few for {pictures.workers} workers; give more")
    done, spent, epoch = 0, 0.0, 0
    while spent < seconds:
        batches = (
            epoch_batches(pictures, views, epoch=epoch, seed=0, batch_size=_BATCH)
            if training
            else plain_batches(pictures, _BATCH)
        )
        before = time.perf_counter()
        for number, batch in enumerate(batches):
            if number >= ahead:
                done += len(batch.index)
                spent += time.perf_counter() - before
            before = time.perf_counter()
        epoch += 1
    return done / spent


def step_rate(teacher: str, student: str, *, batch_size: int, pixels: int, precision: str, steps: int) -> float:
    """Images per second of training ``student`` by dkd on this machine's device, its input at hand."""
    parallel = Parallel(device="auto", precision="bf16" if precision == "bf16" else "fp32")
    example = torch.randn(batch_size, 3, pixels, pixels)
    network = build_network(teacher, classes=1000).eval().requires_grad_(False)
    folded = fold_batchnorm(network, example[:8]).network
    distiller = Distiller(build_network(student, classes=1000), folded, DKDSettings(warmup=0))
    distiller.to(parallel.device).to(memory_format=torch.channels_last)
    images = example.to(parallel.device).to(memory_format=torch.channels_last)
    target = torch.arange(batch_size, device=parallel.device) % 1000
    optimizer = torch.optim.SGD(distiller.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        with parallel.autocast():
            loss = distiller(images, target, epoch=0.0).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return batch_size / _seconds_of(step, steps, parallel.device)


def _seconds_of(step: Callable[[], None], steps: int, device: torch.device) -> float:
    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    for _ in range(3):
        step()
    wait()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return (time.perf_counter() - started) / steps


def measured(arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Everything that was measured, as plain values."""
    folder = arguments.pictures or made_pictures(scratch / "made", arguments.made)
    settings = DataSettings(name="pictures", pictures=PictureSettings(size=arguments.pixels, test=0.2))
    files = load_pictures(settings, folder).train
    if not isinstance(files.store, Files):
        raise ValueError(
            f"--pictures is a folder of class folders, which are measured as files and as shards; got {folder}"
        )
    few = files.subset(torch.arange(min(files.size, 2000)), files.name)
    shards = load_pictures(settings, packed(few, scratch / "shard.tar")).train
    rates = []
    for source, pictures in (("files", few), ("shards", shards)):
        for workers in arguments.workers:
            read = PictureSet(**{**vars(pictures), "workers": workers})
            for training in (True, False):
                rate = input_rate(read, training=training, seconds=arguments.seconds)
                rates.append({"source": source, "workers": workers, "training": training, "per_second": rate})
    steps = []
    for teacher, student in () if arguments.no_steps else PAIRS:
        for precision in arguments.precision:
            how = {"batch_size": arguments.batch_size, "pixels": arguments.pixels, "precision": precision}
            rate = step_rate(teacher, student, steps=arguments.steps, **how)
            steps.append({"teacher": teacher, "student": student, "per_second": rate, **how})
    return {
        "environment": describe_environment(Parallel(device="auto")),
        "pictures": {"count": few.size, "mean_bytes": float(few.bytes.mean()), "pixels": arguments.pixels},
        "input": rates,
        "steps": steps,
    }


def imagenet_cost_markdown(found: dict[str, Any], devices: int = 8) -> str:
    """What was measured, on what, and what follows from it for so many such devices, as tables."""
    count, mean = found["pictures"]["count"], found["pictures"]["mean_bytes"] / 1000
    lines = [f"{count:,} pictures of {mean:.0f} kB on average", ""]
    lines += ["| from | workers | training views per s | centres per s |", "| --- | ---: | ---: | ---: |"]
    by_kind = {(row["source"], row["workers"], row["training"]): row["per_second"] for row in found["input"]}
    for source, workers in dict.fromkeys((row["source"], row["workers"]) for row in found["input"]):
        both = (by_kind[source, workers, True], by_kind[source, workers, False])
        lines.append(f"| {source} | {workers} | {both[0]:.0f} | {both[1]:.0f} |")
    lines += ["", f"{machine(found['environment'])}."]
    if not found["steps"]:
        return "\n".join(lines) + "\n"
    most = max(max(row["workers"], 1) for row in found["input"])
    worker = max(
        row["per_second"] / most for row in found["input"] if max(row["workers"], 1) == most and row["training"]
    )
    lines += ["", f"Estimate: 100 epochs on {devices} such devices that wait for nothing", ""]
    lines += [
        "| pair | precision | images per s and device | hours | workers per device |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for row in found["steps"]:
        rate = row["per_second"]
        pair = f"{row['teacher']} -> {row['student']}".replace("torchvision/", "")
        needed = workers_needed(rate, worker)
        lines.append(f"| {pair} | {row['precision']} | {rate:.0f} | {hours(rate, devices=devices):.1f} | {needed} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and keep what was measured where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imagenet_cost", description=__doc__)
    parser.add_argument("--pictures", type=Path, help="a folder of class folders; by default pictures are made")
    parser.add_argument("--made", type=int, default=512, help="how many are made")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="numbers of worker processes")
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each rate of input")
    parser.add_argument("--batch-size", type=int, default=64, help="of a step, on one device")
    parser.add_argument("--steps", type=int, default=20, help="that are timed")
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--no-steps", action="store_true", help="measure the input alone")
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--out", type=Path, help="a JSON file for what was measured")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        found = measured(arguments, Path(scratch))
    print(imagenet_cost_markdown(found, arguments.devices))
    if arguments.out is not None:
        write_text(arguments.out, json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
