"""The inference engine of one loaded model: a queue, and the worker threads that serve it.

job         the requests of one caller, and their outcome
policy      decides which waiting requests form the next batch; pure functions
queue       the bounded queue between the event loop and the workers' threads
execution   runs one batch; a failing batch is halved until the failing requests run alone
worker      a thread that runs forward passes
supervisor  keeps one worker alive
engine      puts the parts together and resolves every future
statistics  counts of what one engine has done
token_times measures the times of generated tokens
observer    hooks for metrics and benchmarks
"""
