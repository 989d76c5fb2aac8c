"""What the guarded API leads to: it tells whom the authorizer let through."""


def answer(event, _context):
    return event["requestContext"]["authorizer"]["lambda"]
