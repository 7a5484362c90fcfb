"""What booking ought to answer, worked out slowly: lists, loops over every hour, every combination. No Django, no rows.

Time is a number of whole hours (slots); devices, nodes, pools, awards and organisations are numbers too. Nothing here
is taken over from the services: where they do arithmetic with edges of windows, this asks of each hour by itself.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from typing import Any

SLOT_SECONDS = 3600
NOBODY: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Refusal:
    """The code that must be said, and those facts that must be said with it."""

    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Unit:
    """A device: the node it is in, and what operators have made of it."""

    node: int
    pool: int
    state: str = "available"

    @property
    def bookable(self) -> bool:
        """Those in cleaning can be promised for later; those in quarantine cannot."""
        return self.state != "quarantined"


@dataclass(frozen=True)
class Party:
    """An organisation under its agreement: GPUs at once, and the first slot after its term."""

    ceiling: int
    term_end: int


@dataclass(frozen=True)
class Award:
    """What one party may spend on one pool, in slots [first, last)."""

    party: int
    pool: int
    gpu_slots: int
    concurrent: int
    first: int
    last: int


@dataclass
class Booking:
    """A lease as the oracle knows it; `devices` are those that the service chose."""

    award: int
    start: int
    end: int
    devices: set[int]
    open: bool = True
    entries: int = 1

    def covers(self, slot: int) -> bool:
        """Whether it holds its devices in this hour."""
        return self.open and self.start <= slot < self.end


@dataclass
class Work:
    """Announced maintenance of a node."""

    node: int
    start: int
    end: int
    cancelled: bool = False

    def covers(self, slot: int) -> bool:
        """Whether the node is closed in this hour."""
        return not self.cancelled and self.start <= slot < self.end


class Oracle:
    """The world as it ought to be. Questions change nothing; what was done is told it by the machine."""

    def __init__(
        self, units: list[Unit], shared: list[bool], cleaning: list[int], parties: list[Party], awards: list[Award]
    ) -> None:
        """`shared` and `cleaning` (in slots) are rules of each pool."""
        self.units, self.shared, self.cleaning, self.parties, self.awards = units, shared, cleaning, parties, awards
        self.leases: list[Booking] = []
        self.works: list[Work] = []

    def party_of(self, lease: Booking) -> int:
        """Whose it is."""
        return self.awards[lease.award].party

    def in_pool(self, pool: int) -> list[int]:
        """All devices of a pool."""
        return [number for number, unit in enumerate(self.units) if unit.pool == pool]

    def on_node(self, node: int) -> set[int]:
        """All devices of a node."""
        return {number for number, unit in enumerate(self.units) if unit.node == node}

    def spent(self, award: int) -> int:
        """Device-seconds that open leases hold."""
        return sum(
            len(lease.devices) * (lease.end - lease.start) * SLOT_SECONDS
            for lease in self.leases
            if lease.open and lease.award == award
        )

    def left(self, award: int) -> int:
        """Device-seconds that may still be booked."""
        return self.awards[award].gpu_slots * SLOT_SECONDS - self.spent(award)

    def back(self, lease: Booking) -> int:
        """The first slot in which its devices are clean again."""
        return lease.end + self.cleaning[self.awards[lease.award].pool]

    def keeps(self, lease: Booking, slot: int) -> bool:
        """Whether its devices are its own in this hour, in use or being cleaned."""
        return lease.open and lease.start <= slot < self.back(lease)

    # What is free

    def blocked(self, device: int, slot: int, party: int | None, gone: Collection[int] = NOBODY) -> bool:
        """Whether the party could not have the device in this hour; `gone` are leases that do not count.

        Without a party only the device counts, not who is on its node.
        """
        unit = self.units[device]
        if not unit.bookable or any(work.node == unit.node and work.covers(slot) for work in self.works):
            return True
        for number, lease in enumerate(self.leases):
            if number in gone or not self.keeps(lease, slot):
                continue
            if device in lease.devices:
                return True
            foreign = party is not None and not self.shared[unit.pool] and self.party_of(lease) != party
            if foreign and any(self.units[other].node == unit.node for other in lease.devices):
                return True
        return False

    def free(self, device: int, start: int, end: int, party: int | None, gone: Collection[int] = NOBODY) -> bool:
        """Whether the party could have the device in every hour of the window and of the cleaning after it."""
        clean = end + self.cleaning[self.units[device].pool]
        return not any(self.blocked(device, slot, party, gone) for slot in range(start, clean))

    def possible(
        self,
        devices: Iterable[int],
        count: int,
        start: int,
        end: int,
        party: int | None,
        gone: Collection[int] = NOBODY,
    ) -> bool:
        """Whether any combination of so many of these devices would do: all are tried."""
        known = cache(lambda device: self.free(device, start, end, party, gone))
        return any(all(known(device) for device in chosen) for chosen in combinations(devices, count))

    def next_window(
        self, devices: Collection[int], count: int, length: int, after: int, party: int | None, until: int | None = None
    ) -> int | None:
        """The first slot from which so many devices are free for so long, over by `until`; past the last end nothing
        changes.
        """
        last = max([after, *map(self.back, self.leases), *(work.end for work in self.works)])
        starts = range(after, min(last, last if until is None else until - length) + 1)
        return next((slot for slot in starts if self.possible(list(devices), count, slot, slot + length, party)), None)

    def capacity(self, pool: int, start: int, end: int, party: int | None) -> dict[str, int]:
        """The figures of a pool in a window, by the names of selectors.Capacity."""
        devices = self.in_pool(pool)
        booked = [
            sum(device in lease.devices for lease in self.leases if self.keeps(lease, slot) for device in devices)
            for slot in range(start, end)
        ]
        return {
            "devices": len(devices),
            "bookable": sum(self.units[device].bookable for device in devices),
            "booked_peak": max(booked),
            "free": sum(self.free(device, start, end, party) for device in devices),
            "promised": sum(
                award.concurrent
                for award in self.awards
                if award.pool == pool and award.first < end and award.last > start
            ),
        }

    def fewest_nodes(self, pool: int, count: int, start: int, end: int, party: int) -> int:
        """On how many nodes a choice must be spread at least."""
        found = [device for device in self.in_pool(pool) if self.free(device, start, end, party)]
        return min(len({self.units[device].node for device in chosen}) for chosen in combinations(found, count))

    def knot(self, pool: int) -> bool:
        """Whether two parties are on one node of the pool in one hour."""
        tenants: dict[tuple[int, int], int] = {}
        for lease in self.leases:
            for device in lease.devices if lease.open and self.awards[lease.award].pool == pool else ():
                for slot in range(lease.start, self.back(lease)):
                    party = self.party_of(lease)
                    if tenants.setdefault((self.units[device].node, slot), party) != party:
                        return True
        return False

    # What is refused

    def to_book(self, award: int, count: int, start: int, end: int, named: list[int] | None) -> Refusal | None:
        """The first rule that a booking breaks; None: it must succeed."""
        if end <= start:
            return Refusal("end_before_start")
        refused = self._amount(award, count, (start, end), (start, end))
        if refused:
            return refused
        if named is not None and len(set(named)) != count:
            return Refusal("devices_named")
        pool, party = self.awards[award].pool, self.awards[award].party
        candidates = [device for device in self.in_pool(pool) if named is None or device in named]
        if self.possible(candidates, count, start, end, party):
            return None
        until = min(self.awards[award].last, self.parties[party].term_end)  # what is offered can be booked
        offer = self.next_window(candidates, count, end - start, start, party, until)
        facts: dict[str, Any] = {
            "asked": count,
            "next_start": offer,
            "next_end": None if offer is None else offer + end - start,
        }
        if named is None:
            facts["whole_nodes"] = self.possible(candidates, count, start, end, None) or None
        return Refusal("no_free_devices", facts)

    def to_extend(self, number: int, end: int) -> Refusal | None:
        """The first rule that a later end breaks."""
        lease = self.leases[number]
        if not lease.open:
            return Refusal("invalid_transition")
        if end <= lease.end:
            return Refusal("not_later")
        whole, added = (lease.start, end), (lease.end, end)
        refused = self._amount(lease.award, len(lease.devices), whole, added, but=number)
        if refused:
            return refused
        party, gone = self.party_of(lease), {number}
        fits = all(self.free(device, lease.end, end, party, gone) for device in lease.devices)
        return None if fits else Refusal("no_free_devices")

    def _amount(
        self, number: int, count: int, whole: tuple[int, int], added: tuple[int, int], but: int = -1
    ) -> Refusal | None:
        """The rules of the award and of the agreement, for the hours that are added to a window."""
        award = self.awards[number]
        if whole[0] < award.first or whole[1] > award.last:
            return Refusal("outside_allocation")
        if count < 1:
            return Refusal("no_gpus")
        own = [lease for at, lease in enumerate(self.leases) if at != but and lease.award == number]
        refused = _ceiling("concurrent_gpus", award.concurrent, self._peak(own, added), count)
        if refused:
            return refused
        party = self.parties[award.party]
        if added[1] > party.term_end:
            return Refusal("outside_term")
        every = [lease for at, lease in enumerate(self.leases) if at != but and self.party_of(lease) == award.party]
        refused = _ceiling("ceiling_concurrent_gpus", party.ceiling, self._peak(every, added), count)
        if refused:
            return refused
        needed, left = count * (added[1] - added[0]) * SLOT_SECONDS, self.left(number)
        if needed > left:
            return Refusal("balance", {"needed_device_seconds": needed, "left_device_seconds": left})
        return None

    def _peak(self, leases: list[Booking], window: tuple[int, int]) -> int:
        return max(sum(len(lease.devices) for lease in leases if lease.covers(slot)) for slot in range(*window))

    # What operators' verbs meet

    def hits(self, devices: set[int], start: int | None = None, end: int | None = None) -> list[int]:
        """Open leases with one of these devices, in the window if one is given."""
        return [
            number
            for number, lease in enumerate(self.leases)
            if lease.open
            and lease.devices & devices
            and (start is None or end is None or any(self.keeps(lease, slot) for slot in range(start, end)))
        ]

    def to_clear(self, devices: set[int], hit: list[int], plan: Mapping[int, str], force: bool) -> Refusal | None:
        """The first reason why devices cannot be taken away under a plan that moves one lease at most."""
        if set(plan) - set(hit):
            return Refusal("plan")
        if any(not force or number not in plan for number in hit):
            return Refusal("promises")
        ended = {number for number in hit if plan[number] == "end"}
        for number in set(hit) - ended:
            lease = self.leases[number]
            others = [device for device in self.in_pool(self.awards[lease.award].pool) if device not in devices]
            count = len(lease.devices & devices)
            if not self.possible(others, count, lease.start, lease.end, self.party_of(lease), ended):
                return Refusal("cannot_move")
        return None

    def to_announce(self, node: int, start: int, end: int) -> Refusal | None:
        """Work is announced once for one time."""
        there = [work for work in self.works if work.node == node]
        twice = any(work.covers(slot) for work in there for slot in range(start, end))
        return Refusal("announced_already") if twice else None

    def end(self, number: int) -> None:
        """The hold is given back and nothing is charged: two entries."""
        self.leases[number].open = False
        self.leases[number].entries += 2


def _ceiling(code: str, ceiling: int, used: int, asked: int) -> Refusal | None:
    if used + asked <= ceiling:
        return None
    return Refusal(code, {"ceiling": ceiling, "used": used, "asked": asked, "left": max(0, ceiling - used)})
