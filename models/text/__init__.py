"""What all text models share."""
