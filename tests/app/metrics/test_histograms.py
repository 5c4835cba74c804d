import threading

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as ClientHistogram
from prometheus_client.exposition import generate_latest

from app.metrics.histograms import Histogram, HistogramCollector

LIMITS = (0.5, 1, 2.5)


@given(values=st.lists(st.one_of(st.sampled_from(LIMITS), st.floats(-1, 4))))
def test_the_text_is_that_of_the_client_librarys_histogram(values: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    collector = HistogramCollector()
    ours.register(collector)
    histogram = collector.add("times", "Times.", LIMITS, ["model"])["vae",]
    reference = ClientHistogram("times", "Times.", ["model"], buckets=LIMITS, registry=theirs).labels("vae")
    for value in values:
        histogram.observe(value)
        reference.observe(value)
    text = generate_latest(theirs).decode()
    assert generate_latest(ours).decode().splitlines() == [line for line in text.splitlines() if "_created" not in line]


def test_a_series_is_made_once_for_its_labels() -> None:
    histograms = HistogramCollector().add("times", "Times.", LIMITS, ["model"])
    assert histograms["vae",] is histograms["vae",]
    assert histograms["vae",] is not histograms["bert",]


def test_no_observation_of_several_threads_is_lost() -> None:
    histogram = Histogram(LIMITS)

    def observe() -> None:
        for _ in range(2000):
            histogram.observe(1)

    threads = [threading.Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert histogram.read() == ([("0.5", 0), ("1.0", 8000), ("2.5", 8000), ("+Inf", 8000)], 8000)
