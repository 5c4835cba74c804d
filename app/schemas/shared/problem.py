"""The schemas of errors, for the OpenAPI document; `app/http/problems.py` makes the errors themselves."""

from pydantic import BaseModel, Field


class ProblemFault(BaseModel):
    """One place in the request and what is wrong there."""

    pointer: str = Field(description="JSON pointer (RFC 6901) to the place in the body; empty for the whole body.")
    detail: str = Field(description="What is wrong there, with the value and the limit.")


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str = Field(description="Kind of the error, such as `/errors/queue-full`.")
    title: str = Field(description="The kind of the error in words.")
    status: int = Field(description="Status code of the answer.")
    detail: str = Field(description="What is wrong with this request, with the value and the limit.")
    errors: list[ProblemFault] = Field(description="The places in the request that are wrong; empty if none is known.")
    request_id: str = Field(description="Id of the request, which finds it in the server's log.")


class StreamError(BaseModel):
    """Last event of a stream that failed; it holds the problem details."""

    error: Problem = Field(description="The error, as it would have been answered before the stream started.")
