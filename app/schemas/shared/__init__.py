"""What the schemas of several tasks share."""
