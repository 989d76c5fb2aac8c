"""Lambda's SnapStart: many instances begin from the memory of one.

What must be unlike is drawn from the operating system (`secrets`, `uuid4`), which a restored one keeps apart. Python's
`random`, which spreads pauses, would go on alike in all of them, and they would come at the same moments.
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-uniqueness.html
"""

import random


def seed_after_restore() -> None:
    """Lambda's runtime has the library of hooks; without it there are no snapshots."""
    try:
        from snapshot_restore_py import register_after_restore
    except ModuleNotFoundError:
        return
    register_after_restore(random.seed)
