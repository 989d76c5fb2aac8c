"""The names that others build on. Taking one away, or adding one, is a decision: change it here as well."""

import inspect
import re

from keyrail import ports, rotation_ports
from keyrail.domain import errors
from keyrail.domain.errors import KeyrailError

PORTS = {
    "AuditLog",
    "ChangeFeed",
    "DueIndex",
    "EventOutbox",
    "EventSink",
    "KeyDelivery",
    "TokenVerifier",
    "UsageLog",
    "Clock",
    "ConfigStore",
    "CredentialRotator",
    "KeyLookup",
    "KeyStore",
    "Metrics",
    "PepperSource",
    "RateLimiter",
    "RoleSource",
    "RotatorSource",
    "SecretVersions",
}
VALUES = {
    "CredentialRotation",
    "Delivered",
    "DueEntry",
    "FEED_RING_SIZE",
    "FeedHead",
    "Found",
    "NoMetrics",
    "Page",
    "Refused",
    "RotatingSecret",
    "SecretVersion",
    "Services",
}
ERRORS = {
    "Conflict": "ABORTED",
    "DeadlineExceeded": "DEADLINE_EXCEEDED",
    "DeliveryFailed": "UNAVAILABLE",
    "EtagMismatch": "FAILED_PRECONDITION",
    "Internal": "INTERNAL",
    "InvalidArgument": "INVALID_ARGUMENT",
    "KeyrailError": "INTERNAL",
    "MalformedKey": "INVALID_ARGUMENT",
    "NotFound": "NOT_FOUND",
    "PermissionDenied": "PERMISSION_DENIED",
    "RateLimited": "RESOURCE_EXHAUSTED",
    "RotatorFailed": "UNAVAILABLE",
    "Unauthenticated": "UNAUTHENTICATED",
    "Unavailable": "UNAVAILABLE",
    "Unreadable": "UNAVAILABLE",
}


def own_names(module: object) -> set[str]:
    """Public, and defined there: classes of other modules don't count."""
    name = getattr(module, "__name__", "")
    return {
        each
        for each, value in vars(module).items()
        if not each.startswith("_")
        and (getattr(value, "__module__", None) == name or (each.isupper() and type(value) is int))
    }


def test_the_names_of_the_ports() -> None:
    assert own_names(ports) | own_names(rotation_ports) == PORTS | VALUES
    assert not own_names(ports) & own_names(rotation_ports)


def test_every_port_is_a_protocol_with_a_contract_in_words() -> None:
    for name in PORTS:
        port = getattr(rotation_ports, name, None) or getattr(ports, name)
        assert getattr(port, "_is_protocol", False), name
        methods = [
            each for each in vars(port).values() if inspect.isfunction(each) and not each.__name__.startswith("_")
        ]
        assert inspect.getdoc(port) or len(methods) == 1 or any(inspect.getdoc(each) for each in methods), name


def test_the_names_of_the_errors_and_their_kinds() -> None:
    assert {name: getattr(errors, name).kind for name in own_names(errors)} == ERRORS


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = dict(re.findall(r"── (\w+) +([A-Z_]+) ", errors.__doc__ or ""))
    assert drawn == {name: kind for name, kind in ERRORS.items() if name != "KeyrailError"}
    assert all(issubclass(getattr(errors, name), KeyrailError) for name in ERRORS)
