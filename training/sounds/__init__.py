"""Training and measuring of models of sounds."""
