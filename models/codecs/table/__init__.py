"""The codec of rows of a table: objects of column names and values, which models see as vectors of numbers."""

from models.codecs.table.codec import TableCodec
from models.codecs.table.specification import build_table_codec, describe_table_codec

__all__ = ["TableCodec", "build_table_codec", "describe_table_codec"]
