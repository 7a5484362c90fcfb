"""How GPUs can be cut into MIG instances, and where the instances of a layout lie. Pure: no rows, no Django.

The tables are those of NVIDIA's MIG user guide: names, and the memory slices that an instance may begin at. A driver
tells root alone what it offers; a layout that it does not have after all its node refuses, with nothing changed.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

COMPUTE_SLICES = 7
Layout = tuple[tuple[str, int], ...]
"""(profile, first memory slice) of each instance, in the order of the slices. Empty: the GPU is whole."""


@dataclass(frozen=True)
class MigProfile:
    """A kind of instance: `compute` and `memory` slices of a GPU, beginning at one of `starts`; `most` on one GPU."""

    name: str
    compute: int
    memory: int
    starts: tuple[int, ...]
    most: int


_SHAPES = (
    (1, 1, (0, 1, 2, 3, 4, 5, 6), 7),
    (1, 1, (0, 1, 2, 3, 4, 5, 6), 1),
    (1, 2, (0, 2, 4, 6), 4),
    (2, 2, (0, 2, 4), 3),
    (3, 4, (0, 4), 2),
    (4, 4, (0,), 1),
    (7, 8, (0,), 1),
)
_NAMES = {
    "NVIDIA A100-SXM4-40GB": "1g.5gb 1g.5gb+me 1g.10gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb",
    "NVIDIA A100-PCIE-40GB": "1g.5gb 1g.5gb+me 1g.10gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb",
    "NVIDIA A100-SXM4-80GB": "1g.10gb 1g.10gb+me 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb",
    "NVIDIA A100 80GB PCIe": "1g.10gb 1g.10gb+me 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb",
    "NVIDIA H100 80GB HBM3": "1g.10gb 1g.10gb+me 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb",
    "NVIDIA H100 PCIe": "1g.10gb 1g.10gb+me 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb",
    "NVIDIA H200": "1g.18gb 1g.18gb+me 1g.35gb 2g.35gb 3g.71gb 4g.71gb 7g.141gb",
    "NVIDIA B200": "1g.23gb 1g.23gb+me 1g.45gb 2g.45gb 3g.90gb 4g.90gb 7g.180gb",
}
TABLES: dict[str, tuple[MigProfile, ...]] = {
    gpu: tuple(MigProfile(name, *shape) for name, shape in zip(names.split(), _SHAPES, strict=True))
    for gpu, names in _NAMES.items()
}


def profiles_of(nvml_name: str) -> tuple[MigProfile, ...]:
    """The kinds that a GPU of this name offers; empty where it has no MIG, or is not known here."""
    return TABLES.get(nvml_name, ())


def arrange(profiles: Iterable[MigProfile], wanted: Sequence[str], there: Layout = ()) -> Layout | None:
    """Where instances of these profiles lie on one GPU; None: they do not fit, or are not to be had.

    What is `there` already stays where it is, as far as it can: an instance that somebody has is not moved.
    """
    known = {each.name: each for each in profiles}
    many = Counter(wanted)
    if any(name not in known or count > known[name].most for name, count in many.items()):
        return None
    if sum(known[name].compute for name in wanted) > COMPUTE_SLICES:
        return None
    staying: list[tuple[str, int]] = []
    for name, start in there:
        if many[name] > sum(each == name for each, _start in staying):
            staying.append((name, start))
    for kept in (staying, []):
        rest = many - Counter(name for name, _start in kept)
        largest_first = sorted(rest.elements(), key=lambda name: (-known[name].memory, name))
        found = _fit([known[name] for name in largest_first], kept, _taken(known, kept))
        if found is not None:
            return tuple(sorted(found, key=lambda each: each[1]))
    return None


def _taken(known: dict[str, MigProfile], layout: Iterable[tuple[str, int]]) -> frozenset[int]:
    return frozenset(slot for name, start in layout for slot in range(start, start + known[name].memory))


def _fit(
    coming: Sequence[MigProfile], placed: list[tuple[str, int]], taken: frozenset[int]
) -> list[tuple[str, int]] | None:
    if not coming:
        return placed
    first, rest = coming[0], coming[1:]
    for start in first.starts:
        place = frozenset(range(start, start + first.memory))
        if not place & taken and (found := _fit(rest, [*placed, (first.name, start)], taken | place)) is not None:
            return found
    return None
