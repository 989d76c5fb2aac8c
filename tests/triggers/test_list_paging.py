"""GET /v1/keys: pages in the order of key ids, each key once, only of tenants the caller acts in."""

import base64
from typing import Any

import pytest
from deployment import Deployment


@pytest.fixture
def ids(deployment: Deployment) -> list[str]:
    """Seven keys of acme, by two owners; one disabled, one revoked. And one of another tenant."""
    issued = [deployment.issue(owner=owner).key_id for owner in ("ana", "bo") * 3 + ("ana",)]
    deployment.do("update_key", issued[0], {"state": "disabled"})
    deployment.do("revoke_key", issued[1])
    deployment.issue(tenant="globex")
    return issued


def pages(deployment: Deployment, **query: str) -> list[list[str]]:
    found, cursor = [], {}
    while True:
        reply = deployment.do("list_keys", "", query={"tenant": "acme"} | query | cursor)
        found.append([view["key_id"] for view in reply["keys"]])
        if "next_cursor" not in reply:
            return found
        cursor = {"cursor": reply["next_cursor"]}


@pytest.mark.parametrize(("limit", "sizes"), [(3, [3, 3, 1]), (7, [7]), (1, [1] * 7), (200, [7])])
def test_every_key_comes_once_in_order(deployment: Deployment, ids: list[str], limit: int, sizes: list[int]) -> None:
    found = pages(deployment, limit=str(limit))
    assert [len(page) for page in found] == sizes
    assert [key_id for page in found for key_id in page] == sorted(ids)


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({"owner": "bo"}, [1, 3, 5]),
        ({"state": "disabled"}, [0]),
        ({"state": "revoked"}, [1]),
        ({"state": "active", "owner": "bo"}, [3, 5]),
        ({"state": "expired"}, []),
        ({"owner": "nobody"}, []),
    ],
)
def test_filters_hold_across_pages(
    deployment: Deployment, ids: list[str], query: dict[str, str], places: list[int]
) -> None:
    expected = sorted(ids[place] for place in places)
    for limit in ("2", "200"):
        found = pages(deployment, limit=limit, **query)
        assert [key_id for page in found for key_id in page] == expected
    assert len(pages(deployment, limit="2", **query)) == 4  # the limit bounds what is looked at


def test_due_before_names_what_a_tick_rotates_by_then(deployment: Deployment) -> None:
    made = {name: deployment.issue(name=name, rotation=rotating(name)).key_id for name in ("now", "later", "stopped")}
    deployment.issue(name="by hand")
    deployment.call("rotate_due")  # all three get their first key, and are due again in two hours, less a bit
    deployment.do("update_key", made["stopped"], {"state": "disabled"})
    next_at = deployment.do("get_key", made["now"])["rotation"]["next_at"]
    second = deployment.do("get_key", made["later"])["rotation"]["next_at"]
    assert pages(deployment, due_before=min(next_at, second)) == [
        [made["now"] if next_at < second else made["later"]],
    ]
    assert pages(deployment, due_before=max(next_at, second)) == [sorted([made["now"], made["later"]])]
    assert pages(deployment, due_before="2030-01-31T12:00:01Z") == [[]]


def rotating(name: str) -> dict[str, Any]:
    return {"grace_seconds": 3600, "interval_seconds": 7200, "sink": f"vault:acme/{name}"}


@pytest.mark.parametrize("text", ["2030-01-31", "soon", "2030-01-31T12:00:00"])
def test_due_before_is_a_time_with_an_offset(deployment: Deployment, text: str) -> None:
    reply = deployment.call("list_keys", query={"tenant": "acme", "due_before": text})
    assert (reply.status_code, reply.json["errors"][0]["field"]) == (422, "due_before")


def test_a_page_says_what_get_says(deployment: Deployment, ids: list[str]) -> None:
    views = deployment.do("list_keys", "", query={"tenant": "acme"})["keys"]
    assert views == [deployment.do("get_key", key_id) for key_id in sorted(ids)]


def test_the_callers_tenant_is_taken_where_none_is_named(deployment: Deployment, ids: list[str]) -> None:
    auditor = deployment.issue(tenant="globex", roles=["auditor"])
    views = deployment.do("list_keys", "", by=auditor.key)["keys"]
    assert {view["tenant"] for view in views} == {"globex"}
    assert len(views) == 2


def test_another_tenant_is_refused(deployment: Deployment, ids: list[str]) -> None:
    auditor = deployment.issue(tenant="globex", scopes=["*"]).key
    for tenant in ("acme", "system"):
        reply = deployment.call("list_keys", query={"tenant": tenant}, by=auditor)
        assert (reply.status_code, reply.json["code"]) == (403, "OTHER_TENANT")


def test_an_unknown_tenant_has_no_keys(deployment: Deployment) -> None:
    assert deployment.do("list_keys", "", query={"tenant": "nobody"}) == {"keys": []}


def cursor(deployment: Deployment) -> str:
    reply = deployment.do("list_keys", "", query={"tenant": "acme", "limit": "2"})
    return str(reply["next_cursor"])


def is_bad(deployment: Deployment, tenant: str, text: str) -> None:
    reply = deployment.call("list_keys", query={"tenant": tenant, "cursor": text})
    assert (reply.status_code, reply.json["code"]) == (422, "BAD_CURSOR")


def test_the_cursor_of_another_tenant_is_refused(deployment: Deployment, ids: list[str]) -> None:
    is_bad(deployment, "globex", cursor(deployment))


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "tampered",
    [
        lambda _: "",
        lambda _: "x",
        lambda _: "é",
        lambda text: text[:-1],
        lambda text: text + "A",
        lambda text: text + "=",
        lambda text: text + "!",
        lambda text: "*" + text,
        lambda text: text.swapcase(),
        lambda _: encoded("2:acme:0000000000000000"),
        lambda _: encoded("1:acme:000000000000000"),
        lambda _: encoded("1:acme:0000000000000000\n"),
        lambda _: encoded("1:acme:../../../secret00"),
        lambda _: encoded("1:acme"),
        lambda _: encoded("1:acmé:0000000000000000"),
    ],
)
def test_a_tampered_cursor_is_refused(deployment: Deployment, ids: list[str], tampered: Any) -> None:
    is_bad(deployment, "acme", tampered(cursor(deployment)))


def test_a_cursor_is_no_longer_than_it_needs_to_be(deployment: Deployment) -> None:
    reply = deployment.call("list_keys", query={"tenant": "acme", "cursor": "A" * 129})
    assert (reply.status_code, reply.json["code"]) == (422, "INVALID_FIELD")
    tenant = "a" * 63
    for _ in range(2):
        deployment.issue(tenant=tenant)
    reply = deployment.do("list_keys", "", query={"tenant": tenant, "limit": "1"})
    longest = {"tenant": tenant, "limit": "1", "cursor": reply["next_cursor"]}
    assert len(deployment.do("list_keys", "", query=longest)["keys"]) == 1


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.0", "1e2", " 5", "+5", "1_0", "05", "٥", "five", ""])
def test_what_is_no_limit_is_refused(deployment: Deployment, limit: str) -> None:
    reply = deployment.call("list_keys", query={"tenant": "acme", "limit": limit})
    assert (reply.status_code, reply.json["code"]) == (422, "INVALID_FIELD")


def test_an_issue_that_was_cut_off_is_not_listed(
    deployment: Deployment, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index names it, and there is no record."""
    del deployment.services.keys._records[ids[2]]  # type: ignore[attr-defined]
    found = pages(deployment, limit="2")
    assert [key_id for page in found for key_id in page] == sorted(set(ids) - {ids[2]})
