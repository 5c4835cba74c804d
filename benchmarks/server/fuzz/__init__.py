"""Generated requests that look valid, over all routes and models: none may be answered by a 5xx."""
