"""GET /v1/keys: pages through a tenant's keys. docs/operations/list_keys.md"""

from keyrail.operations.list_keys import OPERATION
from keyrail.triggers.http import http_function

handler = http_function(OPERATION)
