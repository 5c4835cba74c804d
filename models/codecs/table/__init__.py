"""The codecs of rows of a table: objects of column names and values, which models see as vectors of numbers."""

from models.codecs.table.codec import TableCodec
from models.codecs.table.series import SeriesRows, TableSeriesCodec
from models.codecs.table.specification import (
    build_table_codec,
    build_table_series_codec,
    describe_table_codec,
    describe_table_series_codec,
)

__all__ = [
    "SeriesRows",
    "TableCodec",
    "TableSeriesCodec",
    "build_table_codec",
    "build_table_series_codec",
    "describe_table_codec",
    "describe_table_series_codec",
]
