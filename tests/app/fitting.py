"""Files of rows that models can be fitted to in seconds."""

import numpy as np

MINUTES, SERIES_MINUTES = "0.05", "0.2"
"""Time limits of the fits that tests wait for: to a table, and to a series.

A model of a series that has hardly begun to learn finds so many anomalies that too few steps are left to calibrate it.
"""


def table_csv(n_rows: int, seed: int = 0, *, strange: int | None = None) -> str:
    """Return a table of orders in which the amount follows from the site and the quantity, but not in a strange row."""
    rng = np.random.default_rng(seed)
    lines = ["site,quantity,amount,paid"]
    for number in range(n_rows):
        site = rng.choice(["east", "west", "north"])
        quantity = int(rng.integers(1, 10))
        price = {"east": 5.0, "west": 9.0, "north": 14.0}[str(site)]
        amount = price * quantity * rng.uniform(0.97, 1.03) * (8 if number == strange else 1)
        lines.append(f"{site},{quantity},{amount:.2f},{'yes' if rng.random() < 0.5 else 'no'}")
    return "\n".join(lines) + "\n"


def series_csv(n_rows: int, seed: int = 0, *, strange: tuple[int, int] | None = None) -> str:
    """Return the readings of a pump, every ten seconds; its flow is too high from one row to another, if asked for."""
    rng = np.random.default_rng(seed)
    steps = np.arange(n_rows)
    pressure = 3 + 0.5 * np.sin(2 * np.pi * steps / 24) + 0.03 * rng.normal(size=n_rows)
    flow = 20 + 4 * np.sin(2 * np.pi * (steps - 3) / 24) + 0.2 * rng.normal(size=n_rows)
    if strange is not None:
        flow[strange[0] : strange[1] + 1] += 12
    times = np.datetime64("2026-03-02T00:00:00") + 10 * steps.astype("timedelta64[s]")
    rows = zip(times.astype(str), pressure.round(4).tolist(), flow.round(4).tolist(), strict=True)
    return "at,pressure,flow\n" + "".join(f"{at.replace('T', ' ')},{p},{f}\n" for at, p, f in rows)
