"""A server of sentence vectors with LitServe and Sentence Transformers; it batches as LitServe documents it."""

import argparse
from typing import Any

import litserve
from sentence_transformers import SentenceTransformer
from typing_extensions import override

MAX_BATCH_SIZE, BATCH_TIMEOUT_S = 32, 0.01


class SentenceVectors(litserve.LitAPI):
    """Answers `{"input": "a text"}` with `{"embedding": [...]}`."""

    def __init__(self, folder: str) -> None:
        super().__init__(max_batch_size=MAX_BATCH_SIZE, batch_timeout=BATCH_TIMEOUT_S)
        self.folder = folder

    @override
    def setup(self, device: str) -> None:
        self.model = SentenceTransformer(self.folder, device=device)

    @override
    def decode_request(self, request: dict[str, Any]) -> Any:
        return request["input"]

    @override
    def predict(self, x: list[str]) -> Any:
        return self.model.encode(x, batch_size=MAX_BATCH_SIZE, show_progress_bar=False)

    @override
    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"embedding": output.tolist()}


def main() -> None:
    """Serve the model of a folder on a port."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    litserve.LitServer(SentenceVectors(options.folder), accelerator="cpu").run(
        host="127.0.0.1", port=options.port, generate_client_file=False, log_level="warning"
    )


if __name__ == "__main__":
    main()
