"""Parquet files of anybody: their rows, or a refusal that says why, and never the end of the server."""

import decimal
import io
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from app.concurrency.decoder_pool import DecoderPool
from app.concurrency.parquet_reading import TableLimits, rows_from_lines
from app.concurrency.request_memory import RequestMemory
from app.errors import PayloadTooLarge
from models.errors import InvalidItems, UndecodableItems

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

pytestmark = pytest.mark.anyio
LIMITS = TableLimits(max_rows=2**20, max_cells=2**22, max_bytes=2**25)
NOON = datetime(2026, 1, 31, 12, 0, 0, 5, UTC).replace(tzinfo=None)
TYPED: dict[str, tuple[Any, list[Any]]] = {
    "integers": (pa.array([1, None, 2**63 - 1]), [1, None, 2**63 - 1]),
    "unsigned": (pa.array([0, None, 2**64 - 1], pa.uint64()), [0, None, 2**64 - 1]),
    "numbers": (pa.array([0.1, float("nan"), None]), [0.1, None, None]),
    "short": (pa.array([0.5, None, -1.5], pa.float32()), [0.5, None, -1.5]),
    "booleans": (pa.array([True, None, False]), [True, None, False]),
    "texts": (pa.array(['a,"b"\n', "", "NA"]), ['a,"b"\n', "", "NA"]),
    "categories": (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
    "times": (pa.array([NOON, None, NOON], pa.timestamp("us")), ["2026-01-31 12:00:00.000005", None] * 2),
    "zones": (
        pa.array([NOON] * 3, pa.timestamp("us", "UTC")).cast(pa.timestamp("us", "Europe/Berlin")),
        ["2026-01-31 12:00:00.000005"] * 3,
    ),
    "days": (pa.array([date(2026, 1, 31)] * 3), ["2026-01-31"] * 3),
    "decimals": (pa.array([decimal.Decimal("1.50")] * 3), ["1.50"] * 3),
    "nothing": (pa.nulls(3), [None] * 3),
}


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[DecoderPool]:
    pool = pool_of()
    yield pool
    pool.close()


def pool_of(*, max_ms: int = 30_000, memory: int = 0) -> DecoderPool:
    return DecoderPool(2, RequestMemory(lambda: memory), max_ms=max_ms, max_bytes=2**30)


def file_of(columns: dict[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, **options)
    return file.getvalue()


async def rows_of(pool: DecoderPool, data: bytes, limits: TableLimits = LIMITS) -> list[dict[str, Any]]:
    return list(rows_from_lines(await pool.read_parquet(data, limits, "")))


async def test_the_values_of_all_types_are_those_of_json(pool: DecoderPool) -> None:
    rows = await rows_of(pool, file_of({name: array for name, (array, _) in TYPED.items()}))
    assert {name: [row[name] for row in rows] for name in rows[0]} == {
        name: values[:3] for name, (_, values) in TYPED.items()
    }


async def test_many_rows_come_in_their_order_and_with_their_gaps(pool: DecoderPool) -> None:
    numbers = [None if place % 7 == 0 else place for place in range(5000)]
    rows = await rows_of(pool, file_of({"a": numbers}, row_group_size=700))
    assert [row["a"] for row in rows] == numbers
    assert await rows_of(pool, file_of({"a": pa.array([], pa.int64())})) == []


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": [[1]]}, "the column 'a' of the Parquet file has the type 'list<element: int64>'; expected numbers"),
        ({"a": [{"b": 1}]}, "has the type 'struct<b: int64>'"),
        ({"a": [b"\xff"]}, "has the type 'binary'"),
        ({"a": [1.0, None, float("-inf")]}, "the value of the column 'a' in row 2 is infinite"),
        ({}, "has no columns"),
        ({"a": np.zeros(2**20 + 1, np.int8)}, r"has 1048577 rows; the limit is 1048576 \(max_lists\)"),
        ({f"a{n}": np.zeros(2**20, np.int8) for n in range(5)}, r"5242880 cells; the limit is 4194304 \(max_values\)"),
    ],
)
async def test_what_is_no_table_or_too_large_is_refused(pool: DecoderPool, columns: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidItems, match=words):
        await pool.read_parquet(file_of(columns), LIMITS, "")


async def test_two_columns_of_one_name_are_refused(pool: DecoderPool) -> None:
    file = io.BytesIO()
    parquet.write_table(pa.table([[1], [2]], names=["a", "a"]), file)
    with pytest.raises(InvalidItems, match="the column 'a' of the Parquet file is there twice"):
        await pool.read_parquet(file.getvalue(), LIMITS, "")


async def test_bombs_are_refused_by_what_the_file_says_of_itself_or_by_what_they_take(pool: DecoderPool) -> None:
    plain = file_of({"a": ["x" * 2**20] * 200}, compression="zstd", use_dictionary=False)
    assert len(plain) < 2**20
    with pytest.raises(InvalidItems, match=r"bytes, decompressed; the limit is 33554432 \(max_body_bytes\)"):
        await pool.read_parquet(plain, LIMITS, "")
    coded = file_of({"a": pa.DictionaryArray.from_arrays(pa.array(np.zeros(10**5, np.int32)), pa.array(["x" * 10**6]))})
    with pytest.raises(InvalidItems, match="takes more memory than its size explains"):
        await pool.read_parquet(coded, LIMITS, "")
    long = file_of({"a": pa.DictionaryArray.from_arrays(pa.array(np.zeros(10**5, np.int32)), pa.array(["x" * 10**3]))})
    with pytest.raises(InvalidItems, match=r"take more than 33554432 bytes as text, the limit \(max_body_bytes\)"):
        await pool.read_parquet(long, LIMITS, "")
    believed = replace(LIMITS, max_bytes=2**40)  # as if the file lied about its size
    with pytest.raises(InvalidItems, match="takes more memory than its size explains"):
        await pool.read_parquet(plain, believed, "")
    assert len(await rows_of(pool, file_of({"a": [1]}))) == 1


async def test_a_file_that_takes_too_much_time_is_refused() -> None:
    pool = pool_of(max_ms=50)
    try:
        with pytest.raises(
            InvalidItems, match=r"decoding the Parquet file takes more than 50 ms .*\(image_timeout_ms\)"
        ):
            await pool.read_parquet(file_of({f"a{n}": np.arange(2**20) % 100 for n in range(4)}), LIMITS, "")
    finally:
        pool.close()


async def test_its_memory_counts_as_that_of_requests() -> None:
    with pytest.raises(PayloadTooLarge, match="memory_limit"):
        await pool_of(memory=2**20).read_parquet(file_of({"a": [1]}), LIMITS, "")


async def test_damaged_files_are_refused_and_never_crash_the_server(pool: DecoderPool) -> None:
    data = file_of({name: array for name, (array, _) in TYPED.items()})
    rng = random.Random(0)
    for broken in (b"", b"PAR1", b"PAR1" + bytes(99) + b"PAR1", data[:-9], data[:100]):
        with pytest.raises(UndecodableItems, match="not a readable Parquet file"):
            await pool.read_parquet(broken, LIMITS, "")
    n_read = 0
    for _ in range(100):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(data))] = rng.randrange(256)
        try:
            await rows_of(pool, bytes(damaged))
            n_read += 1
        except InvalidItems:
            continue
    assert n_read < 100
    assert len(await rows_of(pool, data)) == 3
