"""What the schemas of all tasks share: the envelope, the declaration of a task, and reading and rendering of items."""
