"""Every operation, for whoever needs all of them: CLI, API description, tests. A function imports just its own."""

from keyrail.operations import (
    get_key,
    import_key,
    issue_key,
    list_keys,
    read_config,
    revoke_key,
    rotate,
    rotate_due,
    sweep,
    update_key,
    validate_key,
    write_config,
)
from keyrail.operations.operation import Operation

CATALOGUE: tuple[Operation, ...] = (
    issue_key.OPERATION,
    import_key.OPERATION,
    validate_key.OPERATION,
    rotate.OPERATION,
    rotate_due.OPERATION,
    sweep.OPERATION,
    revoke_key.OPERATION,
    update_key.OPERATION,
    get_key.OPERATION,
    list_keys.OPERATION,
    read_config.OPERATION,
    write_config.OPERATION,
)
