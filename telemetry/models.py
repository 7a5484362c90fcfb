"""Samples as they came, and minutes, hours and days made of them.

Sample, DeviceMinute and DeviceHour are partitioned by time (telemetry.partitions, migration 0002): made ahead, dropped
whole, with no foreign key in the database, because a check of each of so many rows would cost more than the row.
"""

from django.db import models

from cluster.models import Device, GpuClass, Node, Pool
from telemetry.fields import NumbersField, RealField


class SampleFeed(models.Model):
    """Which deliveries of a node have been taken since one boot; (node, boot id, sequence) makes a repeat harmless."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="+")
    boot_id = models.CharField(max_length=64)
    seen = NumbersField(help_text="the sequences taken; those in a row are one range, whatever their number")
    last_at = models.DateTimeField(help_text="when the last one came")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["node", "boot_id"], name="one_feed_per_node_and_boot")]

    def __str__(self) -> str:
        return f"{self.node_id} {self.boot_id}"


class Figures(models.Model):
    """What NVML said at one moment. None is a gap, never zero. In the order that wastes no byte on alignment."""

    at = models.DateTimeField()
    energy_mj = models.BigIntegerField(null=True, help_text="the device's counter since its driver was loaded")
    memory_used_mib = models.IntegerField(null=True)
    power_watts = RealField(null=True)
    utilisation_percent = models.SmallIntegerField(null=True)
    temperature_c = models.SmallIntegerField(null=True)
    process_count = models.SmallIntegerField(null=True)
    sm_active_permille = models.SmallIntegerField(null=True)
    tensor_active_permille = models.SmallIntegerField(null=True)

    class Meta:
        abstract = True

    @property
    def sm_active_percent(self) -> float | None:
        """The share of SMs that had work, in tenths of a per cent."""
        return None if self.sm_active_permille is None else self.sm_active_permille / 10

    @property
    def tensor_active_percent(self) -> float | None:
        """The share of time in which the tensor cores worked, in tenths of a per cent."""
        return None if self.tensor_active_permille is None else self.tensor_active_permille / 10


class Means(models.Model):
    """Means of the samples of a step of time; None where nothing was measured."""

    utilisation_percent = RealField(null=True)
    sm_active_percent = RealField(null=True)
    tensor_active_percent = RealField(null=True)
    memory_used_mib = RealField(null=True)
    power_watts = RealField(null=True)
    temperature_c = RealField(null=True)
    process_count = RealField(null=True)

    class Meta:
        abstract = True


class OfDevice(models.Model):
    """A row of a table that is partitioned by time; the database holds no key of the device against its table."""

    device = models.ForeignKey(
        Device, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )

    class Meta:
        abstract = True


class Sample(Figures, OfDevice):
    """One device at one moment, kept for a week. Partitioned by `at`; found by device or by time, unique by ingest."""

    pk = models.CompositePrimaryKey("device_id", "at")

    def __str__(self) -> str:
        return f"{self.device_id} {self.at:%H:%M:%S}"


class LatestSample(Figures):
    """The newest sample of a device, with the processes that ran on it."""

    device = models.OneToOneField(
        Device, on_delete=models.CASCADE, primary_key=True, related_name="latest_sample", db_constraint=True
    )
    processes = models.JSONField(
        default=list, help_text="[{pid, name, memory_mib, user}], the largest first, at most 32"
    )
    newest_at = models.DateTimeField(help_text="no sample is later; after `at` only where a clock was turned back")

    def __str__(self) -> str:
        return f"{self.device_id} {self.at:%H:%M:%S}"


class DeviceMinute(Means, OfDevice):
    """One device, one minute: what charts and usage are read from. Partitioned by `minute`, kept for 90 days."""

    pk = models.CompositePrimaryKey("device_id", "minute")
    minute = models.DateTimeField()
    energy_mj = models.BigIntegerField(null=True, help_text="the device's counter at the end of the minute")
    energy_j = models.IntegerField(
        null=True,
        help_text="joules since the last minute that has a counter: what a gap used counts in the one after it",
    )
    samples = models.PositiveSmallIntegerField()

    def __str__(self) -> str:
        return f"{self.device_id} {self.minute:%H:%M}"


class Totals(Means, OfDevice):
    """An hour or a day: the means weighted by minutes, and sums."""

    energy_j = models.BigIntegerField(null=True, help_text="joules, by the device's counter")
    samples = models.IntegerField()
    utilisation_max = RealField(null=True, help_text="of the minutes' means")
    temperature_max = RealField(null=True, help_text="of the minutes' means")
    minutes = models.SmallIntegerField(help_text="of which the utilisation was measured; the rest is a gap")
    busy_minutes = models.SmallIntegerField(help_text="of those, minutes above the idle line")

    class Meta:
        abstract = True


class DeviceHour(Totals):
    """One device, one hour (UTC). Partitioned by month, kept for three years."""

    pk = models.CompositePrimaryKey("device_id", "hour")
    hour = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.device_id} {self.hour:%Y-%m-%d %H}"


class DeviceDay(Totals):
    """One device, one day of the portal's time zone. Kept for good."""

    pk = models.CompositePrimaryKey("device_id", "day")
    day = models.DateField()

    class Meta:
        indexes = [models.Index(fields=["day"], name="deviceday_by_day")]

    def __str__(self) -> str:
        return f"{self.device_id} {self.day}"


