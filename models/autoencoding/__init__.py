"""What all autoencoders share."""
