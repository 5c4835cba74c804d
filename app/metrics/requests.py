"""Counts the requests over HTTP."""

from app.metrics.families import Families


class RequestCounter:
    """Adds requests to the metrics once they are answered.

    A request is counted by the template of its route (`/models/{id}`), the model and the task, which are empty where
    none took part.
    """

    def __init__(self, families: Families) -> None:
        self._families = families

    def answered(self, by_route: tuple[str, str, str], status: int, seconds: float) -> None:
        """Count a request that did not fail: its route, model and task, its status, and the time it took."""
        families = self._families
        families.requests[*by_route, str(status)].inc()
        families.request_s[by_route].observe(seconds)

    def computed(self, model: str, task: str, preparation_s: float, rendering_s: float) -> None:
        """Count the times before and after the inference of a request; a negative one is unknown."""
        by_task = model, task
        if preparation_s >= 0:
            self._families.preparation_s[by_task].observe(preparation_s)
        if rendering_s >= 0:
            self._families.rendering_s[by_task].observe(rendering_s)

    def failed(self, by_route: tuple[str, str, str], status: int, error: str) -> None:
        """Count a request that failed, by the name of its error. The status is 0 if there was no answer."""
        families = self._families
        families.requests[*by_route, str(status)].inc()
        families.errors[*by_route, error].inc()

    def refused(self, model: str, error: str) -> None:
        """Count a request, which counts as failed as well, among those that were refused."""
        self._families.refusals[model, error].inc()
