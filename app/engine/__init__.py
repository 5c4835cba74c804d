"""One engine a loaded model: a queue, and the workers that serve it.

policy      which waiting requests form the next batch; pure
queue       the bounded queue between the event loop and the workers' threads
execution   one batch through the model; a failing one is bisected until the guilty request stands alone
worker      a thread that runs forward passes
supervisor  keeps one worker alive
engine      the whole; resolves every future
"""
