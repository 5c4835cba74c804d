"""The server process: uvicorn, its connections, its shutdown and its logs."""
