"""The text of a secret of AWS Secrets Manager that holds a key, as in Vault:
{"api_key": "<whole key>", "key_id": ..., "generation": n}."""

import json

from keyrail.rotation_ports import SecretVersion

DEADLINE_SECONDS = 5.0  # for each request about such a secret


def text_of(key: str, key_id: str, generation: int) -> str:
    return json.dumps({"api_key": key, "key_id": key_id, "generation": generation})


def read_text(text: object) -> SecretVersion:
    """Empty where it is none of our documents."""
    try:
        document = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        document = None
    found = document if isinstance(document, dict) else {}
    key, key_id = (found.get(name) for name in ("api_key", "key_id"))
    return SecretVersion(key if isinstance(key, str) else "", key_id if isinstance(key_id, str) else "")
