"""Bodies to task requests, task results to bodies. One file a task; the contract of the wire is in these classes."""
