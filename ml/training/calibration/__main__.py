"""`python -m ml.training.calibration` (`make calibrate`): write `ml/weights/int8/` anew."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from ml.picture.types import Mask
from ml.pointing import sam
from ml.pointing.pipeline import Prompts
from ml.sessions.compiling import RANGES
from ml.training.calibration.photos import read_photos
from ml.training.calibration.ranges_of import ranges_of
from ml.training.calibration.recipes import RECIPES
from ml.training.calibration.recording import Recorder, RecordingModels
from ml.weights import made_here
from ml.weights.catalogue import MODELS, U2NET
from ml.weights.fetch import default_dir

OUTPUTS = {"rvm_mobilenetv3": ("pha",), "sam_decoder": sam.DECODER_OUTPUTS}


def main() -> None:
    options = _arguments()
    recorder = Recorder(options.inputs)
    _look(RecordingModels(options.weights, recorder=recorder), options.data)
    files = {Path(file.name).stem: options.weights / file.name for spec in MODELS.values() for file in spec.files}
    files |= {Path(made.name).stem: made.path_in(made_here.FOLDER) for made in made_here.ALL}
    for name, seen in sorted(recorder.seen.items()):
        if name not in RECIPES:
            continue
        found = ranges_of(files[name], seen, RECIPES[name], outputs=OUTPUTS.get(name, ()))
        (RANGES / f"{name}.json").write_text(json.dumps(found, indent=0, sort_keys=True) + "\n")
        sys.stdout.write(f"{name}: {len(found['values'])} values, {len(found['wide'])} convolutions stay wide\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ml.training.calibration", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="where the sets' tars lie")
    parser.add_argument("--weights", type=Path, default=default_dir(), metavar="FOLDER", help="the networks' weights")
    parser.add_argument("--inputs", type=int, default=64, metavar="N", help="inputs of each network that are measured")
    return parser.parse_args()


def _look(models: RecordingModels, data: Path) -> None:
    """Let every pipeline see every photo; what they answer is not looked at."""
    background, clothing, watermark, pointing = (
        models.background(),
        models.clothing(),
        models.watermark(),
        models.pointing(),
    )
    fallback = models.saliency(U2NET)
    for number, photo in enumerate(read_photos(data), start=1):
        sys.stdout.write(f"\rphoto {number} ...")
        sys.stdout.flush()
        background.run(photo, subject="human" if number % 2 else "universal")
        fallback.predict_native(photo)
        clothing.run(photo)
        height, width = photo.shape[:2]
        watermark.run(photo)
        watermark.run(photo, smear=_stroke(height, width))
        pointing.run(photo, Prompts(keep_xy=((width / 2, height / 2),)), look=pointing.look(photo))
    sys.stdout.write("\n")


def _stroke(height: int, width: int) -> Mask:
    """Something to repair where no mark is: a bar across the middle."""
    stroke = np.zeros((height, width), bool)
    stroke[height * 45 // 100 : height * 55 // 100, width // 5 : width * 4 // 5] = True
    return stroke


if __name__ == "__main__":
    main()
