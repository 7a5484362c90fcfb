"""The fleet counted in the database: the bar, the parts of the map, which GPUs each list names. One statement, and what
comes back is as large for 25,000 GPUs as for 25.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from reports.selectors.fleet_parts import PARTS, RANK, Part, Share, shares_of
from reports.selectors.fleet_sql import FIGURES, ORDER, Bounds, Narrowed, When, fleet, language

WHOLE_MAP = 4000
"""So many GPUs are drawn in one piece."""
PIECE = 2000
"""Of more, a piece of the map has so many, and those of the node with which it ends."""
LISTED = 50
HOTTEST = 10
COLUMNS = (
    *("id", "board_id", "parent_id", "position", "slice", "profile", "cut", "place", "pool_place", "node", "node_id"),
    *("node_state", "ill", "health", "rank", "lease_id", *FIGURES),
)
SORTED_BY = {
    "gpu": "",
    "pool": "pool_place",
    "part": "rank",
    "health": "health",
    **{name: name for name in FIGURES},
    "holder": "holder",
    "until": "ends_at",
}
"""What the table can be sorted by, as columns of `fleet` and of what holds it."""
HOT_BY = {
    "temperature": "temperature DESC",
    "power": "power DESC NULLS LAST",
    "utilisation": "utilisation DESC NULLS LAST",
}
"""What the hottest can be sorted by, the largest first; the first key is the usual one."""
_HELD = """
LEFT JOIN (
    SELECT l.id AS lease_key, l.ends_at, o.name_{language} AS holder FROM allocations_lease l
    JOIN allocations_allocation a ON a.id = l.allocation_id JOIN projects_project j ON j.id = a.project_id
    JOIN partners_organisation o ON o.id = j.organisation_id
) AS held ON lease_key = lease_id
"""
_BACKWARDS = "place DESC, position DESC, parent_id DESC NULLS LAST, slice DESC, id DESC"
_COUNTED = """
{source}, boards AS (
    SELECT CASE WHEN bool_or(cut AND rank = {ill}) THEN {ill}
                ELSE coalesce(min(rank) FILTER (WHERE NOT cut), min(rank)) END AS rank
    FROM fleet GROUP BY board_id
), nodes AS (
    SELECT place, node, node_id, count(*) AS gpus,
           CASE WHEN sum(count(*)) OVER () > {whole}
                THEN (sum(count(*)) OVER (ORDER BY place) - count(*))::bigint / {piece} ELSE 0 END AS piece
    FROM fleet WHERE {map} GROUP BY place, node, node_id
), pieces AS (
    SELECT piece, (array_agg(node_id ORDER BY place))[1] AS first, (array_agg(node ORDER BY place))[1] AS begins,
           (array_agg(node ORDER BY place DESC))[1] AS ends, sum(gpus) AS gpus, bool_or(node_id = %(first)s) AS asked
    FROM nodes GROUP BY piece
)
SELECT (SELECT jsonb_object_agg(rank, gpus) FROM (SELECT rank, count(*) AS gpus FROM boards GROUP BY rank) AS s),
       (SELECT count(*) FROM fleet),
       ARRAY(SELECT id FROM fleet f WHERE ill AND (id = board_id OR NOT EXISTS (
                SELECT FROM fleet b WHERE b.id = f.board_id AND b.ill)) ORDER BY {order} LIMIT {listed}),
       ARRAY(SELECT id FROM (SELECT DISTINCT ON (place) * FROM fleet WHERE node_state <> 'ready' ORDER BY {order})
             AS firsts ORDER BY place LIMIT {listed}),
       ARRAY(SELECT id FROM fleet WHERE {lists} AND profile = '' AND temperature IS NOT NULL
             ORDER BY {hot}, {order} LIMIT {hottest}),
       ARRAY(SELECT id FROM fleet WHERE id = ANY(%(known)s::bigint[])),
       ARRAY(SELECT DISTINCT lease_id FROM fleet WHERE {lists} AND lease_id IS NOT NULL),
       (SELECT count(*) FROM fleet WHERE {part}),
       ARRAY(SELECT id FROM fleet {held} WHERE {rows} AND {part} ORDER BY {sorted} LIMIT %(limit)s OFFSET (
             SELECT least(%(offset)s, greatest(count(*) - 1, 0) / %(limit)s * %(limit)s) FROM fleet WHERE {part})),
       (SELECT jsonb_agg(jsonb_build_array(first, begins, ends, gpus, asked) ORDER BY piece) FROM pieces),
       ARRAY(SELECT id FROM fleet JOIN nodes USING (place)
             WHERE piece = coalesce((SELECT piece FROM pieces WHERE asked), 0))
