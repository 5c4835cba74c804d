"""Counts the requests over HTTP."""

from app.metrics.deferred import DeferredCalls
from app.metrics.families import Families


class RequestCounter:
    """Adds requests to the metrics once they are answered.

    A request is counted by the template of its route (`/models/{id}`), the model and the task, which are empty where
    none took part.
    """

    def __init__(self, families: Families, deferred: DeferredCalls) -> None:
        self._families, self._deferred = families, deferred

    def answered(
        self, by_route: tuple[str, str, str], status: int, seconds: float, preparation_s: float, rendering_s: float
    ) -> None:
        """Count a request that did not fail.

        Args:
            by_route: its route, model and task.
            status: its status code.
            seconds: the time that it took.
            preparation_s, rendering_s: the times before and after its inference; a negative one is unknown.
        """
        self._deferred.add(self._count_answered, by_route, status, seconds, preparation_s, rendering_s)

    def _count_answered(
        self, by_route: tuple[str, str, str], status: int, seconds: float, preparation_s: float, rendering_s: float
    ) -> None:
        families = self._families
        families.requests[*by_route, str(status)].inc()
        families.request_s[by_route].observe(seconds)
        by_task = by_route[1:]
        if preparation_s >= 0:
            families.preparation_s[by_task].observe(preparation_s)
        if rendering_s >= 0:
            families.rendering_s[by_task].observe(rendering_s)

    def failed(self, by_route: tuple[str, str, str], status: int, error: str) -> None:
        """Count a request that failed, by the name of its error. The status is 0 if there was no answer."""
        families = self._families
        families.requests[*by_route, str(status)].inc()
        families.errors[*by_route, error].inc()

    def refused(self, model: str, error: str) -> None:
        """Count a request, which counts as failed as well, among those that were refused."""
        self._families.refusals[model, error].inc()
