"""One request a task that answers 200 as it stands. `/docs` offers them and the tests send them."""

from typing import Any

EXAMPLE_MODEL = "vanilla-ae-mnist"

SEVEN = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAABFklEQVR42mNgoAlgxM7+jyzACBfAoZOZh/UPAyMrMwMLx6uP"
    "yJLiWvxCEgq8vxkYuNj/s/CsnfWd8T8DAwsDAwPjf/a4LB5OTiaIdYwMDLfZvzMwQCQZGBg5OH88e/v63U+G/19ZPXQf7vjE"
    "8B8q+Z/hx6ILP15//PzjLwPjbzuvv1v2/mP8j81vIjP+nrNG8SEDIwwwRT79Us6BKgn3mPrW/9vVcchx1nx9FsPEiD0s9Y79"
    "XyIB18iELPmfxUn3xZaXWF3KyKC66/9aWaw2MjAwpb5/m8SEI/bkNvzfroykkQk5Dm0sP297yIDdRpkV/w9qIduIbIOi0Y8t"
    "d5A1MiPp/Md5YclrRlwJioePkdykyEitRA0AVXxUN1NeQToAAAAASUVORK5CYII="
)
"""A seven, 28x28, drawn for this page; `docs/examples/seven.png` is the same."""

_PICTURE = {"format": "png"}

STREAM = "TUZMRAEACPXubc9kkjD4AQMBHBz2lspKbpWeVZ4lfponeFg3YIik3WCnQAkJKTcAetVoFQ=="
"""The seven, compressed by `EXAMPLE_MODEL`."""

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "encode": [
        {"model": "vae-mnist", "inputs": [SEVEN]},
        {"model": "sentence-mini-en", "inputs": ["A dog runs through the grass."]},
    ],
    "decode": [{"model": EXAMPLE_MODEL, "inputs": [[0.0] * 32], "parameters": _PICTURE}],
    "reconstruct": [{"model": EXAMPLE_MODEL, "inputs": [SEVEN], "parameters": _PICTURE}],
    "denoise": [
        {
            "model": "denoising-ae-mnist",
            "inputs": [SEVEN],
            "parameters": {"noise": {"type": "gaussian", "level": 0.3}, "seed": 1, **_PICTURE},
        }
    ],
    "sample": [{"model": "cvae-mnist", "parameters": {"n": 1, "seed": 1, "label": "7", **_PICTURE}}],
    "interpolate": [{"model": "vae-mnist", "inputs": [SEVEN, [0.0] * 784], "parameters": {"steps": 5, **_PICTURE}}],
    "detect_anomalies": [{"model": EXAMPLE_MODEL, "inputs": [SEVEN]}],
    "impute": [{"model": "vae-mnist", "inputs": [[None] * 392 + [0.0] * 392], "parameters": _PICTURE}],
    "compress": [{"model": EXAMPLE_MODEL, "inputs": [SEVEN]}],
    "decompress": [{"model": EXAMPLE_MODEL, "inputs": [STREAM], "parameters": _PICTURE}],
    "project": [
        {"model": EXAMPLE_MODEL, "inputs": [SEVEN]},
        {"model": "sentence-mini-en", "inputs": ["A dog runs."]},
    ],
    "classify": [
        {"model": "denoising-ae-mnist", "inputs": [SEVEN]},
        {"model": "bert-sst2-en", "inputs": ["a wonderful film"]},
    ],
    "fill_mask": [{"model": "bert-mini-en", "inputs": ["The [MASK] was born in 1950 ."]}],
    "classify_tokens": [{"model": "bert-ner-en", "inputs": ["Anna Schmidt lives in London."]}],
    "answer": [
        {
            "model": "bert-qa-en",
            "inputs": [{"question": "Where does Anna live?", "context": "Anna lives in London. She likes tea."}],
        }
    ],
    "generate": [
        {"model": "gpt-mini-en", "inputs": ["Once upon a time"], "parameters": {"max_new_tokens": 20, "seed": 1}}
    ],
    "translate": [{"model": "transformer-multi30k-en-de", "inputs": ["A man is riding a bike."]}],
    "score_text": [{"model": "gpt-mini-en", "inputs": ["the dog ran home"]}],
    "similarity": [
        {
            "model": "sentence-mini-en",
            "inputs": [{"source": "a dog runs", "candidates": ["a dog walks", "stock prices"]}],
        }
    ],
    "attend": [{"model": "gpt-mini-en", "inputs": ["the dog ran"], "parameters": {"layers": [0], "heads": [0]}}],
    "tokenize": [{"model": "bert-mini-en", "inputs": ["Tokenizers cut words."]}],
    "detokenize": [{"model": "gpt-mini-en", "inputs": [[40, 41, 42]]}],
}
