"""The engine that generates text token by token."""