"""


@dataclass(frozen=True)
class Asked:
    """What is wanted beside the counts. `piece`: the public id of the node with which a piece of the map begins (of any
    node: the piece that has it; empty or unknown: the first). `limit` rows of the table from `offset` on, in the order
    of a column (`-key`: the largest first), of those that count as `part`; past the end: the last ones. `lists`: the
    hottest, and who holds what; `known`: keys of which those in the fleet are wanted.
    """

    map: bool = False
    piece: str = ""
    limit: int = 0
    offset: int = 0
    sort: str = ""
    part: str = ""
    lists: bool = False
    hot_by: str = ""
    known: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Piece:
    """A part of the map: nodes in order, by name the first and the last of them."""

    bounds: Bounds
    begins: str
    ends: str
    gpus: int
    shown: bool


@dataclass(frozen=True)
class Counted:
    """Keys of devices (of `leases`: of reservations) in the order in which they are shown."""

    shares: list[Share]
    gpus: int
    ill: list[int]
    silent: list[int]
    hot: list[int]
    known: list[int]
    leases: list[int]
    matching: int
    rows: list[int]
    pieces: list[Piece]
    drawn: list[int]


def counted(moment: When, which: Narrowed, asked: Asked) -> Counted:
    """One statement over the whole fleet."""
    source, values = fleet(COLUMNS, moment, which)
    sql = _COUNTED.format(
        source=source,
        ill=RANK[Part.ILL],
        whole=WHOLE_MAP,
        piece=PIECE,
        listed=LISTED,
        hottest=HOTTEST,
        order=ORDER,
        map=_said(asked.map),
        lists=_said(asked.lists),
        rows=_said(bool(asked.limit)),
        part=f"rank = {RANK[Part(asked.part)]}" if asked.part else _said(True),
        hot=HOT_BY.get(asked.hot_by) or next(iter(HOT_BY.values())),
        held=held_join(asked.sort),
        sorted=order_of(asked.sort),
    )
    values |= {"first": asked.piece, "known": asked.known, "offset": asked.offset, "limit": max(asked.limit, 1)}
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        shares, gpus, ill, silent, hot, known, leases, matching, rows, pieces, drawn = cursor.fetchone()
    return Counted(
        shares=shares_of({PARTS[int(rank)]: found for rank, found in json.loads(shares or "{}").items()}),
        gpus=gpus,
        ill=ill,
        silent=[] if moment.past else silent,
        hot=hot,
        known=known,
        leases=leases,
        matching=matching,
        rows=rows,
        pieces=_pieces(json.loads(pieces or "[]")),
        drawn=drawn,
    )


def order_of(sort: str) -> str:
    """The order of a column of the table, gaps last; an unknown one gives the usual order."""
    key = SORTED_BY.get(sort.removeprefix("-"), "")
    if not key:
        return _BACKWARDS if sort == "-gpu" else ORDER
    return f"{key} {'DESC' if sort.startswith('-') else 'ASC'} NULLS LAST, {ORDER}"


def held_join(sort: str) -> str:
    """What that order needs beside the fleet."""
    return _HELD.format(language=language()) if sort.removeprefix("-") in ("holder", "until") else ""


def _said(condition: bool) -> str:
    return "true" if condition else "false"


def _pieces(rows: list[list[Any]]) -> list[Piece]:
    """Side by side without a gap, so that a node that comes is in one of them: the first and the last are open."""
    shown = next((place for place, row in enumerate(rows) if row[4]), 0)
    begins = [row[0] for row in rows]
    found = []
    for place, (first, name, last, gpus, _asked) in enumerate(rows):
        bounds = Bounds(first if place else "", begins[place + 1] if place + 1 < len(rows) else "")
        found.append(Piece(bounds, name, last, gpus, place == shown))
    return found
