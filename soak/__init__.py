"""What must hold for a long time, under load and while things die: real processes, one table at the end. `make soak`"""

import sys
from pathlib import Path

_TESTS = Path(__file__).parent.parent / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "integration")]  # their harness is ours
