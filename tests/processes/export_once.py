"""Ask for the exported file of a small model, which a slow writer writes."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.small_onnx import SmallModel, write_onnx

from gtpt_mm.deploy import cache

folder = Path(sys.argv[1])


def write(model, runtime, file):
    with (folder / 'log').open('a') as log:
        log.write('written\n')
    time.sleep(0.5)
    write_onnx(file)


cache.write_file = write
file = cache.exported_file(
    SmallModel().eval(), 'onnxruntime', folder / 'exported', ((6, 4),), 1
)
cache.open_network(file, 1)
