"""A million mixed requests to one server, with faults injected, and every answer compared with the right one."""
