#!/usr/bin/env python3
"""Reads the event files of run folders with TensorBoard's own reader and fails if they hold
something else than metrics.csv: each step once, with the same values in single precision.

    pip install tensorboard
    .ci/check_events.py runs/quickstart ..."""

import csv, math, pathlib, struct, sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def single(number):
    return struct.unpack("f", struct.pack("f", number))[0]


def check(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for tag in (tag for tag in tags["scalars"] if tag.startswith("step/")):
        column = tag.removeprefix("step/")
        expected = [(int(row["step"]), single(float(row[column]))) for row in rows if row[column]]
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        if found != expected:
            sys.exit(f"{folder}: {tag} has {len(found)} values that differ from metrics.csv")
    last = int(rows[-1]["step"])
    for tag in (tag for tag in tags["scalars"] if tag.startswith("epoch/")):
        found = [event.step for event in events.Scalars(tag)]
        if found != sorted(set(found)) or found[-1] != last:
            sys.exit(f"{folder}: {tag} has values at {found} of {last} steps")
    images = [(image.width, image.height) for image in events.Images("views")]
    if len(images) != 1 or not all(map(math.prod, images)):
        sys.exit(f"{folder}: one picture of views is expected, found {images}")
    print(f"{folder}: {len(tags['scalars'])} scalars over {len(rows)} steps, views {images[0]}")


if len(sys.argv) < 2:
    sys.exit(__doc__)
for argument in sys.argv[1:]:
    check(pathlib.Path(argument))
