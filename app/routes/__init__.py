"""One file a task, three lines a route: validate, await, wrap."""

from fastapi import APIRouter

from app.routes import (
    answer,
    attend,
    classify,
    classify_tokens,
    compress,
    decode,
    decompress,
    denoise,
    detect_anomalies,
    detokenize,
    encode,
    fill_mask,
    generate,
    impute,
    interpolate,
    project,
    reconstruct,
    sample,
    score_text,
    service,
    similarity,
    tokenize,
    translate,
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
        fill_mask,
        classify_tokens,
        answer,
        generate,
        translate,
        score_text,
        similarity,
        attend,
        tokenize,
        detokenize,
        service,
    )
)
