"""`manifold metrics`."""

import asyncio

import click

from app.cli.errors import Refused, sentence
from app.cli.tasks import server_options


@click.command(params=server_options())
def metrics(url: str | None, key: str | None) -> None:
    """Print the metrics of a running server, in the text format of Prometheus."""
    click.echo(asyncio.run(_read(url or "http://localhost:8000", key)), nl=False)


async def _read(url: str, key: str | None) -> str:
    from app.cli.connection import connect, parse_object

    async with connect(url, key, None) as connection:
        answer = await connection.send(connection.client.build_request("GET", "/metrics"))
        if answer.is_error:
            raise Refused([sentence(Exception(parse_object(answer).get("detail", answer.status_code)))])
        return answer.text
