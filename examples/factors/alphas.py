"""Eight daily factors of 20 US stocks: the example that `make demo` runs.

``factors(date, code)`` returns one row of eight floats for one stock on one day. Five of them are formulas of
Z. Kakushadze, "101 Formulaic Alphas", 2015, arXiv 1601.00991 (nos. 12, 41, 53, 54 and 101, the typical price standing
in for vwap in no. 41); the others are realised volatility, momentum and the illiquidity of Y. Amihud, "Illiquidity and
stock returns", Journal of Financial Markets 5, 2002. Windows count the stock's own rows. Where a row, an input or a
denominator is missing, a factor is NaN, never 0 and never infinite. Nothing but the standard library is needed.
"""

from __future__ import annotations

import csv
import math
from functools import cache
from pathlib import Path
from typing import NamedTuple

NAMES = ["alpha012", "alpha041", "alpha053", "alpha054", "alpha101", "rvol20", "mom20", "amihud20"]
"""The factors, in the order of a row."""

PRICES = Path(__file__).with_name("sp500_daily_sample.csv")
"""Daily bars: date, open, high, low, close (US dollars), volume (shares), Name."""

NAN = math.nan


class Bar(NamedTuple):
    """One day of one stock; a missing field is NaN."""

    open: float
    high: float
    low: float
    close: float
    volume: float


@cache
def bars() -> dict[str, tuple[dict[str, int], list[Bar]]]:
    """All bars by stock: where each date is, and the bars in rising date order. Read once per process."""
    stocks: dict[str, tuple[dict[str, int], list[Bar]]] = {}
    with PRICES.open(newline="") as file:
        for row in sorted(csv.DictReader(file), key=lambda row: (row["Name"], row["date"])):
            where, series = stocks.setdefault(row["Name"], ({}, []))
            where[row["date"]] = len(series)
            fields = (row["open"], row["high"], row["low"], row["close"], row["volume"])
            series.append(Bar(*(float(field) if field else NAN for field in fields)))
    return stocks


def factors(date: str, code: str) -> list[float]:
    """The eight factors of one stock on one day.

    Parameters
    ----------
    date : str
        The day, ``YYYY-MM-DD``.
    code : str
        The stock's ticker.

    Returns
    -------
    list of 8 floats
        In the order of `NAMES`; all NaN if the stock has no bar on that day.
    """
    where, series = bars().get(code, ({}, []))
    t = where.get(date)
    if t is None:
        return [NAN] * len(NAMES)
    today = series[t]
    return [
        alpha012(series[t - 1], today) if t >= 1 else NAN,
        math.sqrt(today.high * today.low) - (today.high + today.low + today.close) / 3,
        -(close_location(today) - close_location(series[t - 9])) if t >= 9 else NAN,
        divide(-((today.low - today.close) * today.open**5), (today.low - today.high) * today.close**5),
        (today.close - today.open) / ((today.high - today.low) + 0.001),
        realised_volatility(series[t - 20 : t + 1]) if t >= 20 else NAN,
        divide(today.close, series[t - 20].close) - 1 if t >= 20 else NAN,
        amihud(series[t - 20 : t + 1]) if t >= 20 else NAN,
    ]


def divide(numerator: float, denominator: float) -> float:
    """The quotient, or NaN where the denominator is exactly 0."""
    return numerator / denominator if denominator != 0 else NAN


def alpha012(before: Bar, today: Bar) -> float:
    """Alpha 12: the day's move in closing price, reversed if volume rose, kept if it fell."""
    change = today.volume - before.volume
    if math.isnan(change):
        return NAN
    sign = (change > 0) - (change < 0)
    return sign * -(today.close - before.close)


def close_location(bar: Bar) -> float:
    """Where the close lies between low and high, as alpha 53 measures it."""
    return divide((bar.close - bar.low) - (bar.high - bar.close), bar.close - bar.low)


def realised_volatility(window: list[Bar]) -> float:
    """Annualised sample standard deviation of the log returns of a window of 21 bars."""
    closes = [bar.close for bar in window]
    returns = [math.log(divide(now, before)) for before, now in zip(closes, closes[1:])]
    mean = sum(returns) / len(returns)
    variance = sum((value - mean) ** 2 for value in returns) / (len(returns) - 1)
    return math.sqrt(252) * math.sqrt(variance)


def amihud(window: list[Bar]) -> float:
    """Mean absolute return per million dollars traded, over a window of 21 bars."""
    terms = [
        divide(abs(divide(now.close, before.close) - 1), now.close * now.volume)
        for before, now in zip(window, window[1:])
    ]
    return 1_000_000 * (sum(terms) / len(terms))
