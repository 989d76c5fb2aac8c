"""Soak tests use what the integration tests are made of: deployments, canaries, proxies."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "integration"))
