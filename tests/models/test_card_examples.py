"""The examples of model cards are read as text, in each form in which sentence-transformers writes them."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from models.checkpoint.card_code import Computed, Encoded
from models.checkpoint.card_examples import MAX_CARD_BYTES, read_card_example

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
# tensor([[8.1e-01, 2.00e-01, 3e-02]])
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


def read(folder: Path, card: str, encoding: str = "utf-8") -> Computed | None:
    (folder / "README.md").write_bytes(f"# A model\n\nÉté.\n{card}\nMore text.\n".encode(encoding))
    return read_card_example(folder)


def test_sentences_are_compared_with_each_other(tmp_path: Path) -> None:
    example = read(tmp_path, SENTENCES)
    assert example is not None
    encoded = Encoded(texts=("The weather is lovely today.", "It's so sunny outside!"))
    assert example.queries == example.documents == encoded
    assert (example.kind, example.resolution) == ("similarities", 1e-4)
    np.testing.assert_array_equal(example.expected, [[1, -0.9753], [-0.9753, 1]])


def test_queries_are_compared_with_documents(tmp_path: Path) -> None:
    example = read(tmp_path, ROLES)
    assert example is not None
    assert (len(example.queries.texts), example.queries.role) == (1, "query")
    assert (len(example.documents.texts), example.documents.role) == (3, "document")
    assert example.resolution == pytest.approx(1e-3)
    np.testing.assert_allclose(example.expected, [[0.81, 0.2, 0.03]])


def test_pairs_have_scores(tmp_path: Path) -> None:
    example = read(tmp_path, PAIRS)
    assert example is not None
    assert (example.kind, example.documents.texts) == (
        "scores",
        ("Between 55 and 80.", "Egg whites are low in calories."),
    )
    np.testing.assert_array_equal(example.expected, [[0.5063], [0.4988]])


@pytest.mark.parametrize(
    ("keywords", "prompt_name", "prompt"),
    [
        ('prompt_name="query"', "query", None),
        ('prompt="search: ", batch_size=2', None, "search: "),
        ("convert_to_tensor=True", None, None),
    ],
    ids=["by name", "by text", "another form"],
)
def test_prompts_are_those_that_the_example_chooses(
    tmp_path: Path, keywords: str, prompt_name: str | None, prompt: str | None
) -> None:
    example = read(tmp_path, ROLES.replace("encode_query(queries)", f"encode(queries, {keywords})"))
    assert example is not None
    assert example.queries == Encoded(texts=("Which planet is red?",), prompt_name=prompt_name, prompt=prompt)


@pytest.mark.parametrize(
    "card",
    [
        SENTENCES.replace("\n", "\r\n"),
        SENTENCES.replace("```python", "``` py"),
        SENTENCES.replace("\n", "\n   "),
        SENTENCES.replace("similarities", "similarity"),
        SENTENCES.replace("print(similarities)", "print(similarities.tolist())"),
        SENTENCES.replace("1.0000]])", "1.0000]], device='cuda:0')\n# of 2 texts"),
        SENTENCES.replace("sentences = [", "first = 'Rain.'\nother = [").replace("(sentences)", "(other)"),
        SENTENCES.replace("```python", "```python\nprint(model)\n```\n```python"),
    ],
    ids=["newlines", "py", "indented", "a name", "a list", "a remark", "other names", "several blocks"],
)
def test_what_people_edit_is_still_an_example(tmp_path: Path, card: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "latin-1"):
        text = card if encoding != "latin-1" else card.replace("🤗", "")
        example = read(tmp_path, text, encoding)
        assert example is not None
        np.testing.assert_array_equal(example.expected, [[1, -0.9753], [-0.9753, 1]])


def test_texts_may_be_named_or_single_or_tuples(tmp_path: Path) -> None:
    single = ROLES.replace("queries = [\n", "queries = (\n").replace('red?",\n]', 'red?"\n)')
    example = read(tmp_path, single)
    assert example is not None
    assert example.queries.texts == ("Which planet is red?",)
    pairs = '```python\nq = "An egg?"\nscores = model.predict([(q, "a"), (q, "b")])\nprint(scores)\n# [ 8.6 -4.3]\n```'
    example = read(tmp_path, pairs)
    assert example is not None
    assert (example.queries.texts, example.documents.texts) == (("An egg?", "An egg?"), ("a", "b"))


@pytest.mark.parametrize(
    "card",
    [
        "",
        SENTENCES.replace("print(similarities)", "print(similarities.shape)"),
        SENTENCES.replace("#         [-0.9753,  1.0000]])", "#         ...]])"),
        SENTENCES.replace("'The weather is lovely today.',", "open('secret').read(),"),
        SENTENCES.replace("'The weather is lovely today.',", "f'The weather is {word} today.',"),
        SENTENCES.replace("lovely", "\\ud800"),
        SENTENCES.replace("model.similarity(embeddings, embeddings)", "100 * embeddings @ embeddings.T"),
        SENTENCES.replace("model.similarity(embeddings, embeddings)", "util.dot_score(embeddings, embeddings)"),
        SENTENCES.replace('_model_id")', '_model_id", truncate_dim=8)'),
        SENTENCES.replace("# Run inference", "model.max_seq_length = 4"),
        SENTENCES.replace("# Run inference", "model.prompts.clear()"),
        SENTENCES.replace("(sentences)", "(sentences, normalize_embeddings=True)"),
        SENTENCES.replace("# [2, 24]", "for name in names:\n    embeddings = model.encode(name)"),
        SENTENCES.replace("-0.9753", "nan"),
        SENTENCES.replace("1.0000", "0e" + 5000 * "9"),
        SENTENCES.replace("# Run inference", "x = " + "-" * 30000 + "1"),
        SENTENCES.replace("# Run inference", "x = " + "[" * 3000),
        SENTENCES.replace("# Run inference", "x = model" + ".cpu()" * 800),
        "".join("".join(indent) + "```py\n" for indent in itertools.product(" \t", repeat=15)),
        PAIRS.replace("[0.5063 0.4988]", "[0.5063]").replace("pairs = [", "pairs = ["[:-1]),
        PAIRS.replace("predict(pairs)", "predict(pairs, apply_softmax=True)"),
        ROLES.replace("queries = [", "questions = ["),
    ],
    ids=lambda card: None,
)
def test_what_cannot_be_followed_is_no_example(tmp_path: Path, card: str) -> None:
    assert read(tmp_path, card) is None


def test_a_folder_without_a_card_and_one_with_a_huge_card_have_no_example(tmp_path: Path) -> None:
    assert read_card_example(tmp_path) is None
    assert read(tmp_path, SENTENCES + "x" * MAX_CARD_BYTES) is None