class PoolHour(models.Model):
    """One pool, one hour: device-seconds of which there is a measurement. What long spans are read from."""

    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="hours")
    hour = models.DateTimeField()
    used_seconds = models.BigIntegerField(help_text="device-seconds above the idle line")
    idle_seconds = models.BigIntegerField(help_text="device-seconds at or below it")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pool", "hour"], name="one_row_per_pool_and_hour")]

    def __str__(self) -> str:
        return f"{self.pool_id} {self.hour:%Y-%m-%d %H}"


class PoolMinute(models.Model):
    """One pool, one minute: what the chart of a large fleet is read from. Kept as long as the devices' minutes."""

    pk = models.CompositePrimaryKey("pool_id", "minute")
    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="+", db_index=False)
    minute = models.DateTimeField()
    utilisation_percent = RealField(help_text="mean of the devices that said it")
    devices = models.IntegerField(help_text="so many of them said it")

    class Meta:
        indexes = [models.Index(fields=["minute"], name="poolminute_by_minute")]

    def __str__(self) -> str:
        return f"{self.pool_id} {self.minute:%H:%M}"


class RollupMark(models.Model):
    """How far a rollup has come: all that is older is made, but for what came late."""

    name = models.CharField(max_length=20, primary_key=True)
    done_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} {self.done_until:%Y-%m-%d %H:%M}"


class LateHour(models.Model):
    """An hour of a node into which samples came after its minutes were made. One row a delivery, never merged: what is
    noted while the job works is not taken for done.
    """

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="+")
    hour = models.DateTimeField()
    noted_at = models.DateTimeField()
    rolled_at = models.DateTimeField(null=True, help_text="when minutes, hours and days were made anew")

    class Meta:
        indexes = [
            models.Index(fields=["node"], condition=models.Q(rolled_at=None), name="late_hours_to_roll"),
            models.Index(fields=["rolled_at"], name="late_hours_rolled"),
        ]

    def __str__(self) -> str:
        return f"{self.node_id} {self.hour:%Y-%m-%d %H}"


class IdlePower(models.Model):
    """What a kind of GPU draws while nobody has it: the 95th percentile of its minutes, learned by a job."""

    gpu_class = models.OneToOneField(GpuClass, on_delete=models.CASCADE, related_name="idle_power")
    watts = models.FloatField()
    samples = models.PositiveIntegerField(help_text="device-minutes that it was learned from")
    learned_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.gpu_class_id} {self.watts:.0f} W"


from telemetry.host_models import NodeHour, NodeMinute  # noqa: E402, F401  (a module of their own: another subject)
