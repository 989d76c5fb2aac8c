"""One file an operation: request model, reply model, run(request, caller, services), OPERATION."""
