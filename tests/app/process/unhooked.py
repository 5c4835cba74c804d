"""Runs the command line where uvicorn has renamed a method that the server's own protocol overrides."""

from types import MethodType
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

NAME = "_start_asgi_task"


def rename() -> None:
    """Remove the method from the class, as a look at the class shows it, but leave uvicorn able to call it."""
    method = getattr(HttpToolsProtocol, NAME)
    delattr(HttpToolsProtocol, NAME)

    def find(self: HttpToolsProtocol, name: str) -> Any:
        if name == NAME:
            return MethodType(method, self)
        raise AttributeError(name)

    HttpToolsProtocol.__getattr__ = find  # type: ignore[attr-defined]


if __name__ == "__main__":
    rename()

    from app.cli import main

    main()
