"""What Keyrail is measured beside: a function that takes the same POST, reads its body and answers a constant."""

from typing import Any


def handler(request: Any) -> str:
    request.get_data()
    return '{"valid":true,"code":"VALID"}'
