"""One file a task, three lines a route: validate, await, wrap."""

from fastapi import APIRouter

from app.routes import (
    classify,
    compress,
    decode,
    decompress,
    denoise,
    detect_anomalies,
    encode,
    impute,
    interpolate,
    project,
    reconstruct,
    sample,
    service,
)

ROUTERS: tuple[APIRouter, ...] = tuple(
    module.router
    for module in (
        encode,
        decode,
        reconstruct,
        denoise,
        sample,
        interpolate,
        detect_anomalies,
        impute,
        compress,
        decompress,
        project,
        classify,
        service,
    )
)
