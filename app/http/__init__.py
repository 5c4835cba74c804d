"""HTTP: reading requests, refusing them, and writing answers and errors."""
