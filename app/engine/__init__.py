"""Queue, batching policy, worker and supervisor: one of each a loaded model.

policy      which waiting requests form the next batch; pure
queue       the bounded queue between the event loop and the worker's thread
execution   one batch through the model; a failing one is bisected until the guilty request stands alone
worker      the thread that owns the forward pass
supervisor  starts the worker, restarts it when it dies, and resolves every future
"""
