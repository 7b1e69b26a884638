"""``python -m gtpt_mm`` is the ``gtpt-mm`` command."""

import sys

from gtpt_mm.cli import main

if __name__ == '__main__':
    sys.exit(main())
