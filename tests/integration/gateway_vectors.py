"""One set of rows (state of a key, route, spelling of the request) -> outcome, for every way of asking.

What each route needs stands in infra/gateways: /infer and /data are guarded, any other path takes a live key.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway_world import Answer, Headers
from http_api import Api, Key, a_key_like

NEEDS: dict[str, dict[str, str]] = {
    "/any": {},
    "/infer": {"required_scopes": "ml:infer", "audience": "inference"},
    "/data": {"required_scopes": "data:read or data:admin", "tenant": "acme"},
}
STATUS = {"VALID": 200, "CONTEXT_DENIED": 403, "INSUFFICIENT_SCOPE": 403, "RATE_LIMITED": 429, "QUOTA_EXCEEDED": 429}
IDENTITY = ("generation", "key-id", "principal", "scopes", "tenant")
EXPIRES_SECONDS = 1
GOOD, POOR, NOBODY = "VALID", "INSUFFICIENT_SCOPE", "NOT_FOUND"
ONE = {"requests": 1, "window_seconds": 600}
_LIMITS = (("rate", "RATE_LIMITED"), ("quota", "QUOTA_EXCEEDED"))


def _forged() -> Headers:
    """Everything that we set, in every spelling."""
    told = [f"X-Keyrail-{name}" for name in IDENTITY]
    names = [*told, *(name.replace("-", "_") for name in told), "x_keyrail-tenant", "X-Keyrail_Tenant"]
    ours = [("X-Keyrail-Gateway-Key", "evil"), ("X-Keyrail-Code", "evil"), ("X_Real_IP", "10.0.0.1")]
    return [*((name, "evil") for name in names), *ours, ("X-Real-IP", "10.0.0.1"), ("X-Forwarded-For", "10.0.0.1")]


SPELLINGS: dict[str, Callable[[str], Headers]] = {
    "Bearer": lambda key: [("Authorization", f"Bearer {key}")],
    "bearer": lambda key: [("authorization", f"bearer   {key}")],
    "X-API-Key": lambda key: [("X-API-Key", key)],
    "both": lambda key: [("X-API-Key", key), ("Authorization", f"Bearer {key}")],
    "forged": lambda key: [*_forged(), ("Authorization", f"Bearer {key}")],
    "forged beside X-API-Key": lambda key: [("x-api-key", key), *_forged()],
}


@dataclass(frozen=True)
class Row:
    """`key` is None where only a message can say it; `doubled` where a gateway may refuse the message itself."""

    name: str
    path: str
    headers: Headers
    code: str
    key: str | None
    key_id: str
    doubled: bool = False

    def wrong(self, answer: Answer) -> str | None:
        """What is not as it should be, if anything."""
        status = STATUS.get(self.code, 401)
        if self.doubled and answer.status == 400:
            return None
        if answer.status != status:
            return f"{self.name}: {answer.status} instead of {status}: {answer.text[:200]}"
        faults = self._faults_passed(answer) if status == 200 else self._faults_refused(answer)
        return f"{self.name}: {faults}" if faults else None

    def _faults_passed(self, answer: Answer) -> list[str]:
        faults = faults_of_identity(answer.passed_on, {self.key_id})
        return faults + (["the key"] if (str(self.key) in answer.text) != (self.path != "/infer") else [])

    def _faults_refused(self, answer: Answer) -> list[str]:
        headers = answer.headers
        faults = [answer.code] if answer.code != self.code else []
        faults += ["type"] if headers.get("content-type") != "application/problem+json" else []
        faults += ["no WWW-Authenticate"] if answer.status == 401 and not _is_bearer(headers) else []
        limited = answer.status == 429
        faults += ["no Retry-After"] if limited and not 0 < int(headers.get("retry-after", "0")) <= 600 else []
        return faults


def faults_of_identity(headers: Headers, key_ids: set[str]) -> list[str]:
    """What the service is told of its client: ours once each, and nothing of the client's. nginx leaves out one that
    is empty, as the scopes of a key without any."""
    told = [(name, value) for name, value in headers if "keyrail" in name.replace("_", "-")]
    names = sorted(name.removeprefix("x-keyrail-") for name, _ in told)
    faults = [] if names in (list(IDENTITY), [name for name in IDENTITY if name != "scopes"]) else [f"is told {told}"]
    faults += ["another key id"] if dict(told).get("x-keyrail-key-id") not in key_ids else []
    faults += ["forged"] if any("evil" in value for _, value in told) else []
    addresses = [value for name, value in headers if name.replace("_", "-") == "x-real-ip"]
    return faults if addresses == ["127.0.0.1"] else [*faults, f"comes from {addresses}"]


def _is_bearer(headers: dict[str, str]) -> bool:
    return headers.get("www-authenticate", "").startswith('Bearer realm="keyrail"')


@dataclass(frozen=True)
class State:
    name: str
    key: Key
    codes: tuple[str, str, str]  # of each path in NEEDS


class States:
    """Issues a key in each state; those of `limited` are still to be used once wherever limits are counted."""

    def __init__(self, api: Api) -> None:
        self._api, self._all = api, list[State]()
        self._with_scopes()
        self._with_context()
        self._dead()
        self._never_ours()
        self.limited = [self._add(f"used up {name}", (code,) * 3, **{name: ONE}) for name, code in _LIMITS]

    def rows(self) -> list[Row]:
        return [*self._rows_of_keys(), *self._rows_of_messages()]

    def _add(self, name: str, codes: tuple[str, str, str], tenant: str = "acme", **fields: object) -> Key:
        key = self._api.of_tenant(tenant).issue(**{"scopes": ["*"]} | fields)
        self._all.append(State(name, key, codes))
        return key

    def _with_scopes(self) -> None:
        self._add("no scopes", (GOOD, POOR, POOR), scopes=[])
        self._add("ml:infer", (GOOD, GOOD, POOR), scopes=["ml:infer"])
        self._add("ml:*", (GOOD, GOOD, POOR), scopes=["ml:*"])
        self._add("data:read", (GOOD, POOR, GOOD), scopes=["data:read"])
        self._add("data:admin", (GOOD, POOR, GOOD), scopes=["data:admin"])
        self._add("data:write", (GOOD, POOR, POOR), scopes=["data:write", "data:reads", "ml:infers"])
        self._add("two scopes", (GOOD, GOOD, GOOD), scopes=["ml:infer", "data:read"])
        self._add("everything", (GOOD, GOOD, GOOD))
        self._add("another tenant", (GOOD, GOOD, NOBODY), tenant="globex")

    def _with_context(self) -> None:
        denied = "CONTEXT_DENIED"
        self._add("from 10/8", (denied,) * 3, context={"cidrs": ["10.0.0.0/8"], "audiences": []})
        self._add("from here", (GOOD,) * 3, context={"cidrs": ["127.0.0.0/8", "::1/128"], "audiences": []})
        self._add("for inference", (denied, GOOD, denied), context={"cidrs": [], "audiences": ["inference"]})
        self._add("for others", (denied,) * 3, context={"cidrs": [], "audiences": ["reports"]})
        both = {"cidrs": ["10.0.0.0/8"], "audiences": ["inference"]}
        self._add("elsewhere, for inference", (denied,) * 3, context=both)

    def _dead(self) -> None:
        revoked = self._add("revoked", ("REVOKED",) * 3)
        self._api.revoke(revoked.key_id).ok()
        off = self._add("disabled", ("DISABLED",) * 3)
        self._api.update(off.key_id, state="disabled").ok()
        self._add("expired", ("EXPIRED",) * 3, lifetime_seconds=EXPIRES_SECONDS)
        later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        self._add("not yet", ("NOT_YET_VALID",) * 3, not_before=later)
        self._rotated("rotated out", "ROTATED_OUT", 0)
        self._rotated("retiring", GOOD, 600)

    def _rotated(self, name: str, code: str, grace_seconds: int) -> None:
        old = self._add(name, (code,) * 3)
        new = self._api.rotate(old.key_id, grace_seconds=grace_seconds).ok()
        self._all.append(State(f"{name}: the new one", Key(old.key_id, new["key"]), (GOOD,) * 3))

    def _never_ours(self) -> None:
        live = self._all[0].key
        for name, text, code in (
            ("unknown id", a_key_like("0Keyrail0Nobody0"), NOBODY),
            ("wrong secret", a_key_like(live.key_id), NOBODY),
            ("wrong checksum", live.text[:-1] + ("0" if live.text[-1] != "0" else "1"), "MALFORMED"),
            ("cut off", live.text[:-1], "MALFORMED"),
            ("another prefix", live.text.replace("krl_", "abc_"), "MALFORMED"),
            ("nonsense", "nonsense", "MALFORMED"),
        ):
            self._all.append(State(name, Key("", text), (code,) * 3))

    def _rows_of_keys(self) -> Iterator[Row]:
        for state in self._all:
            for path, code in zip(NEEDS, state.codes, strict=True):
                for spelling, spelled in SPELLINGS.items():
                    name = f"{state.name}, {path}, {spelling}"
                    yield Row(name, path, spelled(state.key.text), code, state.key.text, state.key.key_id)

    def _rows_of_messages(self) -> Iterator[Row]:
        good = next(state.key.text for state in self._all if state.name == "everything")
        other = self._all[0].key.text
        bearer, named = SPELLINGS["Bearer"], SPELLINGS["X-API-Key"]
        for path in NEEDS:
            for name, headers in (
                ("two bearers", bearer(good) + bearer(other)),
                ("two bearers, turned round", bearer(other) + bearer(good)),
                ("one bearer twice", bearer(good) + bearer(good)),
                ("two X-API-Keys", named(good) + named(other)),
                ("two names, two keys", bearer(good) + named(other)),
                ("two names, turned round", bearer(other) + named(good)),
                ("Basic", [("Authorization", "Basic dTpw")]),
                ("Basic beside a key", [("Authorization", "Basic dTpw"), *named(good)]),
                ("two keys in one", [("Authorization", f"Bearer {other}, Bearer {good}")]),
                ("no scheme", [("Authorization", good)]),
                ("very long", bearer("x" * 4000)),
            ):
                names = [header for header, _ in headers]
                yield Row(f"{name}, {path}", path, headers, "MALFORMED", None, "", len(names) > len(set(names)))
            for name, headers in (("no key", []), ("only forged", _forged()), ("X_API_Key", [("X_API_Key", good)])):
                yield Row(f"{name}, {path}", path, headers, "MISSING", None, "")


def wait_until_expired() -> None:
    time.sleep(EXPIRES_SECONDS + 0.2)
