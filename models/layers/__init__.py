"""What two families share. Families compose from here and never import each other."""
