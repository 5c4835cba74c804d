"""The HTTP interface of every task, one module for each.

A module declares the task's parameters, request body and answer as pydantic models. `_requests` converts a body into
requests to the model, and `_outputs` converts the results into the `outputs` of the answer. `SCHEMA` joins these
for one kind of model, as does `TEXT_SCHEMA` where a task takes texts as well as items. `ENDPOINT` is the route.
"""
