"""Examples of the API description. Their keys are well-formed and open nothing; no file of ours holds one whole."""

from hashlib import sha256
from typing import Any

from keyrail.domain.key_format import KeyFormat

KEY_ID = "7Qm2XvT9bLc4RnYk"
PATH_FIELDS = {"key_id": KEY_ID, "name": "models/openai"}
_OTHER_KEY_ID = "2TjW8sKp5ZdH3gFx"
_SECRET = "Example" + "Example" * 3 + "Only"
_AT, _LATER, _MUCH_LATER = "2030-01-31T12:00:00Z", "2030-02-01T12:00:00Z", "2030-05-01T12:00:00Z"


def example_key(secret: str = _SECRET) -> str:
    return KeyFormat().assemble(KEY_ID, secret)


_FIRST_GENERATION = {"n": 1, "state": "current", "activated_at": _AT}
_VIEW: dict[str, Any] = {
    "key_id": KEY_ID,
    "tenant": "acme",
    "owner": "svc-recommender",
    "name": "recommender in production",
    "state": "active",
    "created_at": _AT,
    "created_by": _OTHER_KEY_ID,
    "expires_at": _MUCH_LATER,
    "lifetime_seconds": 7_776_000,
    "scopes": ["ml:infer", "data:read:models/*"],
    "roles": [],
    "labels": {"team": "search"},
    "metadata": {"cost_center": 4711},
    "context": {"cidrs": ["10.0.0.0/8"], "audiences": []},
    "rate": {"requests": 100, "window_seconds": 1},
    "rotation": {"grace_seconds": 86_400, "max_grace_seconds": 2_592_000, "failures": 0},
    "generations": [_FIRST_GENERATION],
    "etag": '"1"',
}
_ROTATED = _VIEW | {
    "generations": [
        _FIRST_GENERATION | {"state": "retiring", "retire_at": _LATER},
        {"n": 2, "state": "current", "activated_at": _AT},
    ],
    "etag": '"2"',
}
_VERDICT = {
    "valid": True,
    "code": "VALID",
    "key_id": KEY_ID,
    "generation": 1,
    "tenant": "acme",
    "principal": "svc-recommender",
    "name": "recommender in production",
    "scopes": ["ml:infer", "data:read:models/*"],
    "labels": {"team": "search"},
    "metadata": {"cost_center": 4711},
    "expires_at": _MUCH_LATER,
}

_CONFIG: dict[str, Any] = {
    "tenant": "acme",
    "name": "models/openai",
    "version": 3,
    "etag": '"3"',
    "written_at": _AT,
    "written_by": _OTHER_KEY_ID,
}
_GENERATED = {"kind": "generated", "interval_seconds": 86_400, "field": "token", "length": 40}

Examples = dict[str, dict[str, Any]]

_TICK: dict[str, Any] = {
    "rotated": 3,
    "resumed": 1,
    "retired": 2,
    "skipped": 0,
    "failed": 0,
    "remaining": 0,
    "failures": [],
    "events_sent": 14,
    "events_waiting": 0,
}
_SWEPT: dict[str, Any] = {
    "looked_at": 812,
    "rebuilt": 1,
    "tidied": 9,
    "unlisted": 0,
    "failed": 0,
    "unused": [_OTHER_KEY_ID],
    "old_pepper": [],
    "by_pepper_version": {"2": 812},
    "failures": [],
}


