"""What Keyrail costs, beside what it stands on: ratios measured side by side in one run. `make bench`"""

import sys
from pathlib import Path

_TESTS = Path(__file__).parent.parent / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "integration")]  # gateways are started as there
