"""Samples in, minutes, hours and days made of them, old partitions out."""

from telemetry.services.ingesting import Ingested, ingest
from telemetry.services.rolling import roll_up, roll_up_hours
from telemetry.services.tidying import tidy

__all__ = ["Ingested", "ingest", "roll_up", "roll_up_hours", "tidy"]
