"""Looking a product up among a million: the signed file mapped into memory, beside a bare dict in the same run.

The codes are made up. The dict is the leanest there is: whole numbers as keys, products shared; its key is made from a
code as that of the file is. Memory of the file counts all its bytes as if none were ever let go.
"""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import product as every
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from domain.family import DEFAULT_FAMILIES
from domain.product import Gtin, Product, check_digit
from sync.crypto import PublicKey, new_private_key, sign
from sync.product_format import Catalogue, SignedProducts, open_products, write_products

USUAL_PRODUCTS: Final = 1_000_000
USUAL_LOOKUPS: Final = 20_000
ROUNDS: Final = 5
_LABELS: Final = ("organic", "label-rouge", "protected-origin")
_FIRST, _LAST = 300_000_000_000, 380_000_000_000  # GS1 gives 300 to 379 to France; without check digit

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Result:
    """One run.

    Attributes:
        products: in the file and in the dict.
        file_b: size of the file.
        open_ms: to open it, signature and every byte verified.
        memory_b, dict_memory_b: what each takes, in bytes; the file's size and its index, and the dict with its keys.
        find_ns, dict_ns: one lookup of a product that is there; medians of rounds that alternate.
        miss_ns: one lookup of a product that is not.
        is_same: whether both found the same product every time.
    """

    products: int
    file_b: int
    open_ms: float
    memory_b: int
    dict_memory_b: int
    find_ns: float
    dict_ns: float
    miss_ns: float
    is_same: bool

    @property
    def ratio(self) -> float:
        """Time of a lookup over the dict's."""
        return self.find_ns / self.dict_ns

    @property
    def memory_ratio(self) -> float:
        """The dict's memory over the file's."""
        return self.dict_memory_b / self.memory_b


def measure(products: int = USUAL_PRODUCTS, lookups: int = USUAL_LOOKUPS, seed: int = 1) -> Result:
    """Make a file of so many products and look some up in it and in a dict, by turns."""
    rng = random.Random(seed)
    keys = sorted(rng.sample(range(_FIRST, _LAST), products))
    kinds = _kinds()
    places = [rng.randrange(len(kinds)) for _ in keys]
    asked = [_code(keys[rng.randrange(products)]) for _ in range(lookups)]
    unknown = [_code(rng.randrange(_LAST, 2 * _LAST)) for _ in range(lookups)]
    with TemporaryDirectory(prefix="panier-bench-") as place, ExitStack() as opened:
        path, public = Path(place) / "products", _write(Path(place) / "products", kinds, keys, places)
        started = time.perf_counter()
        open_products(path, public).close()
        open_ms = 1e3 * (time.perf_counter() - started)
        ours, index_b = _weighed(lambda: opened.enter_context(open_products(path, public)))
        table, dict_b = _weighed(lambda: {key: kinds[kind] for key, kind in zip(_fresh(keys), places, strict=True)})
        find = ours.find
        times = list(_alternated([(find, asked), (_in_dict(table), asked), (find, unknown)]))
        return Result(
            products=products,
            file_b=path.stat().st_size,
            open_ms=open_ms,
            memory_b=path.stat().st_size + index_b,
            dict_memory_b=dict_b,
            find_ns=times[0],
            dict_ns=times[1],
            miss_ns=times[2],
            is_same=_is_same(ours, table, asked) and not any(map(find, unknown)),
        )


def as_plain(result: Result) -> dict[str, object]:
    """The result as one JSON object's worth of values."""
    return {
        "case": "products",
        **asdict(result),
        "ratio": round(result.ratio, 2),
        "memory_ratio": round(result.memory_ratio, 1),
    }


def as_french(result: Result) -> str:
    """The result as one sentence."""
    return (
        f"{result.products} produits : {result.find_ns / 1e3:.2f} µs par code ({result.miss_ns / 1e3:.2f} µs inconnu), "
        f"{result.ratio:.1f} fois un dict ({result.dict_ns / 1e3:.2f} µs) ; "
        f"{result.memory_b / 1e6:.1f} Mo au lieu de {result.dict_memory_b / 1e6:.1f} ; "
        f"ouvert et vérifié en {result.open_ms:.0f} ms."
    )


def _kinds() -> tuple[Product, ...]:
    """Every family, without labels and with each."""
    labels = [frozenset[str](), *(frozenset({label}) for label in _LABELS)]
    return tuple(Product(family.code, labelled) for family, labelled in every(DEFAULT_FAMILIES, labels))


def _code(key: int) -> Gtin:
    return Gtin(f"0{key:012d}{check_digit(f'{key:012d}')}")


def _write(path: Path, kinds: tuple[Product, ...], keys: Sequence[int], places: Sequence[int]) -> PublicKey:
    signer = new_private_key()
    catalogue = Catalogue(1, datetime(2026, 1, 1, tzinfo=UTC), "made up", kinds)
    write_products(path, catalogue, zip(keys, places, strict=True), b"lists", lambda message: sign(signer, message))
    return signer.public_key()


def _fresh(keys: Sequence[int]) -> Iterator[int]:
    """The same numbers as objects of their own, so that a dict's memory counts them."""
    return (int(str(key)) for key in keys)


def _weighed(make: Callable[[], Thing]) -> tuple[Thing, int]:
    """What is made, and the bytes Python holds for it."""
    gc.collect()
    tracemalloc.start()
    try:
        made = make()
        gc.collect()
        return made, tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def _in_dict(table: dict[int, Product]) -> Callable[[Gtin], Product | None]:
    def find(code: Gtin) -> Product | None:
        return table.get(int(code[1:-1]))

    return find


def _alternated(cases: Sequence[tuple[Callable[[Gtin], object], Sequence[Gtin]]]) -> Iterator[float]:
    """Nanoseconds a call of each case; the cases take turns, so that a busy machine slows all of them."""
    spent: list[list[float]] = [[] for _ in cases]
    for _ in range(ROUNDS):
        for times, (find, codes) in zip(spent, cases, strict=True):
            started = time.perf_counter_ns()
            for code in codes:
                find(code)
            times.append((time.perf_counter_ns() - started) / len(codes))
    return (median(times) for times in spent)


def _is_same(ours: SignedProducts, table: dict[int, Product], codes: Sequence[Gtin]) -> bool:
    return all(ours.find(code) == table[int(code[1:-1])] for code in codes)
