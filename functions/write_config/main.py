"""PUT /v1/config/{name}: writes, restores or destroys a config. docs/operations/write_config.md"""

from keyrail.operations.write_config import OPERATION
from keyrail.triggers.http import http_function

handler = http_function(OPERATION)
