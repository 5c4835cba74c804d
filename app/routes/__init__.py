"""One file a task, three lines a route: validate, await, wrap."""

from fastapi import APIRouter

from app.routes import decode, encode, reconstruct, service

ROUTERS: tuple[APIRouter, ...] = (encode.router, decode.router, reconstruct.router, service.router)