def requests() -> dict[str, Examples]:
    """By operation, then by a name for the example."""
    return {
        "issue_key": {
            "a service's key": {
                "tenant": "acme",
                "owner": "svc-recommender",
                "name": "recommender in production",
                "scopes": ["ml:infer", "data:read:models/*"],
                "lifetime_seconds": 7_776_000,
                "labels": {"team": "search"},
                "metadata": {"cost_center": 4711},
                "context": {"cidrs": ["10.0.0.0/8"]},
                "rate": {"requests": 100, "window_seconds": 1},
                "rotation": {"grace_seconds": 86_400},
            },
            "just a role": {"tenant": "acme", "owner": "ana", "name": "laptop", "roles": ["service"]},
        },
        "import_key": {
            "by its hash": {
                "tenant": "acme",
                "owner": "svc-recommender",
                "name": "recommender, from before",
                "sha256": sha256(b"sk-example-that-opens-nothing").hexdigest(),
                "scopes": ["ml:infer"],
            },
            "the key itself": {
                "tenant": "acme",
                "owner": "ana",
                "name": "laptop",
                "key": "sk-example-that-opens-nothing",
                "expires_at": _MUCH_LATER,
            },
        },
        "validate_key": {
            "one key": {
                "key": example_key(),
                "required_scopes": "ml:infer and (data:read:models/x or data:admin)",
                "ip": "10.1.2.3",
            },
            "a batch": {"batch": [{"key": example_key()}, {"key": "not a key"}]},
        },
        "rotate": {"an hour of grace": {"grace_seconds": 3600}, "a leaked key": {"grace_seconds": 0}},
        "rotate_due": {"half a minute": {"budget_seconds": 30}},
        "sweep": {"once a night": {"unused_days": 30}},
        "write_config": {
            "a value": {"tenant": "acme", "value": {"url": "https://api.example.com", "token": "..."}},
            "with schema and rotation": {
                "tenant": "acme",
                "value": {"token": "..."},
                "schema": {"type": "object", "required": ["token"]},
                "rotation": _GENERATED,
            },
            "an old version": {"tenant": "acme", "restore_version": 2},
            "destroy all": {"tenant": "acme", "destroy_versions": "all"},
        },
        "revoke_key": {"with its reason": {"reason": "found in a public repository"}},
        "update_key": {
            "disable": {"state": "disabled", "state_reason": "under investigation"},
            "other scopes": {"scopes": ["ml:infer"], "expires_at": _MUCH_LATER},
        },
    }


def replies() -> dict[str, Examples]:
    return {
        "issue_key": {"issued": _VIEW | {"key": example_key(), "replayed": False}},
        "import_key": {
            "imported": _VIEW | {"generations": [_FIRST_GENERATION | {"imported": True}], "replayed": False}
        },
        "validate_key": {
            "valid": _VERDICT,
            "in its grace": _VERDICT | {"sunset_at": _LATER, "deprecated_at": _AT},
            "not valid": {"valid": False, "code": "NOT_FOUND"},
            "a batch": {
                "valid": False,
                "code": "MALFORMED",
                "results": [_VERDICT, {"valid": False, "code": "MALFORMED"}],
            },
        },
        "rotate": {"rotated": _ROTATED | {"key": example_key(_SECRET[::-1]), "step": "promoted"}},
        "rotate_due": {"a tick": _TICK},
        "sweep": {"all was looked at": _SWEPT},
        "revoke_key": {
            "revoked": {
                "key_id": KEY_ID,
                "state": "revoked",
                "revoked_at": _AT,
                "revoked_by": _OTHER_KEY_ID,
                "reason": "found in a public repository",
            }
        },
        "update_key": {
            "disabled": _VIEW
            | {
                "state": "disabled",
                "state_reason": "under investigation",
                "state_at": _AT,
                "state_by": _OTHER_KEY_ID,
                "etag": '"2"',
            }
        },
        "get_key": {"a key in its grace": _ROTATED},
        "read_config": {
            "the newest version": _CONFIG | {"value": {"url": "https://api.example.com", "token": "..."}},
            "the history": _CONFIG
            | {
                "versions": [
                    {
                        "version": 3,
                        "written_at": _AT,
                        "written_by": _OTHER_KEY_ID,
                        "how": "written",
                        "state": "live",
                    }
                ]
            },
        },
        "write_config": {
            "written": _CONFIG | {"rotation": _GENERATED | {"alphabet": "base62", "next_at": _LATER}},
            "destroyed": {"tenant": "acme", "name": "models/openai", "destroyed_versions": [1, 2, 3]},
        },
        "list_keys": {"the last page": {"keys": [_VIEW]}},
    }
