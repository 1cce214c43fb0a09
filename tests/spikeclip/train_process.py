"""A training in a process of its own, to be killed, interrupted or shared by several."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from hqgen.interrupt import stoppable
from spikeclip.data.lowlight import open_prepared
from spikeclip.training.run import train
from spikeclip.training.settings import train_settings


def main() -> int:
    torch.set_num_threads(1)
    given = json.loads(sys.argv[1])
    with stoppable("stopping") as stop:
        train(
            [Path(given["hq"])],
            open_prepared(given["low_light"]),
            train_settings(given["settings"]),
            Path(given["out"]),
            stop=lambda: stop.asked,
        )
    return 130 if stop.asked else 0


if __name__ == "__main__":
    sys.exit(main())
