"""What single texts must be, wherever they come from. Each raises ValueError with a text that holds none of theirs."""

import ipaddress
import re

from keyrail.domain.errors import InvalidArgument
from keyrail.domain.key_format import ANY_SECRET
from keyrail.domain.scopes import MAX_EXPRESSION_CHARS, Test, parse_expression

CONTROL = r"\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: each named, as is U+FEFF, since dialects differ on \s
OWNER = rf"[^\s\ufeff{CONTROL}]{{1,128}}"
TENANT = r"[a-z0-9][a-z0-9-]{0,62}"
MAX_IP_CHARS = 64
_OWNER, _TENANT = re.compile(OWNER), re.compile(TENANT)


def no_key(text: str) -> str:
    if ANY_SECRET.search(text):
        raise ValueError("holds something that looks like an API key; keys belong in no text that is kept")
    return text


def ip(text: str) -> str:
    """In the one spelling of this address."""
    try:
        return str(ipaddress.ip_address(text[: MAX_IP_CHARS + 1]))
    except ValueError:  # its text repeats the value, which may be anything, even a key
        raise ValueError("must be an IPv4 or IPv6 address") from None


def owner(text: str) -> str:
    if not _OWNER.fullmatch(text):
        raise ValueError("must be up to 128 characters without spaces")
    return no_key(text)


def tenant(text: str) -> str:
    if not _TENANT.fullmatch(text):
        raise ValueError("must be up to 63 lower-case letters, digits and -")
    return text


def expression(text: str) -> Test:
    if not 1 <= len(text) <= MAX_EXPRESSION_CHARS:
        raise ValueError(f"must have 1 to {MAX_EXPRESSION_CHARS} characters")
    try:
        return parse_expression(text)
    except InvalidArgument as error:
        raise ValueError(error.public) from error
