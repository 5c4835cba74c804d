"""The examples of model cards are read as text, in each form in which sentence-transformers writes them."""

from pathlib import Path

import numpy as np
import pytest

from models.checkpoint.card_examples import MAX_CARD_BYTES, CardExample, read_card_example

SENTENCES = """
```python
from sentence_transformers import SentenceTransformer

# Download from the 🤗 Hub
model = SentenceTransformer("sentence_transformers_model_id")
# Run inference
sentences = [
    'The weather is lovely today.',
    "It's so sunny outside!",
]
embeddings = model.encode(sentences)
print(embeddings.shape)
# [2, 24]

# Get the similarity scores for the embeddings
similarities = model.similarity(embeddings, embeddings)
print(similarities)
# tensor([[ 1.0000, -0.9753],
#         [-0.9753,  1.0000]])
```
"""
ROLES = """
```python
queries = [
    "Which planet is red?",
]
documents = [
    'Mars is.',
    'Venus is white.',
    'Saturn has rings.',
]
query_embeddings = model.encode_query(queries)
document_embeddings = model.encode_document(documents)
similarities = model.similarity(query_embeddings, document_embeddings)
print(similarities)
# tensor([[0.81, 0.2, 3e-2]])
```
"""
PAIRS = """
```python
pairs = [
    ['How many calories in an egg', 'Between 55 and 80.'],
    ['How many calories in an egg', 'Egg whites are low in calories.'],
]
scores = model.predict(pairs)
print(scores)
# [0.5063 0.4988]
```
"""


def read(folder: Path, card: str) -> CardExample | None:
    (folder / "README.md").write_text(f"# A model\n\nText.\n{card}\nMore text.\n")
    return read_card_example(folder)


def test_sentences_are_compared_with_each_other(tmp_path: Path) -> None:
    example = read(tmp_path, SENTENCES)
    assert example is not None
    assert example.queries == example.documents == ("The weather is lovely today.", "It's so sunny outside!")
    assert (example.kind, example.are_roles, example.resolution) == ("similarities", False, 1e-4)
    np.testing.assert_array_equal(example.expected, [[1, -0.9753], [-0.9753, 1]])


def test_queries_are_compared_with_documents(tmp_path: Path) -> None:
    example = read(tmp_path, ROLES)
    assert example is not None
    assert (len(example.queries), len(example.documents), example.are_roles) == (1, 3, True)
    assert example.resolution == 0.01
    np.testing.assert_allclose(example.expected, [[0.81, 0.2, 0.03]])


def test_pairs_have_scores(tmp_path: Path) -> None:
    example = read(tmp_path, PAIRS)
    assert example is not None
    assert (example.kind, example.documents) == (
        "scores",
        ("Between 55 and 80.", "Egg whites are low in calories."),
    )
    np.testing.assert_array_equal(example.expected, [[0.5063], [0.4988]])


@pytest.mark.parametrize(
    "card",
    [
        "",
        SENTENCES.replace("print(similarities)", "print(similarities.shape)"),
        SENTENCES.replace("#         [-0.9753,  1.0000]])", "#         ...]])"),
        SENTENCES.replace("'The weather is lovely today.',", "open('secret').read(),"),
        SENTENCES.replace("sentences = [", "sentences = ("),
        PAIRS.replace("[0.5063 0.4988]", "[0.5063]").replace("pairs = [", "pairs = ["[:-1]),
        ROLES.replace("queries = [", "questions = ["),
    ],
    ids=["none", "no numbers", "cut", "code", "no list", "syntax", "other names"],
)
def test_what_is_written_in_another_way_is_no_example(tmp_path: Path, card: str) -> None:
    assert read(tmp_path, card) is None


def test_a_folder_without_a_card_and_one_with_a_huge_card_have_no_example(tmp_path: Path) -> None:
    assert read_card_example(tmp_path) is None
    assert read(tmp_path, SENTENCES + "x" * MAX_CARD_BYTES) is None
