"""A server of vectors: LitServe with Sentence Transformers, batching as its documentation has it."""

import argparse
from typing import Any

import litserve
from sentence_transformers import SentenceTransformer

MAX_BATCH_SIZE, BATCH_TIMEOUT_S = 32, 0.01


class Vectors(litserve.LitAPI):
    """`{"input": "a text"}` to `{"embedding": [...]}`."""

    def __init__(self, folder: str) -> None:
        super().__init__(max_batch_size=MAX_BATCH_SIZE, batch_timeout=BATCH_TIMEOUT_S)
        self.folder = folder

    def setup(self, device: str) -> None:
        """Load the model."""
        self.model = SentenceTransformer(self.folder, device=device)

    def decode_request(self, request: dict[str, Any]) -> Any:
        """The text."""
        return request["input"]

    def predict(self, x: list[str]) -> Any:
        """A vector for each."""
        return self.model.encode(x, batch_size=MAX_BATCH_SIZE, show_progress_bar=False)

    def encode_response(self, output: Any) -> dict[str, Any]:
        """As JSON."""
        return {"embedding": output.tolist()}


def main() -> None:
    """Serve the model of a folder on a port."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    litserve.LitServer(Vectors(options.folder), accelerator="cpu").run(
        host="127.0.0.1", port=options.port, generate_client_file=False, log_level="warning"
    )


if __name__ == "__main__":
    main()
