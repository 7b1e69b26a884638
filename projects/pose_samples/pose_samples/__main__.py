"""``python -m pose_samples``."""

import sys

from .cli import main

sys.exit(main())
