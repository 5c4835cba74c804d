"""The order in which the jobs of several clients are served. Pure: no clock, no locks, no torch.

This is fair queueing by virtual time (Demers, Keshav, Shenker 1989; Goyal, Vin, Cheng 1996), first between clients and
then between the jobs of each client. Whoever has been given the least work is served next. A flow that arrives starts
at the present virtual time, which advances by the work that is done, divided by the number of flows. So nobody is owed
anything for a time in which they wanted nothing, and whoever waits comes to be the first, whatever arrives later.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import merge
from operator import attrgetter

from app.engine.job import Job

MAX_REMEMBERED = 4096
"""Maximum number of clients without jobs whose use is remembered, until others have been given as much."""


@dataclass(eq=False, slots=True)
class ClientFlow:
    """The jobs of one client that have not ended.

    Attributes:
        name: the client's name.
        served: virtual time up to which the client has been served.
        now: virtual time among its own jobs.
        size: sum of the sizes of its jobs; above 1, the client is a large one.
        jobs: virtual time up to which each of the jobs has been served.
        fresh: jobs that wait and of which nothing has been dispatched, in order of arrival.
        begun: jobs of which a part has been dispatched, while another part waits.
    """

    name: str
    served: float
    now: float = 0.0
    size: float = 0.0
    jobs: dict[Job, float] = field(default_factory=dict)
    fresh: dict[Job, None] = field(default_factory=dict)
    begun: dict[Job, None] = field(default_factory=dict)

    @property
    def is_large(self) -> bool:
        """Return whether all jobs of the client together are more than a small job."""
        return self.size > 1

    def waiting(self) -> Iterator[Job]:
        """Return the waiting jobs, in the order in which they are to be served."""
        if not self.begun:
            return iter(self.fresh)  # whose virtual times ascend, as that of their client does
        served = self.jobs.__getitem__
        return merge(sorted(self.begun, key=served), self.fresh, key=served)


class FairOrder:
    """The jobs of all clients that have not ended, and the order of those that wait.

    Attributes:
        n_large_jobs: number of jobs whose size is above 1.
        n_large_clients: number of clients the sizes of whose jobs sum to more than 1.
    """

    def __init__(self) -> None:
        self.n_large_jobs = self.n_large_clients = 0
        self._now = 0.0
        self._clients: dict[str, ClientFlow] = {}
        self._remembered: dict[str, float] = {}

    def __contains__(self, job: Job) -> bool:
        client = self._clients.get(job.client)
        return client is not None and job in client.jobs

    @property
    def is_mixed(self) -> bool:
        """Return whether there are large jobs, or large clients beside others, which small jobs need not wait for."""
        return self.n_large_jobs > 0 or (self.n_large_clients > 0 and len(self._clients) > 1)

    def is_large_with(self, job: Job) -> bool:
        """Return whether the client of a job that is not yet added would be a large one with it."""
        client = self._clients.get(job.client)
        return client is not None and client.size + job.size > 1

    def client_of(self, job: Job) -> ClientFlow:
        """Return the client of a job that has not ended."""
        return self._clients[job.client]

    def clients(self) -> list[ClientFlow]:
        """Return the clients, in the order in which they are to be served."""
        clients = list(self._clients.values())
        if len(clients) > 1:
            clients.sort(key=attrgetter("served"))
        return clients

    def waiting(self) -> Iterator[Job]:
        """Return the waiting jobs, in the order in which they are to be served."""
        for client in self.clients():
            yield from client.waiting()

    def add(self, job: Job) -> None:
        """Add a job that waits from now on."""
        client = self._clients.get(job.client)
        if client is None:
            served = max(self._now, self._remembered.pop(job.client, 0.0))
            client = self._clients[job.client] = ClientFlow(job.client, served)
        elif client.served < self._now and not client.fresh and not client.begun:
            client.served = self._now
        client.jobs[job] = client.now
        client.fresh[job] = None
        self._resize(client, job.size)
        self.n_large_jobs += job.is_large

    def charge(self, job: Job, work: float, *, still_waits: bool) -> None:
        """Count work of a job that is dispatched; `still_waits` says whether another part of it waits."""
        client = self._clients[job.client]
        client.served += work
        client.jobs[job] += work
        client.now += work / len(client.jobs)
        self._now += work / len(self._clients)
        client.fresh.pop(job, None)
        if still_waits:
            client.begun[job] = None
        else:
            client.begun.pop(job, None)

    def remove(self, job: Job) -> None:
        """Remove a job that has ended, or that nobody waits for."""
        client = self._clients.get(job.client)
        if client is None or job not in client.jobs:
            return
        del client.jobs[job]
        client.fresh.pop(job, None)
        client.begun.pop(job, None)
        self.n_large_jobs -= job.is_large
        self._resize(client, -job.size)
        if not client.jobs:
            self._forget(client)

    def _resize(self, client: ClientFlow, change: float) -> None:
        self.n_large_clients -= client.is_large
        client.size = client.size + change if client.jobs else 0.0  # sums of rounded numbers do not return to zero
        self.n_large_clients += client.is_large

    def _forget(self, client: ClientFlow) -> None:
        """Drop a client without jobs. What it was given before its turn is remembered while others have jobs."""
        del self._clients[client.name]
        if not self._clients:
            self._remembered.clear()
        elif client.served > self._now:
            self._remembered[client.name] = client.served
            if len(self._remembered) > MAX_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
