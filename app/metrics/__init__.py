"""The metrics of the server, in the formats of Prometheus. docs/metrics.md describes each of them.

families       what is counted and measured while the server works
engine_events  counts the events of the engines
requests       counts the requests over HTTP
deferred       counting that is put off, many requests at once
state          what is read from the models only when somebody asks for the metrics
exposition     the metrics as text
"""
