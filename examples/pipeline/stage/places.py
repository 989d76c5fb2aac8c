"""Where things lie."""

from pathlib import Path

PIPELINE = Path(__file__).parents[1]
ROOT = PIPELINE.parents[1]
FUNCTIONS, CONTAINERS = ROOT / "functions", ROOT / "containers"
TENANT = "acme"
DATABASE_CONFIG, MODEL_CONFIG = "databases/flowers", "models/iris"
DATABASE_ROLE = "acme_flowers"  # in PostgreSQL, and the static role in Vault
