"""hvac on top of our own channel, through hvac's own extension point, its adapter class.

hvac knows the API and forms each request; the channel sends it. So deadline, breaker, token, pool and headers are the
same for all, no redirect is followed, and no exception of hvac's, whose text may hold a secret, is ever made.
"""

import json
from typing import Any
from urllib.parse import urlencode

from keyrail.adapters.vault_channel import Call, Channel
from keyrail.adapters.vault_transport import Reply

VERBS = {"GET": "read", "LIST": "list"}  # of Metrics.vault_call; whatever else hvac sends changes something


def client(channel: Channel, *, may_log_in_again: bool) -> Any:
    """An hvac.Client whose every method answers with a Reply, whatever its status. Imports hvac."""
    import hvac
    import hvac.adapters

    class ChannelAdapter(hvac.adapters.RawAdapter):  # type: ignore[misc]  # hvac is untyped
        def request(self, method: str, url: str, **options: Any) -> Reply:
            """`url` is the path from /v1 on; of `options`, hvac's KV v2 class uses `json` and `params`."""
            query = urlencode(options.get("params") or {})
            body = json.dumps(options["json"]).encode() if options.get("json") is not None else b""
            call = Call(
                VERBS.get(method.upper(), "write"),
                method.upper(),
                f"{url}?{query}" if query else url,
                body,
            )
            return channel.request(call, may_log_in_again=may_log_in_again)

    # A token and an address are given so that hvac looks for neither in the environment or in ~/.vault-token.
    return hvac.Client(url="http://unused.invalid", token="", adapter=ChannelAdapter)
